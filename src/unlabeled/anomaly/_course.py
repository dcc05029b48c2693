"""Test recordings as a detector saw them: windows joined again to a course over time, and the stretches that stand out.

A window is flagged by its p-value. Of the flagged windows those steps are marked whose score is higher than what one in
twenty good windows reaches at its highest step; a window in which none is has its highest step marked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from unlabeled.anomaly import Detector, Eye, Telling
from unlabeled.anomaly._inspect import LOT, Seen, Usual
from unlabeled.anomaly._strips import Strip, faulty, highest, low, marked, runs, spans, stem, strips, unlike
from unlabeled.data.kinds import kind
from unlabeled.data.series import Grids, SeriesPrep, place, suitable_step
from unlabeled.data.store import Store, build
from unlabeled.data.table import Broken, Table
from unlabeled.errors import UserError
from unlabeled.formats.times import FIRST_DATE

OVERVIEW = 400  # points of a recording's course on the page
SAMPLE = 500  # windows in which it is looked whether they fit what was learnt
FAR = 5.0  # spreads that the middle of a variable lies off where something else must be measured
SHOWN = 6  # stretches that are drawn large, and recordings that are drawn at all
CURVES = 2  # variables of each
ROWS = 1 << 17  # steps that are written together
LARGE = 2000  # steps of a stretch that are drawn at most
CLOSE = 16  # stretches less than this part of a window apart are one


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
        finder: what has judged them; set by `look`.
    """

    table: Table
    store: Store
    prep: SeriesPrep
    strips: dict[str, Strip]
    kinds: list[str | None]
    high: float = field(default=0.0)
    finder: Detector | None = None

    @classmethod
    def open(cls, table: Table, prep: SeriesPrep, stride: int, shortest: int) -> "Recordings":
        """Cut and read recordings; those shorter than a window and than any that was learnt from are set aside."""
        cut = kind("series").again(table, prep, stride)
        cut = cut.without(unlike(cut, prep))
        first, end = spans(cut.items["path"].tolist(), prep.size)
        found = strips(cut, prep) if len(cut) else {}
        rows = cut.items.assign(stem=[stem(p) for p in cut.items["path"]], first=first, end=end)
        rows["end"] = [min(e, len(found[n].words)) for n, e in zip(rows["stem"], rows["end"], strict=True)]
        tails, by_stem = [], dict(list(rows.groupby("stem")))
        for path in (p for p in table.items["path"] if stem(p) in by_stem):
            _, _, begin, many = place(path)
            own = by_stem[stem(path)]
            own = own[own["first"] >= begin]
            own = own if many is None else own[own["first"] < begin + many]
            if len(own) and (high := len(found[stem(path)].words) if many is None else begin + many) > own["end"].max():
                start = max(begin, high - prep.size)
                tails.append(own.iloc[-1].to_dict() | {"path": f"{stem(path)}@{start}+{high - start}"})
        if tails:
            more = pd.DataFrame(tails)[list(cut.items.columns)].astype("str")
            more = more.where(pd.DataFrame(tails)[list(cut.items.columns)].notna())
            cut = replace(cut, items=pd.concat([cut.items, more], ignore_index=True))
        short = rows[(rows["end"] - rows["first"]) < min(prep.size, shortest)]
        reason = f"shorter than the windows of {min(prep.size, shortest)} steps that were learnt"
        cut = cut.without(tuple(Broken(p, reason) for p in short["path"]))
        if not len(cut):
            why = f" ({cut.broken[0].path}: {cut.broken[0].reason})" if cut.broken else ""
            raise UserError(f"none of the recordings in {table.root} can be judged{why}", "give others to look at")
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
        seen.scores, self.high, self.finder = np.concatenate(scores), usual.high, detector
        for strip in self.strips.values():
            known = np.array([w is not None for w in strip.words]) & (strip.seen > 0)
            ill = known & (strip.words != "")
            if known.any():
                course = strip.course
                seen.pixels.good.append(course[known & ~ill])
                for a, b in runs(ill):
                    seen.pixels.regions.setdefault(str(strip.words[a]), []).append(course[a:b].copy())
        return seen

    def show(self, folder: Path, frame: pd.DataFrame, eye: Eye) -> dict[str, Any]:
        """Write `events.csv`, `steps.parquet` and `course.json`, and say how many stretches were found.

        Args:
            folder: of the results.
            frame: one row a window: path and flagged.
            eye: what was looked through.
        """
        flags = frame["flagged"].to_numpy(bool)
        first, end = spans(frame["path"].tolist(), self.prep.size)
        mine: dict[str, list[int]] = {name: [] for name in self.strips}
        for row in np.flatnonzero(flags).tolist():
            mine[stem(frame["path"].iloc[row])].append(row)
        marks: dict[str, np.ndarray] = {}
        events: list[dict[str, Any]] = []
        for name, strip in self.strips.items():
            windows, course = [(int(first[r]), int(end[r])) for r in mine[name]], strip.course
            marks[name] = marked(course, windows, self.high, self.prep.size // CLOSE)
            for a, b in runs(marks[name]):
                at = {"recording": name, "first_step": a, "last_step": b - 1}
                events.append(at | self._event(strip, course[a:b], a))
        events.sort(key=lambda e: -e["score"])
        names = ["recording", "first_step", "last_step", "start", "end", "peak", "score", "truth"]
        _beside(folder / "events.csv", lambda p: pd.DataFrame(events, columns=names).to_csv(p, index=False))
        _beside(folder / "steps.parquet", lambda p: self._steps(p, marks))
        page = json.dumps(self._page(events, marks, eye))
        _beside(folder / "course.json", lambda p: p.write_text(page, "utf-8"))
        return {"events": self._count(events, marks)}

    def _steps(self, path: Path, marks: Mapping[str, np.ndarray]) -> None:
        """Write a row for each step, some at a time: recording, step, score, found, truth."""
        kinds = {"recording": pa.string(), "step": pa.int64(), "score": pa.float32(), "found": pa.bool_()}
        form = pa.schema({**kinds, "truth": pa.string()})
        with pq.ParquetWriter(path, form) as file:
            for name, strip in self.strips.items():
                course = strip.course
                for at in range(0, len(course), ROWS):
                    part = slice(at, at + ROWS)
                    words = ["good" if w == "" else w for w in strip.words[part]]
                    step = np.arange(at, at + len(words))
                    file.write_table(
                        pa.table([[name] * len(words), step, course[part], marks[name][part], words], schema=form)
                    )

    def _event(self, strip: Strip, course: np.ndarray, a: int) -> dict[str, Any]:
        """Times, score and truth of a stretch from step `a` on, by the scores of its steps."""
        b, peak = a + len(course), a + int(low(course).argmax())
        times = {"start": a, "end": b - 1, "peak": peak}
        out = {what: self._time(strip, step) for what, step in times.items()} | {"score": float(course[peak - a])}
        words = strip.words[a:b].tolist()
        return out | {"truth": next((w for w in words if w), "good" if "" in words else None)}

    def odd(self, mean: Sequence[float], std: Sequence[float]) -> list[str]:
        """What looks as if other things were measured than those that were learnt, a sentence each."""
        rows = np.unique(np.linspace(0, len(self.table) - 1, min(len(self.table), SAMPLE)).astype(np.int64))
        x = self.store.batch(rows).numpy()
        inside = x[:, 0] > 0.5
        out = []
        for number, name in enumerate(self.prep.variables, 1):
            values = x[:, number][inside]
            known = values[~np.isnan(values)]
            if len(known) and abs(np.median(known) - mean[number]) > FAR * max(std[number], 1e-9):
                middle = f"{name} is {np.median(known):.4g} in the middle, {mean[number]:.4g} was learnt"
                out.append(f"{middle} (spread {max(std[number], 0):.3g}): perhaps other units, or another machine.")
            if not self.prep.missing and len(known) < len(values):
                share = 1 - len(known) / len(values)
                out.append(
                    f"{share:.1%} of {name} is missing, and nothing was in what was learnt: gaps look like faults."
                )
        step = suitable_step(self.table)
        if not 2 / 3 < step / self.prep.step < 3 / 2:
            out.append(
                f"There is a value every {step:g}, where every {self.prep.step:g} was learnt: resample one of them."
            )
        return out

    def _count(self, events: Sequence[Mapping[str, Any]], marks: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Stretches that were found, and of the true ones how many a found one touches."""
        judged = sum(int((s.seen > 0).sum()) for s in self.strips.values())
        out: dict[str, Any] = {"found": len(events), "steps": judged}
        out["recordings"] = len(self.strips)
        if any(k is not None for k in self.kinds):
            ill = {name: np.array([bool(w) for w in s.words]) & (s.seen > 0) for name, s in self.strips.items()}
            true = [bool(marks[name][a:b].any()) for name, each in ill.items() for a, b in runs(each)]
            out |= {"true": len(true), "hit": sum(true), "empty": sum(e["truth"] == "good" for e in events)}
        return out

    def _time(self, strip: Strip, step: int) -> Any:
        """A step's time: a date where times are those of a calendar, else as the file counts."""
        if np.isnan(strip.start):
            return step
        time = strip.start + step * self.prep.step
        if time > FIRST_DATE:
            return str(pd.Timestamp(round(time * 1e3), unit="ms"))
        return int(time) if time.is_integer() else round(time, 6)

    def _page(self, events: Sequence[Mapping[str, Any]], marks: Mapping[str, np.ndarray], eye: Eye) -> dict[str, Any]:
        """What the page draws: the courses of the recordings with most to see, and the strongest stretches large."""
        order = list(dict.fromkeys([*(e["recording"] for e in events), *self.strips]))[:SHOWN]
        courses = []
        for name in order:
            strip, course = self.strips[name], self.strips[name].course
            edges = np.unique(np.linspace(0, len(strip.words), OVERVIEW + 1).astype(int))
            parts = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
            courses.append({
                "recording": name, "step": [a for a, _ in parts],
                "score": [highest(course[a:b]) for a, b in parts],
                "found": [bool(marks[name][a:b].any()) for a, b in parts],
                "true": [any(bool(w) for w in strip.words[a:b]) for a, b in parts],
            })  # fmt: skip
        grids = Grids(self.prep.step, self.prep.variables)
        close = [self._close(e, marks[e["recording"]], eye, grids) for e in events[:SHOWN]]
        return {"line": self.high, "courses": courses, "close": close, "told": isinstance(self.finder, Telling)}

    def _close(self, event: Mapping[str, Any], marks: np.ndarray, eye: Eye, grids: Grids) -> dict[str, Any]:
        """A stretch and what is around it, in the variables that made its score; where the detector cannot tell these,
        in those that lie farthest from their middle there.
        """
        strip, size, (file, key, _, _) = self.strips[event["recording"]], self.prep.size, place(event["recording"])
        values, _ = grids.read(self.table.folder / file, key)
        first, end = event["first_step"], event["last_step"] + 1
        peak = first + int(low(strip.course[first:end]).argmax())
        a, b = max(0, first - size), min(len(strip.words), end + size)
        if b - a > LARGE:
            a = min(max(a, peak - LARGE // 2), b - LARGE)
            b = a + LARGE
        apart = self._shares(event["recording"], first, end, peak, eye)
        apart = _away(values, first, end) if apart is None else apart[: len(values)]
        best = np.argsort(-apart, kind="stable")[:CURVES]
        curves = {self.prep.variables[v]: [None if np.isnan(x) else float(x) for x in values[v, a:b]] for v in best}
        true = [bool(w) for w in strip.words[a:b]]
        return {"event": dict(event), "first": a, "curves": curves, "found": marks[a:b].tolist(), "true": true}

    def _shares(self, name: str, first: int, end: int, peak: int, eye: Eye) -> np.ndarray | None:
        """How much each variable adds to the score of the steps from `first` to before `end` (V,), by the windows that
        hold their highest one; None where the detector cannot tell.
        """
        if not isinstance(self.finder, Telling):
            return None
        paths = self.table.items["path"].tolist()
        starts, ends = spans(paths, self.prep.size)
        rows = [r for r in np.flatnonzero((starts <= peak) & (peak < ends)).tolist() if stem(paths[r]) == name]
        steps = starts[rows][:, None] + np.arange(self.prep.size)
        where = torch.from_numpy((steps >= first) & (steps < end)).to(eye.device.device)
        return self.finder.shares(eye, self.store.batch(np.array(rows)).to(eye.device.device), where)


def _away(values: np.ndarray, first: int, end: int) -> np.ndarray:
    """How many spreads each variable of a recording (V, L) lies off its middle at most, in some of its steps (V,)."""
    out = np.zeros(len(values))
    for number, row in enumerate(values):
        known, part = row[~np.isnan(row)], row[first:end]
        if len(known) and not np.isnan(part).all():
            out[number] = np.nanmax(np.abs(part - np.median(known))) / (known.std() + 1e-9)
    return out


def _beside(target: Path, write: Any) -> None:
    beside = target.with_name(f".{target.name}.part")
    write(beside)
    beside.replace(target)
