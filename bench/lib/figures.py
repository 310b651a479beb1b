"""Arithmetic of comparisons: sides measured in turns, lines that compare two of them, and the table they make.

A *side* is a name and a callable that measures once and gives figures, a dict of numbers. A *pair* is one measurement of
each side; pairs alternate their order (A B, B A, A B, ...), since a machine that others use drifts by more than what is
measured. A *line* is a ratio of one figure of two sides, formed in each pair; the median over the pairs counts.
"""

import statistics


class NotSupported(Exception):
    """What a build or a machine cannot do; told in the table instead of a figure."""


def order(sides, index):
    """The sides' names in the order in which pair number `index` measures them."""
    return list(sides) if index % 2 == 0 else list(reversed(sides))


def in_turns(sides, pairs, record=lambda pair, side, figures: None):
    """[{side: figures}], one for each pair. `record` is told of every measurement as soon as it is done."""
    measured = []
    for index in range(pairs):
        pair = {}
        for side in order(list(sides), index):
            pair[side] = sides[side]()
            record(index, side, pair[side])
        measured.append(pair)
    return measured


class Line:
    """One row of a table.

    `ours` and `theirs` are (side, figure); `goal` is what the ratio should reach ("at least", or "at most" where
    `at_most`); `times` multiplies the ratio's denominator, for a ceiling that only a part can be reached of, and may be a
    function of the pair. Without `theirs` the figure itself is the result.
    """

    def __init__(self, what, ours, theirs=None, goal=None, at_most=False, times=1, unit="tok/s"):
        self.what, self.ours, self.theirs, self.goal = what, ours, theirs, goal
        self.at_most, self.times, self.unit = at_most, times, unit

    def denominator(self, pair):
        share = self.times(pair) if callable(self.times) else self.times
        return value_of(pair, self.theirs) * share

    def result(self, pairs):
        """None where no pair has both figures."""
        usable = [pair for pair in pairs if has(pair, self.ours) and (self.theirs is None or has(pair, self.theirs))]
        if not usable:
            return None
        mine = [value_of(pair, self.ours) for pair in usable]
        if self.theirs is None:
            return {"ours": statistics.median(mine), "theirs": None, "ratios": mine, "ratio": statistics.median(mine)}
        other = [self.denominator(pair) for pair in usable]
        ratios = [a / b for a, b in zip(mine, other)]
        return {
            "ours": statistics.median(mine),
            "theirs": statistics.median(other),
            "ratios": ratios,
            "ratio": statistics.median(ratios),
        }

    def met(self, ratio):
        if self.goal is None:
            return ""
        return "yes" if (ratio <= self.goal if self.at_most else ratio >= self.goal) else "**no**"


def value_of(pair, which):
    side, figure = which
    return pair[side][figure]


def has(pair, which):
    side, figure = which
    return bool(pair.get(side)) and bool(pair[side].get(figure))


def number(value):
    if value is None:
        return ""
    return "%.0f" % value if abs(value) >= 1000 else "%.1f" % value if abs(value) >= 10 else "%.3g" % value


def table(lines, pairs):
    """Markdown. A line that nothing was measured for says so."""
    rows = ["| | ours | beside | ratio | pairs' ratios | goal | reached |", "|---|---|---|---|---|---|---|"]
    for line in lines:
        result = line.result(pairs)
        if result is None:
            rows.append("| %s | not measured | | | | %s | |" % (line.what, goal_text(line)))
            continue
        unit = " " + line.unit if line.unit else ""
        spread = "%.3f to %.3f" % (min(result["ratios"]), max(result["ratios"])) if line.theirs else ""
        rows.append(
            "| %s | %s%s | %s | %s | %s | %s | %s |"
            % (
                line.what,
                number(result["ours"]),
                unit,
                number(result["theirs"]) + unit if line.theirs else "",
                "%.3f" % result["ratio"] if line.theirs else "",
                spread,
                goal_text(line),
                line.met(result["ratio"]),
            )
        )
    return "\n".join(rows)


def goal_text(line):
    return "" if line.goal is None else "%s %g" % ("≤" if line.at_most else "≥", line.goal)


# --- Several answers at the same time ---------------------------------------------------------------------------------


def together(times):
    """Tokens per second of answers that ran side by side, over the moments in which all of them ran.

    `times` holds for each answer the moments of its tokens. Where one begins or ends before the others it has the machine
    for itself for a while: that is left out.
    """
    begin, end = max(answer[0] for answer in times), min(answer[-1] for answer in times)
    if end <= begin:
        return 0.0
    return sum(sum(1 for moment in answer if begin < moment <= end) for answer in times) / (end - begin)


# --- The similarity rule ----------------------------------------------------------------------------------------------

# An 8B model in 4 bits on a desktop that reads 50 GB/s: 32 layers of 145 MB, so 2.9 ms each; rows 4,096 wide.
REAL_LAYER_SECONDS, REAL_WIDTH = 2.9e-3, 4096
GIGABIT = {"delay_seconds": 150e-6, "bits_per_second": 1e9}  # one way, as measured on such switches


def similar_link(layer_seconds, width, link=None):
    """The link that costs a layer of `layer_seconds` and rows of `width` the same share of its time as `link` costs the real one.

    Kept equal: delay / layer time, and a row's bits / rate / layer time.
    """
    link = link or GIGABIT
    scale = layer_seconds / REAL_LAYER_SECONDS
    return {
        "delay_seconds": link["delay_seconds"] * scale,
        "bits_per_second": link["bits_per_second"] * (width / REAL_WIDTH) / scale,
        "scale": scale,
    }


def link_text(link):
    """As `flotilla serve --link-model` reads it."""
    return "delay=%dns,rate=%d" % (round(link["delay_seconds"] * 1e9), round(link["bits_per_second"]))


# --- A pipeline's prompt ----------------------------------------------------------------------------------------------


def pipelined_share(chunks, stages):
    """Of the stages' rates added up, what `chunks` pieces of a prompt can reach: the first and last stage idle while the
    ring fills and drains."""
    return chunks / (chunks + stages - 1)
