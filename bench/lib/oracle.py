"""llama.cpp as the peer: its programs run in the root that scripts/oracle makes, which needs root."""

import http.client
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time

from .engine import pinned
from .figures import NotSupported
from .report import PROJECT

SCRIPT = os.path.join(PROJECT, "scripts", "oracle")
ROOT = os.environ.get("FLOTILLA_ORACLE_ROOT", os.path.join(PROJECT, ".cache", "oracle"))
RPC_SERVER = "/usr/libexec/%s-linux-gnu/llama/bin/ggml-rpc-server" % os.uname().machine
START_SECONDS = 120  # a server that reads its model on a busy machine

# Anybody may replace llama-bench by a build of their own: a command that takes its flags and sees the same paths.
OTHER_BENCH = os.environ.get("FLOTILLA_BENCH_PEER")


def missing():
    """Why there is no peer here; None where there is one."""
    if os.geteuid() != 0:
        return "llama.cpp runs in a root of its own, and entering one needs root"
    if not os.path.exists(os.path.join(ROOT, "usr", "bin", "llama-bench")):
        return "llama.cpp is not here; scripts/oracle setup brings it"
    return None


def require():
    if reason := missing():
        raise NotSupported(reason)


def inside(folder, program):
    """The program in the oracle's root with `folder` at its /mnt, for as long as it runs."""
    script = 'mount --bind "$1" "$2/mnt" && shift 2 && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, "sh", os.path.realpath(folder), os.path.realpath(ROOT), SCRIPT, "run", *program]


def bench_command(model, flags):
    if OTHER_BENCH:
        return [*shlex.split(OTHER_BENCH), "-m", model, *flags]
    return inside(os.path.dirname(model), ["llama-bench", "-m", "/mnt/" + os.path.basename(model), *flags])


def best_of(said):
    """{"prefill", "decode"}: the better of the ways it was told to attend, each by the median of its runs."""
    best = {}
    for test in said:
        kind = "prefill" if test["n_gen"] == 0 else "decode"
        best[kind] = max(best.get(kind, 0.0), statistics.median(test["samples_ts"]))
    return best


def bench(cores, model, prompt, generate, repeat, threads=None, flags=(), prefix=(), attend="0,1"):
    """llama-bench, which warms up by itself. `prefix` comes before everything: a namespace to run in."""
    words = ["-t", str(threads or len(cores)), "-p", str(prompt), "-n", str(generate), "-r", str(repeat), "-fa", attend]
    command = [*prefix, *pinned(cores, bench_command(model, [*words, "-o", "json", *flags]))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("expected %s to succeed but got:\n%s" % (" ".join(command), done.stderr[-2000:]))
    return best_of(json.loads(done.stdout))


class Server:
    """A program of llama.cpp that serves; gone after the block."""

    def __init__(self, cores, folder, program, prefix=()):
        self.command = [*prefix, *pinned(cores, inside(folder, program))]
        self.log = tempfile.TemporaryFile()
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def wait(self, ready):
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise RuntimeError("expected %s to serve but got:\n%s" % (" ".join(self.command), self.log.read()[-2000:].decode(errors="replace")))
            time.sleep(0.05)
        return self


def llama_server(cores, model, port, slots, context):
    """Slots of `context` tokens each. Nothing of earlier prompts is kept; ours is told the same."""
    words = ["-m", "/mnt/" + os.path.basename(model), "--host", "127.0.0.1", "--port", str(port), "-np", str(slots)]
    words += ["-c", str(slots * context), "-t", str(len(cores)), "-tb", str(len(cores)), "-no-kvu", "--cache-ram", "0"]
    words += ["-fit", "off"]
    return Server(cores, os.path.dirname(model), ["llama-server", *words])


def answers_health(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def rpc_server(core, host, port, prefix):
    program = [RPC_SERVER, "-t", "1", "-H", host, "-p", str(port)]
    return Server([core], os.path.join(ROOT, "mnt"), program, prefix)
