"""How alike small pictures are: near duplicates, and whether a turn makes one class look like another.

Thumbnails are brought to mean 0 and length 1, so that a product of two is their correlation. Nearest neighbours on
16 x 16 pixels are a blunt judge; they are asked only what they can tell.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ALIKE = (
    0.995  # correlation above which two thumbnails show the same picture; unrelated ones of seven real sets stay below
)
NEIGHBOURS = 8  # per picture, that are compared in full
SWAPPED = 0.3  # share of a class that a turn must move to the other class, and back
FEWEST = 10  # items that a class needs for that test
FOREIGN = (
    0.85  # share of turned pictures that look less at home than before, from which on the turn is foreign to the data
)
NATURAL = 0.6  # and up to which it is at home there
TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "left-right mirror image": lambda x: x[:, :, ::-1],
    "mirror image upside down": lambda x: x[:, ::-1],
    "half turn": lambda x: x[:, ::-1, ::-1],
    "quarter turn": lambda x: x.transpose(0, 2, 1)[:, ::-1],
}


@dataclass(frozen=True)
class Turned:
    """What a turn does to the data.

    Args:
        name: the turn, a key of `TURNS`.
        foreign: share of the turned pictures that are farther from their nearest neighbour than before; 0.5 if the data
            have no up, or no left.
        swaps: pairs of class numbers that the turn exchanges, with the smaller of the two shares.
    """

    name: str
    foreign: float
    swaps: tuple[tuple[int, int, float], ...]


def grey(thumbs: np.ndarray) -> np.ndarray:
    """Thumbnails (N, S, S, 3) uint8 to brightness (N, S, S) float32, 0 to 255."""
    return np.asarray(thumbs @ np.array([0.299, 0.587, 0.114], dtype=np.float32), dtype=np.float32)


def unit(pictures: np.ndarray, side: int | None = None) -> np.ndarray:
    """Pictures (N, S, S) to rows (N, side * side) of mean 0 and length 1, constant ones to zeros; `side` divides S."""
    n, s, _ = pictures.shape
    k = s // (side or s)
    x = pictures.reshape(n, s // k, k, s // k, k).mean(axis=(2, 4)).reshape(n, -1)
    x = x - x.mean(axis=1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.where(length > 0.5 * x.shape[1] ** 0.5, x / np.maximum(length, 1e-9), 0), dtype=np.float32)


def near_pairs(rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of numbers, one of `some`, one of `others`, whose pictures are the same but for how they were saved.

    Two pictures with a correlation of 0.995 are at most 0.1 apart in any projection, so a tree over eight principal
    components proposes the pairs, and the work grows with N log N. Of many likenesses of one picture some are told.

    Args:
        rows: (N, S * S) as `unit` gives them, S even.
        some: numbers of rows, (A,).
        others: numbers of rows, (B,); may be the same.
    """
    from scipy.spatial import cKDTree

    some, others = (part[np.any(rows[part] != 0, axis=1)] for part in (some, others))
    if not len(some) or not len(others):
        return np.empty((0, 2), dtype=np.int64)
    half = int(rows.shape[1] ** 0.5) // 2
    coarse = (
        rows.reshape(-1, half, 2, half, 2).sum(axis=(2, 4)).reshape(len(rows), -1) / 2
    )  # an orthogonal projection too
    _, axes = np.linalg.eigh(coarse[others].T @ coarse[others])
    small = coarse @ axes[:, -8:]
    reach = float(np.sqrt(2 - 2 * ALIKE))
    count = min(NEIGHBOURS, len(others))
    _, found = cKDTree(small[others]).query(small[some], k=range(1, count + 1), distance_upper_bound=reach + 1e-4)
    left, right = np.repeat(some, count), np.append(others, -1)[found.ravel()]
    keep = (right >= 0) & (left != right)
    left, right = left[keep], right[keep]
    same = np.einsum("nd,nd->n", rows[left], rows[right]) >= ALIKE
    pairs = np.stack([left[same], right[same]], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0) if np.array_equal(some, others) else np.unique(pairs, axis=0)


def turned(pictures: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> list[Turned]:
    """Find out what mirroring and turning do to the data.

    A turn exchanges two classes when it moves at least 0.3 of each to the other, over what is mixed up without it. One
    direction alone proves nothing: some class attracts all that looks odd.

    Args:
        pictures: brightness (N, S, S), at most a few thousand.
        labels: class numbers (N,), -1 where unknown.
        groups: pictures of one group (the same part, patient) are no evidence for each other.
    """
    rows = unit(_local(pictures), 16)
    bar = np.eye(len(rows), dtype=bool) if groups is None else groups[:, None] == groups[None]
    nearest, plain = _nearest(rows, rows, bar)
    before = _confusion(labels, labels[nearest])
    out = []
    for name, turn in TURNS.items():
        near, alike = _nearest(unit(_local(turn(pictures)), 16), rows, bar)
        gain = _confusion(labels, labels[near]) - before
        both = np.triu(np.minimum(gain, gain.T), 1)
        swaps = tuple((int(a), int(b), float(both[a, b])) for a, b in np.argwhere(both >= SWAPPED))
        out.append(Turned(name, float(np.mean(alike < plain)), swaps))
    return out


def explained(values: np.ndarray, labels: np.ndarray) -> float:
    """Share of the variance of values (N,) that the classes explain, 0 to 1: the adjusted R^2, 0 for random classes."""
    total = float(np.var(values))
    names = np.unique(labels)
    if total < 1e-9 or len(values) <= len(names):
        return 0.0
    means = np.zeros(len(values))
    for c in names:
        means[labels == c] = values[labels == c].mean()
    left = 1 - float(np.var(means)) / total
    return max(0.0, 1 - left * (len(values) - 1) / (len(values) - len(names)))


def _local(pictures: np.ndarray) -> np.ndarray:
    """Local contrast: shapes count and not the light around them (twice as much is found of real traffic signs)."""
    from scipy.ndimage import gaussian_filter

    fine = pictures - gaussian_filter(pictures, (0, 4, 4))
    return np.asarray(32 * fine / (4 + np.sqrt(gaussian_filter(fine * fine, (0, 4, 4)))))


def _nearest(rows: np.ndarray, bank: np.ndarray, bar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    alike = rows @ bank.T
    alike[bar] = -2
    nearest = alike.argmax(axis=1)
    return nearest, alike[np.arange(len(rows)), nearest]


def _confusion(labels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Share of each class (rows) that is found as each (columns); classes with too few items show nothing."""
    classes = int(labels.max(initial=-1)) + 1
    out = np.zeros((classes, classes))
    known = (labels >= 0) & (found >= 0)
    np.add.at(out, (labels[known], found[known]), 1)
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    out[counts < FEWEST] = 0
    return out / np.maximum(counts, 1)[:, None]
