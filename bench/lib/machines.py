"""Two machines of one core each on this host: namespaces joined by a cable whose bytes are counted, and nodes in them.

    with Machines(cores=[0, 1]) as machines:
        with Fleet(machines, {"one": path}, flags=[...]) as fleet:
            fleet["a"].load("one", nodes=["a", "b"])

Network, mount and IPC namespaces are each machine's own; a core each by taskset. Needs root; everything is gone after
the block.
"""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile

from .engine import pinned
from .figures import NotSupported
from .report import PROJECT

sys.path.insert(0, os.path.join(PROJECT, "tests", "harness"))

import flotilla  # noqa: E402
from flotilla import free_port, wait_until  # noqa: E402

NAMES = ("a", "b")
CLONE_NEWNET = 0x40000000
SETTLE_SECONDS = 600
LIBC = ctypes.CDLL(None, use_errno=True)


def missing():
    """Why there can be no such machines here; None where there can."""
    if os.geteuid() != 0:
        return "machines of their own are network namespaces, which need root"
    for tool in ("ip", "unshare", "taskset"):
        if shutil.which(tool) is None:
            return "%s is not installed" % tool
    if os.cpu_count() < 2:
        return "two machines need a core each"
    return None


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotSupported("this machine allows no network namespaces (ip %s: %s)" % (" ".join(words), done.stderr.strip()))
    return done.stdout


@contextlib.contextmanager
def entered(namespace):
    """This thread makes its sockets in the namespace; those it has keep theirs."""
    with open("/proc/thread-self/ns/net") as here, open("/run/netns/" + namespace) as there:
        enter(there)
        try:
            yield
        finally:
            enter(here)


def enter(file):
    if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Machine:
    def __init__(self, name, number, core):
        self.core, self.namespace = core, "flbench%d%s" % (os.getpid(), name)
        self.address = "10.78.0.%d" % number

    def prefix(self):
        """What makes a command run on this machine, but for its core."""
        return ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--ipc"]

    def sent(self):
        """Bytes and packets that have left by the cable."""
        link = json.loads(ip("-n", self.namespace, "-s", "-j", "link", "show", "eth0"))[0]
        return {kind: link["stats64"]["tx"][kind] for kind in ("bytes", "packets")}


class Machines:
    def __init__(self, cores=(0, 1)):
        self.all = {name: Machine(name, number, core) for number, (name, core) in enumerate(zip(NAMES, cores), 1)}

    def __enter__(self):
        if reason := missing():
            raise NotSupported(reason)
        try:
            for machine in self.all.values():
                ip("netns", "add", machine.namespace)
                ip("-n", machine.namespace, "link", "set", "lo", "up")
            a, b = self.all.values()
            ip("-n", a.namespace, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b.namespace)
            for machine in self.all.values():
                ip("-n", machine.namespace, "addr", "add", machine.address + "/24", "dev", "eth0")
                ip("-n", machine.namespace, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for machine in self.all.values():
            subprocess.run(["ip", "netns", "del", machine.namespace], capture_output=True, check=False)

    def __getitem__(self, name):
        return self.all[name]

    def sent(self):
        counts = [machine.sent() for machine in self.all.values()]
        return {kind: sum(count[kind] for count in counts) for kind in counts[0]}


class Node(flotilla.Node):
    """A node on one of the machines, or (machine None) on cores of this one."""

    def __init__(self, machine, cores, *arguments, **options):
        super().__init__(*arguments, **options)
        self.machine, self.cores = machine, cores

    def command(self):
        return [*(self.machine.prefix() if self.machine else []), *pinned(self.cores, super().command())]

    def enter(self):
        return entered(self.machine.namespace) if self.machine else contextlib.nullcontext()

    def request(self, *arguments, **options):
        with self.enter():
            return super().request(*arguments, **options)

    def load(self, model, **wishes):
        """The placement; NotSupported in the node's words where it knows what is wished but cannot do it."""
        answer = self.post("/load", dict(wishes, model=model), timeout=600)
        last = answer.lines()[-1] if answer.status == 200 else answer.json()
        if "placement" in last:
            return last["placement"]
        error = last.get("error", {})
        if error.get("code") == "unsupported":
            raise NotSupported("not supported by this build: %s" % error["message"])
        raise RuntimeError("expected %s to load but got %s\n%s" % (model, answer, self.log()[-2000:]))

    def stats(self, model):
        found = [placement for placement in self.placements() if placement["model"] == model]
        return found[0].get("stats", {}) if found else {}

    def head_tokens(self, model):
        """How many tokens the head has generated by its own word, once it has told of nothing under way."""
        wait_until(lambda: self.stats(model) and not self.stats(model).get("running"), 5, "the head to be idle")
        return self.stats(model)["tokens"]

    def head_steps(self, model, tokens):
        """How many steps the head has made once it tells of `tokens` tokens, which it does once a second."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.stats(model).get("tokens", 0) >= tokens, 5, "the head to tell its counts")
        return self.stats(model).get("stages", [{}])[0].get("steps", 0)


class Fleet:
    """A node on each machine, each with one thread and told not to measure itself unasked: a node that finds nothing to do would
    use the moment, and others on its core are being measured. `models` names files, so that one file may be loaded several times.

    A fleet has one placement for each name: under several names the same weights can lie in a ring, in a tensor group
    and whole on each machine, ready to be measured in turns without loading in between.
    """

    def __init__(self, machines, models, flags=()):
        self.folder = tempfile.mkdtemp(prefix="flotilla-peers-")
        models_folder = os.path.join(self.folder, "models")
        os.mkdir(models_folder)
        for name, path in models.items():
            os.symlink(os.path.realpath(path), os.path.join(models_folder, name + ".gguf"))
        ports = {name: free_port() for name in NAMES}
        self.nodes = {}
        for name, other in zip(NAMES, reversed(NAMES)):
            peer = ["--peer", "%s:%d" % (machines[other].address, ports[other])]
            words = ["--no-discovery", "--trust-lan", "--threads", "1", "--no-measure", *peer, *flags]
            machine = machines[name]
            self.nodes[name] = Node(
                machine, [machine.core], name, self.folder, words, [models_folder], cluster_port=ports[name]
            )

    def __enter__(self):
        try:
            for node in self.nodes.values():
                node.launch()
            for node in self.nodes.values():
                node.wait_healthy()
            for node in self.nodes.values():
                wait_until(lambda: node.joined() == sorted(NAMES), 30, lambda: "the nodes to join:\n" + node.log())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.ExitStack() as last:  # each of them, whatever became of the others
            last.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for node in self.nodes.values():
                last.callback(node.stop)

    def __getitem__(self, name):
        return self.nodes[name]

    def measure(self):
        """Each in its turn, until each knows what all have measured."""
        for node in self.nodes.values():
            node.measure()
        for node in self.nodes.values():
            wait_until(
                lambda: all(known.get("rates") for known in node.get("/cluster").json()["nodes"]), 30, "the rates to be known"
            )


class LoneNode:
    """One node on these cores of this machine, alone; the model is called "one"."""

    def __init__(self, cores, model, flags=()):
        self.folder = tempfile.mkdtemp(prefix="flotilla-peers-")
        models_folder = os.path.join(self.folder, "models")
        os.mkdir(models_folder)
        os.symlink(os.path.realpath(model), os.path.join(models_folder, "one.gguf"))
        self.node = Node(None, cores, "one", self.folder, ["--no-discovery", *flags], [models_folder])

    def __enter__(self):
        try:
            return self.node.start().measure()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        try:
            self.node.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
