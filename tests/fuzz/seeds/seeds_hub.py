"""What hubs answer: after a byte that chooses, JSON (0), or a status, two numbers and lines of headers (1)."""

import json

from corpus_files import seeds

SHA256 = "a" * 64


def listing(**item):
    lfs = {"oid": SHA256, "size": 9}
    return b"\0" + json.dumps([dict({"type": "file", "path": "m-Q4_K_M.gguf", "size": 9, "lfs": lfs}, **item)]).encode()


def head(*lines, status=0, begin=0, size=8):
    """Of an answer with the bytes from `begin` on, size + 1 of them."""
    numbers = bytes([1, status]) + begin.to_bytes(2, "little") + size.to_bytes(2, "little")
    return numbers + "\n".join(lines).encode()


def hub_seeds():
    seeds(
        "hub_answers",
        empty=b"",
        commit=b"\0" + json.dumps({"sha": "c" * 40}).encode(),
        commit_is_a_path=b"\0" + json.dumps({"sha": "../" * 13 + "x"}).encode(),
        listing=listing(),
        listing_without_hash=listing(lfs=None),
        path_leads_out=listing(path="../../.ssh/authorized_keys.gguf"),
        path_absolute=listing(path="/etc/x.gguf"),
        path_with_nul=listing(path="a\0b.gguf"),
        size_negative=listing(size=-1),
        size_huge=listing(size=1 << 63),
        size_contradicts=listing(size=8),
        hash_is_a_path=listing(lfs={"oid": "../" * 21 + "x", "size": 9}),
        search=b"\0" + json.dumps([{"id": "org/name"}, {"id": "../x"}, {"id": 5}, 5]).encode(),
        nested_deep=b"\0" + b"[" * 3000,
        not_utf8=b'\0[{"path":"\xff.gguf","type":"file"}]',
        range=head("bytes 0-8/9", "9"),
        range_elsewhere=head("bytes 1-9/9", "9"),
        range_of_another_file=head("bytes 0-8/10", "9"),
        range_short=head("bytes 0-8/9", "8"),
        range_ignored=head("", "9", status=1),
        length_overflow=head("bytes 0-8/9", "99999999999999999999999"),
        next_page=head("", "", '<https://evil.example/x>; rel="next"'),
        next_page_without_address=head("", "", 'rel="next"><'),
        wait=head("", "", "", '"api";r=0;t=52', "3"),
        wait_huge=head("", "", "", '"api";r=0;t=99999999999999999999', "9999999999"),
        other_file=head("", "", "", "", "", "10", "d" * 40, 'W/"%s"' % ("b" * 64)),
    )
