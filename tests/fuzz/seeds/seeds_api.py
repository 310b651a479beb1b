"""Requests, and bodies of requests."""

import json

from corpus_files import seeds


def api_seeds():
    chat = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    completion = {"model": "tiny", "prompt": "hi"}
    every = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "n": 2,
        "temperature": 0.5,
        "top_p": 0.9,
        "min_p": 0.1,
        "top_k": 5,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "repetition_penalty": 1.1,
        "repeat_last_n": 8,
        "seed": 7,
        "logit_bias": {"5": -1},
        "stop": ["e", "xx"],
        "max_tokens": 9,
        "ignore_eos": True,
        "speculate": False,
        "cache_prompt": False,
        "cache_salt": "s",
        "return_token_ids": True,
    }

    def files(body, more):
        def one(**changes):
            return json.dumps({**body, **changes})

        wrong = {
            "sound": one(),
            "every_field": one(**every),
            "empty": "",
            "empty_object": "{}",
            "not_json": '{"model": tru',
            "nested_deep": "[" * 80,
            "nested_60": one(user=json.loads("[" * 60 + "]" * 60)),
            "n_huge": one(n=10**9),
            "n_negative": one(n=-1),
            "count_negative": one(max_tokens=-5),
            "temperature_infinite": json.dumps(body)[:-1] + ', "temperature": 1e999}',
            "number_of_many_digits": json.dumps(body)[:-1] + ', "seed": ' + "9" * 400 + "}",
            "seed_as_a_fraction": one(seed=9007199254740993.0),
            "stops_many": one(stop=["a"] * 17),
            "stop_long": one(stop="x" * 600),
            "stop_within": one(stop=" two"),
            "bias_key_odd": one(logit_bias={"-1": 1, "1e3": 2, "": 3}),
            "bias_out_of_the_vocabulary": one(logit_bias={"999999": 1}),
            "grammar": one(guided_regex="(a+)+$", grammar="root ::= root"),
            "schema": one(response_format={"type": "json_schema"}),
            "surrogate_alone": json.dumps(body)[:-1] + ', "user": "\\ud800", "model": "\\udfff"}',
            "model_unknown": one(model="../../etc/passwd"),
            "model_loading": one(model="slow-loading"),
            "key_twice": json.dumps(body)[:-1] + ', "n": 1, "n": 99}',
            "null_fields": one(stream=None, stop=None, n=None),
            "types_wrong": one(stream="yes", n="2", stop=5, logit_bias=[]),
        }
        return {**wrong, **{name: one(**changes) for name, changes in more.items()}}

    user = {"role": "user", "content": "hi"}
    seeds(
        "chat_request",
        **files(
            chat,
            {
                "logprobs": {"logprobs": True, "top_logprobs": 5},
                "parts": {
                    "messages": [
                        {
                            "role": "user",
                            "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}],
                        }
                    ]
                },
                "image_from_an_address": {
                    "messages": [
                        {
                            "role": "user",
                            "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}],
                        }
                    ]
                },
                "tool_calls": {
                    "messages": [
                        user,
                        {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, 5],
                        },
                        {"role": "tool", "content": "x"},
                    ]
                },
                "arguments_deep": {
                    "messages": [
                        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[" * 9000}}]},
                        user,
                    ]
                },
                "tools": {
                    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": [1, {"b": None}]}}}],
                    "messages": [{"role": "user", "content": '[say]<tool_call>{"name":"f"}</tool_call>'}],
                    "stream": True,
                },
                "function_call": {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
                "template_of_a_client": {"chat_template": "{{ 1 }}", "chat_template_kwargs": {"a": 1}},
                "role_unknown": {"messages": [{"role": "root", "content": "x"}]},
                "words": {"messages": [{"role": "user", "content": "[full]"}]},
                "broken": {"messages": [{"role": "user", "content": "[broken]"}], "stream": True},
                "manual": {"messages": [{"role": "user", "content": "[manual]"}], "stream": True},
                "forever": {"messages": [{"role": "user", "content": "forever"}], "n": 3},
                "too_long": {"messages": [{"role": "user", "content": "x" * 200}]},
            },
        ),
    )
    seeds(
        "completion_request",
        **files(
            completion,
            {
                "echo_with_scores": {"echo": True, "logprobs": 2, "max_tokens": 0},
                "prompts": {"prompt": ["a", "b"], "n": 2},
                "tokens": {"prompt": [1, 2, 257]},
                "token_lists": {"prompt": [[1], [2, 3]]},
                "prompts_many": {"prompt": ["a"] * 65},
                "choices_many": {"prompt": ["a"] * 64, "n": 16},
                "token_negative": {"prompt": [-1]},
                "token_huge": {"prompt": [2**31]},
                "prompt_empty": {"prompt": ""},
                "mixed": {"prompt": ["a", 5]},
                "best_of": {"best_of": 5},
                "suffix": {"suffix": "x"},
                "too_long": {"prompt": "x" * 200},
            },
        ),
    )
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    say = "[say]<think>a</think>b<tool_call>{\"name\":\"f\"}</tool_call>"
    seeds(
        "messages_request",
        **files(
            {"model": "tiny", "max_tokens": 9, "messages": [user]},
            {
                "blocks": {
                    "system": [{"type": "text", "text": "s"}],
                    "messages": [
                        {
                            "role": "assistant",
                            "content": [
                                {"type": "thinking", "thinking": "t", "signature": ""},
                                {"type": "tool_use", "id": "1", "name": "f", "input": {}},
                            ],
                        },
                        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]},
                    ],
                },
                "tools": {
                    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
                    "messages": [{"role": "user", "content": say}],
                    "stream": True,
                },
                "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "stop_sequences": ["x"]},
                "image": {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]},
                "broken": {"messages": [{"role": "user", "content": "[broken]"}], "stream": True},
            },
        ),
    )
    seeds(
        "ollama_request",
        **files(
            {"model": "tiny", "messages": [user], "prompt": "hi"},
            {
                "options": {"options": {"num_predict": 3, "temperature": 0, "stop": ["x"], "num_ctx": 5}, "stream": False},
                "tools": {"tools": [tool], "messages": [{"role": "user", "content": say}], "think": True},
                "load": {"messages": [], "prompt": "", "keep_alive": 0},
                "format": {"format": {"type": "object"}},
                "images": {"messages": [{"role": "user", "content": "x", "images": ["eA=="]}]},
                "broken": {"messages": [{"role": "user", "content": "[broken]"}], "prompt": "[broken]"},
            },
        ),
    )
    seeds(
        "response_request",
        **files(
            {"model": "tiny", "input": "hi"},
            {
                "items": {
                    "input": [
                        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
                        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                        {"type": "function_call_output", "call_id": "1", "output": "x"},
                    ],
                },
                "tools": {
                    "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
                    "input": say,
                    "stream": True,
                },
                "previous": {"previous_response_id": "resp_1"},
                "broken": {"input": "[broken]", "stream": True},
            },
        ),
    )
    embedding_seeds()
    dictionary_of_requests(chat, completion)


def embedding_seeds():
    bodies = {
        "sound": (0, {"input": "hi"}),
        "texts": (0, {"input": ["a", "", "b"], "encoding_format": "base64"}),
        "tokens": (0, {"input": [1, 2, 257]}),
        "token_lists": (0, {"input": [[1], [2, 3]], "dimensions": 4}),
        "token_of_another_vocabulary": (0, {"input": [[1], [100257]]}),
        "token_negative": (0, {"input": [-1]}),
        "mixed": (0, {"input": ["a", 5]}),
        "empty": (0, {"input": []}),
        "lists_empty": (0, {"input": [[], []]}),
        "too_long": (0, {"input": "x" * 200}),
        "dimensions_huge": (0, {"input": "a", "dimensions": 1 << 63}),
        "of_a_model_that_generates": (0, {"model": "tiny", "input": "a"}),
        "held": (0, {"input": "[held]"}),
        "ollama": (1, {"input": ["a", "b"], "truncate": False}),
        "ollama_cut": (1, {"input": "x" * 200}),
        "ollama_load": (1, {"input": ""}),
        "ollama_tokens": (1, {"input": [1, 2]}),
        "ollama_old": (2, {"prompt": "hi"}),
    }
    seeds(
        "embedding_request",
        **{name: bytes([which]) + json.dumps({"model": "vectors", **body}).encode() for name, (which, body) in bodies.items()},
    )


def dictionary_of_requests(chat, completion):
    def get(path, *headers, version="1.1", method="GET"):
        return "\r\n".join([f"{method} {path} HTTP/{version}", *headers, "", ""]).encode()

    def post(path, body, *headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return (
            get(
                path,
                "Host: localhost",
                "Content-Type: application/json",
                f"Content-Length: {len(raw)}",
                *headers,
                method="POST",
            )
            + raw
        )

    host = "Host: localhost"
    requests = {
        "sound": get("/v1/models", host),
        "root": get("/", host),
        "query": get("/plan?model=tiny&mode=a%20b", host),
        "model": get("/v1/models/org%2Ftiny", host),
        "head": get("/health", host, method="HEAD"),
        "keep_alive": get("/health", host) * 3,
        "old": get("/ready", version="1.0"),
        "old_kept": get("/ready", "Connection: keep-alive", version="1.0"),
        "absolute_form": get("http://localhost/health", host),
        "absolute_form_of_another": get("http://evil.example/load", host),
        "rebinding": get("/cluster", "Host: evil.example"),
        "two_hosts": get("/", host, "Host: evil.example"),
        "no_host": get("/"),
        "page_of_another_site": post(
            "/unload", {"model": "tiny"}, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"
        ),
        "asks_beforehand": get(
            "/load",
            host,
            "Origin: https://chat.example",
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: x-a, x-b",
            method="OPTIONS",
        ),
        "two_lengths": b"POST /load HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "length_and_chunks": (
            b"POST /load HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
        ),
        "length_huge": b"POST /load HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "length_negative": b"POST /load HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "chunks": (
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n1b\r\n{"model":"tiny","prompt":"\r\n3\r\na"}\r\n0\r\n\r\n'
        ),
        "chunk_size_huge": (
            b"POST /load HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" b"ffffffffffffffff\r\n"
        ),
        "line_folded": get("/", host, "X-A: b\r\n c"),
        "escapes_broken": get("/%zz%", host),
        "escape_zero": get("/%00%0d%0aX:y", host),
        "escape_not_utf8": get("/%ff", host),
        "path_upwards": get("/v1/models/..%2f..%2fetc", host),
        "header_injected": get("/x%0d%0aSet-Cookie:a", host),
        "target_long": get("/" + "a" * 8200, host),
        "encoded_body": post("/load", {"model": "tiny"}, "Content-Encoding: gzip"),
        "continue": post("/load", {"model": "tiny"}, "Expect: 100-continue"),
        "key": get("/cluster", host, "Authorization: Bearer sk-wrong"),
        "api_key": get("/cluster", host, "x-api-key: sk-wrong"),
        "not_http": b"\x16\x03\x01\x02\0\x01\0",
        "method_long": get("/", host, method="A" * 40),
        "version_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    }
    seeds(
        "http_header",
        **requests,
        origin_null="null",
        origin="https://Chat.Example:443",
        authority_v6="[::1]:52415",
        authority_user="a@b",
        authority_dots="Studio.local..",
    )
    routes = {
        "chat": post("/v1/chat/completions", chat),
        "chat_stream": post("/chat/completions", {**chat, "stream": True}),
        "completion": post("/v1/completions", completion),
        "load": post("/load", {"model": "tiny"}),
        "unload": post("/unload", {"model": "tiny"}),
        "measure": post("/measure", {"again": True}),
    }
    small = {
        name: raw
        for name, raw in requests.items()
        if name not in ("target_long", "origin_null", "two_lengths", "method_long", "old_kept")
    }
    seeds(
        "http_server",
        **{name: b"\0\0" + raw for name, raw in {**small, **routes}.items()},
        chat_locked=b"\1\0" + routes["chat"],
        cut_in_two=b"\0\x80" + routes["chat_stream"],
    )
