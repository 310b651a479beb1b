"""Frames as docs/wire.md describes them, made by hand, so that tests can speak to a cluster port as a peer that is
broken, foreign or of another version. The checksum is libxxhash's, through ctypes; keys are made by the openssl command."""

import contextlib
import ctypes
import ctypes.util
import hashlib
import os
import socket
import ssl
import struct
import subprocess

FRAME_MAGIC = b"FLOT"
HEADER_BYTES = 48
HELLO, HELLO_REPLY, PROOF, REFUSED = 1, 2, 3, 4
PING = 10


def checksum(raw):
    """XXH3 with 64 bits."""
    name = ctypes.util.find_library("xxhash")
    if name is None:
        raise AssertionError("expected libxxhash on this machine; scripts/setup installs it")
    library = ctypes.CDLL(name)
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_64bits(raw, len(raw))


def frame(kind, body, version=2, body_bytes=None, magic=FRAME_MAGIC, body_checksum=None):
    """A frame whose header is sound; every argument after `body` is a way to make it lie."""
    length = len(body) if body_bytes is None else body_bytes
    digest = checksum(body) if body_checksum is None else body_checksum
    head = magic + struct.pack("<HHQIIQQ", version, kind, 0, 0, length, 0, digest)
    return head + struct.pack("<Q", checksum(head)) + body


def cbor(value):
    """Maps, texts, byte strings, booleans and whole numbers, as RFC 8949 writes them."""
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return cbor_head(0, value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        raw = value.encode("utf-8")
        return cbor_head(3, len(raw)) + raw
    return cbor_head(5, len(value)) + b"".join(cbor(name) + cbor(item) for name, item in value.items())


def cbor_head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for info, layout in [(24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")]:
        if number < 1 << 8 * struct.calcsize(layout):
            return bytes([major << 5 | info]) + struct.pack(layout, number)
    raise ValueError(number)


def hello(name="stranger", release="9.9.9", trust=1, node=None):
    """The body of a hello, of a machine nobody has met."""
    return cbor(
        {
            "node": node or os.urandom(16),
            "name": name,
            "release": release,
            "cluster_port": 52414,
            "trust": trust,
            "class": 0,
        }
    )


class Device:
    """A machine with a key and a certificate of its own, made in `folder`."""

    def __init__(self, folder, algorithm=("-algorithm", "ed25519")):
        key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
        run = ["openssl", "genpkey", *algorithm, "-out", key]
        subprocess.run(run, check=True, capture_output=True)
        subprocess.run(
            ["openssl", "req", "-new", "-x509", "-key", key, "-subj", "/CN=device", "-days", "9", "-out", certificate],
            check=True,
            capture_output=True,
        )
        public = subprocess.run(
            ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True
        ).stdout
        self.node = hashlib.sha256(public).digest()[:16]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.load_cert_chain(certificate, key)

    @contextlib.contextmanager
    def connect(self, port, seconds=10):
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as bare:
            with self.context.wrap_socket(bare) as peer:
                yield peer

    def exchange(self, port, raw, seconds=10):
        """As exchange() below, encrypted."""
        try:
            with self.connect(port, seconds) as peer:
                peer.sendall(raw)
                return receive_all(peer)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return b""


def exchange(port, raw, seconds=10):
    """Sends bytes to a port of this machine and gives everything the other end said before it closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as peer:
        try:
            peer.sendall(raw)
            return receive_all(peer)
        except (ConnectionResetError, BrokenPipeError):
            return b""


def receive_all(peer):
    said = b""
    while piece := peer.recv(65536):
        said += piece
    return said


def parse_frames(raw):
    """(kind, version, body) of each complete frame."""
    frames = []
    while len(raw) >= HEADER_BYTES and raw[:4] == FRAME_MAGIC:
        version, kind = struct.unpack_from("<HH", raw, 4)
        length = struct.unpack_from("<I", raw, 20)[0]
        frames.append((kind, version, raw[HEADER_BYTES : HEADER_BYTES + length]))
        raw = raw[HEADER_BYTES + length :]
    return frames
