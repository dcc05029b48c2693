"""Recordings: tables of numbers over time, whatever file they come from; missing values are NaN, never a guess.

A file holds one recording (a table with a row a time step) or many (`.ts`, arrays, tables with an id).
"""

import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.formats.record import Recording

SUFFIXES = frozenset((".ts", ".csv", ".tsv", ".txt", ".parquet", ".pq", ".npz"))
LONGEST_LINE = 1 << 24  # bytes of one line of text; beyond it a file is no table of numbers
READING = threading.Lock()


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
    with READING:
        return _read(os.fspath(path), changed)


@lru_cache(maxsize=16)
def _read(path: str, changed: int) -> Mapping[str, Recording]:
    from unlabeled.formats import arrays, steps, ts

    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".npz":
            return arrays.read(Path(path))
        guard_lines(Path(path), suffix)
        return ts.read(Path(path)) if suffix == ".ts" else steps.read(Path(path))
    except UserError as fault:
        raise Unreadable(fault.wrong) from None
    except UnicodeDecodeError:
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
