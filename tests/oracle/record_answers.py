#!/usr/bin/env python3
"""Records what the oracle answers to tests/data/prompts.json: 32 greedy tokens, and the ten likeliest at every step.

    tests/oracle/record_answers.py [MODEL...]

Writes tests/data/oracle/MODEL.json:
    {"command", "versions", "request", "prompts": [{"name", "prompt_tokens", "tokens", "top"}, ...]}
`top` has one row per token of `tokens`: ten pairs [token id, natural logarithm of its probability], likeliest first, of
the model's own distribution before any sampler. A model that ends its text leaves fewer than 32 tokens; the token that
ended it is the last of them. The texts are completed as they are, without a chat template.
"""

import json
import math
import os
import sys

import oracle

# --swa-full: windowed layers keep every position. Otherwise the server reuses their cells past 1,024 positions and also cuts
# prompts where it saves checkpoints: other orders and other row counts, which Gemma turns into tenths of a nat.
FLAGS = ["-c", "4096", "--swa-full"]
REQUEST = {
    "n_predict": 32,
    "temperature": 0,
    "n_probs": 10,
    "post_sampling_probs": False,
    "return_tokens": True,
    "cache_prompt": False,
}
LOGPROB_DIGITS = 5


def top_rows(steps):
    rows = []
    for step in steps:
        row = [[top["id"], round(top["logprob"], LOGPROB_DIGITS)] for top in step["top_logprobs"]]
        mass = sum(math.exp(logprob) for _, logprob in row)
        # Raw probabilities of ten tokens out of many thousand: descending, and short of one by what the others hold.
        if len(row) != REQUEST["n_probs"] or mass > 1.001 or any(a[1] < b[1] for a, b in zip(row, row[1:])):
            raise SystemExit("record_answers: expected ten raw log-probabilities in order but got %s" % row)
        rows.append(row)
    return rows


def score(server, tokens, answered):
    """What the model expects after `tokens` and what it has answered so far.

    The server leaves out the probabilities of tokens that end inside a character. They are the model's own, however,
    and not touched by a bias: so it is asked for one token more and made to answer with a whole letter. Asked in order,
    the first time with an empty cache, it computes each row in a batch of the same size as when the token was
    generated. That matters: other batch sizes move these models' log-probabilities by tenths (tests/data/README.md).
    """
    letter = server.tokenize("a")[0]
    said = server.post(
        "/completion",
        dict(REQUEST, prompt=tokens + answered, n_predict=1, cache_prompt=bool(answered), logit_bias=[[letter, 1000]]),
    )
    return said["completion_probabilities"][0]


def answer(server, prompt):
    tokens = server.tokenize(prompt["text"], add_special=True)
    said = server.post("/completion", dict(REQUEST, prompt=tokens))
    if said["truncated"] or said["tokens_evaluated"] != len(tokens):
        raise SystemExit("record_answers: expected %s to be read whole but the server cut it" % prompt["name"])
    steps = said["completion_probabilities"]
    if [step["id"] for step in steps] != said["tokens"]:
        steps = [score(server, tokens, said["tokens"][:count]) for count in range(len(said["tokens"]))]
    top = top_rows(steps)
    if [row[0][0] for row in top] != said["tokens"]:
        raise SystemExit(
            "record_answers: expected every token of %s to be the likeliest but one is not" % prompt["name"]
        )
    return {"name": prompt["name"], "prompt_tokens": tokens, "tokens": said["tokens"], "top": top}


def record(model, prompts):
    with oracle.serve(model, *FLAGS) as server:
        answers = [answer(server, prompt) for prompt in prompts]
    head = {
        "command": "llama-server -m %s.gguf -t 1 -np 1 %s" % (model, " ".join(FLAGS)),
        "kernels": oracle.KERNELS,
        "versions": oracle.versions(),
        "request": REQUEST,
    }
    path = os.path.join(oracle.DATA, "oracle", model + ".json")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head, separators=(",", ":"))[:-1] + ',"prompts":[\n')
        file.write(",\n".join(json.dumps(a, separators=(",", ":")) for a in answers))
        file.write("\n]}\n")
    print(
        "%s: %d prompts of %d to %d tokens, %d answer tokens, %d bytes"
        % (
            model,
            len(answers),
            min(len(a["prompt_tokens"]) for a in answers),
            max(len(a["prompt_tokens"]) for a in answers),
            sum(len(a["tokens"]) for a in answers),
            os.path.getsize(path),
        )
    )


if __name__ == "__main__":
    with open(os.path.join(oracle.DATA, "prompts.json"), encoding="utf-8") as file:
        PROMPTS = json.load(file)
    for name in sys.argv[1:] or oracle.MODELS:
        record(name, PROMPTS)
