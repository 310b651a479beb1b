"""Where a run's figures go: every measurement as a line of JSON at once, every scenario as a table in Markdown."""

import json
import os
import platform
import subprocess
import time

PROJECT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def steal_seconds():
    """Processor time that the host gave to others; None where the system does not tell."""
    try:
        with open("/proc/stat") as file:
            words = file.readline().split()
        return int(words[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def first_line_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
        return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else ""
    except OSError:
        return ""


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class Report:
    """`folder` receives pairs.jsonl and tables.md; each table is printed too."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.raw = open(os.path.join(folder, "pairs.jsonl"), "a", encoding="utf-8")
        self.text = open(os.path.join(folder, "tables.md"), "a", encoding="utf-8")
        self.missed, self.failed = [], []

    def say(self, text=""):
        print(text, flush=True)
        self.text.write(text + "\n")
        self.text.flush()

    def progress(self, text):
        print("  " + text, flush=True)

    def head(self, model, pairs, size):
        changed = " with changes" if first_line_of("git", "status", "--porcelain", "--untracked-files=no") else ""
        self.say("# Benchmarks, %s" % time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
        self.say()
        self.say(
            "%s, %d cores, Linux %s; commit %s%s; model %s; %d pair(s), sizes: %s; load at the start %.1f"
            % (
                processor(),
                os.cpu_count(),
                platform.release(),
                first_line_of("git", "rev-parse", "--short", "HEAD") or "unknown",
                changed,
                os.path.basename(model),
                pairs,
                size,
                os.getloadavg()[0],
            )
        )
        if size != "full":
            self.say("\nThe goals are meant for full sizes: these say where to look, not whether a goal is reached.")

    def recorder(self, scenario):
        """Told of each measurement: keeps it with the machine's mood while it ran."""
        state = {"steal": steal_seconds(), "at": time.monotonic()}

        def record(pair, side, figures):
            steal, now = steal_seconds(), time.monotonic()
            entry = {
                "scenario": scenario,
                "pair": pair,
                "side": side,
                "figures": figures,
                "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": round(now - state["at"], 2),
                "load": os.getloadavg()[0],
            }
            if steal is not None and state["steal"] is not None:
                entry["steal_seconds"] = round(steal - state["steal"], 2)
            state.update(steal=steal, at=now)
            self.raw.write(json.dumps(entry) + "\n")
            self.raw.flush()
            shown = ", ".join("%s %.4g" % (name, value) for name, value in figures.items() if isinstance(value, (int, float)))
            self.progress("pair %d %-14s %s" % (pair + 1, side, shown))

        return record

    def note_goals(self, scenario, lines, pairs):
        for line in lines:
            result = line.result(pairs)
            if result and line.met(result["ratio"]) == "**no**":
                self.missed.append("%s: %s" % (scenario, line.what))
