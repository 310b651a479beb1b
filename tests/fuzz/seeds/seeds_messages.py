"""Every message of docs/wire.md, and wrong ones."""

from corpus_files import cbor, seeds

NODE = b"\x11" * 16
EPOCH = {"incarnation": 1790000000000000, "counter": 3}
STAGE = {
    "nodes": [NODE, b"\x22" * 16],
    "layers": {"first": 0, "end": 30},
    "weight_bytes": 1,
    "kv_bytes": 2,
    "compute_bytes": 3,
}
PLACEMENT = {
    "id": 7,
    "epoch": EPOCH,
    "model": "SmolLM2",
    "fingerprint": "ab" * 32,
    "state": 1,
    "detail": "ready",
    "stages": [STAGE],
    "context_tokens": 4096,
    "sequences": 4,
    "predicted_token_seconds": 0.1,
}
PLACED = {"placement": 7, "epoch": EPOCH}
SAMPLING = {
    "temperature": 0.7,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.05,
    "repetition_penalty": 1.1,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_window": 64,
    "seed": 42,
    "logit_bias": [{"token": 5, "bias": -100.0}],
}
FILE = {"model": "SmolLM2", "fingerprint": "ab" * 32, "file_index": 0}
MESSAGES = [  # in the order of `readers` in messages.cc
    (
        "load_model",
        {
            "ticket": 1,
            "model": "SmolLM2",
            "nodes": ["a", "b"],
            "layers": [10, 20],
            "mode": "auto",
            "context_tokens": 4096,
            "sequences": 4,
            "moves": 1,
            "why_moved": "slow",
            "any_will_do": False,
        },
    ),
    ("load_progress", {"ticket": 1, "text": "copying", "done_bytes": 1, "total_bytes": 2}),
    ("load_result", {"ticket": 1, "ok": True, "placement": PLACEMENT, "code": "", "message": ""}),
    ("unload_model", {"ticket": 1, "model": "SmolLM2"}),
    (
        "prepare_stage",
        {
            **PLACED,
            "model": "SmolLM2",
            "fingerprint": "ab" * 32,
            "files": ["/models/a.gguf"],
            "stage_index": 0,
            "stage_count": 2,
            "layers": {"first": 0, "end": 10},
            "is_head": True,
            "context_tokens": 4096,
            "sequences": 4,
            "threads": 2,
            "activation_type": 1,
            "ring_key": "cd" * 16,
            "source": NODE,
            "shares": [0.5, 0.5],
            "member": 1,
            "members": 2,
            "first_shard": 1,
            "shards": 1,
            "exchange_bytes_per_second": 1e8,
        },
    ),
    (
        "stage_ready",
        {**PLACED, "stage_index": 0, "member": 1, "port": 4000, "weight_bytes": 1, "kv_bytes": 2, "compute_bytes": 3},
    ),
    (
        "connect_ring",
        {
            **PLACED,
            "next": NODE,
            "port": 4000,
            "address": "192.168.1.7",
            "members": [{"node": NODE, "port": 4001, "address": "fe80::1%eth0"}],
        },
    ),
    ("ring_connected", {**PLACED, "stage_index": 1, "member": 0}),
    ("stop_stage", PLACED),
    ("stage_failed", {**PLACED, "stage_index": 1, "code": "no_memory", "message": "too\nlarge"}),
    ("ring_hello", {**PLACED, "stage_index": 1, "ring_key": "cd" * 16, "member": 0}),
    (
        "stage_stats",
        {
            "placement": 7,
            "stage_index": 0,
            "steps": 1,
            "rows": 2,
            "tokens": 3,
            "compute_seconds": 0.5,
            "wait_seconds": 0.25,
            "running": 1,
            "queued": 0,
            "single_steps": 1,
            "sent_bytes": 9,
        },
    ),
    ("header_request", FILE),
    ("range_request", {**FILE, "offset": 4096, "bytes": 65536}),
    ("rate_request", {"bytes": 1 << 20}),
    (
        "range_end",
        {"ok": True, "bytes": 1, "file_bytes": 2, "file_count": 1, "sha256": "ef" * 32, "code": "", "message": ""},
    ),
    ("goodbye", {"reason": "stopped"}),
    (
        "generate",
        {
            "id": 1,
            "placement": 7,
            "choice": 0,
            "prompt": b"\1\0\0\2\0\0",
            "tokens_max": 16,
            "resumed": b"\3\0\0",
            "stop_tokens": [2],
            "sampling": SAMPLING,
            "top_logprobs": 2,
            "prompt_logprobs": False,
            "cache_scope": 1,
            "speculate": True,
            "request_class": 0,
            "deadline_ms": 0,
        },
    ),
    (
        "token_event",
        {
            "id": 1,
            "index": -1,
            "has_token": True,
            "token": 5,
            "logprob": -0.5,
            "top": [{"token": 5, "logprob": -0.5}],
            "prompt_reused": 1,
            "finish": 4,
            "error": {"code": "busy", "message": "full"},
            "goes_on": 2,
        },
    ),
    ("cancel", {"id": 1}),
    ("join_request", {"by_code": False, "commitment": b"\1" * 32, "token": b"\2" * 8, "proof": b"\3" * 32}),
    ("join_nonce", {"nonce": b"\1" * 32}),
    ("join_granted", {"member": b"m", "cluster": b"c", "revocations": b""}),
    (
        "trust_order",
        {
            "ticket": 1,
            "wish": 1,
            "name": "studio",
            "key": b"\1" * 32,
            "device": b"\2" * 32,
            "token": b"\3" * 8,
            "proof": b"\4" * 32,
            "exporter": b"\5" * 32,
            "code": "042917",
            "seconds": 3600,
            "uses": 20,
        },
    ),
    (
        "trust_answer",
        {
            "ticket": 1,
            "ok": True,
            "text": "flt1",
            "granted": {"member": b"", "cluster": b"", "revocations": b""},
            "code": "",
            "message": "",
        },
    ),
    ("revocations", {"list": b"\0" * 40}),
    (
        "node_info",
        {
            "id": NODE,
            "name": "studio",
            "version": "0.1.0",
            "incarnation": 1,
            "revision": 2,
            "memory_bytes": 3,
            "memory_free_bytes": 2,
            "devices": [{"kind": "CPU", "description": "EPYC", "threads": 2, "memory_bytes": 3}],
            "models": [{"name": "SmolLM2", "fingerprint": "ab" * 32, "file_bytes": 9, "complete": True}],
            "placements": [PLACEMENT],
            "api_port": 52415,
            "cluster_port": 52414,
            "rates": {
                "shards": 1,
                "threads_per_shard": 2,
                "kernels": [{"type": "Q4_K", "seconds_per_gib": [0.1] * 10}],
                "memory_bytes_per_second": 1e10,
                "layer_seconds": 1e-5,
                "attention_bytes_per_second": 1e10,
                "attention_tile_bytes_per_second": 1e9,
            },
            "links": [{"peer": NODE, "latency_seconds": 1e-4, "bytes_per_second": 1e8, "interface": "eth0"}],
            "waiting": [{"model": "m", "requests": 1, "detail": "for a machine"}],
            "may_sign": True,
        },
    ),
    (
        "refused",
        {
            "code": "unauthorized",
            "message": "no",
            "peer": {"node": NODE, "name": "a", "release": "0.1.0", "cluster_port": 1, "trust": 0, "class": 0},
        },
    ),
    ("embed", {"id": 1, "placement": 2, "texts": [b"\x65\0\0\x66\0\0", b"\x01\0\0"]}),
    ("embedding", {"id": 1, "length": 2, "vectors": b"\0\0\x80\x3f\0\0\0\0", "goes_on": 0}),
]
BY_NAME = dict(MESSAGES)


def message(name, **changes):
    number = [known for known, _ in MESSAGES].index(name)
    return bytes([number]) + cbor({**BY_NAME[name], **changes})


def message_seeds():
    files = {f"sound_{name}": message(name) for name, _ in MESSAGES}
    files |= {
        "path_from_a_peer": message("prepare_stage", files=["../../etc/passwd"]),
        "digest_that_is_a_path": message("range_request", fingerprint="../../x"),
        "range_that_wraps": message("range_request", offset=(1 << 64) - 1, bytes=2),
        "layers_backwards": message("prepare_stage", layers={"first": 9, "end": 3}),
        "temperature_not_a_number": message("generate", sampling={**SAMPLING, "temperature": float("nan")}),
        "token_out_of_range": message("generate", prompt=b"\xff\xff\xff"),
        "negative_count": message("generate", tokens_max=-5),
        "nested_deep": b"\0" + b"\x81" * 3000,
        "list_longer_than_the_body": b"\0\xa1\x65nodes\x9b" + b"\xff" * 8,
        "object_of_another_language": b"\0\x80\x04\x95\x17\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "text_of_no_token": message("embed", texts=[b"\x65\0\0", b""]),
        "vector_cut_off": message("embedding", vectors=b"\0\0\x80\x3f\0"),
        "vectors_of_no_length": message("embedding", length=0),
        "name_of_a_terminals_orders": message("unload_model", model="\x1b]0;x\x07"),
    }
    seeds("messages", **files)
