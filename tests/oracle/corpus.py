"""The escapes of the token corpora, and dice that roll the same on every Python.

A corpus file holds one case per line. A line feed, carriage return, tab and backslash are written \\n \\r \\t \\\\, and
every character that cannot be seen (controls, exotic spaces, zero-width, private use, noncharacters, variation
selectors, a space at either end) is written \\u{HEX}. The decoder undoes exactly these five forms and knows no others.
"""

import unicodedata

SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
HIDDEN = {"Cc", "Cf", "Co", "Zl", "Zp", "Zs"}  # not Cn: what is unassigned depends on the version of Python


def is_hidden(char):
    if char == " ":
        return False
    variation_selector = 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF
    noncharacter = 0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE
    return variation_selector or noncharacter or unicodedata.category(char) in HIDDEN


def escape(text):
    out = []
    for index, char in enumerate(text):
        at_an_end = char == " " and index in (0, len(text) - 1)
        if char in SHORT:
            out.append(SHORT[char])
        elif at_an_end or is_hidden(char):
            out.append("\\u{%X}" % ord(char))
        else:
            out.append(char)
    return "".join(out)


def unescape(line):
    plain = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    out, at = [], 0
    while at < len(line):
        if line[at] != "\\":
            out.append(line[at])
            at += 1
        elif line[at + 1] == "u":
            end = line.index("}", at)
            out.append(chr(int(line[at + 3 : end], 16)))
            at = end + 1
        else:
            out.append(plain[line[at + 1]])
            at += 2
    return "".join(out)


def read_cases(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return [unescape(line) for line in file.read().split("\n")[:-1]]


def write_cases(path, cases):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for case in cases:
            file.write(escape(case) + "\n")


class Dice:
    """xorshift64*. Python's own generator may deal differently in another version; the recorded ids would lie then."""

    def __init__(self, seed):
        self.state = seed or 1

    def roll(self, sides):
        """A whole number in [0, sides)."""
        mask = (1 << 64) - 1
        self.state ^= self.state >> 12
        self.state = (self.state ^ (self.state << 25)) & mask
        self.state ^= self.state >> 27
        return ((self.state * 0x2545F4914F6CDD1D) & mask) % (1 << 53) % sides

    def between(self, least, most):
        return least + self.roll(most - least + 1)

    def pick(self, things):
        return things[self.roll(len(things))]

    def several(self, things, least, most):
        return [self.pick(things) for _ in range(self.between(least, most))]

    def chance(self, percent):
        return self.roll(100) < percent

    def shuffle(self, things):
        for last in range(len(things) - 1, 0, -1):
            other = self.roll(last + 1)
            things[last], things[other] = things[other], things[last]
