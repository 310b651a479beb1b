#!/usr/bin/env python3
"""Records how the oracle tokenizes the corpora of tests/data/tokens, for both models.

    tests/oracle/record_tokens.py [MODEL...]

Writes, one line of space-separated ids per case:
    MODEL.ids          lines.txt, no special tokens added, none parsed
    MODEL.special.ids  the first 50 cases of lines.txt with BOS (and EOS) where the model asks for them
    MODEL.parsed.ids   special_lines.txt with special tokens parsed, none added
The ids come from llama-server; a sample is asked again of llama-tokenize, a second way into the same library, so that a
slip in how a text reaches the server (escaping, Unicode) would be seen.
"""

import ast
import os
import sys

from corpus import read_cases
import oracle

TOKENS = os.path.join(oracle.DATA, "tokens")
SPECIAL_CASES = 50
SAMPLES, PARSED_SAMPLES = 100, 20


def write_ids(name, rows):
    with open(os.path.join(TOKENS, name), "w", encoding="ascii", newline="\n") as file:
        for row in rows:
            file.write(" ".join(map(str, row)) + "\n")
    print("%s: %d lines, %d ids" % (name, len(rows), sum(map(len, rows))))


def tokenize_by_tool(model, text, parse_special):
    flags = [] if parse_special else ["--no-parse-special"]
    words = ["llama-tokenize", "-m", "/models/%s.gguf" % model, "--stdin", "--no-escape", "--ids", "--no-bos", *flags]
    printed = oracle.run(*words, stdin=text.encode("utf-8"))
    return ast.literal_eval(printed.decode().strip())


def verify(model, cases, rows, samples, parse_special):
    """Asks llama-tokenize about every n-th case; raises at the first difference."""
    step = max(1, len(cases) // samples)
    checked = range(0, len(cases), step)
    for index in checked:
        again = tokenize_by_tool(model, cases[index], parse_special)
        if again != rows[index]:
            raise SystemExit(
                "record_tokens: expected %s from llama-tokenize for case %d of %s, as from the server, but got %s"
                % (rows[index], index + 1, model, again)
            )
    print("%s: llama-tokenize agrees on %d cases" % (model, len(checked)))


def record(model):
    lines = read_cases(os.path.join(TOKENS, "lines.txt"))
    special_lines = read_cases(os.path.join(TOKENS, "special_lines.txt"))
    with oracle.serve(model, "-c", "512") as server:
        plain = [server.tokenize(text) for text in lines]
        special = [server.tokenize(text, add_special=True) for text in lines[:SPECIAL_CASES]]
        parsed = [server.tokenize(text, parse_special=True) for text in special_lines]
    write_ids(model + ".ids", plain)
    write_ids(model + ".special.ids", special)
    write_ids(model + ".parsed.ids", parsed)
    verify(model, lines, plain, SAMPLES, False)
    verify(model, special_lines, parsed, PARSED_SAMPLES, True)


if __name__ == "__main__":
    for name in sys.argv[1:] or oracle.MODELS:
        record(name)
