"""Many clients of one node in one thread: each a connection of its own, whose answer is kept as it comes."""

import contextlib
import json
import math
import resource
import selectors
import socket
import time


def allow_descriptors(count):
    """Whether this process may have so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return True
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard != resource.RLIM_INFINITY else count, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= count


class Client:
    """One connection; what came of its answer is in `raw`, whole once it has `ended_at`."""

    def __init__(self, port, request):
        self.to_send, self.raw = request, bytearray()
        self.size = None  # of the whole answer, once its head is there; infinite where its end is a mark
        self.sent_at = self.first_at = self.ended_at = None
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))

    @property
    def status(self):
        return int(self.raw.split(b" ", 2)[1]) if self.raw.startswith(b"HTTP/1.1 ") else 0

    def header(self, name):
        for line in self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    def events(self):
        """Of a stream: its events as objects; whether [DONE] stands at its end."""
        lines = [line[6:] for line in self.raw.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line) for line in lines if not line.startswith(b"[DONE]")], bool(lines and lines[-1].startswith(b"[DONE]"))

    def token_ids(self):
        events, _ = self.events()
        return [token for event in events for choice in event.get("choices", []) for token in choice.get("token_ids") or []]

    def is_whole(self):
        if self.size is None:
            end = self.raw.find(b"\r\n\r\n")
            if end < 0:
                return False
            length = self.header("content-length")
            self.size = end + 4 + int(length) if length is not None else math.inf
        return len(self.raw) >= self.size or self.raw.endswith(b"\r\n0\r\n\r\n")

    def close(self):
        self.socket.close()


class Crowd:
    """Clients that are served until they have their answers. Closing it hangs up on all."""

    def __init__(self, port):
        self.port, self.clients, self.selector = port, [], selectors.DefaultSelector()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        self.selector.close()

    def ask(self, request):
        client = Client(self.port, request)
        self.clients.append(client)
        self.selector.register(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
        return client

    def serve(self, seconds, enough=None, on_end=lambda client: None):
        """Reads and writes until `enough` (all have ended, unless told otherwise), or fails after so many seconds."""
        enough = enough or (lambda: all(client.ended_at for client in self.clients))
        deadline = time.monotonic() + seconds
        while not enough():
            if time.monotonic() > deadline:
                missing = sum(1 for client in self.clients if not client.ended_at)
                raise AssertionError("expected all answers within %s s but %d are missing" % (seconds, missing))
            for key, _ in self.selector.select(0.2):
                if self.step(key.data):
                    on_end(key.data)

    def step(self, client):
        """True where the client's answer has ended with this."""
        if client.to_send:
            try:
                client.to_send = client.to_send[client.socket.send(client.to_send) :]
            except BlockingIOError:
                return False
            except OSError:
                client.to_send = b""  # turned away; the answer may be there all the same
            if not client.to_send:
                client.sent_at = time.monotonic()
                self.selector.modify(client.socket, selectors.EVENT_READ, client)
            return False
        try:
            piece = client.socket.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        client.raw += piece
        if client.first_at is None and b"data: " in piece:
            client.first_at = time.monotonic()
        if piece and not client.is_whole():
            return False
        client.ended_at = time.monotonic()
        self.selector.unregister(client.socket)
        return True


def get(path):
    return ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path).encode()


def stream_of(model, prompt, tokens):
    """A request for a greedy answer of exactly so many tokens, streamed with their ids."""
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
    raw = json.dumps(dict(body, speculate=False, cache_prompt=False, return_token_ids=True)).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return (head % len(raw)).encode() + raw
