"""Real `flotilla serve` processes for tests, with nothing but the standard library.

    with Fleet(["a", "b"], models={"a": [MODELS_FOLDER]}) as fleet:
        fleet.wait_joined()
        answer = fleet["b"].post("/v1/completions", {"model": "...", "prompt": "Once"})

The binary comes from the environment variable FLOTILLA_BINARY, the models from FLOTILLA_MODELS_DIR (else .cache/models).
Each node has a home of its own in a temporary folder, free ports on 127.0.0.1 and a log; all are gone after the block.
"""

import contextlib
import fcntl
import functools
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from network import Connection

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BINARY = os.environ.get("FLOTILLA_BINARY", os.path.join(ROOT, "build", "flotilla"))
MODELS_FOLDER = os.environ.get("FLOTILLA_MODELS_DIR", os.path.join(ROOT, ".cache", "models"))
# ggml's kernels that the oracle's answers were recorded with; missing on other architectures than x86-64.
ORACLE_KERNELS = os.path.join(os.path.dirname(os.path.realpath(BINARY)), "oracle_kernels")
SANITIZED = bool(os.environ.get("FLOTILLA_SANITIZE"))  # built with a sanitizer: slower, and larger than it should be
THOROUGH = bool(os.environ.get("FLOTILLA_THOROUGH"))  # scripts/test --full: minutes where the suite takes seconds
SMOLLM2, GEMMA3 = "SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m.Q4_K_M"
MINILM = "all-MiniLM-L6-v2.F16"  # makes vectors
START_SECONDS = 30  # a busy two-core machine; a healthy start takes a fraction of a second
LOAD_SECONDS = 120
MEASURE_SECONDS = 600  # it waits for a moment in which nothing is computed


class Ports:
    """Ports of 127.0.0.1 for this process alone, below those that the system gives to outgoing connections.

    Tests run side by side and a node that is down for a while wants its port back, so that "nobody listens there now"
    is not enough: each process holds a slice of the range by a lock that ends with it, and takes turns within it.
    """

    FIRST, SLICE, SLICES = 15000, 500, 34

    def __init__(self):
        for number in random.sample(range(self.SLICES), self.SLICES):
            path = os.path.join(tempfile.gettempdir(), "flotilla-ports-%d-%d.lock" % (os.getuid(), number))
            lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)  # held until the process ends
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.turns = itertools.cycle(range(self.FIRST + number * self.SLICE, self.FIRST + (number + 1) * self.SLICE))
                return
            os.close(lock)
        raise AssertionError("expected a free slice of ports; %d test programs hold one each" % self.SLICES)

    def take(self):
        for port in itertools.islice(self.turns, self.SLICE):
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port
        raise AssertionError("expected one of %d ports to be free" % self.SLICE)


@functools.cache
def ports():
    return Ports()


def free_port():
    """A TCP port nobody listens on, which no other test is given."""
    return ports().take()


def wait_until(question, seconds, what):
    """Asks until the answer is true and gives it; fails after `seconds` with `what`, a text or what gives one.

    It returns as soon as the answer is true, so a long limit costs nothing.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("expected %s within %s s" % (what() if callable(what) else what, seconds))
        time.sleep(0.02)


class Answer:
    """An HTTP answer, read to its end."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def lines(self):
        """The objects of an application/x-ndjson answer."""
        return [json.loads(line) for line in self.body.decode("utf-8").splitlines() if line]

    def error(self):
        """The error object, whether it is the answer or its last line."""
        return self.lines()[-1]["error"] if self.body.startswith(b'{"progress"') else self.json()["error"]

    def __repr__(self):
        return "%d %r" % (self.status, self.body[:500])


class Stream:
    """A streamed answer: iterate over its events as objects; [DONE] ends it. close() hangs up."""

    def __init__(self, connection, response):
        self.connection, self.response, self.done = connection, response, False

    def __iter__(self):
        for raw in self.response:
            line = raw.decode("utf-8").rstrip("\r\n")
            if line == "data: [DONE]":
                self.done = True
                return
            if line.startswith("data: "):
                yield json.loads(line[6:])

    def close(self):
        self.response.close()
        self.connection.close()


class Node:
    """One `flotilla serve`. start() returns once it answers /health."""

    copies = False  # models that lie on one machine only; bytes and times are counted here
    measures = False  # itself and its links; it would disturb what else is measured or timed

    namespace = None  # of the network it lives in, where that is not this host's
    program = BINARY

    def __init__(
        self, name, folder, flags=(), models=(), api_port=None, cluster_port=None, home=None, kernels=None, api_host="127.0.0.1"
    ):
        self.name, self.flags, self.models, self.kernels = name, list(flags), list(models), kernels
        self.api_host = api_host
        self.home = home or os.path.join(folder, name)
        self.api_port, self.cluster_port = api_port or free_port(), cluster_port or free_port()
        self.log_path = os.path.join(folder, name + ".log")
        self.process = None
        self.environment = {}  # over the test's own
        self.stopped = []  # processes that stand still

    def command(self):
        words = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        words += [
            self.program,
            "serve",
            "--home",
            self.home,
            "--name",
            self.name,
            "--api",
            "%s:%d" % (self.api_host, self.api_port),
            "--cluster-port",
            str(self.cluster_port),
        ]
        for folder in self.models:
            words += ["--models", folder]
        if not self.copies:
            words += ["--standby", "0"]
        if not self.measures:
            words.append("--no-measure")
        return words + self.flags

    def launch(self, **options):
        """Starts the process and waits for nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOTILLA_")}
        environment["FLOTILLA_CONFIG"] = os.devnull
        environment["HF_HUB_CACHE"] = os.path.join(self.home, "hub-cache")  # not this user's own
        environment["OLLAMA_MODELS"] = os.path.join(self.home, "ollama")
        environment.update(self.environment)
        if self.kernels:
            environment["FLOTILLA_GGML_BACKENDS"] = self.kernels
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **options
            )
        return self

    def start(self):
        self.launch()
        return self.wait_healthy()

    def wait_healthy(self):
        wait_until(
            self.answers_health, START_SECONDS, lambda: "%s to answer /health; its log:\n%s" % (self.name, self.log())
        )
        return self

    def answers_health(self):
        if self.process.poll() is not None:
            raise AssertionError(
                "expected %s to run but it ended with %d:\n%s" % (self.name, self.process.returncode, self.log())
            )
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/health").status == 200

    # --- Its life -----------------------------------------------------------------------------------------------------

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self, seconds=15):
        """SIGTERM; gives the exit code."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        """SIGKILL to the node alone: its runners must notice by themselves."""
        self.process.kill()
        self.process.wait()

    def stand_still(self):
        """SIGSTOP to the node and its runners, as where a machine is asleep or starved; go_on() wakes it."""
        for pid in [self.process.pid, *self.runner_pids()]:
            self.stopped.append(pid)
            os.kill(pid, signal.SIGSTOP)

    def go_on(self):
        while self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.stopped.pop(), signal.SIGCONT)

    def stop(self):
        if self.process is None:
            return
        self.go_on()
        runners = self.runner_pids() if self.alive() else []
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
        for pid in runners:
            wait_until(
                lambda: not os.path.exists("/proc/%d" % pid), 15, "runner %d of %s to end with it" % (pid, self.name)
            )

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=None, timeout=LOAD_SECONDS):
        connection = Connection(self.api_port, timeout, self.namespace)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, timeout=LOAD_SECONDS):
        return self.request("GET", path, timeout=timeout)

    def post(self, path, body, timeout=LOAD_SECONDS):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8")
        return self.request("POST", path, raw, {"Content-Type": "application/json"}, timeout)

    def stream(self, path, body, timeout=LOAD_SECONDS):
        connection = Connection(self.api_port, timeout, self.namespace)
        connection.request("POST", path, json.dumps(dict(body, stream=True)), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise AssertionError(
                "expected a stream from %s but got %d: %r" % (path, response.status, response.read()[:500])
            )
        return Stream(connection, response)

    def measure(self, again=False):
        """What it would otherwise measure of itself in a quiet moment: its kernels, how many shards of how many threads are fastest."""
        answer = self.post("/measure", {"again": again}, timeout=MEASURE_SECONDS)
        if answer.status != 200 or "rates" not in answer.lines()[-1]:
            raise AssertionError("expected the node to measure itself but got %s" % answer)
        return self

    def load(self, model, **wishes):
        """Loads a model and gives its placement."""
        answer = self.post("/load", dict(wishes, model=model))
        last = answer.lines()[-1] if answer.status == 200 else {}
        if "placement" not in last:
            raise AssertionError("expected %s to load but got %s\n%s" % (model, answer, self.log()))
        return last["placement"]

    def unload(self, model):
        answer = self.post("/unload", {"model": model})
        if answer.status != 200:
            raise AssertionError("expected %s to be unloaded but got %s" % (model, answer))

    def complete(self, model, prompt, tokens, timeout=LOAD_SECONDS, **fields):
        """Greedy completion of a prompt (text or token ids), with the ids of what was generated."""
        answer = self.post(
            "/v1/completions",
            dict(
                {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "return_token_ids": True},
                **fields
            ),
            timeout,
        )
        if answer.status != 200:
            raise AssertionError("expected an answer but got %s\n%s" % (answer, self.log()))
        return answer.json()["choices"][0]

    # --- What it sees and is ------------------------------------------------------------------------------------------

    def members(self):
        """Name -> node of /cluster. Nodes merely seen share names, so the joined ones win."""
        nodes = self.get("/cluster").json()["nodes"]
        return {node["name"]: node for node in sorted(nodes, key=lambda node: node["state"] != "seen")}

    def joined(self):
        return sorted(name for name, node in self.members().items() if node["state"] in ("self", "joined"))

    def placements(self):
        return self.get("/placements").json()["placements"]

    def runner_pids(self):
        """Of the node's children, those that compute: runners, and what measures the machine."""
        pids = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open("/proc/%s/stat" % entry) as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == self.process.pid and computes(entry):
                    pids.append(int(entry))
        return pids


def computes(pid):
    with open("/proc/%s/cmdline" % pid, "rb") as file:
        words = file.read().split(b"\0")
    return len(words) > 1 and words[1] in (b"runner", b"stub-runner", b"gauge")


def resident_bytes(pid):
    """VmRSS: what of the process lies in memory now, mapped files included."""
    with open("/proc/%d/status" % pid) as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("expected VmRSS of process %d" % pid)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Fleet:
    """Nodes that know each other by --peer and trust each other.

    `models` maps a name to its model folders; `kernels` names a folder of ggml's libraries other than the system's. At a
    `switch` (network.Switch) each node has a network of its own, else all share 127.0.0.1.
    """

    def __init__(self, names, models=None, flags=(), node_flags=None, start=True, kernels=None, copies=False, switch=None):
        self.folder = tempfile.mkdtemp(prefix="flotilla-test-")
        ports = {name: free_port() for name in names}
        doors = {name: "%s:%d" % (switch.address(name) if switch else "127.0.0.1", ports[name]) for name in names}
        self.nodes = {}
        for name in names:
            peers = [word for other in names if other != name for word in ("--peer", doors[other])]
            own = list((node_flags or {}).get(name, []))
            self.nodes[name] = Node(
                name,
                self.folder,
                ["--no-discovery", "--trust-lan", *peers, *flags, *own],
                (models or {}).get(name, []),
                cluster_port=ports[name],
                kernels=kernels,
            )
            self.nodes[name].copies = copies
            self.nodes[name].namespace = switch.namespace(name) if switch else None
        self.starts = start

    def __enter__(self):
        try:
            if self.starts:
                for node in self.nodes.values():
                    node.launch()
                for node in self.nodes.values():
                    node.wait_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            for node in self.nodes.values():
                print("--- log of %s\n%s" % (node.name, node.log()[-4000:]), file=sys.stderr)
        self.stop()

    def stop(self):
        with contextlib.ExitStack() as stack:  # each, whatever becomes of the others
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for node in self.nodes.values():
                stack.callback(node.stop)

    def __getitem__(self, name):
        return self.nodes[name]

    def __iter__(self):
        return iter(self.nodes.values())

    def wait_joined(self, seconds=START_SECONDS):
        names = sorted(self.nodes)
        for node in self.nodes.values():
            wait_until(lambda: node.joined() == names, seconds, "%s to see %s" % (node.name, names))
        return self
