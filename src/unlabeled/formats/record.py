"""A recording: numbers over time of any number of variables; missing values are NaN, never a guess."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from unlabeled.formats import Unreadable


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
        group: whose it is (patient), where a table of several recordings tells that.
        domain: where it was made (site), likewise.
        fault: why nothing of it can be used, of a table in which others can; there are no values then.
    """

    values: np.ndarray
    variables: tuple[str, ...]
    times: np.ndarray | None = None
    label: str | None = None
    marks: np.ndarray | None = None
    static: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    group: str | None = None
    domain: str | None = None
    fault: str = ""

    def __len__(self) -> int:
        return int(self.values.shape[1])

    def bytes(self) -> int:
        """Of its arrays."""
        return sum(x.nbytes for x in (self.values, self.times, self.marks) if x is not None)


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


def lost(fault: str) -> Recording:
    """In place of a recording of which nothing can be used, while others of its file can."""
    return Recording(np.zeros((0, 0), np.float32), (), fault=fault)
