"""How facts are printed: JSON for programs, aligned columns for people."""

import json
import sys
from collections.abc import Iterable, Sequence


def print_json(value: object) -> None:
    """What `--json` prints."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def complain(*lines: str) -> None:
    """Say what is wrong, on standard error."""
    for line in lines:
        print(f"svcmock: {line}", file=sys.stderr)


def counted(number: int, what: str) -> str:
    """`1 route`, `2 routes`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    right = [bool(cells) and all(row[i].isdigit() for row in cells) for i in range(len(head))]
    for row in [list(head), *cells]:
        fields = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        print("  ".join(fields).rstrip())
