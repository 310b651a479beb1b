"""A hub that speaks Hugging Face's protocol on this machine, well or badly as a test wants, with nothing but the standard library.

    with HubServer() as hub:
        hub.add("org/name", {"Model-Q4_K_M.gguf": b"...", "Large.gguf": "/path/of/a/file"})
        hub.trouble.expired_links = 2
        ... HF_ENDPOINT=hub.endpoint flotilla pull org/name:Q4_K_M

The hub is http://127.0.0.1:PORT; the bytes of files lie at http://localhost:ANOTHER, as they do with Hugging Face, behind
addresses that are good for a while. `hub.seen` has every request, `hub.bytes_sent` counts what went out of files, and
`hub.sent` has each piece of it.
"""

import contextlib
import hashlib
import http.server
import io
import json
import os
import socketserver
import threading
import time
import types
import urllib.parse

PIECE_BYTES = 64 * 1024
FOR_EVER_SECONDS = 120  # what "for ever" is to a test


class Trouble:
    """What goes wrong; as it stands here nothing does."""

    page_items = 2  # in a page of a listing, so that there are always several
    token = None  # without which nobody is answered (401)
    gated = False  # 403 for everybody
    rate_limits = ()  # a list of seconds that the next API requests are told to wait
    listed_bytes = types.MappingProxyType({})  # path -> size in the listing
    listed_sha256 = types.MappingProxyType({})  # path -> hash in the listing; None: none
    extra_items = ()  # of the listing
    found = ()  # names that a search finds besides those that fit
    expired_links = 0  # requests for bytes that get 403 first
    ignores_ranges = False
    wrong_range = False  # begins elsewhere than it was asked to
    said_range = None  # Content-Range instead of the right one
    short_by = 0  # bytes fewer of a range than were asked for, said in Content-Length
    flipped_byte = None  # offset of a byte that is another
    more_bytes = 0  # sent behind the last one
    says_length = True  # Content-Length with the bytes
    cut_after = None  # bytes after which a connection breaks off
    cuts = None  # how often; None: always
    silent_after = None  # bytes after which a connection says nothing more
    silences = 1
    bytes_per_second = None
    redirect = None  # where the bytes are said to be
    api_redirect = None  # where the API is said to be
    next_page = None  # address of the page behind each page
    endless_headers = False
    endless_body = False
    commit = None  # instead of the right one
    server_errors = 0  # requests of the API that get 500 first


class File:
    def __init__(self, source):
        self.path = source if isinstance(source, str) else None
        self.raw = None if self.path else source
        self.bytes = os.path.getsize(self.path) if self.path else len(source)
        digest = hashlib.sha256()
        with self.open() as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
        self.sha256 = digest.hexdigest()

    @contextlib.contextmanager
    def open(self):
        with open(self.path, "rb") if self.path else io.BytesIO(self.raw) as file:
            yield file


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False  # a thread may be held by a client that a test stopped

    def handle_error(self, request, client_address):
        pass  # clients that hang up


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def do_GET(self):
        hub = self.server.hub
        with hub.lock:
            hub.seen.append((self.server.role, self.path, dict(self.headers)))
        try:
            self.answer(hub)
        except (BrokenPipeError, ConnectionError):
            self.close_connection = True

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_for_ever(self, head):
        self.wfile.write(head)
        deadline = time.monotonic() + FOR_EVER_SECONDS
        while time.monotonic() < deadline:
            self.wfile.write(b"X-More: %s\r\n" % (b"x" * 1000) if b"\r\n\r\n" not in head else b" " * PIECE_BYTES)


class HubHandler(Handler):
    def answer(self, hub):
        trouble = hub.trouble
        url = urllib.parse.urlsplit(self.path)
        words = [urllib.parse.unquote(word) for word in url.path.strip("/").split("/")]
        if trouble.endless_headers:
            return self.send_for_ever(b"HTTP/1.1 200 OK\r\n")
        if trouble.endless_body:
            return self.send_for_ever(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        if trouble.rate_limits:
            return self.send(429, RateLimit='"api";r=0;t=%d' % trouble.rate_limits.pop(0))
        if trouble.server_errors:
            trouble.server_errors -= 1
            return self.send(503)
        if trouble.token and self.headers["Authorization"] != "Bearer " + trouble.token:
            return self.send(401, X_Error_Message="Invalid username or password.")
        if trouble.gated:
            return self.send(403, X_Error_Message="Access to this model is restricted.", X_Error_Code="GatedRepo")
        if trouble.api_redirect and words[0] == "api":
            return self.send(307, Location=trouble.api_redirect)
        if words == ["api", "models"]:
            return self.search(urllib.parse.parse_qs(url.query))
        if words[:2] == ["api", "models"] and len(words) > 4 and "/".join(words[2:4]) in hub.repositories:
            return self.api("/".join(words[2:4]), words[4:], urllib.parse.parse_qs(url.query))
        if len(words) > 4 and words[2] == "resolve":
            return self.resolve("/".join(words[:2]), words[3], "/".join(words[4:]))
        return self.send(404, X_Error_Code="RepoNotFound")

    def api(self, repository, words, query):
        hub, trouble = self.server.hub, self.server.hub.trouble
        if words == ["revision", "main"]:
            answer = {"id": repository, "sha": trouble.commit or hub.commit_of(repository), "siblings": []}
            return self.send(200, json.dumps(answer).encode(), Content_Type="application/json")
        if words != ["tree", hub.commit_of(repository)]:
            return self.send(404, X_Error_Code="RevisionNotFound")
        items = [
            {"type": "directory", "path": "figures", "oid": "0" * 40, "size": 0},
            {"type": "file", "path": "README.md", "oid": "0" * 40, "size": 12},
        ]
        for path, file in sorted(hub.repositories[repository].items()):
            size, sha256 = trouble.listed_bytes.get(path, file.bytes), trouble.listed_sha256.get(path, file.sha256)
            item = {"type": "file", "path": path, "oid": "0" * 40, "size": size}
            if sha256 is not None:
                item["lfs"] = {"oid": sha256, "size": size, "pointerSize": 134}
            items.append(item)
        items += list(trouble.extra_items)
        begin = int(query.get("cursor", ["0"])[0])
        end = begin + trouble.page_items
        headers = {"Content_Type": "application/json"}
        if end < len(items):
            headers["Link"] = '<%s/api/models/%s/tree/%s?recursive=true&cursor=%d>; rel="next"' % (
                hub.endpoint,
                repository,
                words[1],
                end,
            )
        if trouble.next_page:
            headers["Link"] = '<%s>; rel="next"' % trouble.next_page
        return self.send(200, json.dumps(items[begin:end]).encode(), **headers)

    def search(self, query):
        text, limit = query.get("search", [""])[0].lower(), int(query.get("limit", ["1000"])[0])
        names = [name for name in self.server.hub.repositories if text in name.lower()] + list(self.server.hub.trouble.found)
        return self.send(
            200, json.dumps([{"id": name} for name in names][:limit]).encode(), Content_Type="application/json"
        )

    def resolve(self, repository, commit, path):
        hub, trouble = self.server.hub, self.server.hub.trouble
        file = hub.repositories.get(repository, {}).get(path)
        if commit != hub.commit_of(repository) or file is None:
            return self.send(404, X_Error_Code="EntryNotFound")
        query = urllib.parse.urlencode({"repository": repository, "path": path, "Signature": "s" * 300})
        location = trouble.redirect or "%s/%s?%s" % (hub.content_address, file.sha256, query)
        return self.send(
            302,
            Location=location,
            X_Repo_Commit=commit,
            X_Linked_Size=str(trouble.listed_bytes.get(path, file.bytes)),
            X_Linked_Etag='"%s"' % (trouble.listed_sha256.get(path) or file.sha256),
        )


class ContentHandler(Handler):
    def answer(self, hub):
        trouble = hub.trouble
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if trouble.expired_links:
            trouble.expired_links -= 1
            return self.send(403, b"<Error><Code>AccessDenied</Code></Error>")
        file = hub.repositories[query["repository"][0]][query["path"][0]]
        begin, end = 0, file.bytes
        wanted = self.headers["Range"]
        if wanted and not trouble.ignores_ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last) + 1, file.bytes) if last else file.bytes
            if begin >= file.bytes:
                return self.send(416)
            if trouble.wrong_range:
                begin = max(0, begin - 1)
            self.send_response(206)
            self.send_header("Content-Range", trouble.said_range or "bytes %d-%d/%d" % (begin, end - 1, file.bytes))
            end -= trouble.short_by
        else:
            self.send_response(200)
        if trouble.says_length:
            self.send_header("Content-Length", str(end - begin + trouble.more_bytes))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.send_bytes(hub, file, begin, end)

    def send_bytes(self, hub, file, begin, end):
        trouble, at, began = hub.trouble, begin, time.monotonic()
        with file.open() as source:
            source.seek(begin)
            while piece := source.read(min(PIECE_BYTES, end - at)):
                if trouble.flipped_byte is not None and at <= trouble.flipped_byte < at + len(piece):
                    piece = bytearray(piece)
                    piece[trouble.flipped_byte - at] ^= 1
                self.wfile.write(piece)
                with hub.lock:
                    hub.bytes_sent += len(piece)
                    hub.sent.append((file.sha256, at, at + len(piece)))
                at += len(piece)
                if trouble.cut_after is not None and at - begin >= trouble.cut_after and self.may_cut(trouble):
                    self.wfile.flush()
                    self.close_connection = True
                    return self.connection.shutdown(2)
                if trouble.silent_after is not None and at - begin >= trouble.silent_after and trouble.silences:
                    trouble.silences -= 1
                    self.wfile.flush()
                    return time.sleep(FOR_EVER_SECONDS)
                if trouble.bytes_per_second:
                    time.sleep(max(0, (at - begin) / trouble.bytes_per_second - (time.monotonic() - began)))
        self.wfile.write(b"x" * trouble.more_bytes)
        return None

    @staticmethod
    def may_cut(trouble):
        if trouble.cuts is None:
            return True
        trouble.cuts -= 1
        return trouble.cuts >= 0


class HubServer:
    def __init__(self):
        self.trouble, self.repositories = Trouble(), {}
        self.seen, self.bytes_sent, self.lock = [], 0, threading.Lock()
        self.sent = []  # (SHA-256 of the file, first byte, the byte after the last) of each piece that went out
        self.servers = []
        for role, handler in (("hub", HubHandler), ("content", ContentHandler)):
            server = Server(("127.0.0.1", 0), handler)
            server.hub, server.role = self, role
            self.servers.append(server)
        self.endpoint = "http://127.0.0.1:%d" % self.servers[0].server_port
        self.content_address = "http://localhost:%d" % self.servers[1].server_port

    def __enter__(self):
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def add(self, repository, files):
        self.repositories[repository] = {path: File(source) for path, source in files.items()}

    def commit_of(self, repository):
        """Changes with what is in it, as a commit does."""
        listing = sorted((path, file.sha256) for path, file in self.repositories.get(repository, {}).items())
        return hashlib.sha1(json.dumps([repository, listing]).encode()).hexdigest()

    def forget(self):
        with self.lock:
            self.seen.clear()
            self.sent.clear()
            self.bytes_sent = 0

    def sent_ranges(self, sha256):
        """What of a file went out, in order of its bytes: overlapping where something went out twice."""
        with self.lock:
            return sorted((begin, end) for file, begin, end in self.sent if file == sha256)

    def authorizations(self, role):
        """What each request to "hub" or "content" had in its Authorization header."""
        with self.lock:
            return [headers.get("Authorization") for who, _, headers in self.seen if who == role]
