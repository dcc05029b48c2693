"""Recordings and their windows: which belong together, what marks say of each step, and the scores of the steps."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.anomaly import _threshold
from unlabeled.anomaly._masks import GOOD
from unlabeled.data.naming import mark_names, name_of
from unlabeled.data.series import Grids, SeriesPrep, one, place
from unlabeled.data.table import Broken, Table
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.formats.record import Recording
from unlabeled.progress import count

WELL = GOOD | {"0", "false", "no", "none"}  # what marks of single steps call good
ILL = frozenset(("1", "true", "yes"))  # and what they call faulty without a name
KEPT = 0.6  # share of a recording's windows that must be left where its time is cut


def stem(path: str) -> str:
    """The recording that a window's path names.

    >>> stem("ward.csv#17@240+48"), stem("b.csv")
    ('ward.csv#17', 'b.csv')
    """
    file, key, _, _ = place(path)
    return f"{file}#{key}" if key else file


def spans(paths: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """First step of each window, and the step after its last (N,)."""
    found = [place(p) for p in paths]
    first = np.array([f[2] for f in found], np.int64)
    return first, first + np.array([size if f[3] is None else f[3] for f in found], np.int64)


def parted(table: Table, rows: np.ndarray, size: int, count: int, seed: int) -> list[np.ndarray]:
    """Part windows into folds of whole recordings, or where there are few of them into stretches of their time.

    Groups that the user gave stay whole; of two of them come two folds, and one alone tells nothing. Recordings are few
    below ten for each fold: then the time of each that is long enough is cut, and windows that reach over a cut are
    left out, so that no step of time stands in two folds.

    Args:
        table: of windows.
        rows: of those to part.
        size: steps of a window.
        count: how many folds, 2 or more.
        seed: of the order of recordings.

    Raises:
        UserError: when a fold would be empty.
    """
    paths = table.items["path"].iloc[rows].tolist()
    names = pd.Series([stem(p) for p in paths], index=table.items.index[rows])
    units = table.items["group"].iloc[rows].fillna(names)
    given = bool((units != names).any())  # by the user, not one a recording
    if units.nunique() >= (2 if given else 10 * count):
        grouped = table.items.assign(group=units.reindex(table.items.index).astype("str"))
        return _threshold.folds(replace(table, items=grouped), rows, count, seed)
    first, end = spans(paths, size)
    own = pd.factorize(names)[0]
    folds: list[list[int]] = [[] for _ in range(count)]
    for unit in range(int(own.max(initial=-1)) + 1):
        mine = np.flatnonzero(own == unit)
        low, high = first[mine].min(), end[mine].max()
        cuts = low + (high - low) * np.arange(count + 1) // count
        parts = [mine[(first[mine] >= a) & (end[mine] <= b)] for a, b in itertools.pairwise(cuts.tolist())]
        if sum(map(len, parts)) >= KEPT * len(mine) and all(len(p) for p in parts):
            for fold, part in zip(folds, parts, strict=True):
                fold += rows[part].tolist()
        else:  # too short to be cut: it goes to one fold as a whole
            min(folds, key=len).extend(rows[mine].tolist())
    if not all(folds):
        raise UserError(
            f"{len(rows)} good windows of {size} steps in {units.nunique()} recordings cannot be parted",
            f"give {count} good recordings or more, longer ones, or shorter windows (--size)",
        )
    return [np.array(f) for f in folds]


@dataclass
class Strip:
    """One recording.

    Args:
        words: (L,) of each step: "" good, the name of a fault, None where it is not known.
        start: time of its first step; NaN where steps are simply numbered.
        total: (L,) sum of the scores that windows give to each step.
        seen: (L,) how many windows do.
    """

    words: np.ndarray
    start: float
    total: np.ndarray
    seen: np.ndarray

    @property
    def course(self) -> np.ndarray:
        """The mean score of each step (L,), made anew at each call; not a number where no window saw it."""
        out = np.full(len(self.total), np.nan, np.float32)
        np.divide(self.total, self.seen, out=out, where=self.seen > 0, casting="same_kind")
        return out


def strips(table: Table, prep: SeriesPrep) -> dict[str, Strip]:
    """Every recording of a table of windows, with what its marks or labels say of each step."""
    grids, names = Grids(prep.step, prep.variables, prep.statics), mark_names(table.folder)
    labels = dict(zip(map(stem, table.items["path"]), table.items["label"].to_numpy(dtype=object), strict=True))
    said: set[str] = set()
    out: dict[str, Strip] = {}
    lost = Counter[str]()
    for name, label in labels.items():
        file, key, _, _ = place(name)
        try:
            values, marks = grids.read(table.folder / file, key)
            whole = one(table.folder / file, key)
        except Unreadable:
            continue  # told as broken where it was cut
        length = values.shape[1]
        words = np.full(length, label, dtype=object) if marks is None else _named(marks, names)
        said |= {w for w in pd.unique(words) if isinstance(w, str)}
        start = float("nan") if whole.times is None else float(whole.times[0])
        lost.update(set(prep.variables) - set(whole.variables))
        out[name] = Strip(words, start, np.zeros(length), np.zeros(length, np.int32))
    for variable, missing in lost.items():
        progress.say(f"mind: {count(missing, 'recording')} of {table.root} lack {variable}, which counts as missing")
    telling = any(w.lower() in WELL for w in said)  # labels say nothing where none of them is a word for good
    for strip in out.values():
        strip.words = _each(strip.words, _kind if telling else lambda word: None)
    return out


def _named(marks: np.ndarray, names: Mapping[str, str] | None) -> np.ndarray:
    """Marks (L,) as text, by a table of names where there is one."""
    return marks if names is None else _each(marks, lambda mark: name_of(str(mark), names))


def _each(words: np.ndarray, change: Callable[[Any], str | None]) -> np.ndarray:
    """The words of all steps (L,), each different one changed once."""
    codes, different = pd.factorize(words)
    return np.array([*map(change, different.tolist()), None], dtype=object)[codes]


def unlike(table: Table, prep: SeriesPrep) -> tuple[Broken, ...]:
    """Windows of recordings that cannot be read as those that were learnt, and why."""
    whys: dict[str, str] = {}
    out = []
    for path in table.items["path"]:
        name = stem(path)
        if name not in whys:
            file, key, _, _ = place(name)
            whys[name] = _why(one(table.folder / file, key), prep)
        out += [Broken(path, whys[name])] if whys[name] else []
    return tuple(out)


def _why(found: Recording, prep: SeriesPrep) -> str:
    if not set(prep.variables) & set(found.variables):
        theirs, ours = ", ".join(found.variables[:5]), ", ".join(prep.variables[:5])
        return f"it has none of the variables {ours}; it has {theirs}"
    if found.times is None and prep.step != 1:
        return f'it has no column "time", and {prep.step:g} from step to step were learnt'
    return ""


def _kind(word: Any) -> str | None:
    if not isinstance(word, str):
        return None
    return "" if word.lower() in WELL else "fault" if word.lower() in ILL else word


def faulty(table: Table, found: Mapping[str, Strip], size: int) -> list[str | None]:
    """The kind of fault of each window: the first that any of its steps bears, "" for none, None where not known."""
    out: list[str | None] = []
    for path, first, end in zip(table.items["path"], *spans(table.items["path"].tolist(), size), strict=True):
        words = found[stem(path)].words[first:end].tolist()
        bad = next((w for w in words if w), None)
        out.append(bad if bad else "" if "" in words else None)
    return out


def marked(course: np.ndarray, windows: Sequence[tuple[int, int]], high: float, gap: int = 0) -> np.ndarray:
    """Which steps of a course (L,) stand out: those above `high` in flagged windows, or the window's highest one.

    Stretches with at most `gap` steps between them are one.

    >>> marked(np.array([0.0, 5.0, 6.0, 0.0, 1.0, 0.0]), [(0, 3), (3, 6)], 4.0).tolist()
    [False, True, True, False, True, False]
    """
    out = np.zeros(len(course), bool)
    for a, b in windows:
        part = low(course[a:b])
        out[a:b] |= part > high if (part > high).any() else np.arange(len(part)) == part.argmax()
    for a, b in runs(~out):
        if a > 0 and b < len(out) and b - a <= gap:
            out[a:b] = True
    return out


def low(course: np.ndarray) -> np.ndarray:
    """The same with the lowest of all where there is no number."""
    return np.where(np.isnan(course), -np.inf, course)


def highest(course: np.ndarray) -> float | None:
    """The highest score, None where there is none."""
    return None if np.isnan(course).all() else float(np.nanmax(course))


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Where a mask (L,) is true without a gap: first step, and the step after the last.

    >>> runs(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
