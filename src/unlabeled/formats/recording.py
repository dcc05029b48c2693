"""Recordings: tables of numbers over time, whatever file they come from; missing values are NaN, never a guess.

A file holds one recording (a table with a row a time step) or many (`.ts`, arrays, tables with an id).
"""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from unlabeled.errors import UserError
from unlabeled.formats import Unreadable

SUFFIXES = frozenset((".ts", ".csv", ".tsv", ".txt", ".parquet", ".pq", ".npz"))
LONGEST_LINE = 1 << 24  # bytes of one line of text; beyond it a file is no table of numbers
READING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording.

    Args:
        values: (V, T) float32, NaN where nothing was measured.
        variables: V names.
        times: (T,) float64 seconds (or whatever the file counts in), rising; None where steps are simply numbered.
        label: of the whole recording, or None.
        marks: (T,) labels of single steps as text, None where there is none; or None where the file has no such column.
        static: variables that do not change with time (age, sex), by name.
        notes: what was odd and how it was mended, in words.
    """

    values: np.ndarray
    variables: tuple[str, ...]
    times: np.ndarray | None = None
    label: str | None = None
    marks: np.ndarray | None = None
    static: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.values.shape[1])


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


def made(
    values: np.ndarray,
    variables: tuple[str, ...],
    times: np.ndarray | None = None,
    label: str | None = None,
    marks: np.ndarray | None = None,
    static: Mapping[str, float] | None = None,
) -> Recording:
    """A recording with its steps in order of time and infinities taken out, both noted; checked to hold something.

    Raises:
        Unreadable: when there is no step, no variable or no value.
    """
    notes = []
    if values.ndim != 2 or not values.size:
        raise Unreadable("it holds no values")
    values = np.ascontiguousarray(values, np.float32)
    odd = np.isinf(values)
    if odd.any():
        notes.append(f"{int(odd.sum()):,} infinite values count as missing")
        values = np.where(odd, np.float32(np.nan), values)
    if np.isnan(values).all():
        raise Unreadable("all its values are missing")
    if times is not None:
        times = np.asarray(times, np.float64)
        if np.isnan(times).any():
            raise Unreadable(f"{int(np.isnan(times).sum()):,} of its times cannot be read")
        if (np.diff(times) < 0).any():
            notes.append("its times were out of order and have been sorted")
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[:, order]
            marks = marks[order] if marks is not None else None
    return Recording(values, variables, times, label, marks, static or {}, tuple(notes))
