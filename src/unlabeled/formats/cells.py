"""How a table of text parts its cells, whether a comma or a point stands in its numbers, and what its bytes say: UTF-8
first, UTF-16 where a mark tells so, else cp1252 where that is safe.
"""

import csv
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

SEPARATOR = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # a first line that tells Excel what parts the cells
LOOKED_AT = 20  # lines below the head that tell the decimal sign
LONGEST = 1 << 20  # bytes of a line that are looked at
BLOCK = 1 << 24  # bytes that are looked at together
MARKS = (b"\xff\xfe", b"\xfe\xff")  # with which UTF-16 begins
SEVERAL = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)  # UTF-8 beyond ASCII
BEYOND = re.compile(rb"[\x80-\xff]")
NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]")  # what no text in cp1252 holds
CHANCE = 0.05  # share of the bytes beyond ASCII in cp1252 that may look like UTF-8: “CAFÉ”
NOTE = "is not in UTF-8 and was read as cp1252: look at its names, or save it in UTF-8"
CLOSED = re.compile(rb'"(?:[^"]|"")*"')  # a cell in quotes
COMMA, POINT = (re.compile(rf"[+-]?\d+{sign}\d+") for sign in (",", r"\."))


@dataclass(frozen=True)
class Layout:
    """What stands between the cells, and in the numbers.

    Args:
        between: a tab, a semicolon or a comma.
        decimal: a point or a comma.
        raw: the cells of the first line with the spaces around them, as pandas calls the columns.
        second: the cells of the line below; none where there is no such line.
        trailing: whether the lines below end with one separator more than the first.
        skip: lines before the first one.
        names: of the columns, where no line tells them.
    """

    between: str
    decimal: str
    raw: tuple[str, ...]
    second: tuple[str, ...]
    trailing: bool = False
    skip: int = 0
    names: tuple[str, ...] = ()

    @property
    def head(self) -> tuple[str, ...]:
        """The cells of the first line."""
        return tuple(cell.strip() for cell in self.raw)

    @property
    def own(self) -> list[int] | None:
        """The numbers of the columns that have a name, where lines are longer than that by a separator; else None."""
        return list(range(len(self.raw))) if self.trailing else None


def layout(path: Path) -> Layout:
    """The layout that the first lines of a table tell.

    Raises:
        OSError: when it cannot be opened.
        UnicodeError: when it begins as UTF-16 and does not go on so.
    """
    if wide(path):
        with path.open(encoding="utf-16", newline="") as words:
            first, *below = [words.readline(LONGEST) for _ in range(2 + LOOKED_AT)]
    else:
        with path.open("rb") as file:
            first, *below = [_said(file.readline(LONGEST)) for _ in range(2 + LOOKED_AT)]
    told = SEPARATOR.fullmatch(first)
    if told:
        first, *below = below
    plain = re.sub(r'"[^"]*"', "", first)
    between = told[1] if told else "\t" if "\t" in plain else ";" if plain.count(";") > plain.count(",") else ","
    names = _parted(first, between)
    cells = [tuple(c.strip() for c in _parted(line, between)) for line in below if line.strip()]
    decimal = "." if between == "," else _decimal([cell for line in cells for cell in line])
    trailing = bool(cells) and all(len(line) == 1 + len(names) and not line[-1] for line in cells)
    return Layout(between, decimal, names, cells[0] if cells else (), trailing, 1 if told else 0)


def table(
    path: Path,
    how: Layout,
    dtype: type | str | Mapping[Hashable, str],
    *,
    plain: bool = False,
    rows: int | None = None,
    damaged: bool = False,
    bare: bool = False,
) -> pd.DataFrame:
    """A table of text as pandas reads it.

    Args:
        path: the file.
        how: its layout.
        dtype: types of the columns, or of all.
        plain: whether empty cells alone are missing; else `NA`, `?` and the like are too.
        rows: that are read, all when not given.
        damaged: whether bytes that are no text are kept (as Python's surrogates) instead of refused.
        bare: whether a quotation mark is a letter like any other, as `unquoted` tells it.

    Raises:
        OSError: when it cannot be opened.
        ValueError: when it is no table, or no text.
    """

    def read(encoding: str, errors: str) -> pd.DataFrame:
        return pd.read_csv(
            path, sep=how.between, decimal=how.decimal, dtype=dtype, nrows=rows, encoding=encoding,
            encoding_errors=errors, keep_default_na=not plain, na_values=[""] if plain else ["?"],
            index_col=False if how.trailing else None, usecols=how.own,
            quoting=csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL, skiprows=how.skip,
            header=None if how.names else "infer", names=list(how.names) or None,
        )  # fmt: skip

    if wide(path):
        return read("utf-16", "strict")
    try:
        return read("utf-8-sig", "strict")
    except UnicodeDecodeError:
        try:
            return read(encoding(path), "strict")
        except ValueError:
            if not damaged:
                raise
            return read("utf-8-sig", "surrogateescape")


def unquoted(path: Path) -> bool:
    """Whether quotation marks in a table of tabs are words' own: a cell begins with one that does not close it, and yet
    every line has as many tabs as the first. Read as quotes, such marks swallow all up to the next one.

    Raises:
        OSError: when it cannot be opened.
    """
    tabs, own = -1, False
    with path.open("rb") as file:
        for line in file:
            count = line.count(b"\t")
            if not line.strip():
                continue
            tabs = count if tabs < 0 else tabs
            if count != tabs:
                return False
            own = own or any(
                not CLOSED.fullmatch(cell) for cell in line.strip(b"\r\n").split(b"\t") if cell[:1] == b'"'
            )
    return own


def wide(path: Path) -> bool:
    """Whether a file begins with the mark of UTF-16; raises OSError when it cannot be opened."""
    with path.open("rb") as file:
        return file.read(2) in MARKS


def encoding(path: Path) -> str:
    """What the bytes of a file of text say: `utf-8-sig`, `utf-16` or `cp1252`.

    Raises:
        OSError: when it cannot be opened.
        ValueError: when it is none of them, or partly one and partly another.
    """
    if wide(path):
        return "utf-16"
    several = beyond = odd = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            block += file.readline(LONGEST)  # letters of several bytes stay together
            try:
                several += len(block) - len(block.decode())
            except UnicodeDecodeError:
                rest = SEVERAL.sub(b"", block)
                several += len(SEVERAL.findall(block))
                beyond += len(BEYOND.findall(rest))
                odd += NO_TEXT.search(rest) is not None
    if not beyond:
        return "utf-8-sig"
    if odd:
        raise ValueError("it is text neither in UTF-8 nor in cp1252: save it in UTF-8")
    if several > CHANCE * beyond:
        raise ValueError("it is partly in UTF-8 and partly not: save it in UTF-8")
    return "cp1252"


def note(path: Path) -> str:
    """What to tell of how a table of text was read, or ""; nothing of a file that cannot be read."""
    try:
        return f"{path.name} {NOTE}" if encoding(path) == "cp1252" else ""
    except (OSError, ValueError):
        return ""


def _said(line: bytes) -> str:
    """A line in UTF-8, else in cp1252, whatever else it holds."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _parted(line: str, between: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([line.strip("\r\n")], delimiter=between), ()))
    except csv.Error:  # a cell that is very long
        return tuple(line.strip("\r\n").split(between))


def commas(frame: pd.DataFrame) -> bool:
    """Whether numbers of a table (T, columns) that was read with points have decimal commas: some do, none a point."""
    points = any((frame[c].dropna() % 1 != 0).any() for c in frame.select_dtypes("float"))
    cells = [frame[c].dropna().astype("str").str.strip() for c in frame.select_dtypes(["object", "str"])]
    found = [any(c.str.fullmatch(sign.pattern).any() for c in cells) for sign in (COMMA, POINT)]
    return found[0] and not (found[1] or points)


def _decimal(cells: list[str]) -> str:
    """A comma where it stands in some numbers and a point in none."""
    return "," if any(map(COMMA.fullmatch, cells)) and not any(map(POINT.fullmatch, cells)) else "."
