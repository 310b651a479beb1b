#!/usr/bin/env python3
"""Records what another implementation makes of texts: tokens and vectors of all-MiniLM-L6-v2.

    tests/oracle/record_embeddings.py FOLDER

FOLDER is the model as sentence-transformers keep it: the package that scripts/models gets has it. Tokens come from the
`tokenizers` package, vectors from the model's safetensors file by the formulas of BERT's paper in numpy, in F64, written
without a look at ours; they are kept as F16, base64. Needs tokenizers and numpy.

Writes tests/data/embeddings/all-MiniLM-L6-v2.json, and tests/data/tokens/all-MiniLM-L6-v2.F16.ids with the tokens of
lines.txt, nothing added.
"""

import base64
import json
import os
import pathlib
import sys

import numpy
import tokenizers

from corpus import read_cases

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
LINES_EVERY = 17  # of lines.txt; with all of prompts.json, 200 texts
TOKENS_MAX = 512


def tensors_of(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(size))
        body = file.read()
    kinds = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
    return {
        name.removeprefix("bert."): numpy.frombuffer(body[slice(*entry["data_offsets"])], kinds[entry["dtype"]])
        .reshape(entry["shape"])
        .astype(numpy.float64)
        for name, entry in entries.items()
        if name != "__metadata__" and entry["dtype"] in kinds
    }


def erf(x):
    """Abramowitz and Stegun 7.1.26, within 1.5e-7."""
    t = 1 / (1 + 0.3275911 * numpy.abs(x))
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return numpy.sign(x) * (1 - tail * numpy.exp(-x * x))


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = tensors_of(folder / "model.safetensors")

    def affine(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def normed(self, name, x):
        centred = x - x.mean(axis=1, keepdims=True)
        spread = numpy.sqrt((centred**2).mean(axis=1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / spread * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attended(self, name, x):
        heads = self.config["num_attention_heads"]
        q, k, v = (
            self.affine(name + ".self." + part, x).reshape(len(x), heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / numpy.sqrt(q.shape[2])
        chances = numpy.exp(scores - scores.max(axis=2, keepdims=True))
        chances /= chances.sum(axis=2, keepdims=True)
        return (chances @ v).transpose(1, 0, 2).reshape(len(x), -1)

    def vector(self, ids):
        tables = ["word_embeddings", "position_embeddings", "token_type_embeddings"]
        word, position, kind = (self.weights["embeddings.%s.weight" % table] for table in tables)
        x = self.normed("embeddings.LayerNorm", word[ids] + position[: len(ids)] + kind[0])
        for layer in range(self.config["num_hidden_layers"]):
            name = "encoder.layer.%d." % layer
            attended = self.attended(name + "attention", x)
            x = self.normed(name + "attention.output.LayerNorm", x + self.affine(name + "attention.output.dense", attended))
            inner = self.affine(name + "intermediate.dense", x)
            inner = inner * 0.5 * (1 + erf(inner / numpy.sqrt(2)))
            x = self.normed(name + "output.LayerNorm", x + self.affine(name + "output.dense", inner))
        mean = x.mean(axis=0)
        return mean / numpy.linalg.norm(mean)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    model, tokenizer = Model(folder), tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # a user's "[CLS]" is five characters to us
    lines = read_cases(os.path.join(DATA, "tokens", "lines.txt"))
    texts = [each["text"] for each in json.loads((DATA / "prompts.json").read_text())] + lines[::LINES_EVERY]
    recorded = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        if len(ids) <= TOKENS_MAX:
            vector = base64.b64encode(model.vector(ids).astype("<f2").tobytes()).decode()
            recorded.append({"text": text, "ids": ids, "vector": vector})
    target = DATA / "embeddings" / "all-MiniLM-L6-v2.json"
    target.parent.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in recorded)
    versions = {"tokenizers": tokenizers.__version__, "numpy": numpy.__version__}
    target.write_text(
        '{"model":"all-MiniLM-L6-v2","versions":%s,"texts":[\n%s\n]}\n' % (json.dumps(versions), rows), encoding="utf-8"
    )
    with open(DATA / "tokens" / "all-MiniLM-L6-v2.F16.ids", "w", encoding="ascii", newline="\n") as file:
        for line in lines:
            file.write(" ".join(map(str, tokenizer.encode(line, add_special_tokens=False).ids)) + "\n")
    print("%d texts of %d to %d tokens" % (len(recorded), min(len(r["ids"]) for r in recorded), max(len(r["ids"]) for r in recorded)))


if __name__ == "__main__":
    main()
