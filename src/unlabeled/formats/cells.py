"""How a table of text parts its cells, and whether a comma or a point stands in its numbers."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

LOOKED_AT = 20  # lines below the head that tell the decimal sign
LONGEST = 1 << 20  # bytes of a line that are looked at
COMMA, POINT = (re.compile(rf"[+-]?\d+{sign}\d+") for sign in (",", r"\."))


@dataclass(frozen=True)
class Layout:
    """What stands between the cells, and in the numbers.

    Args:
        between: a tab, a semicolon or a comma.
        decimal: a point or a comma.
        head: the cells of the first line.
        second: the cells of the line below; none where there is no such line.
        trailing: whether the lines below end with one separator more than the first.
    """

    between: str
    decimal: str
    head: tuple[str, ...]
    second: tuple[str, ...]
    trailing: bool = False

    @property
    def own(self) -> list[int] | None:
        """The numbers of the columns that have a name, where lines are longer than that by a separator; else None."""
        return list(range(len(self.head))) if self.trailing else None


def layout(path: Path, errors: str = "strict") -> Layout:
    """The layout that the first lines of a table tell; `errors` says what bytes of the first that are no UTF-8 become.

    Raises:
        OSError: when it cannot be opened.
        UnicodeDecodeError: when its first line is no UTF-8.
    """
    with path.open("rb") as file:
        head, *below = [file.readline(LONGEST) for _ in range(1 + LOOKED_AT)]
    first = head.decode("utf-8-sig", errors)
    plain = re.sub(r'"[^"]*"', "", first)
    between = "\t" if "\t" in plain else ";" if plain.count(";") > plain.count(",") else ","
    names = _parted(first, between)
    cells = [_parted(line.decode("utf-8", "replace"), between) for line in below if line.strip()]
    decimal = "." if between == "," else _decimal([cell for line in cells for cell in line])
    trailing = bool(cells) and all(len(line) == 1 + len(names) and not line[-1] for line in cells)
    return Layout(between, decimal, names, cells[0] if cells else (), trailing)


def _parted(line: str, between: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([line.strip("\r\n")], delimiter=between), [])
    except csv.Error:  # a cell that is very long
        cells = line.strip("\r\n").split(between)
    return tuple(cell.strip() for cell in cells)


def commas(frame: pd.DataFrame) -> bool:
    """Whether numbers of a table (T, columns) that was read with points have decimal commas: some do, none a point."""
    points = any((frame[c].dropna() % 1 != 0).any() for c in frame.select_dtypes("float"))
    cells = [frame[c].dropna().astype("str").str.strip() for c in frame.select_dtypes(["object", "str"])]
    found = [any(c.str.fullmatch(sign.pattern).any() for c in cells) for sign in (COMMA, POINT)]
    return found[0] and not (found[1] or points)


def _decimal(cells: list[str]) -> str:
    """A comma where it stands in some numbers and a point in none."""
    return "," if any(map(COMMA.fullmatch, cells)) and not any(map(POINT.fullmatch, cells)) else "."
