"""Measurements as rows, and rows as a table: medians with their spread, and the ratio that is asked for."""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class Row(Struct, frozen=True):
    """One case. `ours` and `theirs` are rounds of one unit; without `theirs` the goal is about `ours`.

    `processor`: the same as a ratio of requests per second of the servers' processor time, which depends less
    on what else the machine does. `goal`: the least ratio asked for, or the least or most of `ours`; 0 where
    nothing is asked.
    """

    case: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...] = ()
    goal: float = 0.0
    most: bool = False
    processor: float = 0.0

    @property
    def value(self) -> float:
        """The ratio of the medians, or our median."""
        ours = statistics.median(self.ours)
        return ours / statistics.median(self.theirs) if self.theirs else ours

    @property
    def verdict(self) -> str:
        """Whether the goal is reached; empty where there is none, or nobody to compare with."""
        if not self.goal:
            return ""
        reached = self.value <= self.goal if self.most else self.value >= self.goal
        return "yes" if reached else "NO"


def spread(rounds: Sequence[float]) -> str:
    """Median, and in brackets least and most."""
    if not rounds:
        return ""
    middle, least, most = statistics.median(rounds), min(rounds), max(rounds)
    digits = 0 if middle >= 1000 else 2 if middle < 10 else 1
    if len(rounds) == 1:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({least:,.{digits}f}-{most:,.{digits}f})"


def table(rows: Sequence[Row]) -> str:
    """A Markdown table that also reads well as text."""
    lines = [("case", "unit", "svcmock", "compared with", "ratio", "by CPU time", "goal", "reached")]
    for row in rows:
        sign = "<=" if row.most else ">="
        goal = f"{sign} {row.goal:g}" if row.goal else ""
        ratio = f"{row.value:.2f}" if row.theirs else ""
        spent = f"{row.processor:.2f}" if row.processor else ""
        lines.append(
            (row.case, row.unit, spread(row.ours), spread(row.theirs), ratio, spent, goal, row.verdict)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = [_line(line, widths) for line in lines]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


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
