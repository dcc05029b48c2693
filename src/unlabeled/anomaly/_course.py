"""Test recordings as a detector saw them: windows joined again to a course over time, and the stretches that stand out.

A window is flagged by its p-value. Of the flagged windows those steps are marked whose score is higher than what one in
twenty good windows reaches at its highest step; a window in which none is has its highest step marked.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.anomaly import Detector, Eye
from unlabeled.anomaly._inspect import LOT, Seen, Usual
from unlabeled.anomaly._masks import GOOD
from unlabeled.data.kinds import kind
from unlabeled.data.series import Grids, SeriesPrep, mark_names, one, place
from unlabeled.data.store import Store, build
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.progress import count

WELL = GOOD | {"0", "false", "no", "none"}  # what marks of single steps call good
ILL = frozenset(("1", "true", "yes"))  # and what they call faulty without a name
DATES = 3e8  # seconds from which a time is one of a calendar: the year 1979
OVERVIEW = 400  # points of a recording's course on the page
SHOWN = 6  # stretches that are drawn large, and recordings that are drawn at all
CURVES = 2  # variables of each
CLOSE = 16  # stretches less than this part of a window apart are one


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

    Recordings are few below ten for each fold: then every recording's time is cut, and windows that reach over a cut
    are left out, so that no step of time stands in two folds.

    Args:
        table: of windows.
        rows: of those to part.
        size: steps of a window.
        count: how many folds.
        seed: of the order of recordings.

    Raises:
        UserError: when a fold would be empty.
    """
    paths = table.items["path"].iloc[rows].tolist()
    units = table.items["group"].iloc[rows].fillna(pd.Series([stem(p) for p in paths], index=table.items.index[rows]))
    codes, names = pd.factorize(units)
    if len(names) >= 10 * count:
        fold_of = np.random.default_rng([seed, 31]).permutation(len(names)) % count
        return [rows[fold_of[codes] == k] for k in range(count)]
    first, end = spans(paths, size)
    own = pd.factorize(pd.Series([stem(p) for p in paths]))[0]
    folds: list[list[int]] = [[] for _ in range(count)]
    for unit in range(int(own.max()) + 1):
        mine = np.flatnonzero(own == unit)
        low, high = first[mine].min(), end[mine].max()
        cuts = low + (high - low) * np.arange(count + 1) // count
        for k in range(count):
            inside = mine[(first[mine] >= cuts[k]) & (end[mine] <= cuts[k + 1])]
            folds[k] += rows[inside].tolist()
    if not all(folds):
        raise UserError(
            f"{len(rows)} good windows of {size} steps in {len(names)} recordings cannot be parted",
            "give more good recordings, or shorter windows (--size)",
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
        """The mean score of each step (L,)."""
        return np.asarray(self.total / np.maximum(self.seen, 1), np.float32)


def strips(table: Table, prep: SeriesPrep) -> dict[str, Strip]:
    """Every recording of a table of windows, with what its marks or labels say of each step."""
    grids, names = Grids(prep.step, prep.variables, prep.statics), mark_names(table.folder)
    labels = dict(zip(map(stem, table.items["path"]), table.items["label"].to_numpy(dtype=object), strict=True))
    told: dict[str, Any] = {}
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
        told[name] = label if marks is None else [m if names is None else names.get(str(m)) for m in marks.tolist()]
        start = float("nan") if whole.times is None else float(whole.times[0])
        lost.update(set(prep.variables) - set(whole.variables))
        out[name] = Strip(np.full(length, None, dtype=object), start, np.zeros(length), np.zeros(length))
    for variable, missing in lost.items():
        progress.say(f"mind: {count(missing, 'recording')} of {table.root} lack {variable}, which counts as missing")
    words = {w for t in told.values() for w in (t if isinstance(t, list) else [t]) if isinstance(w, str)}
    if any(w.lower() in WELL for w in words):  # labels say nothing where none of them is a word for good
        for name, strip in out.items():
            each = told[name] if isinstance(told[name], list) else [told[name]] * len(strip.words)
            strip.words[:] = [_kind(w) for w in each]
    return out


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


@dataclass
class Recordings:
    """Test recordings, cut into windows of which the last ends with its recording.

    Args:
        table: of windows.
        store: what they hold.
        prep: how they were cut.
        strips: the recordings by name.
        kinds: the kind of fault of each window.
        high: the score above which single steps are marked; set by `look`.
    """

    table: Table
    store: Store
    prep: SeriesPrep
    strips: dict[str, Strip]
    kinds: list[str | None]
    high: float = field(default=0.0)

    @classmethod
    def open(cls, table: Table, prep: SeriesPrep, stride: int) -> "Recordings":
        """Cut and read recordings."""
        cut = kind("series").again(table, prep, stride)
        found = strips(cut, prep)
        ends = cut.items.assign(
            stem=[stem(p) for p in cut.items["path"]], end=spans(cut.items["path"].tolist(), prep.size)[1]
        )
        last = ends.loc[ends.groupby("stem")["end"].idxmax()]
        more = [
            row | {"path": f"{row['stem']}@{length - prep.size}+{prep.size}"}
            for row in last.to_dict("records")
            if row["stem"] in found and (length := len(found[row["stem"]].words)) > row["end"]
        ]
        if more:
            tails = pd.DataFrame(more)[list(cut.items.columns)].astype("str")
            cut = replace(cut, items=pd.concat([cut.items, tails], ignore_index=True))
        cut, store = build(cut, prep)
        return cls(cut, store, prep, found, faulty(cut, found, prep.size))

    def look(self, detector: Detector, eye: Eye, usual: Usual, out: Path) -> Seen:
        """Judge the windows, and lay their maps over each other to one course for each recording."""
        seen, scores, rows = Seen(np.zeros(0)), [], self.table.rows()
        paths = self.table.items["path"].tolist()
        first, end = spans(paths, self.prep.size)
        for at in range(0, len(rows), LOT):
            mine = rows[at : at + LOT]
            judged, maps = detector.score(eye, self.store, mine)
            scores.append(judged)
            for row, map_ in zip(mine.tolist(), maps, strict=True):
                strip = self.strips[stem(paths[row])]
                part = slice(first[row], min(end[row], len(strip.words)))
                strip.total[part] += map_[: part.stop - part.start]
                strip.seen[part] += 1
        seen.scores, self.high = np.concatenate(scores), usual.high
        for strip in self.strips.values():
            known = np.array([w is not None for w in strip.words]) & (strip.seen > 0)
            ill = known & (strip.words != "")
            if known.any():
                seen.pixels.good.append(strip.course[known & ~ill])
                for a, b in runs(ill):
                    seen.pixels.regions.setdefault(str(strip.words[a]), []).append(strip.course[a:b])
        return seen

    def show(self, folder: Path, frame: pd.DataFrame, eye: Eye) -> dict[str, Any]:
        """Write `events.csv`, `steps.parquet` and `course.json`, and say how many stretches were found.

        Args:
            folder: of the results.
            frame: one row a window: path and flagged.
            eye: knows the variables.
        """
        flags = frame["flagged"].to_numpy(bool)
        first, end = spans(frame["path"].tolist(), self.prep.size)
        mine: dict[str, list[int]] = {name: [] for name in self.strips}
        for row in np.flatnonzero(flags).tolist():
            mine[stem(frame["path"].iloc[row])].append(row)
        marks, steps = {}, []
        events: list[dict[str, Any]] = []
        for name, strip in self.strips.items():
            windows = [(int(first[r]), int(end[r])) for r in mine[name]]
            marks[name] = marked(strip.course, windows, self.high, self.prep.size // CLOSE)
            for a, b in runs(marks[name]):
                events.append({"recording": name, "first_step": a, "last_step": b - 1} | self._event(strip, a, b))
            own = {"recording": name, "step": np.arange(len(strip.words)), "score": strip.course, "found": marks[name]}
            steps.append(pd.DataFrame(own | {"truth": ["good" if w == "" else w for w in strip.words]}))
        events.sort(key=lambda e: -e["score"])
        names = ["recording", "first_step", "last_step", "start", "end", "peak", "score", "truth"]
        _beside(folder / "events.csv", lambda p: pd.DataFrame(events, columns=names).to_csv(p, index=False))
        _beside(folder / "steps.parquet", pd.concat(steps, ignore_index=True).to_parquet)
        _beside(folder / "course.json", lambda p: p.write_text(json.dumps(self._page(events, marks)), "utf-8"))
        return {"events": self._count(events, marks)}

    def _event(self, strip: Strip, a: int, b: int) -> dict[str, Any]:
        """Times, score and truth of a stretch from step `a` to before step `b`."""
        peak = a + int(strip.course[a:b].argmax())
        times = {"start": a, "end": b - 1, "peak": peak}
        out = {what: self._time(strip, step) for what, step in times.items()} | {"score": float(strip.course[peak])}
        words = strip.words[a:b].tolist()
        return out | {"truth": next((w for w in words if w), "good" if "" in words else None)}

    def _count(self, events: Sequence[Mapping[str, Any]], marks: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Stretches that were found, and of the true ones how many a found one touches."""
        out: dict[str, Any] = {"found": len(events), "steps": sum(len(s.words) for s in self.strips.values())}
        out["recordings"] = len(self.strips)
        if any(k is not None for k in self.kinds):
            ill = {name: np.array([bool(w) for w in s.words]) for name, s in self.strips.items()}
            true = [bool(marks[name][a:b].any()) for name, each in ill.items() for a, b in runs(each)]
            out |= {"true": len(true), "hit": sum(true), "empty": sum(e["truth"] == "good" for e in events)}
        return out

    def _time(self, strip: Strip, step: int) -> Any:
        """A step's time: a date where times are those of a calendar, else as the file counts."""
        if np.isnan(strip.start):
            return step
        time = strip.start + step * self.prep.step
        if time > DATES:
            return str(pd.Timestamp(round(time * 1e3), unit="ms"))
        return int(time) if time.is_integer() else round(time, 6)

    def _page(self, events: Sequence[Mapping[str, Any]], marks: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What the page draws: the courses of the recordings with most to see, and the strongest stretches large."""
        order = list(dict.fromkeys([*(e["recording"] for e in events), *self.strips]))[:SHOWN]
        courses = []
        for name in order:
            strip = self.strips[name]
            edges = np.unique(np.linspace(0, len(strip.words), OVERVIEW + 1).astype(int))
            parts = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
            courses.append({
                "recording": name, "step": [a for a, _ in parts],
                "score": [float(strip.course[a:b].max()) for a, b in parts],
                "found": [bool(marks[name][a:b].any()) for a, b in parts],
                "true": [any(bool(w) for w in strip.words[a:b]) for a, b in parts],
            })  # fmt: skip
        return {"line": self.high, "courses": courses, "close": [self._close(e, marks) for e in events[:SHOWN]]}

    def _close(self, event: Mapping[str, Any], marks: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """A stretch and what is around it, in the variables that leave their usual values farthest there."""
        name, size = event["recording"], self.prep.size
        strip, (file, key, _, _) = self.strips[name], place(event["recording"])
        values, _ = Grids(self.prep.step, self.prep.variables).read(self.table.folder / file, key)
        a, b = max(0, event["first_step"] - size), min(len(strip.words), event["last_step"] + 1 + size)
        inside = values[:, event["first_step"] : event["last_step"] + 1]
        with np.errstate(all="ignore"):
            apart = np.abs(inside - np.nanmedian(values, 1, keepdims=True)).max(1) / (np.nanstd(values, 1) + 1e-9)
        best = np.argsort(-np.nan_to_num(apart), kind="stable")[:CURVES]
        curves = {self.prep.variables[v]: [None if np.isnan(x) else float(x) for x in values[v, a:b]] for v in best}
        true = [bool(w) for w in strip.words[a:b]]
        return {"event": dict(event), "first": a, "curves": curves, "found": marks[name][a:b].tolist(), "true": true}


def marked(course: np.ndarray, windows: Sequence[tuple[int, int]], high: float, gap: int = 0) -> np.ndarray:
    """Which steps of a course (L,) stand out: those above `high` in flagged windows, or the window's highest one.

    Stretches with at most `gap` steps between them are one.

    >>> marked(np.array([0.0, 5.0, 6.0, 0.0, 1.0, 0.0]), [(0, 3), (3, 6)], 4.0).tolist()
    [False, True, True, False, True, False]
    """
    out = np.zeros(len(course), bool)
    for a, b in windows:
        part = course[a:b]
        out[a:b] |= part > high if (part > high).any() else np.arange(len(part)) == part.argmax()
    for a, b in runs(~out):
        if a > 0 and b < len(out) and b - a <= gap:
            out[a:b] = True
    return out


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Where a mask (L,) is true without a gap: first step, and the step after the last.

    >>> runs(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _beside(target: Path, write: Any) -> None:
    beside = target.with_name(f".{target.name}.part")
    write(beside)
    beside.replace(target)
