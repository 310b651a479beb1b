"""What else peers send: frames, steps, handshakes, beacons, tokens, certificates."""

import json
import pathlib
import struct
import subprocess
import tempfile

from corpus_files import CORPUS, cbor, seeds
from seeds_messages import NODE
import wire_tools as wire


def frame_seeds():
    hello = cbor({"node": NODE, "name": "studio", "release": "0.1.0"})
    fields = struct.pack("<HHQIQH", 2, 1, 5, 6, 7, 33)
    seeds(
        "frame",
        empty=b"",
        sound_hello=wire.frame(1, hello),
        sound_ping=wire.frame(10, b""),
        sound_step=wire.frame(61, b"\0" * 32),
        version_3=wire.frame(10, b"x", version=3),
        kind_unknown=wire.frame(999, b"x"),
        length_beyond_the_limit=wire.frame(10, b"x", body_bytes=0xFFFFFFFF),
        magic_foreign=wire.frame(1, hello, magic=b"GET "),
        checksum_of_the_body=wire.frame(1, hello, body_checksum=1),
        cut=wire.frame(1, hello)[:40],
        repaired_large_ping=fields[:2] + struct.pack("<H", 10) + fields[4:] + b"p" * 100,
        repaired_hello=fields + hello,
    )


def step(rows=(), frees=(), truncates=(), copies=(), activation_rows=0, width=0, kind=0, values=b""):
    head = {
        "rows": len(rows),
        "frees": len(frees),
        "truncates": len(truncates),
        "copies": len(copies),
        "activation_rows": activation_rows,
        "width": width,
        "kind": kind,
        "reserved": 0,
    }
    body = struct.pack("<8I", *head.values())
    body += b"".join(struct.pack("<IIiI", *row) for row in rows) + struct.pack(f"<{len(frees)}I", *frees)
    body += b"".join(struct.pack("<II", *each) for each in truncates) + b"".join(
        struct.pack("<III", *c) for c in copies
    )
    return b"\0" + body + values


def step_seeds():
    row = (0, 5, 9, 1)
    likeliest = struct.pack("<IIif", 10, 20, 12, 0.5)
    seeds(
        "step",
        empty=b"",
        sound_f32=step([row, (1, 0, 3, 3)], [2], [(3, 4)], [(0, 1, 2)], 2, 2, 0, struct.pack("<4f", 1, 2, 3, 4)),
        sound_bf16=step([row], activation_rows=1, width=2, kind=1, values=b"\x80\x3f\x01\x7f"),
        sound_logits_rows=step([row, (0, 6, 9, 0)], activation_rows=1, width=1, values=b"\0" * 4),
        counts_beyond=b"\0" + struct.pack("<8I", 600, 300, 300, 300, 600, 1 << 18, 0, 0),
        counts_that_wrap=b"\0" + b"\xff" * 32,
        no_values_but_a_width=step([row], width=4),
        sequence_out_of_range=step([(256, 0, 0, 0)], activation_rows=1, width=1, values=b"\0" * 4),
        token_out_of_range=step([(0, 0, 1 << 20, 0)], activation_rows=1, width=1, values=b"\0" * 4),
        token_negative=step([(0, 0, -1, 0)], activation_rows=1, width=1, values=b"\0" * 4),
        flags_unknown=step([(0, 0, 0, 8)], activation_rows=1, width=1, values=b"\0" * 4),
        fitting=b"\1" + bytes([2, 1, 1, 1, 2, 3, 1, 0]) + b"\0" * 80,
        likeliest=b"\2" + likeliest,
        likeliest_not_a_number=b"\2" + struct.pack("<IIif", 0, 9, 1, float("nan")),
        likeliest_of_another=b"\2" + struct.pack("<IIif", 10, 20, 99, 0.5),
        likeliest_half_a_row=b"\2" + likeliest[:-2],
    )


def handshake_seeds():
    def mode(here, there, kind=0, same_channel=1, same_secret=1, encrypted=1, believed=1, keys=0):
        return (
            here
            | there << 2
            | kind << 4
            | same_channel << 6
            | same_secret << 7
            | encrypted << 8
            | believed << 9
            | keys << 10
        )

    def run(situation, *frames):
        return cbor({"mode": situation, "frames": list(frames)})

    seeds(
        "handshake",
        trust_lan=run(mode(1, 1)),
        secret=run(mode(2, 2)),
        member=run(mode(3, 3)),
        join=run(mode(0, 3, kind=2)),
        bulk=run(mode(3, 3, kind=1)),
        none=run(mode(0, 0)),
        other_ways=run(mode(1, 2)),
        secret_that_is_another=run(mode(2, 2, same_secret=0)),
        somebody_between=run(mode(2, 2, same_channel=0)),
        in_the_clear=run(mode(1, 1, encrypted=0)),
        not_believed=run(mode(3, 3, believed=0)),
        key_of_another=run(mode(3, 3, keys=1)),
        home_copied=run(mode(3, 3, keys=2)),
        newer_version=run(mode(1, 1), [1, 3, {}]),
        older_reply=run(mode(1, 1), None, [2, 1, {}]),
        proof_missing=run(mode(2, 2), None, None, [3, 2, {"proof": b""}]),
        proof_made_up=run(mode(2, 2), None, [2, 2, {"proof": b"\0" * 32}]),
        proof_skipped=run(mode(2, 2), None, None, [10, 2, b""]),
        name_of_a_terminals_orders=run(mode(1, 1), [1, 2, {"name": "\x1b[2J"}]),
        class_unknown=run(mode(3, 3), [1, 2, {"class": 3}]),
        trust_claimed=run(mode(0, 3), [1, 2, {"trust": 3}]),
        refused_by_the_one_between=run(mode(3, 3), [4, 2, cbor({"code": "busy", "message": "no"})]),
        octets=run(mode(1, 1), [1, 2, b"\xff"]),
    )


def beacon_seeds():
    def beacon(version=2, flags=0, port=52414, name=b"studio", name_bytes=None, zero=0, more=b""):
        size = len(name) if name_bytes is None else name_bytes
        body = b"FLTB" + struct.pack("<HHQ", version, flags, 5) + NODE + struct.pack("<QHBB", 6, port, size, zero)
        return (body + name).ljust(112, b"\0") + more

    seeds(
        "beacon",
        empty=b"",
        sound=beacon(),
        answer=beacon(flags=1),
        newer=beacon(version=9, flags=6, more=b"x" * 40),
        port_0=beacon(port=0),
        name_empty=beacon(name=b""),
        name_longer_than_the_datagram=beacon(name_bytes=255),
        name_of_half_a_character=beacon(name=b"a\xe4\xb8"),
        name_of_a_terminals_orders=beacon(name=b"\x1b[2Jx"),
        flags_unknown=beacon(flags=128),
        cut=beacon()[:111],
        too_long=beacon(more=b"x" * 200),
        text_right_to_left="a\u202eb\u2066c\u200d\ufeff",
        text_wide="日本語 e\u0301",
        text_controls=b"\x00\x7f\xc2\x9b\xc0\x80\xff",
    )


def trust_seeds():
    letters = "AAAAAAAAAAAAAA" * 4
    book = [{"token": "11" * 8, "key": "22" * 32, "ends": 1790000000, "uses": 3, "users": []}]
    seeds(
        "join_token",
        token=b"\0flt1-" + letters.encode(),
        token_mistyped=b"\0flt1-" + letters.replace("A", "B", 1).encode(),
        id_in_groups=b"\0" + "-".join(["AAAAAAA"] * 8).encode(),
        id_small_letters=b"\0" + b" 0181" * 14,
        mistype=b"\1" + b"\x5a" * 34,
        book=b"\2" + json.dumps(book).encode(),
        book_empty=b"\2[]",
        book_of_many=b"\2" + json.dumps(book * 65).encode(),
        book_with_a_far_end=b"\2" + json.dumps([{**book[0], "ends": (1 << 63) - 1}]).encode(),
        book_with_huge_uses=b"\2" + json.dumps([{**book[0], "uses": (1 << 40) + 1}]).encode(),
        book_ends_negative=b"\2" + json.dumps([{**book[0], "ends": -(1 << 63)}]).encode(),
        known=b"\3" + b"-".join([b"AAAAAAA"] * 8) + b" studio\nnonsense\n",
        known_empty=b"\3\n\n \n",
    )
    label = struct.pack("<I", 22) + b"flotilla revocations 1"
    listed = label + struct.pack("<QI", 5, 2) + b"\1" * 32 + b"\2" * 32
    seeds(
        "revocations",
        empty=b"",
        sound=listed,
        nobody=label + struct.pack("<QI", 1, 0),
        number_last=label + struct.pack("<QI", (1 << 64) - 1, 0),
        mixed_order=label + struct.pack("<QI", 5, 2) + b"\2" * 32 + b"\1" * 32,
        twice=label + struct.pack("<QI", 5, 2) + b"\2" * 64,
        count_that_wraps=label + struct.pack("<QI", 5, 0x08000000),
        foreign_signature=listed + b"\0" * 64,
        label_longer=struct.pack("<I", 0xFFFFFFFF) + label[4:],
    )


def certificate_seeds():
    """Made by openssl once: keys differ each time, so what is there stays."""
    folder = CORPUS / "certificate"
    folder.mkdir(parents=True, exist_ok=True)
    seeds(
        "certificate",
        empty=b"\0",
        pem_empty=b"\1-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        pem_key=(
            b"\1-----BEGIN PRIVATE KEY-----\n"
            b"MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n"
        ),
        admission_of_nothing=b"\2\0\0\0\0\0\0",
        der_length_huge=b"\0\x30\x84\xff\xff\xff\xff",
    )
    if any(folder.glob("openssl-*")):
        return
    kinds = {
        "device": ["-newkey", "ed25519"],
        "cluster": ["-newkey", "ed25519", "-addext", "keyUsage=critical,keyCertSign"],
        "rsa": ["-newkey", "rsa:2048"],
        "curve": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "short": ["-newkey", "ed25519", "-days", "1"],
    }
    made = {}
    with tempfile.TemporaryDirectory() as scratch:
        for kind, flags in kinds.items():
            path = f"{scratch}/{kind}.pem"
            subprocess.run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-nodes",
                    "-subj",
                    "/CN=flotilla",
                    "-keyout",
                    f"{scratch}/key",
                    "-out",
                    path,
                    *flags,
                ],
                check=True,
                capture_output=True,
            )
            made[kind] = subprocess.run(
                ["openssl", "x509", "-in", path, "-outform", "DER"], check=True, capture_output=True
            ).stdout
            if kind == "device":
                (folder / "openssl-pem").write_bytes(b"\1" + pathlib.Path(path).read_bytes())
    for kind, der in made.items():
        (folder / f"openssl-{kind}").write_bytes(b"\0" + der)
    parts = (made["device"], made["cluster"], b"")
    (folder / "openssl-admission").write_bytes(b"\2" + b"".join(struct.pack("<H", len(p)) + p for p in parts))


def peers_seeds():
    seeds(
        "peers_file",
        empty="",
        some="192.168.1.7:52414\nstudio.local:1\n[fe80::1%eth0]:52414\n",
        bare_v6="fe80::1",
        host="studio",
        port_too_large="a:65536",
        port_0="a:0",
        brackets="[::1",
        brackets_none="::1]:5",
        controls="\x1b[2J:5\n",
        long="a" * 300,
        many="a:1\n" * 100,
        user="root@host:22",
    )


def write():
    for make in (frame_seeds, step_seeds, handshake_seeds, beacon_seeds, trust_seeds, certificate_seeds, peers_seeds):
        make()
