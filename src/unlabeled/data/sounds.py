"""Sounds as items: brought to one rate, long ones cut into windows, read into the store as 16-bit numbers.

A path says which part of which file an item is: `street.flac@48000+32000` is 32,000 samples from sample 48,000 on,
counted at the file's own rate. Windows never reach over the end of a recording; those of one recording are a group.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from unlabeled.data.table import Broken, Table, starts
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, sound
from unlabeled.progress import bar

PLACE = re.compile(r"^(?P<file>.+)@(?P<first>\d+)\+(?P<count>\d+)$", re.S)
END = np.iinfo(np.int16).min  # what the store holds behind the end of a sound
FRAMES = 100  # a second
FASTEST = 16_000  # samples a second: what is said lies below 8 kHz
FINE = 12_000  # samples a second from which 64 bands are taken: on fewer they part the voice's overtones
COARSE = 1_500  # samples a second below which even some of 32 bands would hold no frequency of the transform
LONGEST, WINDOW = 400, 200  # frames: the longest sound that is taken whole, and of a window where the data do not say


@dataclass(frozen=True)
class AudioPrep:
    """How sounds are brought to one shape.

    Args:
        size: frames of an item, 10 ms each.
        rate: samples a second.
        bands: of the log-mel spectrum that views show.
        trim: nats below a sound's loudest moment from which on views take its beginning and end for silence; 0 keeps
            all.
        channels: 1.
        dtype: of the stored samples.
    """

    size: int
    rate: int
    bands: int = 64
    trim: float = 3.5
    channels: Literal[1] = 1
    dtype: Literal["int16"] = "int16"

    what = "sounds"

    @property
    def samples(self) -> int:
        """Of an item."""
        return self.size * (self.rate // FRAMES)

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, samples)."""
        return (1, self.samples)

    def reader(self, table: Table) -> Callable[[int], np.ndarray]:
        """What reads an item of the table by its row: (1, samples) int16, `END` behind the end of the sound."""
        paths = table.items["path"].tolist()

        def read(row: int) -> np.ndarray:
            file, first, count = place(paths[row])
            x = sound.read(table.folder / file, self.rate, first, count)[: self.samples]
            out = np.full(self.shape, END, np.int16)
            out[0, : len(x)] = np.round(x * np.iinfo(np.int16).max)
            return out

        return read


def place(path: str) -> tuple[str, int, int | None]:
    """File, first sample and number of samples (None: to the end) that a path names.

    >>> place("street.flac@48000+32000"), place("a.wav")
    (('street.flac', 48000, 32000), ('a.wav', 0, None))
    """
    found = PLACE.match(path)
    return (path, 0, None) if found is None else (found["file"], int(found["first"]), int(found["count"]))


@dataclass(frozen=True)
class Survey:
    """What the sounds of a table are like, one number a readable sound.

    Args:
        rates: samples a second.
        channels: of the files.
        samples: of the items, at their own rate.
    """

    rates: np.ndarray
    channels: np.ndarray
    samples: np.ndarray

    @property
    def seconds(self) -> np.ndarray:
        """How long each lasts."""
        return np.asarray(self.samples / self.rates)


def survey(table: Table) -> tuple[Survey, tuple[Broken, ...]]:
    """Read the header of every file and say what they are like, and which cannot be used."""
    rows, broken = [], []
    known: dict[str, sound.Look | str] = {}
    with bar("looking at sounds", len(table)) as shown:
        for path in table.items["path"].tolist():
            file, first, count = place(path)
            if file not in known:
                try:
                    known[file] = sound.look(table.folder / file)
                except Unreadable as fault:
                    known[file] = str(fault)
            found = known[file]
            if isinstance(found, str):
                broken.append(Broken(path, found))
            elif first >= found.samples:
                broken.append(Broken(path, f"it has {found.samples:,} samples and none of those that are named"))
            else:
                length = found.samples - first if count is None else min(count, found.samples - first)
                rows.append((found.rate, found.channels, length))
            shown.advance(1)
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    return Survey(*columns), tuple(broken)


def ready(table: Table, size: int, stride: int) -> tuple[Table, AudioPrep]:
    """Survey, cut and plan: a table of sounds and how to store them.

    Args:
        table: one row a recording.
        size: frames of an item; 0 takes what suits.
        stride: frames from one window to the next; 0 takes half a window.

    Raises:
        UserError: when no sound can be read.
    """
    seen, broken = survey(table)
    if not len(seen.rates):
        reason = f" ({broken[0].path}: {broken[0].reason})" if broken else ""
        raise UserError(f"none of the {len(table):,} sounds in {table.root} can be read{reason}", "check the files")
    whole = table.without(broken)
    learn = whole.items["split"].ne("test").to_numpy()
    learn = learn if learn.any() else np.ones(len(whole), bool)
    usual = Counter(seen.rates[learn].tolist()).most_common(1)[0][0]
    rate = max(800, min(FASTEST, usual // FRAMES * FRAMES))
    bands = 64 if rate >= FINE else 32 if rate >= COARSE else 16
    prep = AudioPrep(size or _suitable(seen.seconds[learn]), rate, bands)
    return cut(whole, prep, stride, seen), prep


def _suitable(seconds: np.ndarray) -> int:
    """Frames of an item: the longest sound where it is short, else windows of two seconds."""
    longest = int(np.ceil(seconds.max() * FRAMES))
    return max(8, -(-longest // 8) * 8) if longest <= LONGEST else WINDOW


def cut(table: Table, prep: AudioPrep, stride: int, seen: Survey, *, ends: bool = False) -> Table:
    """A table in which sounds longer than an item are cut into windows, which share their recording's group; with
    `ends` a last one reaches to the end, where a frame or more would be left over.
    """
    rows = []
    known = table.items.astype(object).where(table.items.notna(), None).to_dict("records")
    for item, length, rate in zip(known, seen.samples.tolist(), seen.rates.tolist(), strict=True):
        width, step = prep.size * rate // FRAMES, (stride or max(1, prep.size // 2)) * rate // FRAMES
        file, first, part = place(item["path"])
        group = item["group"] or (file if part is not None or length > width else None)
        if length <= width:
            rows.append(item | {"group": group})
            continue
        left = (length - width) % max(1, step) >= rate / FRAMES
        begins = starts(first, length, width, max(1, step), ends=ends and left)
        rows += [item | {"path": f"{file}@{start}+{width}", "group": group} for start in begins]
    items = pd.DataFrame(rows, columns=["path", "label", "group", "domain", "split"]).astype("str")
    word = f"windows of {prep.size / FRAMES:g} s"
    return replace(table, items=items, form=table.form if len(items) == len(table) else f"{table.form}, {word}")


def again(table: Table, prep: AudioPrep, stride: int = 0, *, keep: bool = False) -> Table:
    """A table of sounds cut as an earlier run has cut its own.

    Args:
        table: one row a recording.
        prep: of that run.
        stride: frames from one window to the next; 0 takes half a window.
        keep: nothing is left out: a row for each sound that cannot be read, in its place, instead of naming it as
            broken, and windows up to the end of each sound.
    """
    seen, broken = survey(table)
    if not keep or not broken:
        return cut(table.without(broken), prep, stride, seen, ends=keep)
    there = ~table.items["path"].isin({b.path for b in broken}).to_numpy()
    columns = np.zeros((3, len(table)), np.int64)  # those that cannot be read are taken for short, which stay whole
    columns[:, there] = seen.rates, seen.channels, seen.samples
    return cut(table, prep, stride, Survey(*columns), ends=True)
