"""Recordings as items: laid on an even grid of time, cut into windows, read into the store.

A path says which part of which file an item is: `ward.csv#17@240+48` is the recording 17 of that file, 48 steps from
step 240 on. Windows are cut inside the recordings of one split and never reach over their ends.
"""

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from unlabeled.data.naming import common, mark_names, name_of
from unlabeled.data.oddities import Watch
from unlabeled.data.table import Broken, Table, complete, starts
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, recording
from unlabeled.formats.record import Recording
from unlabeled.progress import bar, count

ENDINGS = "|".join(sorted((s[1:] for s in recording.SUFFIXES), key=len, reverse=True))
PLACE = re.compile(
    rf"^(?P<file>.*?\.(?:{ENDINGS}))(?:#(?P<key>.*?))?(?:@(?P<first>\d+)\+(?P<count>\d+))?$", re.I | re.S
)
WINDOW, LONGEST = 128, 512  # steps of a window where the data do not say; longest recording that is taken whole
MOST, LARGEST = 64, 1 << 28  # recordings that are remembered, and their bytes
OFF = 0.25  # steps that the rows of an even recording may lie off the grid
SPARSE = 50  # times that a grid may have more steps than the recording has measurements
NICE = (1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
        3600, 7200, 14400, 21600, 43200, 86400, 604800)  # fmt: skip


@dataclass(frozen=True)
class SeriesPrep:
    """How recordings are brought to one shape.

    Args:
        size: steps of an item.
        channels: 1 for "inside the recording", and one for each variable.
        step: time between two steps, in the unit of the files' times (seconds for dates), or rows where there are none.
        variables: what is measured over time.
        statics: what is told once of a recording; it comes after the variables, the same at all its steps.
        missing: whether values are missing inside of recordings; their ends are told by the first channel anyway.
        dtype: of the stored numbers.
    """

    size: int
    channels: int
    step: float
    variables: tuple[str, ...]
    statics: tuple[str, ...] = ()
    missing: bool = False
    dtype: Literal["float32"] = "float32"

    what = "recordings"

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", tuple(self.variables))  # JSON brings lists
        object.__setattr__(self, "statics", tuple(self.statics))

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, size)."""
        return (self.channels, self.size)

    def reader(self, table: Table) -> Callable[[int], np.ndarray]:
        """What reads an item of the table by its row: (channels, size) float32, NaN where nothing was measured."""
        grids = Grids(self.step, self.variables, self.statics)
        paths = table.items["path"].tolist()

        def read(row: int) -> np.ndarray:
            file, key, first, count = place(paths[row])
            whole, _ = grids.read(table.folder / file, key)
            part = whole[:, first : None if count is None else first + count][:, : self.size]
            out = np.full(self.shape, np.nan, np.float32)
            out[1:, : part.shape[1]] = part
            out[0] = 0
            out[0, : part.shape[1]] = 1
            if np.isnan(part).all():
                raise Unreadable("all its values are missing")
            return out

        return read


def place(path: str) -> tuple[str, str, int, int | None]:
    """File, key, first step and number of steps (None: to the end) that a path names.

    >>> place("ward.csv#17@240+48"), place("a.ts#3"), place("b.csv")
    (('ward.csv', '17', 240, 48), ('a.ts', '3', 0, None), ('b.csv', '', 0, None))
    """
    found = PLACE.match(path)
    if found is None:
        return path, "", 0, None
    count = found["count"]
    return found["file"], found["key"] or "", int(found["first"] or 0), None if count is None else int(count)


class Grids:
    """Recordings on an even grid of time; the last ones are remembered.

    Args:
        step: time between two steps.
        variables: rows of the grid, in this order; None takes the recording's own.
        statics: further rows, constant in time.
    """

    def __init__(self, step: float, variables: tuple[str, ...] | None, statics: tuple[str, ...] = ()) -> None:
        self.step, self.variables, self.statics = step, variables, statics
        self.kept: OrderedDict[tuple[Path, str], tuple[np.ndarray, np.ndarray | None]] = OrderedDict()
        self.lock = threading.Lock()

    def read(self, file: Path, key: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Values (V, L) and the steps' labels (L,) or None.

        Raises:
            Unreadable: with the reason in words.
        """
        with self.lock:
            if (file, key) not in self.kept:
                self.kept[file, key] = self._made(one(file, key))
                while len(self.kept) > 1 and (len(self.kept) > MOST or self._bytes() > LARGEST):
                    self.kept.popitem(last=False)
            return self.kept[file, key]

    def _bytes(self) -> int:
        return sum(values.nbytes + (0 if marks is None else marks.nbytes) for values, marks in self.kept.values())

    def _made(self, found: Recording) -> tuple[np.ndarray, np.ndarray | None]:
        values, marks = on_grid(found, self.step)
        if self.variables is None or (self.variables == found.variables and not self.statics):
            return values, marks
        out = np.full((len(self.variables) + len(self.statics), values.shape[1]), np.nan, np.float32)
        at = {name: i for i, name in enumerate(self.variables)}
        for i, name in enumerate(found.variables):
            if name in at:
                out[at[name]] = values[i]
        for name in found.static.keys() & at.keys():  # constant here, and measured over time in most
            out[at[name]] = found.static[name]
        for i, name in enumerate(self.statics):
            out[len(self.variables) + i] = found.static.get(name, _first_of(found, name))
        return out, marks


def _first_of(found: Recording, name: str) -> float:
    """The first value of a descriptor that was measured over time in this recording (a weight); NaN where none was."""
    known = found.values[found.variables.index(name)] if name in found.variables else np.zeros(0)
    known = known[~np.isnan(known)]
    return float(known[0]) if len(known) else float("nan")


def one(file: Path, key: str) -> Recording:
    """One recording of a file, without a key its only one; raises Unreadable when it is not there."""
    found = recording.read(file)
    key = key or (next(iter(found)) if len(found) == 1 else "")
    if key not in found:
        raise Unreadable(f'there is no usable recording "{key}" in it' if key else "it holds several recordings")
    if found[key].fault:
        raise Unreadable(found[key].fault)
    return found[key]


def on_grid(found: Recording, step: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Values (V, L) with one column every `step`: the mean of what was measured from there to the next, NaN where
    nothing was; and the steps' labels (L,), the first told in each, or None. Where there is a row every step, give or
    take a quarter of one, these are the rows.
    """
    if found.times is None and step == 1:
        return found.values, found.marks
    times = np.arange(len(found), dtype=np.float64) if found.times is None else found.times
    steps_in = (times - times[0]) / step
    if np.abs(steps_in - np.arange(len(found))).max() <= OFF:  # a row a step, however their clock trembles
        return found.values, found.marks
    exact = min(0.5, 1e-6 + 2 * float(np.spacing(np.abs(times).max())) / step)  # seconds since 1970 hold no more digits
    at = np.floor(steps_in + exact).astype(np.int64)
    length = int(at[-1]) + 1
    if length > SPARSE * len(found) + 1000:
        raise Unreadable(f"its {len(found):,} times reach over {length:,} steps of {step:g}: take a larger step")
    known = ~np.isnan(found.values)
    total = np.zeros((length, len(found.values)), np.float64)
    count = np.zeros_like(total)
    np.add.at(total, at, np.where(known, found.values, 0).T)
    np.add.at(count, at, known.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (total / count).T.astype(np.float32)
    marks = None
    if found.marks is not None:
        marks = np.full(length, None, dtype=object)
        marks[at[::-1]] = found.marks[::-1]
    return values, marks


@dataclass(frozen=True)
class Survey:
    """What all recordings of a table are like.

    Args:
        lengths: time steps of each readable recording, on the grid.
        step: of that grid.
        variables: what is measured over time in those that may be learnt from.
        statics: what is told once.
        marked: whether single steps bear labels.
        gaps: share of the values on the grid that are missing.
        notes: what was odd and has been mended, and in how many recordings.
        labels: that each readable recording bears as a whole, None where its file tells none.
        watch: what is odd about their values.
    """

    lengths: np.ndarray
    step: float
    variables: tuple[str, ...]
    statics: tuple[str, ...]
    marked: bool
    gaps: float
    notes: Counter[str]
    labels: tuple[str | None, ...] = ()
    watch: Watch = field(default_factory=Watch)


def suitable_step(table: Table) -> float:
    """The time between two steps that the files suggest: their own where it is even, else the typical gap, rounded."""
    gaps, uneven = [], False
    paths = table.items["path"].tolist()
    for row in np.unique(np.linspace(0, len(paths) - 1, min(64, len(paths))).astype(int)).tolist():
        file, key, _, _ = place(paths[row])
        try:
            times = one(table.folder / file, key).times
        except Unreadable:
            continue
        if times is None:
            return 1.0
        between = np.diff(np.unique(times))
        if len(between):
            gaps.append(float(np.median(between)))
            if np.ptp(between) > 0.05 * gaps[-1]:
                uneven = True
            else:  # dates hold few digits of a short step, and their mean holds more
                gaps[-1] = float(between.mean())
    if not gaps:
        return 1.0
    usual = float(np.median(gaps))
    if not uneven and np.ptp(gaps) <= 0.05 * usual:
        return usual
    return float(min(NICE, key=lambda n: abs(np.log(n / usual))))


def survey(table: Table, step: float) -> tuple[Survey, tuple[Broken, ...]]:
    """Read every recording once and say what they are like, and which cannot be used."""
    learn = table.items["split"].ne("test").to_numpy()
    given = table.items["label"].astype(object).where(table.items["label"].notna(), None).tolist()
    grids, watch = Grids(step, None), Watch()
    lengths, broken, notes = [], [], Counter[str]()
    seen, told, labels = Counter[str](), Counter[str](), list[str | None]()
    steps, held = 0, Counter[str]()  # in all, and those at which each variable was measured
    marked = False
    with bar("reading recordings", len(table)) as shown:
        for row, path in enumerate(table.items["path"].tolist()):
            file, key, first, count = place(path)
            try:
                found = one(table.folder / file, key)
                values, marks = grids.read(table.folder / file, key)
                values = values[:, first : None if count is None else first + count]
                if not values.size:
                    raise Unreadable(f"it has {len(found):,} steps and none of those that are named")
            except Unreadable as fault:
                broken.append(Broken(path, str(fault)))
                continue
            finally:
                shown.advance(1)
            lengths.append(values.shape[1])
            notes.update(found.notes)
            labels.append(found.label)
            if not first:  # of the parts of one recording the first
                own = found.label if given[row] is None else given[row]
                watch.see(found, own, path if count is None else "", not learn[row])
            marked |= marks is not None and found.label is None
            if learn[row]:
                seen.update(dict.fromkeys(found.variables, 1))
                told.update(dict.fromkeys(found.static, 1))
                steps += values.shape[1]
                held.update(dict(zip(found.variables, (~np.isnan(values)).sum(1).tolist(), strict=True)))
                held.update({v: values.shape[1] for v, known in found.static.items() if not np.isnan(known)})
    names = tuple(v for v in seen if seen[v] > told[v])  # in the order in which they turned up
    statics = tuple(v for v in told if seen[v] <= told[v])
    share = 1 - sum(held[v] for v in names) / max(steps * len(names), 1)  # of a variable that a recording lacks all
    many = np.array(lengths, np.int64)
    return Survey(many, step, names, statics, marked, share, notes, tuple(labels), watch), tuple(broken)


def suitable_size(seen: Survey) -> int:
    """Steps of an item: whole recordings where each bears one label and is short, else windows of 128."""
    longest = int(seen.lengths.max(initial=1))
    if seen.marked or longest > LONGEST:
        return min(WINDOW, -(-longest // 8) * 8)
    return max(8, -(-longest // 8) * 8)


def cut(table: Table, size: int, stride: int, seen: Survey, *, ends: bool = False) -> tuple[Table, np.ndarray]:
    """A table of windows from a table of recordings, and the row of each one's recording (M,).

    A recording of at most `size` steps stays whole. The label of a window is that of its recording, or the one that at
    least nine in ten of its steps bear. Windows of one recording share its group, so that no split parts them.

    Args:
        table: one row a recording.
        size: steps of a window.
        stride: steps from one window to the next.
        seen: what `survey` found; its recordings are those of the table.
        ends: a last window reaches to each recording's end, however far that lies from the one before.
    """
    grids, names = Grids(seen.step, None), mark_names(table.folder)
    rows: list[tuple[str, str | None, str | None, str | None, str]] = []
    of: list[int] = []
    known = table.items.astype(object).where(table.items.notna(), None).to_dict("records")
    for number, (item, length) in enumerate(zip(known, seen.lengths.tolist(), strict=True)):
        file, key, first, count = place(item["path"])
        if item["label"] is None and (whole := seen.labels[number]) is not None:
            item["label"] = whole if names is None else name_of(whole, names)
            item["split"] = "train" if item["split"] == "unlabeled" and item["label"] else item["split"]
        if length <= size and count is None and not seen.marked:
            rows.append((item["path"], item["label"], item["group"], item["domain"], item["split"]))
            of.append(number)
            continue
        values, marks = grids.read(table.folder / file, key)
        own, domain = item["label"], item["domain"]
        stem = f"{file}#{key}" if key else file
        group = item["group"] or (stem if length > size or count is not None else None)
        for start in starts(first, length, size, stride, ends=ends):
            part = slice(start, start + min(size, length))
            if np.isnan(values[:, part]).all():
                continue
            label = own
            if label is None and marks is not None:
                label = common(marks[part], names)
            split = item["split"]
            if split in ("train", "unlabeled"):
                split = "unlabeled" if label is None else "train"
            path = stem if length <= size and count is None else f"{stem}@{start}+{min(size, length)}"
            rows.append((path, label, group, domain, split))
            of.append(number)
    word = f"windows of {size} steps"
    items = pd.DataFrame(rows, columns=["path", "label", "group", "domain", "split"]).astype("str")
    form = table.form if len(items) == len(table) else f"{table.form}, {word}"
    return replace(table, items=items, form=form), np.array(of, np.int64)


def ready(table: Table, size: int, stride: int, step: float) -> tuple[Table, SeriesPrep]:
    """Survey, cut and plan: a table of windows and how to store them.

    Args:
        table: one row a recording.
        size: steps of a window; 0 takes what suits.
        stride: steps from one window to the next; 0 takes half a window.
        step: time between two steps; 0 takes what the files suggest.

    Raises:
        UserError: when no recording can be read.
    """
    step = step or suitable_step(table)
    seen, broken = survey(table, step)
    if not len(seen.lengths):
        reason = f" ({broken[0].path}: {broken[0].reason})" if broken else ""
        raise UserError(f"none of the {len(table):,} recordings in {table.root} can be read{reason}", "check the files")
    size = size or suitable_size(seen)
    windows, _ = cut(table.without(broken), size, stride or max(1, size // 2), seen)
    notes = tuple(f"{what} ({count(n, 'recording')})" for what, n in seen.notes.items())
    channels = 1 + len(seen.variables) + len(seen.statics)
    prep = SeriesPrep(size, channels, step, seen.variables, seen.statics, seen.gaps > 0 or bool(seen.statics))
    return replace(windows, notes=(*windows.notes, *notes)), prep


def again(table: Table, prep: SeriesPrep, stride: int = 0, *, keep: bool = False) -> Table:
    """A table of windows of recordings, cut as an earlier run has cut its own.

    Args:
        table: one row a recording.
        prep: of that run.
        stride: steps from one window to the next; 0 takes half a window.
        keep: nothing is left out: a row, where it stands, for each recording that cannot be read, instead of naming it
            as broken, and windows up to the end of each recording.
    """
    seen, broken = survey(table, prep.step)
    windows, of = cut(table.without(broken), prep.size, stride or max(1, prep.size // 2), seen, ends=keep)
    lacks = seen.watch.lacks((*prep.variables, *prep.statics), len(seen.lengths))
    windows = replace(windows, notes=(*windows.notes, *lacks, *seen.watch.unlike(prep.step, seen.lengths)))
    return complete(windows, table.places({b.path for b in broken})[of], table) if keep else windows
