"""Our engine without a node around it: build/release/bench/engine_bench, alone or as copies at the same time."""

import json
import os
import statistics
import subprocess

from .report import PROJECT

BUILD = os.environ.get("FLOTILLA_BENCH_BUILD", os.path.join(PROJECT, "build", "release"))
ENGINE_BENCH = os.path.join(BUILD, "bench", "engine_bench")
MEMORY_RATE = os.path.join(BUILD, "bench", "memory_rate")
RANDOM_MODEL = os.path.join(BUILD, "bench", "random_model")


def must_run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("expected %s to succeed but got:\n%s" % (" ".join(command), done.stderr[-2000:]))
    return done.stdout


def pinned(cores, command):
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def command(model, prompt, generate, repeat, threads=1, shards=1, binary=ENGINE_BENCH):
    flags = {"model": model, "prompt": prompt, "generate": generate, "repeat": repeat, "threads": threads, "shards": shards}
    return [binary, *(word for name, value in flags.items() for word in ("--" + name, str(value))), "--json"]


def figures_of(said):
    """Medians of the counted runs, tok/s; weight_bytes beside them."""
    figures = {"weight_bytes": said.get("weight_bytes", 0)}
    for kind in ("prefill", "decode"):
        if said[kind + "_tok_per_s"]:
            figures[kind] = statistics.median(said[kind + "_tok_per_s"])
    return figures


def measure(cores, *arguments, **flags):
    return figures_of(json.loads(must_run(pinned(cores, command(*arguments, **flags)))))


def ceiling(cores, model, prompt, generate, repeat):
    """One copy on each core, measured at the same time: what machines reach together that never talk."""
    copies = [
        subprocess.Popen(
            pinned([core], [*command(model, prompt, generate, repeat), "--gate"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for core in cores
    ]
    try:
        for _ in filter(None, (prompt, generate)):  # a gate before each kind of measurement
            for copy in copies:
                if copy.stdout.readline() != "ready\n":
                    raise RuntimeError("expected a copy of the engine to get ready but got:\n%s" % copy.stderr.read()[-2000:])
            for copy in copies:
                copy.stdin.write("\n")
                copy.stdin.flush()
        said = [figures_of(json.loads(copy.communicate()[0])) for copy in copies]
    finally:
        for copy in copies:
            if copy.poll() is None:
                copy.kill()
            copy.wait()
    return {kind: sum(figures[kind] for figures in said) for kind in ("prefill", "decode") if kind in said[0]}


def memory_rate(cores):
    """Bytes per second that these cores read together."""
    return float(must_run(pinned(cores, [MEMORY_RATE, "--threads", str(len(cores))])))


def random_model(shape="1b", quantization="Q4_K_M"):
    """A model of random weights, written once. Not among the models that tests serve."""
    folder = os.environ.get("FLOTILLA_BENCH_MODELS", os.path.join(PROJECT, ".cache", "bench"))
    path = os.path.join(folder, "random-%s.%s.gguf" % (shape, quantization))
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        donor = os.path.join(PROJECT, ".cache", "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
        making = path + ".new"
        must_run([RANDOM_MODEL, "--vocabulary-of", donor, "--out", making, "--shape", shape, "--quantization", quantization])
        os.replace(making, path)
    return path
