"""Where seeds are written, and CBOR with everything that other tests have no use for."""

import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "hostile"))
import wire_tools as wire  # noqa: E402

CORPUS = pathlib.Path(__file__).parent.parent / "corpus"


def seeds(target, **files):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith(("found-", "openssl-")):
            old.unlink()
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode("utf-8")
        (folder / name.replace("_", "-")).write_bytes(raw)


def cbor(value):
    if value is None:
        return b"\xf6"
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return wire.cbor_head(1, -1 - value)
    if isinstance(value, list):
        return wire.cbor_head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        return wire.cbor_head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    return wire.cbor(value)
