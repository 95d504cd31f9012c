"""A run as a picture: bars of each server's rate beside nginx's, and lines of rates over the number of routes.

Plain SVG on a card of its own, so that it reads the same on a light page and on a dark one. The bars are linear
and begin at 0. Both axes of the lines are logarithmic: ten routes and a million do not fit on any other.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from textwrap import wrap
from xml.sax.saxutils import escape

from benchmarks.report import Result, Row

OURS, YARDSTICK = "svcmock", "nginx"
COLOURS = {OURS: "#0072b2", YARDSTICK: "#6b7280", "WireMock": "#e69f00", "mountebank": "#009e73"}
"""Told apart by people who see no red or no green, too."""
INK, PALE, GRID, PAPER = "#1f2937", "#6b7280", "#e5e7eb", "#ffffff"
FONT = "system-ui,-apple-system,'Segoe UI','DejaVu Sans',Helvetica,Arial,sans-serif"

WIDTH, EDGE = 900, 28
NAMES = 320
"""Width of the column with the names of the cases."""
BAR, BAR_STEP, GROUP_GAP = 11, 14, 12
CHART = 260
"""Height of the lines' chart."""
TOP = 22
"""Of that free above the lines, for the name of the highest."""

Bars = Sequence[tuple[str, Mapping[str, tuple[float, float]]]]
"""Each case, and by server its ratio to nginx and its rate."""
Curves = Mapping[str, Sequence[tuple[int, float]]]
"""By server, numbers of routes and rates."""


def bars(rows: Sequence[Row]) -> Bars:
    """The cases in which nginx was measured, too."""
    found = []
    for row in rows:
        rates = {other.server: median(other.rounds) for other in row.against if other.server in COLOURS}
        base = rates.pop(YARDSTICK, 0.0)
        if row.unit == "requests/s" and base and not row.routes and "held" not in row.case:
            told = {OURS: row.value, **rates}
            found.append((row.case, {name: (rate / base, rate) for name, rate in told.items()}))
    return found


def curves(rows: Sequence[Row]) -> Curves:
    """The cases that are points of the curve, for whoever held as many routes as the case has."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row.routes:
            found.setdefault(OURS, []).append((row.routes, row.value))
            for other in row.against:
                if other.server in COLOURS:
                    found.setdefault(other.server, []).append((row.routes, median(other.rounds)))
    return {name: sorted(points) for name, points in found.items()}


def svg(result: Result) -> str:
    """The whole picture."""
    parts = [_text(EDGE, 42, "svcmock beside nginx and other mock servers", size=20, weight=600)]
    top = 66.0
    for line in wrap(f"{result.date} · {result.machine} · {result.load} · {result.servers}", 140):
        parts.append(_text(EDGE, top, line, size=11, fill=PALE))
        top += 15
    parts += _legend(top + 14)
    top += 34
    named = "Requests per second with many routes: the last of them is asked for, with a header that differs"
    for title, drawn, height in (
        ("Requests per second as a ratio to nginx; longer is better", *_bars(bars(result.rows))),
        (named, *_lines(curves(result.rows))),
    ):
        if drawn:
            parts.append(_text(EDGE, top + 18, title, size=14, weight=600))
            parts.append(f'<g transform="translate(0 {top + 32:g})">{"".join(drawn)}</g>')
            top += 32 + height + 16
    height = math.ceil(top + 8)
    title = "Requests per second of svcmock, nginx, WireMock and mountebank"
    head = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="{escape(FONT)}"'
    size = f'x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"'
    card = f'<rect {size} fill="{PAPER}" stroke="{GRID}"/>'
    body = "\n".join((f"<title>{title}</title>", card, *parts))
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {head}>\n{body}\n</svg>\n'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    fill: str = INK,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}" stroke="{PAPER}" stroke-width="3" paint-order="stroke">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = GRID, more: str = "") -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" {more}/>'


def _legend(y: float) -> list[str]:
    parts, x = [], float(EDGE)
    for name, colour in COLOURS.items():
        parts.append(f'<rect x="{x:g}" y="{y - 10:g}" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(_text(x + 18, y, name))
        x += 40 + 7.5 * len(name)
    return parts


# --- bars ---------------------------------------------------------------------------------------------


def _bars(cases: Bars) -> tuple[list[str], float]:
    """A group for each case, a bar for each server, nginx as the line at 1; and the height of it all."""
    if not cases:
        return [], 0.0
    left, right = EDGE + NAMES, WIDTH - EDGE - 110
    most = max(1.0, *(ratio for _, told in cases for ratio, _ in told.values()))
    step = next(step for step in (0.2, 0.5, 1.0, most) if most / step <= 7)
    steps = math.ceil(round(most / step, 6))
    scale = (right - left) / (steps * step)
    marks: list[str] = []
    y = 22.0
    for case, told in cases:
        height = BAR_STEP * len(told)
        for number, line in enumerate(lines := wrap(case.replace("`", ""), 46)):
            at = y + height / 2 + 4 + 14 * (number - (len(lines) - 1) / 2)
            marks.append(_text(left - 12, at, line, anchor="end"))
        for name, (ratio, rate) in told.items():
            width = max(1.0, ratio * scale)
            place = f'x="{left:g}" y="{y:g}" width="{width:.1f}" height="{BAR}"'
            marks.append(f'<rect {place} rx="2" fill="{COLOURS[name]}"/>')
            shown = f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.2g}"
            marks.append(_text(left + width + 6, y + 9.5, f"{shown}  ({rate:,.0f}/s)", size=10.5))
            y += BAR_STEP
        y += GROUP_GAP
    grid = []
    for number in range(steps + 1):
        x, is_one = left + number * step * scale, round(number * step, 6) == 1
        colour, more = (COLOURS[YARDSTICK], 'stroke-width="2"') if is_one else (GRID, "")
        grid.append(_line(x, 14, x, y - 6, colour, more))
        label = "nginx = 1" if is_one else f"{number * step:g}"
        grid.append(_text(x, 9, label, size=10.5, fill=INK if is_one else PALE, anchor="middle"))
    return grid + marks, y


# --- lines --------------------------------------------------------------------------------------------


def _lines(told: Curves) -> tuple[list[str], float]:
    """A line for each server on two logarithmic axes; and the height of it all."""
    points = [point for line in told.values() for point in line if point[1] > 0]
    if not points:
        return [], 0.0
    left, right = EDGE + 70, WIDTH - EDGE - 110
    low_x, high_x = _decades([routes for routes, _ in points])
    low_y, high_y = _decades([rate for _, rate in points])

    def place(routes: float, rate: float) -> tuple[float, float]:
        x = left + (math.log10(routes) - low_x) / (high_x - low_x) * (right - left)
        return x, CHART - (math.log10(rate) - low_y) / (high_y - low_y) * (CHART - TOP)

    parts = []
    for power in range(low_y, high_y + 1):
        _, y = place(10**low_x, 10.0**power)
        parts += [_line(left, y, right, y), _text(left - 8, y + 4, f"{10**power:,}", fill=PALE, anchor="end")]
    for power in range(low_x, high_x + 1):
        x, _ = place(10.0**power, 10**low_y)
        parts += [
            _line(x, TOP, x, CHART),
            _text(x, CHART + 18, f"{10**power:,}", fill=PALE, anchor="middle"),
        ]
    parts.append(_text((left + right) / 2, CHART + 38, "routes", fill=PALE, anchor="middle"))
    taken: list[float] = []
    for name, line in told.items():
        at = [place(routes, rate) for routes, rate in line if rate > 0]
        if not at:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        dashes = 'stroke-dasharray="5 4"' if name == YARDSTICK else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.5" {dashes}/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[name]}"/>' for x, y in at]
        x, y = at[-1]
        y = _clear(y, taken)
        parts.append(
            _text(x + 10, y + 4, f"{name} {line[-1][1]:,.0f}/s", size=11, fill=COLOURS[name], weight=600)
        )
    return parts, CHART + 42


def _clear(y: float, taken: list[float]) -> float:
    """A height for a label that no other label has: as near as possible."""
    for shift in (0, -13, 13, -26, 26):
        if all(abs(y + shift - other) >= 12 for other in taken):
            taken.append(y + shift)
            return y + shift
    return y


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around some values, at least one apart."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
