#!/usr/bin/env python3
"""Reads the repository and says where it has drifted from its own rules.

  tidy.py [ROOT]          check; exit code 1 and a list where something is wrong
  tidy.py --draw [ROOT]   print the rooms and the arrows between them

Rules: a room includes only the rooms that its row in docs/rooms.md names; every source file is listed in its room's
CMakeLists.txt; headers begin with what they are for and `#pragma once`; no line is longer than 160 characters; nothing
unfinished is marked as such; std::regex and exceptions thrown by us stay out; no two rooms define a class of one name (they share a namespace and a binary, and
the linker would silently keep one destructor of the two).
"""
import pathlib
import re
import sys

LINE_CHARACTERS_MAX = 160
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
BANNED = {
    "std::regex": re.compile(r"std::regex"),
    "throw": re.compile(r"^\s*throw\s"),
    "using namespace std;": re.compile(r"using namespace std;"),
}


def allowed_includes(root):
    """{room: set of rooms or single headers} from the table in docs/rooms.md; app may include all."""
    rows = {}
    for line in (root / "docs/rooms.md").read_text().splitlines():
        match = re.match(r"\|\s*\d+\s*\|\s*`(\w+)`\s*\|\s*([^|]*)\|", line)
        if match:
            rows[match.group(1)] = set(match.group(2).split())
    return rows


def sources(root):
    """Every file of every room: those in src/, and sim/, which stands above them all."""
    return sorted((root / "src").glob("*/*")) + sorted((root / "sim").glob("*"))


def is_test(path):
    return bool(re.search(r"(_test|^test_|_probe|_tool|scripted_)", path.stem)) or path.stem.startswith(("test_", "scripted_"))


def arrows(root):
    """(room, included room, included header, file, line number) for every include that crosses rooms."""
    for path in sources(root):
        if path.suffix not in (".h", ".cc") or is_test(path):
            continue
        room = path.parent.name
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'#include "((\w+)/[^"]+)"', line)
            if match and match.group(2) != room and (match.group(2) == "sim" or (root / "src" / match.group(2)).is_dir()):
                yield room, match.group(2), match.group(1), path.relative_to(root), number


def check_arrows(root):
    rows = allowed_includes(root)
    for room, target, header, path, number in arrows(root):
        allowed = rows.get(room)
        if allowed is None:
            yield f"{path}: the room {room} has no row in docs/rooms.md"
        elif "all" not in allowed and target not in allowed and header not in allowed:
            yield f"{path}:{number}: {room} may not include {header}; docs/rooms.md allows {', '.join(sorted(allowed))}"


def check_listed(root):
    for folder in [*sorted((root / "src").iterdir()), root / "sim"]:
        lists = folder / "CMakeLists.txt"
        text = lists.read_text() if lists.exists() else ""
        for source in sorted(folder.glob("*.cc")):
            if not re.search(rf"\b{re.escape(source.name)}\b", text):
                yield f"{source.relative_to(root)}: not listed in {lists.relative_to(root)}, so it is never compiled"


def check_files(root):
    for path in sources(root) + sorted((root / "bench").rglob("*.cc")):
        if path.suffix not in (".h", ".cc"):
            continue
        lines = path.read_text().splitlines()
        name = path.relative_to(root)
        if path.suffix == ".h":
            if not lines or not lines[0].startswith("//"):
                yield f"{name}: a header begins with a comment that says what it is for"
            if "#pragma once" not in lines:
                yield f"{name}: #pragma once is missing"
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_CHARACTERS_MAX:
                yield f"{name}:{number}: {len(line)} characters in a line, at most {LINE_CHARACTERS_MAX} are read comfortably"
            if UNFINISHED.search(line):
                yield f"{name}:{number}: marked as unfinished"
            for what, pattern in BANNED.items():
                if pattern.search(line) and not line.lstrip().startswith("//"):
                    yield f"{name}:{number}: {what} is not used here (docs/dependencies.md)"


def check_names(root):
    rooms_of = {}
    for path in sorted((root / "src").glob("*/*")):
        if path.suffix not in (".h", ".cc") or is_test(path):
            continue
        in_anonymous = False
        for line in path.read_text().splitlines():
            if line.startswith("namespace {"):
                in_anonymous = True
            elif line.rstrip() == "}  // namespace":
                in_anonymous = False
            match = re.match(r"(?:class|struct|enum class) (\w+)\b[^;]*\{", line)
            if match and not in_anonymous:
                rooms_of.setdefault(match.group(1), set()).add(path.parent.name)
    for name, rooms in sorted(rooms_of.items()):
        if len(rooms) > 1:
            yield f"{name} is defined by {' and '.join(sorted(rooms))}: one binary can hold only one of them"


def own_names(text):
    """What a file's unnamed namespace declares, by the look of lines that begin at their left edge."""
    for block in re.findall(r"^namespace \{\n(.*?)^\}  // namespace\n", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            line = re.sub(r"^template\s*<[^>]*>\s*", "", re.sub(r"std::function<[^>]*>", "F", line))
            if not re.match(r"[A-Za-z\[]", line) or line.startswith(("using ", "namespace ", "static_assert")):
                continue  # an alias that means two things does not compile
            head = line.split("(")[0]
            match = re.match(r"(?:struct|class|enum class|enum) (\w+)", line)
            match = match or (re.search(r"(\w+)\s*(?:\[\w*\]\s*)?=", head) if "=" in head or "(" not in line else None)
            match = match or re.search(r"\b(\w+)\(", line)
            if match:
                yield match.group(1)


def check_together(root):
    """Of two files compiled as one (cmake/Room.cmake), neither may find the other's function where it means its own."""
    for lists in sorted(root.glob("src/*/CMakeLists.txt")):
        text = lists.read_text()
        alone = set(" ".join(re.findall(r"compile_alone\(([^)]*)\)", text)).split())
        for target in re.findall(r"^(?:room|add_executable)\(([^)]*)\)", text, re.MULTILINE):
            files_of = {}
            for name in re.findall(r"\w+\.cc", target):
                path = lists.parent / name
                for own in set(own_names(path.read_text())) if name not in alone and path.exists() else ():
                    files_of.setdefault(own, set()).add(name)
            for own, files in sorted(files_of.items()):
                if len(files) > 1:
                    yield f"{lists.parent.name}: {' and '.join(sorted(files))} have a {own} each: give one to compile_alone()"


def draw(root):
    seen = {}
    for room, target, *_ in arrows(root):
        seen.setdefault(room, set()).add(target)
    for room in sorted(seen, key=lambda name: len(seen[name])):
        print(f"{room:>10} → {' '.join(sorted(seen[room]))}")


def main(arguments):
    drawing = "--draw" in arguments
    places = [a for a in arguments if not a.startswith("--")]
    root = pathlib.Path(places[0] if places else __file__).resolve()
    root = root if places else root.parents[2]
    if drawing:
        draw(root)
        return 0
    problems = [*check_arrows(root), *check_listed(root), *check_files(root), *check_names(root), *check_together(root)]
    for problem in problems:
        print(problem)
    if problems:
        draw(root)
        print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
