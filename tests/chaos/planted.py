#!/usr/bin/env python3
"""Whether chaos.py sees what it is there for: each of three bugs, planted into a copy of the program, must turn it red.

    tests/chaos/planted.py [NAME...] [--kills N] [--check]

A plant is one edit of one source. The copy lies in build/planted and is built as a release; --check only looks whether
each edit still fits its source, which takes no time.

Exit code 0: every plant was found, and without any there was no fault.
"""

import argparse
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build/planted"
COPIED = ["CMakeLists.txt", "CMakePresets.json", "bench", "cmake", "fleets", "rust", "sim", "src", "tests", "web"]


@dataclass
class Plant:
    source: str
    before: str  # stands there once
    after: str
    kind: str  # what chaos.py must call an answer
    mode: str = ""


PLANTS = {
    # A request that goes on elsewhere forgets the last token its client was told.
    "duplicated-token": Plant(
        "src/app/request_desk.cc",
        "  sent_as_[sent_as] = id;\n",
        "  sent_as_[sent_as] = id;\n"
        "  if (auto& told = waiting->second.journal.resumed; !told.empty()) told.pop_back();\n",
        "duplicate",
    ),
    # A prompt takes what a slot holds of another without comparing tokens.
    "stale-cache": Plant(
        "src/scheduler/kv_slots.cc",
        "std::ranges::mismatch(compared, slots_[slot].tokens).in1 - compared.begin()",
        "std::min(compared.size(), slots_[slot].tokens.size())",
        "wrong",
    ),
    # Of every 5,000th sum the last member's summands are missing.
    "lost-sum": Plant(
        "src/pipeline/exchange.cc",
        "  for (std::uint32_t member = 0; member < group_->members(); ++member) add(member, own);\n",
        "  static thread_local unsigned sums = 0;\n"
        "  const std::uint32_t heard = group_->members() - (++sums % 5000 == 0 ? 1 : 0);\n"
        "  for (std::uint32_t member = 0; member < heard; ++member) add(member, own);\n",
        "wrong",
        mode="tensor",
    ),
}


def planted(plant):
    text = (ROOT / plant.source).read_text()
    if text.count(plant.before) != 1:
        sys.exit("%s: expected once, for a bug to be planted there:\n%s" % (plant.source, plant.before))
    return text.replace(plant.before, plant.after)


def write_where_new(path, content):
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def copy_with(plant):
    """Only what differs is written, so that little is built again."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *COPIED]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if plant and name == plant.source:
            write_where_new(COPY / name, planted(plant).encode())
        elif (ROOT / name).is_file():
            write_where_new(COPY / name, (ROOT / name).read_bytes())


def build():
    configure = ["cmake", "--preset", "release", "-DFLOTILLA_PAGE=OFF"]
    for command in (configure, ["cmake", "--build", "build/release", "--target", "flotilla"]):
        done = subprocess.run(command, cwd=COPY, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout[-4000:] + done.stderr[-4000:])
    return COPY / "build/release/flotilla"


def chaos(binary, kills, mode):
    """How chaos.py ended, and the kinds of faults that it found."""
    command = [sys.executable, ROOT / "tests/chaos/chaos.py", "--kills", str(kills), "--seed", "7"]
    environment = dict(os.environ, FLOTILLA_BINARY=str(binary), FLOTILLA_MODELS_DIR=str(ROOT / ".cache/models"))
    command += ["--mode", mode] if mode else []
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    print("  " + done.stdout.strip().replace("\n", "\n  "), flush=True)
    faults = [line.split(":")[0] for line in done.stdout.splitlines()]
    return done.returncode, [kind for kind in faults if kind in ("lost", "missing", "duplicate", "wrong")]


def is_found(name, plant, kills):
    print("%s ..." % name, flush=True)
    copy_with(plant)
    code, faults = chaos(build(), kills, plant.mode)
    found = code == 1 and plant.kind in faults
    print("%s: %s" % (name, "found" if found else "NOT FOUND"), flush=True)
    return found


def is_clean(kills, mode):
    print("none%s ..." % (", " + mode if mode else ""), flush=True)
    copy_with(None)
    return chaos(build(), kills, mode)[0] == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of: " + ", ".join(PLANTS))
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--check", action="store_true", help="only whether each edit fits its source")
    options = parser.parse_args()
    unknown = set(options.names) - set(PLANTS)
    if unknown:
        parser.error("there is no plant called %s; known: %s" % (min(unknown), ", ".join(PLANTS)))
    chosen = {name: PLANTS[name] for name in options.names or PLANTS}
    if options.check:
        for plant in chosen.values():
            planted(plant)
        return 0
    found = [is_found(name, plant, options.kills) for name, plant in chosen.items()]
    clean = [is_clean(options.kills, mode) for mode in sorted({plant.mode for plant in chosen.values()})]
    return 0 if all(found + clean) else 1


if __name__ == "__main__":
    sys.exit(main())
