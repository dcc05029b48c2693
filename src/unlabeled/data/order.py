"""Does the order of file names carry groups that nobody named, such as the slices of a patient? Told without labels.

Files are often numbered as they were taken. Where neighbours in that order are much more alike than chance has it, a
random split puts likenesses of one thing on both sides, and every figure flatters. Blocks of neighbouring files then
stand in for the groups. It is a sign and no proof: numbers may follow the hour, and patients may be shuffled.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

From = Literal["auto", "data", "order"]

ALIKE = 1 / 3  # mean rank of the next file among all of its folder, from which down the order is held to carry groups
SURE = 5.0  # and standard errors that it must lie below one half
FEWEST = 40  # files of a folder that are needed to tell
LONGEST = 250  # neighbouring files of a folder that are looked at
FOLDERS = 12  # folders that are looked at
LAGS = (1, 2, 3, 5, 8, 12, 20, 32, 50, 80)
LOST = 0.75  # share of the likeness that is gone where a group is held to end
TIMES = 8  # lengths of that reach in a block: what is left of the likeness falls off slowly
PARTS = 8  # blocks that a folder has at least, so that some can be kept back


@dataclass(frozen=True)
class Order:
    """What the order of names tells.

    Args:
        alike: mean rank of the next file among all others of its folder, by likeness: 0 the nearest of all, 0.5 chance.
        error: standard error of that by chance alone.
        reach: how many files on most of the likeness is gone.
        files: how many were looked at.
    """

    alike: float
    error: float
    reach: int
    files: int

    @property
    def carries(self) -> bool:
        """Whether it is held to carry groups."""
        return self.files > 0 and self.alike <= min(ALIKE, 0.5 - SURE * self.error)

    @property
    def block(self) -> int:
        """Files of a block: long enough that few of a group lie over its ends, and that slow changes show as well."""
        return TIMES * self.reach


def runs(paths: Sequence[str]) -> list[np.ndarray]:
    """Item numbers of each folder in the order in which people read the names, 2 before 10.

    >>> [r.tolist() for r in runs(["a/x10.png", "b/y.png", "a/x2.png"])]
    [[2, 0], [1]]
    """
    folders: defaultdict[str, list[int]] = defaultdict(list)
    for number, path in enumerate(paths):
        folders[path.replace("\\", "/").rpartition("/")[0]].append(number)
    return [np.array(sorted(mine, key=lambda i: _natural(paths[i])), np.int64) for mine in folders.values()]


def look(paths: Sequence[str], vectors: Callable[[np.ndarray], np.ndarray]) -> Order:
    """Whether files that follow one another are alike.

    Args:
        paths: (N,) of the items.
        vectors: gives (M, D) of item numbers (M,), whose correlation says how alike two items are.
    """
    some = [run for run in sorted(runs(paths), key=len, reverse=True) if len(run) >= FEWEST][:FOLDERS]
    ranks: dict[int, list[np.ndarray]] = {lag: [] for lag in LAGS}
    for run in some:
        x = np.asarray(vectors(run[:LONGEST]), np.float64)
        spread = x.std(0)
        x = (x - x.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
        x /= np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
        for lag, found in _ranks(x @ x.T).items():
            ranks[lag].append(found)
    curve = {lag: float(np.concatenate(found).mean()) for lag, found in ranks.items() if found}
    if 1 not in curve:
        return Order(0.5, 0.0, 1, 0)
    alike, count = curve[1], sum(map(len, ranks[1]))
    enough = 0.5 - (1 - LOST) * (0.5 - alike)
    reach = next((lag for lag, value in curve.items() if value >= enough), max(curve))
    return Order(alike, (1 / 12 / count) ** 0.5, reach, sum(min(len(run), LONGEST) for run in some))


def blocks(paths: Sequence[str], length: int) -> np.ndarray:
    """The block (N,) int64 of each item: so many neighbours in the order of names, and at least eight blocks a folder.

    >>> blocks([f"{i}.png" for i in range(32)], 20)[[0, 3, 4, 31]].tolist()
    [0, 0, 1, 7]
    """
    out = np.zeros(len(paths), np.int64)
    last = 0
    for run in runs(paths):
        count = max(min(PARTS, len(run)), round(len(run) / max(1, length)))
        out[run] = last + np.arange(len(run)) * count // len(run)
        last += count
    return out


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in a name by their value, what is between them by its letters."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _ranks(likeness: np.ndarray) -> dict[int, np.ndarray]:
    """For each lag the rank (0 to 1) of each item's neighbour that far on, among all others; equals count half."""
    n = len(likeness)
    np.fill_diagonal(likeness, np.nan)
    out = {}
    for lag in LAGS:
        if lag <= n // 4:
            at = np.arange(n - lag)
            own = likeness[at, at + lag][:, None]
            above, equal = (likeness[at] > own).sum(1), (likeness[at] == own).sum(1) - 1
            out[lag] = (above + equal / 2) / max(1, n - 2)
    return out
