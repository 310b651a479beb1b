"""Answers asked for at the same time, and when their tokens came. Greedy, of fixed length, nothing remembered or guessed.

Lines are kept with their moment and read only afterwards: on a machine whose every core computes, reading along would
take time from those who are measured.
"""

import contextlib
import http.client
import json
import random
import threading
import time

from .figures import together

PATIENCE_SECONDS = 3600
# Ordinary tokens of every vocabulary used here: nothing of them is known from before, and nothing can be guessed.
FIRST_TOKEN, TOKENS = 1000, 19000


def prompt_of(seed, tokens):
    choose = random.Random(seed)
    return [FIRST_TOKEN + choose.randrange(TOKENS) for _ in range(tokens)]


def flotilla_request(model, prompt, tokens):
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
    return "/v1/completions", dict(body, cache_prompt=False, speculate=False, return_token_ids=True)


def llama_request(_model, prompt, tokens):
    body = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
    return "/completion", dict(body, cache_prompt=False)


def tokens_in(event, before):
    """How many tokens an event of either server brought, after `before` of the same answer.

    llama-server holds back what is no whole character yet and later sends the last token's id alone, but counts them all.
    """
    if event.get("error"):
        raise RuntimeError("expected an answer but got %s" % event["error"])
    if "choices" in event:
        return sum(len(choice.get("token_ids") or []) for choice in event["choices"])
    return event["tokens_predicted"] - before


class Stream:
    """One answer: asks in a thread of its own, `enter` being a context in which its socket is made (a namespace)."""

    def __init__(self, port, path, body, enter=contextlib.nullcontext):
        self.port, self.path, self.body, self.enter = port, path, json.dumps(body), enter
        self.lines, self.error = [], None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            with self.enter():
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
                connection.connect()
            self.asked = time.monotonic()
            connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError("expected a stream from %s but got %d: %r" % (self.path, response.status, response.read()[:500]))
            for line in response:
                self.lines.append((time.monotonic(), line))
            connection.close()
        except Exception as error:  # told by moments(), in the thread that waits
            self.error = error

    def moments(self, tokens):
        """When each token came; fails where it is not as many as were ordered."""
        if self.error:
            raise self.error
        came = []
        for moment, line in self.lines:
            if line.startswith(b"data: {"):
                came += [moment] * tokens_in(json.loads(line[6:]), len(came))
        if len(came) != tokens:
            raise RuntimeError("expected %d tokens but got %d from %s" % (tokens, len(came), self.path))
        return came


def run(asks, tokens):
    """`asks` are Streams. Figures of the whole:

    total: prompt and answer tokens are not added up; this is tokens generated over wall time, tok/s
    decode: tok/s while every one of them was answering
    first_token: median seconds; prefill: prompt tokens of all over the seconds until the last began to answer
    """
    for ask in asks:
        ask.thread.start()
    for ask in asks:
        ask.thread.join()
    moments = [ask.moments(tokens) for ask in asks]
    began = min(ask.asked for ask in asks)
    wall = max(answer[-1] for answer in moments) - began
    prompt_tokens = sum(len(json.loads(ask.body)["prompt"]) for ask in asks)
    firsts = sorted(answer[0] - ask.asked for ask, answer in zip(asks, moments))
    gaps = sorted(later - earlier for answer in moments for earlier, later in zip(answer, answer[1:]))
    return {
        "total": len(asks) * tokens / wall,
        "all_tokens": (len(asks) * tokens + prompt_tokens) / wall,
        "decode": together(moments),
        "first_token": firsts[len(firsts) // 2],
        "prefill": prompt_tokens / (max(answer[0] for answer in moments) - began),
        "gap_p95": gaps[int(0.95 * (len(gaps) - 1))] if gaps else 0,
    }
