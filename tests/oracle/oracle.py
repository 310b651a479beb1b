"""Runs the programs of the oracle's root (scripts/oracle): llama-server as a context manager, others to their end."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DATA = os.path.join(ROOT, "tests", "data")
MODELS = ["SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m.Q4_K_M"]
# Answers hang on the kernels in their last bits, so they are recorded with those that every machine of ten years can run.
KERNELS = os.environ.get("FLOTILLA_ORACLE_KERNELS", "haswell")
SCRIPT = os.path.join(ROOT, "scripts", "oracle")


def command(*words):
    """What to execute so that `words` run inside the oracle's root, where the models lie in /models."""
    return ["env", "FLOTILLA_ORACLE_KERNELS=" + KERNELS, SCRIPT, "run", *words]


def run(*words, stdin=b""):
    return subprocess.run(command(*words), input=stdin, capture_output=True, check=True).stdout


def versions():
    """The programs' own words about what they are, for the head of a recording."""
    says = subprocess.run(command("llama-server", "--version"), capture_output=True, text=True, check=True)
    llama = (says.stdout + says.stderr).strip().splitlines()[0]
    packages = (
        run("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", "llama.cpp-tools", "libggml0").decode().split("\n")
    )
    return {"llama.cpp": llama, "packages": [line for line in packages if line]}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running llama-server. post() takes and gives JSON."""

    def __init__(self, process, port):
        self.process = process
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError("oracle: expected 200 from %s but got %d: %r" % (path, answer.status, text[:300]))
        return json.loads(text)

    def tokenize(self, text, add_special=False, parse_special=False):
        return self.post("/tokenize", {"content": text, "add_special": add_special, "parse_special": parse_special})[
            "tokens"
        ]

    def wait_until_ready(self, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("oracle: expected a server but it ended with status %d" % self.process.returncode)
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.connection.request("GET", "/health")
                answer = self.connection.getresponse()
                answer.read()
                if answer.status == 200:  # 503 while the model loads
                    return
            self.connection.close()
            time.sleep(0.2)
        raise RuntimeError("oracle: expected a ready server within %d s but it is still loading" % seconds)


@contextlib.contextmanager
def serve(model, *flags):
    """llama-server with one thread and one slot on a free port of 127.0.0.1, ended with the block."""
    port = free_port()
    words = [
        "llama-server",
        "-m",
        "/models/%s.gguf" % model,
        "-t",
        "1",
        "-np",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command(*words, *flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(process, port)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.connection.close()
        process.terminate()
        process.wait()
