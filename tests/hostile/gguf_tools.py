"""Reads, writes and mutilates GGUF files with nothing but the standard library, so that tests can hand the program
files that lie. What is written is what was asked for: no check stands between a test and a contradiction.

    header = read_header("model.gguf")
    header.set_text("general.architecture", "unheard-of")
    write_like("model.gguf", header, "bad.gguf")           # tensor bytes as zeros that take no disk
    truncate("model.gguf", "short.gguf", 1 << 20)
"""

import os
import shutil
import struct

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)
FORMATS = {
    UINT8: "<B",
    INT8: "<b",
    UINT16: "<H",
    INT16: "<h",
    UINT32: "<I",
    INT32: "<i",
    FLOAT32: "<f",
    BOOL: "<B",
    UINT64: "<Q",
    INT64: "<q",
    FLOAT64: "<d",
}
# ggml type -> (elements of a block, bytes of a block), as far as tests need them.
BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    30: (1, 2),
}


def text_bytes(text):
    raw = text if isinstance(text, bytes) else text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(kind, value):
    """A value as it lies in the file. An array is (kind of its items, items)."""
    if kind == STRING:
        return text_bytes(value)
    if kind == ARRAY:
        item_kind, items = value
        head = struct.pack("<IQ", item_kind, len(items))
        return head + b"".join(value_bytes(item_kind, item) for item in items)
    return struct.pack(FORMATS[kind], value)


class Key:
    """One metadata entry; `raw` is its value as it lies in the file, whatever `kind` claims."""

    def __init__(self, name, kind, raw):
        self.name, self.kind, self.raw = name, kind, raw

    def encode(self):
        return text_bytes(self.name) + struct.pack("<I", self.kind) + self.raw


class Tensor:
    """One tensor description: `offset` counts from where the tensor data begins."""

    def __init__(self, name, shape, kind, offset):
        self.name, self.shape, self.kind, self.offset = name, list(shape), kind, offset

    def bytes(self):
        elements, size = BLOCKS[self.kind]
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count // elements * size

    def encode(self):
        head = text_bytes(self.name) + struct.pack("<I", len(self.shape))
        return head + b"".join(struct.pack("<q", n) for n in self.shape) + struct.pack("<iQ", self.kind, self.offset)


class Header:
    """Everything before the tensor data. The counts are those of the lists unless a test sets others."""

    def __init__(self, keys=(), tensors=(), version=3, magic=MAGIC, alignment=DEFAULT_ALIGNMENT):
        self.keys, self.tensors = list(keys), list(tensors)
        self.version, self.magic, self.alignment = version, magic, alignment
        self.key_count = self.tensor_count = None

    def find(self, name):
        return next(key for key in self.keys if key.name == name)

    def tensor(self, name):
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def set(self, name, kind, value):
        """Replaces a key's value in its place, or adds the key."""
        raw = value_bytes(kind, value)
        for key in self.keys:
            if key.name == name:
                key.kind, key.raw = kind, raw
                return
        self.keys.append(Key(name, kind, raw))

    def set_text(self, name, text):
        self.set(name, STRING, text)

    def number(self, name):
        key = self.find(name)
        return struct.unpack(FORMATS[key.kind], key.raw)[0]

    def unpadded(self):
        tensor_count = len(self.tensors) if self.tensor_count is None else self.tensor_count
        key_count = len(self.keys) if self.key_count is None else self.key_count
        head = self.magic + struct.pack("<Iqq", self.version, tensor_count, key_count)
        return head + b"".join(key.encode() for key in self.keys) + b"".join(tensor.encode() for tensor in self.tensors)

    def encode(self):
        raw = self.unpadded()
        return raw + bytes(-len(raw) % self.alignment)

    def layer_bytes(self, first, end):
        """Bytes of the tensors of layers [first, end)."""
        wanted = {"blk.%d" % layer for layer in range(first, end)}
        return sum(t.bytes() for t in self.tensors if ".".join(t.name.split(".")[:2]) in wanted)


class Reader:
    def __init__(self, file):
        self.file = file

    def take(self, layout):
        return struct.unpack(layout, self.file.read(struct.calcsize(layout)))

    def text(self):
        return self.file.read(self.take("<Q")[0])

    def raw_value(self, kind):
        if kind == STRING:
            return text_bytes(self.text())
        if kind == ARRAY:
            item_kind, count = self.take("<IQ")
            return struct.pack("<IQ", item_kind, count) + b"".join(self.raw_value(item_kind) for _ in range(count))
        return self.file.read(struct.calcsize(FORMATS[kind]))


def read_header(path):
    """The header of a sound file."""
    with open(path, "rb") as file:
        reader = Reader(file)
        magic = file.read(4)
        version, tensor_count, key_count = reader.take("<Iqq")
        header = Header(version=version, magic=magic)
        for _ in range(key_count):
            name = reader.text().decode("utf-8")
            kind = reader.take("<I")[0]
            header.keys.append(Key(name, kind, reader.raw_value(kind)))
        for _ in range(tensor_count):
            name = reader.text().decode("utf-8")
            shape = reader.take("<%dq" % reader.take("<I")[0])
            header.tensors.append(Tensor(name, shape, *reader.take("<iQ")))
    if any(key.name == "general.alignment" for key in header.keys):
        header.alignment = header.number("general.alignment")
    return header


def data_bytes(header):
    """Length of the tensor data that the header describes."""
    return max((tensor.offset + tensor.bytes() for tensor in header.tensors), default=0)


def write_like(source, header, target):
    """A file with this header and as many bytes of tensor data as `source` has, all zero (a hole: it takes no disk)."""
    length = os.path.getsize(source) - len(read_header(source).encode())
    encoded = header.encode()
    with open(target, "wb") as file:
        file.write(encoded)
        file.truncate(len(encoded) + length)
    return target


def write_with_data(source, header, target):
    """A file with this header and the real tensor data of `source`."""
    with open(source, "rb") as original, open(target, "wb") as file:
        original.seek(len(read_header(source).encode()))
        file.write(header.encode())
        shutil.copyfileobj(original, file, 1 << 20)
    return target


def write_small(target, keys, tensors, fill=b"\0"):
    """A small file of its own. `keys` maps names to (kind, value), `tensors` names to (shape, ggml type)."""
    header = Header([Key(name, kind, value_bytes(kind, value)) for name, (kind, value) in keys.items()])
    offset = 0
    for name, (shape, kind) in tensors.items():
        header.tensors.append(Tensor(name, shape, kind, offset))
        offset += header.tensors[-1].bytes()
        offset += -offset % header.alignment
    with open(target, "wb") as file:
        file.write(header.encode())
        file.write(fill * (offset // len(fill)))
    return target


def truncate(source, target, bytes_kept):
    """The first `bytes_kept` bytes of a file."""
    with open(source, "rb") as original, open(target, "wb") as file:
        while bytes_kept > 0 and (piece := original.read(min(bytes_kept, 1 << 20))):
            file.write(piece)
            bytes_kept -= len(piece)
    return target


def overwrite(path, offset, raw):
    """Changes bytes in place."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(raw)
    return path
