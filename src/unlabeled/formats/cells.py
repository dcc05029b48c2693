"""How a table of text parts its cells, and whether a comma or a point stands in its numbers."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

LOOKED_AT = 20  # lines below the head that tell the decimal sign
LONGEST = 1 << 20  # bytes of a line that are looked at
COMMA, POINT = (re.compile(rf'"?[+-]?\d+{sign}\d+"?') for sign in (",", r"\."))


@dataclass(frozen=True)
class Layout:
    """What stands between the cells, and in the numbers.

    Args:
        between: a tab, a semicolon or a comma.
        decimal: a point or a comma.
        head: the cells of the first line.
        second: the cells of the line below; none where there is no such line.
    """

    between: str
    decimal: str
    head: tuple[str, ...]
    second: tuple[str, ...]


def layout(path: Path) -> Layout:
    """The layout that the first lines of a table tell.

    Raises:
        OSError: when it cannot be opened.
        UnicodeDecodeError: when its first line is no UTF-8.
    """
    with path.open("rb") as file:
        head, *below = [file.readline(LONGEST) for _ in range(1 + LOOKED_AT)]
    first = head.decode("utf-8-sig")
    between = "\t" if "\t" in first else ";" if first.count(";") > first.count(",") else ","
    lines = (line.decode("utf-8", "replace") for line in below if line.strip())
    cells = [_parted(line, between) for line in (itertools.islice(lines, 1) if between == "," else lines)]
    decimal = "." if between == "," else _decimal([cell for line in cells for cell in line])
    return Layout(between, decimal, _parted(first, between), cells[0] if cells else ())


def _parted(line: str, between: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip("\r\n").split(between))


def _decimal(cells: list[str]) -> str:
    """A comma where it stands in some numbers and a point in none."""
    return "," if any(map(COMMA.fullmatch, cells)) and not any(map(POINT.fullmatch, cells)) else "."
