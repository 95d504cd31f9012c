"""Measurements as rows, and rows as a table: medians with their spread, and the ratios that are asked for.

A run is one `Result`, which goes to JSON with every round and comes back from it, so that a table and a plot
can be made of a run that is over.
"""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

BEGIN = "<!-- results: python -m benchmarks.run --markdown writes from here -->"
END = "<!-- results: to here -->"
"""Between these lines of a document stands the table of the last run."""


class Goal(Struct, frozen=True):
    """What is asked for: a least (or, with `most`, a highest) amount.

    `of`: our median's ratio to the other's, our median itself, or how far it may be above the other's.
    """

    amount: float
    most: bool = False
    of: Literal["ratio", "value", "difference"] = "ratio"


class Against(Struct, frozen=True):
    """Who svcmock is compared with in a case: their rounds, in the row's unit.

    `processor`: our ratio to them by requests per second of the servers' own processor time, which depends less
    on what else the machine does; 0 where it is not known.
    """

    server: str
    rounds: tuple[float, ...]
    processor: float = 0.0
    goal: Goal | None = None


class Row(Struct, frozen=True):
    """One case: our rounds, and the same of everybody it is compared with.

    `routes`: where the case is a point of the curve over the number of routes, that number; else 0.
    """

    case: str
    unit: str
    ours: tuple[float, ...]
    against: tuple[Against, ...] = ()
    goal: Goal | None = None
    routes: int = 0

    @property
    def value(self) -> float:
        """Our median."""
        return statistics.median(self.ours)

    def ratio(self, other: Against) -> float:
        """Of the medians; 0 where the other's is 0."""
        theirs = statistics.median(other.rounds)
        return self.value / theirs if theirs else 0.0

    def reached(self, goal: Goal, other: Against | None = None) -> bool:
        """Whether a goal of this row is reached. Those of a ratio or a difference need the other."""
        got = self.value
        if other is not None and goal.of == "ratio":
            got = self.ratio(other)
        elif other is not None and goal.of == "difference":
            got = self.value - statistics.median(other.rounds)
        return got <= goal.amount if goal.most else got >= goal.amount


class Result(Struct, frozen=True):
    """A run. `date`: year-month-day. `load`: what sent the requests. `notes`: who was left out and why."""

    date: str
    machine: str
    load: str
    servers: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def spread(rounds: Sequence[float]) -> str:
    """Median, and in brackets least and most."""
    if not rounds:
        return ""
    middle, least, most = statistics.median(rounds), min(rounds), max(rounds)
    digits = 0 if middle >= 1000 or middle == 0 else 2 if middle < 10 else 1
    if len(rounds) == 1 or least == most:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({least:,.{digits}f}-{most:,.{digits}f})"


def table(rows: Sequence[Row]) -> str:
    """A Markdown table that also reads well as text: a line for each server that a case is compared with."""
    lines = [("case", "unit", "svcmock", "compared with", "", "ratio", "by CPU time", "goal", "reached")]
    for row in rows:
        goal = _told(row.goal), _verdict(row, row.goal)
        first = (row.case, row.unit, spread(row.ours))
        if row.goal is not None or not row.against:
            lines.append((*first, "", "", "", "", *goal))
            first = ("", "", "")
        for other in row.against:
            spent = f"{other.processor:.2f}" if other.processor else ""
            goal = _told(other.goal), _verdict(row, other.goal, other)
            lines.append((*first, other.server, spread(other.rounds), f"{row.ratio(other):,.2f}", spent, *goal))
            first = ("", "", "")
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = [_line(line, widths) for line in lines]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def _told(goal: Goal | None) -> str:
    if goal is None:
        return ""
    return f"{'<=' if goal.most else '>='} {'+' if goal.of == 'difference' else ''}{goal.amount:g}"


def _verdict(row: Row, goal: Goal | None, other: Against | None = None) -> str:
    if goal is None:
        return ""
    return "yes" if row.reached(goal, other) else "NO"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def markdown(result: Result) -> str:
    """What a run says, as a section of a document."""
    notes = "".join(f"- {note}\n" for note in result.notes)
    measured = f"Measured on {result.date} on {result.machine}.\n"
    facts = f"- Load: {result.load}.\n- Servers: {result.servers}.\n"
    left_out = f"\nLeft out:\n\n{notes}" if notes else ""
    return f"{measured}\n{facts}\n{table(result.rows)}\n{left_out}"


def replaced(document: str, section: str) -> str:
    """The document with this section between its two marks. Raises ValueError where they are not there."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n\n{section}\n{end}{after}"


def machine() -> str:
    """What the numbers were measured on, in a line."""
    model = ""
    try:
        info = Path("/proc/cpuinfo").read_text()
        model = next((line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line), "")
    except OSError:
        pass
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores {model}, {system}, {python}, load before {load}"


def warn(text: str) -> None:
    """Say something beside the result."""
    print(text, file=sys.stderr, flush=True)
