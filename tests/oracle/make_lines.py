#!/usr/bin/env python3
"""Writes the token corpora tests/data/tokens/lines.txt and special_lines.txt, always the same ones.

    tests/oracle/make_lines.py            writes both files
    tests/oracle/make_lines.py --check    fails where the files differ from what would be written

A case is a text to be tokenized; corpus.py says how a case is written on one line. Every kind of text below has its own
function and its own share, so that a splitter or merge rule that is wrong for one kind fails many cases, not one.
"""

import os
import sys

from corpus import Dice, escape, write_cases
import words

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "tokens")


def sentence(dice, script=None):
    joiner, vocabulary = words.SCRIPTS[script or dice.pick(sorted(words.SCRIPTS))]
    return joiner.join(dice.several(vocabulary, 2, 9))


def punctuated(dice):
    out = []
    for _ in range(dice.between(1, 4)):
        out.append(sentence(dice))
        out.append(
            dice.pick([". ", ", ", "! ", "? ", "; ", ": ", " - ", "... ", "?!", "。", " (", ") ", "\" ", " «", "\n"])
        )
    return "".join(out)


def mixed_scripts(dice):
    joiner = dice.pick(["", " ", " ", "-", "/", "_", ", ", "'", "."])
    return joiner.join(dice.pick(words.SCRIPTS[s][1]) for s in dice.several(sorted(words.SCRIPTS), 2, 7))


def letter_case(dice):
    text = sentence(dice, dice.pick(["english", "german", "french", "russian", "greek", "turkish", "polish"]))
    return dice.pick(
        [
            str.upper,
            str.title,
            str.swapcase,
            lambda t: t.replace(" ", ""),
            lambda t: "".join(c.upper() if i % 2 else c for i, c in enumerate(t)),
        ]
    )(text)


def contraction(dice):
    return "".join(
        dice.pick(["she", "We", "THEY", "o", "it ", "élan", "Иван", "猫", "9", "", "\n", "_"])
        + dice.pick(words.CONTRACTIONS)
        + dice.pick(["", " ", " and ", "!", "1"])
        for _ in range(dice.between(1, 4))
    )


def code(dice):
    text = dice.pick(words.CODE)
    return dice.pick(
        [
            text,
            text,
            text.replace("    ", "\t"),
            text.replace("\n", "\r\n"),
            "\n".join("    " * dice.between(0, 5) + line for line in text.split("\n")),
            text[: dice.between(1, len(text))],
        ]
    )


def number(dice):
    shape = dice.roll(4)
    if shape == 0:
        return dice.pick([" ", ", ", "", "\n", "-", "x", "."]).join(dice.several(words.NUMBERS, 1, 6))
    if shape == 1:
        return "".join(dice.several(list("0123456789"), 1, 40))
    if shape == 2:
        return "%d-%02d-%02d %02d:%02d" % (
            dice.between(1, 2999),
            dice.between(1, 12),
            dice.between(1, 31),
            dice.roll(24),
            dice.roll(60),
        )
    return "".join(dice.several(list("0123456789") + [".", ",", " ", "e", "-", "%", "٣", "½", "²", "８"], 2, 20))


def punctuation(dice):
    if dice.chance(50):
        return dice.pick(words.PUNCTUATION) * dice.between(1, 24)
    return dice.pick(["", " "]).join(dice.several(words.PUNCTUATION, 2, 16))


def whitespace(dice):
    kinds = [" ", " ", "  ", "\n", "\t", "\r\n", "\r", "\n\n", "    ", "\t\t", "\n \n", " \n", "\n\t"]
    out = []
    for _ in range(dice.between(1, 5)):
        out += dice.several(kinds, 1, 5)
        out.append(dice.pick(["", "a", "word", "Ωmega", "9", ".", "中", "{", "'s", "-- "]))
    out += dice.several(kinds, 0, 3)
    return "".join(out)


def long_space(dice):
    run = dice.pick([" ", "\n", "\t", "\r\n", "\u00a0", "\u3000", " \t", "\n "]) * dice.between(3, 130)
    return dice.pick(["", "x", "x ", "1", "."]) + run + dice.pick(["", "y", "2", "!", "é"])


def exotic_space(dice):
    return "".join(
        dice.pick(["a", "Bee", "7", "ж", "中", ".", "", " "]) + dice.pick(words.SPACES + words.INVISIBLE)
        for _ in range(dice.between(1, 8))
    ) + dice.pick(["", "end", " "])


def control(dice):
    return "".join(
        dice.pick(["a", "Bee", "7", "", " "]) + dice.pick(words.CONTROLS) * dice.between(1, 3)
        for _ in range(dice.between(1, 5))
    )


def strange(dice):
    return "".join(
        dice.pick(["a", "word ", "7", "", " ", "é"]) + dice.pick(words.STRANGE) for _ in range(dice.between(1, 5))
    )


def emoji(dice):
    return "".join(
        dice.pick(["", "", " ", "a", "Fine ", "!", "中", "7"]) + dice.pick(words.EMOJI)
        for _ in range(dice.between(1, 8))
    )


def combining(dice):
    return "".join(
        dice.pick(["", " ", "a", "Bee ", "中", "9", "."]) + dice.pick(words.COMBINING)
        for _ in range(dice.between(1, 6))
    )


def long_word(dice):
    alphabet = dice.pick(
        [
            "abcdefghijklmnopqrstuvwxyz",
            "aeiou",
            "ABCxyz",
            "абвгдеё",
            "αβγδ",
            "中文字漢",
            "กขคง",
            "ᚠᚢ",
            "0123456789abcdef",
            "ACGT",
            "_-",
            "éèêë",
            "한글말",
        ]
    )
    return "".join(dice.several(list(alphabet), 20, 220))


def repeated(dice):
    unit = dice.pick(
        ["a", "ab", "the", " the", "ha", "-", "=", "😀", "中", "0", "00", "é", "\u0301", "ñandú ", "\\", "!?"]
    )
    return unit * dice.between(2, 90)


def web(dice):
    return dice.pick([" ", "", "\n", ", "]).join(dice.several(words.URLS, 1, 3))


def any_character(dice):
    """Characters from all over Unicode, whether anyone writes them or not; no surrogates."""
    blocks = [
        (0x20, 0x7E),
        (0xA0, 0x24F),
        (0x250, 0x36F),
        (0x370, 0x5FF),
        (0x600, 0x8FF),
        (0x900, 0xDFF),
        (0xE00, 0x17FF),
        (0x1800, 0x1FFF),
        (0x2000, 0x2BFF),
        (0x2C00, 0x2FFF),
        (0x3000, 0x33FF),
        (0x3400, 0x9FFF),
        (0xA000, 0xABFF),
        (0xAC00, 0xD7A3),
        (0xF900, 0xFFFD),
        (0x10000, 0x11FFF),
        (0x12000, 0x16FFF),
        (0x1B000, 0x1DFFF),
        (0x1E000, 0x1FFFF),
        (0x20000, 0x2FFFF),
    ]
    one_block = dice.pick(blocks) if dice.chance(60) else None
    return "".join(chr(dice.between(*(one_block or dice.pick(blocks)))) for _ in range(dice.between(1, 24)))


def special(dice):
    out = []
    for _ in range(dice.between(1, 4)):
        out.append(dice.pick(["", "", " ", "say ", "x", "\n", "  ", "user\n", "é", "中", "▁"]))
        out.append(dice.pick(words.SPECIAL))
    out.append(dice.pick(["", "", " ", " after", "\n", "!", "s"]))
    return "".join(out)


def near_special(dice):
    text = dice.pick(words.SPECIAL)
    cut = dice.between(0, len(text) - 1)
    return dice.pick(
        [
            text[:cut],
            text[cut:],
            text[:cut] + " " + text[cut:],
            text.upper(),
            text + text[:cut],
            text[:cut] * 2,
            text[:1] + text,
            text.replace("|", "||"),
        ]
    )


def chat(dice):
    return dice.pick(
        [
            "<|im_start|>system\n%s<|im_end|>\n<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n",
            "<start_of_turn>user\n%s<end_of_turn>\n<start_of_turn>model\n%s<end_of_turn>\n",
            "<bos><start_of_turn>user\n%s %s<end_of_turn>",
            "[INST] <<SYS>>%s<</SYS>> %s [/INST]",
            "<s>%s</s> <s>%s</s>",
        ]
    ) % (sentence(dice), sentence(dice))


def paragraph(dice):
    makers = [sentence, sentence, punctuated, number, contraction, emoji, code, web, whitespace]
    return dice.pick([" ", "\n", "\n\n", ""]).join(dice.pick(makers)(dice) for _ in range(dice.between(3, 9)))


SHARES = [
    (punctuated, 120),
    (mixed_scripts, 140),
    (letter_case, 90),
    (contraction, 150),
    (code, 170),
    (number, 170),
    (punctuation, 120),
    (whitespace, 170),
    (long_space, 70),
    (exotic_space, 120),
    (control, 80),
    (strange, 80),
    (emoji, 140),
    (combining, 120),
    (long_word, 100),
    (repeated, 100),
    (web, 80),
    (any_character, 200),
    (special, 140),
    (near_special, 100),
    (chat, 30),
    (paragraph, 110),
]


def distinct(make, count, taken):
    """`count` cases of one kind that are not empty and not yet taken."""
    cases = []
    for _ in range(count * 50):
        case = make()
        if case and case not in taken:
            taken.add(case)
            cases.append(case)
            if len(cases) == count:
                return cases
    raise SystemExit("make_lines: expected %d different cases but the words allow only %d" % (count, len(cases)))


def corpus_lines():
    dice, taken, cases = Dice(20260301), set(), []
    for script in sorted(words.SCRIPTS):
        cases += distinct(lambda: sentence(dice, script), 8, taken)
    cases += distinct(
        lambda: chr(32 + dice.roll(95)), 60, taken
    )  # single characters: merges have nothing to hide behind
    for make, count in SHARES:
        cases += distinct(lambda: make(dice), count, taken)
    dice.shuffle(cases)
    return cases


def special_lines():
    dice, taken, cases = Dice(77), set(), []
    for make, count in [(special, 130), (chat, 40), (near_special, 30)]:
        cases += distinct(lambda: make(dice), count, taken)
    dice.shuffle(cases)
    return cases


def main():
    for name, cases in [("lines.txt", corpus_lines()), ("special_lines.txt", special_lines())]:
        path = os.path.join(FOLDER, name)
        if sys.argv[1:] == ["--check"]:
            with open(path, encoding="utf-8", newline="\n") as file:
                if file.read() != "".join(escape(case) + "\n" for case in cases):
                    raise SystemExit(
                        "make_lines: expected %s as written here but it differs; run without --check" % name
                    )
        else:
            write_cases(path, cases)
            print("%s: %d cases" % (name, len(cases)))


if __name__ == "__main__":
    main()
