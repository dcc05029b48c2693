"""Recordings: tables of numbers over time, whatever file they come from; missing values are NaN, never a guess.

A file holds one recording (a table with a row a time step) or many (`.ts`, arrays, tables with an id).
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.formats.record import Recording

SUFFIXES = frozenset((".ts", ".csv", ".tsv", ".txt", ".parquet", ".pq", ".npz"))
LONGEST_LINE = 1 << 24  # bytes of one line of text; beyond it a file is no table of numbers
MOST, LARGEST = 16, 1 << 28  # files that are remembered, and their bytes


def read(path: str | Path) -> Mapping[str, Recording]:
    """All recordings of a file by their key: the id as text, the number of the line, or "" for the only one.

    The last files that were read are remembered, so that window after window of one file costs one reading.

    Raises:
        Unreadable: with the reason in words.
    """
    status = Path(path)
    try:
        changed = status.stat().st_mtime_ns
    except OSError as fault:
        raise Unreadable(fault.strerror or "it cannot be opened") from None
    return LAST.read(os.fspath(path), changed)


class Remembered:
    """The last files that were read: 16 at most, and one alone where they are large."""

    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[str, int], Mapping[str, Recording]] = OrderedDict()
        self.lock = threading.Lock()

    def read(self, path: str, changed: int) -> Mapping[str, Recording]:
        """The recordings of a file that was changed then; raises Unreadable as `read` does."""
        with self.lock:
            if (path, changed) not in self.kept:
                self.kept[path, changed] = _read(path)
            self.kept.move_to_end((path, changed))
            while len(self.kept) > 1 and (len(self.kept) > MOST or self.bytes() > LARGEST):
                self.kept.popitem(last=False)
            return self.kept[path, changed]

    def bytes(self) -> int:
        """Of all that is kept."""
        return sum(one.bytes() for found in self.kept.values() for one in found.values())


LAST = Remembered()


def _read(path: str) -> Mapping[str, Recording]:
    from unlabeled.formats import arrays, steps, ts

    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".npz":
            return arrays.read(Path(path))
        guard_lines(Path(path), suffix)
        return ts.read(Path(path)) if suffix == ".ts" else steps.read(Path(path))
    except UserError as fault:
        raise Unreadable(fault.wrong) from None
    except UnicodeError:
        raise Unreadable("it is not text in UTF-8") from None
    except (OSError, ValueError, KeyError, IndexError, ArithmeticError) as fault:
        raise Unreadable((str(fault).splitlines() or [type(fault).__name__])[0]) from None


def guard_lines(path: Path, suffix: str) -> None:
    """Refuse text whose lines are endless before a parser swallows the memory.

    Raises:
        Unreadable: when a line is longer than 16 MB.
    """
    if suffix in (".parquet", ".pq") or path.stat().st_size <= LONGEST_LINE:
        return
    with path.open("rb") as file:
        while block := file.read(LONGEST_LINE):
            if b"\n" not in block and len(block) == LONGEST_LINE:
                raise Unreadable(f"it has a line of more than {LONGEST_LINE >> 20} MB")
