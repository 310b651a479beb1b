"""What bench/peers measures: each scenario takes a Bench (what to measure with and where to tell it) and tells one table.

Every ratio is formed within a pair whose sides ran right after each other. "Ceiling": what two copies of ours, a core
each, reach together that never talk.
"""

import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import threading

from . import engine, machines, oracle, streams
from .figures import Line, NotSupported, in_turns, link_text, number, pipelined_share, similar_link, table
from .report import PROJECT

CORES = (0, 1)
HALF_OF_50_MS = "delay=25ms"  # one way, each way


class Sizes:
    """Tokens of prompts and answers. `smoke` is for trying the harness, `quick` for ten minutes, `full` for the goals."""

    def __init__(self, prefill, decode, repeat, ring_prefill, short, long_prompt, streams, stream_tokens, fairness, reuse_pairs):
        self.prefill, self.decode, self.repeat, self.ring_prefill = prefill, decode, repeat, ring_prefill
        self.short, self.long_prompt, self.streams, self.stream_tokens = short, long_prompt, streams, stream_tokens
        self.fairness, self.reuse_pairs = fairness, reuse_pairs  # (prompt tokens, runs); pairs


SIZES = {
    "smoke": Sizes(32, 8, 1, 128, 8, 64, [4], 8, (600, 1), 1),
    "quick": Sizes(128, 32, 1, 512, 32, 256, [16], 24, (2000, 2), 2),
    "full": Sizes(512, 128, 2, 2048, 64, 2048, [16, 64], 64, (6000, 5), 5),
}
SERVER_STREAMS = 16


class Bench:
    def __init__(self, report, model, pairs, size, layers=None):
        self.report, self.model, self.pairs, self.sizes = report, model, pairs, SIZES[size]
        self.layers = layers  # of the two machines of `streams`, where not the planner's division
        self.seeds = itertools.count(1)
        self.void = []  # why the figures of this run do not count

    def compare(self, title, scenario, sides, lines, notes=()):
        """Measures the sides in turns and tells the lines; gives the pairs."""
        self.report.say("\n## %s\n" % title)
        pairs = in_turns(sides, self.pairs, self.report.recorder(scenario))
        self.report.say(table(lines, pairs))
        for note in notes:
            self.report.say("\n" + (note(pairs) if callable(note) else note))
        self.report.note_goals(scenario, lines, pairs)
        return pairs


def peer_sides(bench, **sides):
    """Sides of the peer; none, and said so, where it is not here."""
    if reason := oracle.missing():
        bench.report.say("\nWithout the peer: %s." % reason)
        return {}
    return sides


# --- One machine ------------------------------------------------------------------------------------------------------


def one_core(bench):
    sizes, cores = bench.sizes, CORES[:1]
    sides = {
        "ours": lambda: engine.measure(cores, bench.model, sizes.prefill, sizes.decode, sizes.repeat),
        **peer_sides(bench, llama=lambda: oracle.bench(cores, bench.model, sizes.prefill, sizes.decode, sizes.repeat)),
    }
    lines = [
        Line("decode %d" % sizes.decode, ("ours", "decode"), ("llama", "decode"), 0.97),
        Line("prefill %d" % sizes.prefill, ("ours", "prefill"), ("llama", "prefill"), 0.97),
    ]
    pairs = bench.compare("One core, beside llama-bench -t 1 (the gate)", "one-core", sides, lines)
    results = [(line, line.result(pairs)) for line in lines]
    if any(result is None for _, result in results):
        bench.void.append("one core was not compared with llama-bench")
    for line, result in results:
        if result and result["ratio"] < line.goal:
            bench.void.append("one core reaches %.3f of llama-bench -t 1 (%s)" % (result["ratio"], line.what))


def shards_of(bench, prompt, generate):
    return engine.measure(CORES, bench.model, prompt, generate, bench.sizes.repeat, shards=2)


def two_cores(bench):
    sizes = bench.sizes
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(machines.LoneNode(CORES, bench.model))
        prompt = sizes.prefill
        node.load("one", context=prompt + sizes.decode + 16, sequences=1)
        sides = {
            "shards": lambda: shards_of(bench, prompt, sizes.decode),
            "node": lambda: answers_of(bench, [(node, "one", 1)], prompt, sizes.decode),
            "ceiling": lambda: engine.ceiling(CORES, bench.model, prompt, sizes.decode, sizes.repeat),
            **peer_sides(bench, llama=lambda: oracle.bench(CORES, bench.model, prompt, sizes.decode, sizes.repeat)),
        }
        sides["node"]()  # warms it up
        lines = [
            Line("decode %d, engine in shards / ceiling" % sizes.decode, ("shards", "decode"), ("ceiling", "decode"), 0.92),
            Line("decode, engine / llama-bench -t 2", ("shards", "decode"), ("llama", "decode"), 1.05),
            Line("decode, through a node / ceiling", ("node", "decode"), ("ceiling", "decode"), 0.92),
            Line("decode, through a node / llama-bench -t 2", ("node", "decode"), ("llama", "decode"), 1.05),
            Line("decode, through a node / engine in shards", ("node", "decode"), ("shards", "decode")),
            Line("prefill %d, engine / llama-bench -t 2" % prompt, ("shards", "prefill"), ("llama", "prefill"), 1.0),
            Line("prefill, through a node / llama-bench -t 2", ("node", "prefill"), ("llama", "prefill"), 1.0),
            Line("prefill, engine / ceiling", ("shards", "prefill"), ("ceiling", "prefill")),
            Line("decode, llama-bench -t 2 / ceiling", ("llama", "decode"), ("ceiling", "decode")),
        ]
        bench.compare("One machine of two cores", "two-cores", sides, lines)


def memory(bench):
    """What share of the memory's rate decoding uses: every token reads all weights once."""
    sizes = bench.sizes

    def side(cores, shards):
        rate = engine.memory_rate(cores)
        said = engine.measure(cores, bench.model, 0, sizes.decode, sizes.repeat, shards=shards)
        return {"decode_gb": said["decode"] * said["weight_bytes"] / 1e9, "memory_gb": rate / 1e9, "decode": said["decode"]}

    sides = {"one core": lambda: side(CORES[:1], 1), "two cores": lambda: side(CORES, 2)}
    lines = [
        Line("%s: weights read while decoding / memory rate" % name, (name, "decode_gb"), (name, "memory_gb"), unit="GB/s")
        for name in sides
    ]
    lines.append(Line("memory rate of two cores / of one", ("two cores", "memory_gb"), ("one core", "memory_gb"), 1.9, unit="GB/s"))
    note = "Below 1.9 times the rate of one core a neighbour takes memory away, or two cores share what one can use."
    bench.compare("Memory", "memory", sides, lines, [note])


def server(bench):
    """Sixteen streams on one machine, beside llama-server with as many slots."""
    for kind, prompt in (("short", bench.sizes.short), ("long", bench.sizes.long_prompt)):
        server_at(bench, kind, prompt)


def server_at(bench, kind, prompt):
    tokens = bench.sizes.stream_tokens
    context = prompt + tokens + 16
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(machines.LoneNode(CORES, bench.model))
        node.load("one", context=context, sequences=SERVER_STREAMS)
        sides = {"node": lambda: answers_of(bench, [(node, "one", SERVER_STREAMS)], prompt, tokens)}
        if peer_sides(bench, llama=None):
            port = machines.free_port()
            peer = stack.enter_context(oracle.llama_server(CORES, bench.model, port, SERVER_STREAMS, context))
            peer.wait(lambda: oracle.answers_health(port))
            sides["llama"] = lambda: llama_answers(bench, port, prompt, tokens)
        answers_of(bench, [(node, "one", 1)], 16, 4)
        goal = 1.0 if kind == "short" else 1.3
        lines = [
            Line("generated over wall time", ("node", "total"), ("llama", "total"), goal),
            Line("prompts and answers over wall time", ("node", "all_tokens"), ("llama", "all_tokens")),
            Line("while all are answering", ("node", "decode"), ("llama", "decode")),
            Line("reading all prompts", ("node", "prefill"), ("llama", "prefill")),
        ]
        title = "%d streams on one machine, prompts of %d tokens and answers of %d, beside llama-server"
        bench.compare(title % (SERVER_STREAMS, prompt, tokens), "server-" + kind, sides, lines)


# --- Two machines -----------------------------------------------------------------------------------------------------


def answers_of(bench, asked, prompt, tokens):
    """Figures of streams at the same time; `asked` holds (node, model, how many)."""
    asks = []
    for node, model, count in asked:
        for _ in range(count):
            path, body = streams.flotilla_request(model, streams.prompt_of(next(bench.seeds), prompt), tokens)
            asks.append(streams.Stream(node.api_port, path, body, node.enter))
    return streams.run(asks, tokens)


def llama_answers(bench, port, prompt, tokens):
    asks = []
    for _ in range(SERVER_STREAMS):
        path, body = streams.llama_request("", streams.prompt_of(next(bench.seeds), prompt), tokens)
        asks.append(streams.Stream(port, path, body))
    return streams.run(asks, tokens)


def counted(cable, measure, tokens, prompt_alone=None):
    """The figures with what went over the cable for each generated token; what `prompt_alone` needed, which measures the
    same with one token, is taken off where it is given."""
    before = cable.sent()
    if prompt_alone:
        prompt_alone()
    between = cable.sent()
    figures = measure()
    after = cable.sent()
    for kind in ("bytes", "packets"):
        prompts = between[kind] - before[kind]
        figures[kind + "_per_token"] = (after[kind] - between[kind] - prompts) / (tokens - bool(prompt_alone))
    return figures


class Pair:
    """Two machines with the model in a ring or a group over both, and whole on each for the ceiling. Layers are divided
    as `layers` says, else by what the machines `measured` of themselves, else by memory."""

    def __init__(
        self, bench, stack, mode=None, sequences=1, context=512, flags=(), copies=True, layers=None, measured=False
    ):
        self.bench, self.mode, self.measured = bench, mode, measured
        self.division = {"layers": layers} if layers else {}
        self.cable = stack.enter_context(machines.Machines(CORES))
        self.fleets = stack
        names = ["both", "copy-a", "copy-b"] if copies else ["both"]
        self.fleet = stack.enter_context(machines.Fleet(self.cable, {name: bench.model for name in names}, flags))
        a, b = self.fleet["a"], self.fleet["b"]
        wishes = {"context": context, "sequences": sequences}
        if copies:
            half = dict(wishes, sequences=max(1, sequences // 2))
            a.load("copy-a", nodes=["a"], **half)
            a.load("copy-b", nodes=["b"], **half)
        self.wishes = wishes
        self.copies = [(a, "copy-a"), (b, "copy-b")]

    def load_both(self, fleet=None):
        fleet = fleet or self.fleet
        node = fleet["a"]
        if self.measured:
            fleet.measure()
        placement = node.load("both", nodes=["a", "b"], mode=self.mode or "pipeline", **self.wishes, **self.division)
        self.layers = [stage["layers"][1] - stage["layers"][0] for stage in placement["stages"]]
        answers_of(self.bench, [(node, "both", 1)], 16, 4)  # warms it up
        return node

    def other_fleet(self, flags):
        """More nodes on the same machines, for instance with a modelled link."""
        fleet = self.fleets.enter_context(machines.Fleet(self.cable, {"both": self.bench.model}, flags))
        return self.load_both(fleet)

    def warm_copies(self):
        for node, model in self.copies:
            answers_of(self.bench, [(node, model, 1)], 16, 4)

    def ceiling(self, streams_in_all, prompt, tokens):
        """Each copy's figures, measured at the same time and added up."""
        share = max(1, streams_in_all // 2)
        found, errors = [None, None], []

        def ask(index):
            node, model = self.copies[index]
            try:
                found[index] = answers_of(self.bench, [(node, model, share)], prompt, tokens)
            except Exception as error:  # raised below, in the thread that waits
                errors.append(error)

        threads = [threading.Thread(target=ask, args=(index,)) for index in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return {kind: found[0][kind] + found[1][kind] for kind in ("total", "all_tokens", "decode", "prefill")}


def rpc_side(bench, stack, cable):
    """llama.cpp with an RPC server on each machine; the program that drives them may use both cores."""
    oracle.require()
    ports = {name: machines.free_port() for name in machines.NAMES}
    for name in machines.NAMES:
        machine = cable[name]
        stack.enter_context(oracle.rpc_server(machine.core, machine.address, ports[name], machine.prefix()))
    servers = ",".join("%s:%d" % (cable[name].address, ports[name]) for name in machines.NAMES)
    flags = ["--rpc", servers, "-ngl", "99", "-dev", "RPC0/RPC1", "-ts", "1/1"]
    decode = bench.sizes.decode

    def measure():
        return oracle.bench(
            CORES, bench.model, 0, decode, bench.sizes.repeat, threads=1, flags=flags, prefix=cable["a"].prefix(), attend="auto"
        )

    return measure


def one_user(bench, mode):
    """Decode of one user over both machines: over the cable as it is, and over 1 GbE by the similarity rule."""
    tokens = bench.sizes.decode
    prompt = 16
    with contextlib.ExitStack() as stack:
        pair = Pair(bench, stack, mode, context=prompt + tokens + 64)
        node = pair.load_both()
        pair.warm_copies()
        layer_seconds = 1 / answers_of(bench, [pair.copies[0] + (1,)], prompt, tokens)["decode"] / layers_of(node)
        link = similar_link(layer_seconds, width_of(node))
        slow = pair.other_fleet(["--link-model", link_text(link)])
        halved = pair.other_fleet(["--link-model", link_text(link), "--activations", "bf16"])

        def ask(asked, generate):
            return answers_of(bench, [(asked, "both", 1)], prompt, generate)

        sides = {
            "cable": lambda: counted(pair.cable, lambda: ask(node, tokens), tokens, lambda: ask(node, 1)),
            "1gbe": lambda: ask(slow, tokens),
            "1gbe bf16": lambda: ask(halved, tokens),
            "ceiling": lambda: pair.ceiling(2, prompt, tokens),
            "alone": lambda: answers_of(bench, [pair.copies[0] + (1,)], prompt, tokens),
        }
        if peer_sides(bench, llama=None):
            sides["llama rpc"] = rpc_side(bench, stack, pair.cable)
        is_tensor = mode == "tensor"
        lines = [
            Line("over the cable / ceiling", ("cable", "decode"), ("ceiling", "decode"), 0.92 if is_tensor else None),
            Line("over 1 GbE, scaled / ceiling", ("1gbe", "decode"), ("ceiling", "decode"), 0.82 if is_tensor else None),
            Line("the same with BF16 on the wire / ceiling", ("1gbe bf16", "decode"), ("ceiling", "decode")),
            Line("over the cable / llama.cpp, two RPC servers", ("cable", "decode"), ("llama rpc", "decode"), 1.6 if is_tensor else None),
            Line("over the cable / one machine alone", ("cable", "decode"), ("alone", "decode")),
            Line("bytes on the cable for a token", ("cable", "bytes_per_token"), unit=""),
            Line("packets on the cable for a token", ("cable", "packets_per_token"), unit=""),
        ]
        note = (
            "1 GbE, scaled: a layer takes %.2f ms here on one core and 2.9 ms for an 8B model on a desktop, so the link has "
            "%.0f µs one way and %.2f Gb/s, the same share of a layer's time as 150 µs and 1 Gb/s there (rows of %d and 4,096)."
            % (layer_seconds * 1e3, link["delay_seconds"] * 1e6, link["bits_per_second"] / 1e9, width_of(node))
        )
        title = "Two machines, one user, %s mode, %d tokens" % (mode, tokens)
        bench.compare(title, mode, sides, lines, [note])


def model_of(node):
    return node.get("/models/both").json()


def layers_of(node):
    return model_of(node)["layers"]


def width_of(node):
    return model_of(node)["embedding_length"]


def tensor(bench):
    one_user(bench, "tensor")


def pipeline(bench):
    one_user(bench, "pipeline")


def prefill(bench):
    """A prompt through a ring of two: its pieces are in both machines at the same time."""
    prompt = bench.sizes.ring_prefill
    with contextlib.ExitStack() as stack:
        pair = Pair(bench, stack, "pipeline", context=prompt + 64)
        node = pair.load_both()
        pair.warm_copies()
        asked = {"tokens": node.head_tokens("both")}

        def ring():
            before = node.head_steps("both", asked["tokens"])
            figures = answers_of(bench, [(node, "both", 1)], prompt, 1)
            asked["tokens"] += 1
            figures["chunks"] = node.head_steps("both", asked["tokens"]) - before
            return figures

        def share(measured):
            return pipelined_share(measured["ring"]["chunks"], 2)

        sides = {"ring": ring, "ceiling": lambda: pair.ceiling(2, prompt, 1)}
        lines = [
            Line("reading / C/(C+1) of the ceiling", ("ring", "prefill"), ("ceiling", "prefill"), 0.92, times=share),
            Line("reading / ceiling", ("ring", "prefill"), ("ceiling", "prefill")),
            Line("chunks C", ("ring", "chunks"), unit=""),
        ]
        note = lambda pairs: "C chunks over k = 2 stages reach C/(C+k−1) of the ceiling: %s here." % number(  # noqa: E731
            statistics.median(share(measured) for measured in pairs)
        )
        bench.compare("Two machines reading a prompt of %d tokens" % prompt, "prefill", sides, lines, [note])


def many_streams(bench):
    """Streams through a ring of two, and the same with 50 ms round trip between the machines."""
    for count in bench.sizes.streams:
        streams_at(bench, count)


def streams_at(bench, count):
    prompt, tokens = bench.sizes.short, bench.sizes.stream_tokens
    with contextlib.ExitStack() as stack:
        context = prompt + tokens + 16
        pair = Pair(bench, stack, "pipeline", sequences=count, context=context, layers=bench.layers, measured=True)
        node = pair.load_both()
        note = "Layers: %s" % " and ".join(map(str, pair.layers))
        far = pair.other_fleet(["--link-model", HALF_OF_50_MS])
        note += "; with 50 ms round trip %s." % " and ".join(map(str, pair.layers))
        pair.warm_copies()
        sides = {
            "cable": lambda: counted(
                pair.cable, lambda: answers_of(bench, [(node, "both", count)], prompt, tokens), count * tokens
            ),
            "50 ms": lambda: answers_of(bench, [(far, "both", count)], prompt, tokens),
            "ceiling": lambda: pair.ceiling(count, prompt, tokens),
        }
        lines = [
            Line("generated over wall time / ceiling", ("cable", "total"), ("ceiling", "total"), 0.92),
            Line("while all are answering / ceiling", ("cable", "decode"), ("ceiling", "decode")),
            Line("with 50 ms round trip / without", ("50 ms", "total"), ("cable", "total"), 0.93),
            Line("while all are answering, 50 ms / without", ("50 ms", "decode"), ("cable", "decode")),
            Line("bytes on the cable for a token, prompts included", ("cable", "bytes_per_token"), unit=""),
            Line("packets on the cable for a token, prompts included", ("cable", "packets_per_token"), unit=""),
        ]
        title = "Two machines, %d streams through a pipeline, prompts of %d tokens and answers of %d"
        bench.compare(title % (count, prompt, tokens), "streams-%d" % count, sides, lines, [note])


# --- Benchmarks that stand for themselves -----------------------------------------------------------------------------


def own_bench(*words):
    """The JSON that one of our own benchmarks prints. Interrupted rather than killed where we are, so that its nodes end too."""
    environment = dict(os.environ, FLOTILLA_BINARY=os.environ.get("FLOTILLA_BINARY", os.path.join(engine.BUILD, "flotilla")))
    pipe = subprocess.PIPE
    running = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=PROJECT)
    try:
        said, complaint = running.communicate()
    except BaseException:
        running.send_signal(signal.SIGINT)
        running.communicate()
        raise
    if running.returncode != 0:
        raise RuntimeError("expected %s to succeed but got:\n%s" % (" ".join(words), complaint[-2000:]))
    return json.loads(said)


def tell_once(bench, title, scenario, side, figures, lines, raw):
    """A benchmark that forms its own pairs: told as one."""
    bench.report.say("\n## %s\n" % title)
    record = bench.report.recorder(scenario)
    record(0, side, dict(figures, raw=raw))
    pairs = [{side: figures}]
    bench.report.say(table(lines, pairs))
    bench.report.note_goals(scenario, lines, pairs)


def reuse(bench):
    raw = own_bench(sys.executable, os.path.join(PROJECT, "bench", "reuse"), "--pairs", str(bench.sizes.reuse_pairs), "--json")
    figures, lines = {}, []
    for model, said in raw.items():
        for key, what, goal, at_most in (
            ("prefix_share", "first token with a known prefix, share of a new one's", 0.10, True),
            ("verbatim_gain", "verbatim text, with guessing over without", 1.8, False),
            ("free_gain", "free text", 0.97, False),
        ):
            figures[model + key] = said[key]
            lines.append(Line("%s: %s" % (model, what), ("node", model + key), goal=goal, at_most=at_most, unit=""))
    tell_once(bench, "What is not computed twice (bench/reuse)", "reuse", "node", figures, lines, raw)


def fairness(bench):
    prompt, runs = bench.sizes.fairness
    words = ["--prompt-tokens", str(prompt), "--runs", str(runs), "--json"]
    raw = own_bench(sys.executable, os.path.join(PROJECT, "bench", "fairness"), *words)
    lines = [
        Line("first token of a chat / alone", ("node", "ratio"), goal=3, at_most=True, unit=""),
        Line("the worst of %d" % runs, ("node", "ratio_worst"), unit=""),
        Line("asked again after an answer / alone", ("node", "ratio_again"), unit=""),
    ]
    figures = {key: raw[key] for key in ("ratio", "ratio_worst", "ratio_again")}
    title = "A short chat behind a prompt of %d tokens (bench/fairness)" % prompt
    tell_once(bench, title, "fairness", "node", figures, lines, raw)


def ring_program(name):
    program = os.path.join(engine.BUILD, "bench", "ring", name)
    if not os.path.exists(program):
        raise NotSupported("bench/ring/%s is not built" % name)
    return program


def hop(bench):
    raw = own_bench(ring_program("ring_bench"), "--spin", "0", "--json")
    figures, lines = {}, []
    for row in raw["series"]:
        if row["stages"] > 1:
            key = "%s %d" % (row["stages_of"], row["stages"])
            figures[key] = row["beyond_link_ms"]
            what = "%s, %d stages: a hop beyond computing and the link" % (row["stages_of"], row["stages"])
            lines.append(Line(what, ("ring", key), goal=0.1, at_most=True, unit="ms"))
    tell_once(bench, "What a hop costs (ring_bench)", "hop", "ring", figures, lines, raw)


def exchange(bench):
    raw = own_bench(ring_program("exchange_bench"), "--json")
    figures, lines = {}, []
    for row in raw["sums"]:
        key = "%d values" % row["values"]
        figures[key] = row["beyond_us"]
        what = "a sum of %s over two processes beyond the link's own time" % key
        lines.append(Line(what, ("group", key), goal=40, at_most=True, unit="µs"))
    tell_once(bench, "What an exchange costs (exchange_bench)", "exchange", "group", figures, lines, raw)


# In the order in which a run without names does them. one-core comes first whatever is asked: it is the gate.
SCENARIOS = {
    "one-core": one_core,
    "two-cores": two_cores,
    "memory": memory,
    "tensor": tensor,
    "pipeline": pipeline,
    "prefill": prefill,
    "streams": many_streams,
    "server": server,
    "hop": hop,
    "exchange": exchange,
    "reuse": reuse,
    "fairness": fairness,
}
# These compare with our own one-core copies or with llama.cpp: they count only where the gate holds.
GATED = {"two-cores", "tensor", "pipeline", "prefill", "streams", "server"}
