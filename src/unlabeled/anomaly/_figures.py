"""Figures of merit of scores and maps against labels and masks.

Pixels are pooled over all test items. Nothing is binned: areas under curves are sums over sorted scores, in which ties
count half. PRO is the mean overlap of the connected faulty regions, integrated over the share of good pixels that are
flagged as well, up to 0.3, divided by 0.3 (Bergmann et al. 2021, doi:10.1007/s11263-020-01400-4); the good pixels are
those of all test items.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

LIMIT = 0.3  # of PRO's integral
TOUCHING = np.ones((3, 3), bool)  # pixels that meet at a corner are of one region


def auroc(faulty: np.ndarray, good: np.ndarray) -> float:
    """How often a faulty score lies above a good one, ties half; not a number where one of the two is empty.

    >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    if not len(faulty) or not len(good):
        return float("nan")
    ranked = _ordered(good)
    below = np.searchsorted(ranked, faulty, "left") + np.searchsorted(ranked, faulty, "right")
    return float(below.mean() / (2 * len(good)))


def average_precision(faulty: np.ndarray, good: np.ndarray) -> float:
    """Precision at each distinct faulty score, weighted by what it adds to recall (as scikit-learn has it).

    >>> average_precision(np.array([3.0, 1.0]), np.array([2.0]))
    0.8333333333333333
    """
    if not len(faulty):
        return float("nan")
    found, counts = np.unique(faulty, return_counts=True)
    hits = counts[::-1].cumsum()[::-1]
    alarms = len(good) - np.searchsorted(_ordered(good), found, "left")
    return float((hits / (hits + alarms) * counts).sum() / len(faulty))


def overlap(region: np.ndarray, good: np.ndarray, limit: float = LIMIT) -> float:
    """Area under the share of a region's pixels that are found, over the share of good pixels flagged, 0 to `limit`.

    Each pixel adds the part of the range in which it is found; within ties the curve is a straight line.

    Args:
        region: scores of one region's pixels.
        good: scores of all good pixels, sorted.
        limit: where the integral ends, and what it is divided by.

    >>> overlap(np.array([9.0, 1.5]), np.array([0.0, 1.0, 2.0, 3.0]), limit=1.0)
    0.75
    """
    start = 1 - np.searchsorted(good, region, "right") / len(good)  # nothing of it is found before
    end = 1 - np.searchsorted(good, region, "left") / len(good)  # all of it is found after
    ramp = np.square(np.clip(limit - start, 0, None)) - np.square(np.clip(limit - end, 0, None))
    width = np.maximum(end - start, 1e-300)
    area = np.where(end > start, ramp / (2 * width), np.clip(limit - start, 0, None))
    return float(area.mean() / limit)


def _ordered(x: np.ndarray) -> np.ndarray:
    """The same numbers, rising; the millions of good pixels are sorted once and not again for every figure."""
    return x if (x[1:] >= x[:-1]).all() else np.sort(x)


def f1(faulty: np.ndarray, good: np.ndarray, threshold: float) -> float:
    """Harmonic mean of precision and recall when scores above the threshold are flagged."""
    hits = int((faulty > threshold).sum())
    return 2 * hits / (hits + int((good > threshold).sum()) + len(faulty)) if len(faulty) else float("nan")


def f1_oracle(faulty: np.ndarray, good: np.ndarray) -> float:
    """The best F1 of any threshold, chosen on the test labels: an oracle's figure, that no one reaches in use.

    >>> f1_oracle(np.array([3.0, 1.0]), np.array([2.0]))
    0.8
    """
    if not len(faulty):
        return float("nan")
    found, counts = np.unique(faulty, return_counts=True)
    hits = counts[::-1].cumsum()[::-1]
    alarms = len(good) - np.searchsorted(_ordered(good), found, "left")
    return float((2 * hits / (hits + alarms + len(faulty))).max())


def share_with_interval(hits: int, n: int, own: float = 1.0) -> dict[str, float]:
    """A share with its exact 95 % interval (Clopper and Pearson 1934).

    Args:
        hits: how many of `n`.
        n: items.
        own: share of each item that no other one holds; the interval is that of `own * n` items by themselves.

    >>> {k: round(v, 3) for k, v in share_with_interval(0, 10).items()}
    {'share': 0.0, 'low': 0.0, 'high': 0.308, 'hits': 0, 'n': 10}
    """
    from scipy.stats import beta  # seconds to import, and a server needs none of it

    some, rest = hits * min(own, 1.0), (n - hits) * min(own, 1.0)
    low = float(beta.ppf(0.025, some, rest + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(0.975, some + 1, rest)) if hits < n else 1.0
    return {"share": hits / n if n else float("nan"), "low": low, "high": high, "hits": hits, "n": n}


def images(scores: np.ndarray, kinds: Sequence[str], threshold: float) -> dict[str, dict[str, float]]:
    """Figures of the items' scores: `all` faulty kinds against the good items, then each kind against them.

    Args:
        scores: (N,), more is worse.
        kinds: of each item; "" for a good one.
        threshold: from good items kept apart.

    Returns:
        For `all` and each kind: auroc, f1, f1_oracle, found (share of the faulty that are flagged), n.
    """
    names = np.asarray(kinds, dtype=object)
    good = scores[names == ""]
    parts = {"all": scores[names != ""]} | {k: scores[names == k] for k in sorted(set(kinds) - {""})}
    return {
        name: {
            "auroc": auroc(x, good),
            "f1": f1(x, good, threshold),
            "f1_oracle": f1_oracle(x, good),
            "found": float((x > threshold).mean()) if len(x) else float("nan"),
            "n": len(x),
        }
        for name, x in parts.items()
    }


@dataclass
class Pixels:
    """Pooled pixels of test items, taken in one item at a time.

    Args:
        good: scores of good pixels, an array an item.
        regions: scores of each connected faulty region, by kind.
    """

    good: list[np.ndarray] = field(default_factory=list)
    regions: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, map: np.ndarray, mask: np.ndarray, kind: str) -> None:
        """Take in one item: its map (H, W) and its mask (H, W) bool, and its kind, "" for a good one."""
        self.good.append(np.asarray(map[~mask], np.float32))
        labels, count = ndimage.label(mask, TOUCHING)
        if count:
            inside = labels[mask]
            order = np.argsort(inside, kind="stable")
            parts = np.split(np.asarray(map[mask], np.float32)[order], np.cumsum(np.bincount(inside)[1:])[:-1])
            self.regions.setdefault(kind, []).extend(parts)

    def figures(self) -> Mapping[str, dict[str, float]]:
        """For `all` and each kind: auroc, ap, pro, share of faulty pixels, regions; against all good pixels."""
        if not self.regions:
            return {}
        good = np.sort(np.concatenate(self.good))
        parts: dict[str, Iterable[np.ndarray]] = {"all": [r for kind in self.regions.values() for r in kind]}
        return {k: _pixels(list(v), good) for k, v in (parts | dict(sorted(self.regions.items()))).items()}


def _pixels(regions: Sequence[np.ndarray], good: np.ndarray) -> dict[str, float]:
    faulty = np.concatenate(regions)
    return {
        "auroc": auroc(faulty, good),
        "ap": average_precision(faulty, good),
        "pro": float(np.mean([overlap(r, good) for r in regions])) if len(good) else float("nan"),
        "share": len(faulty) / (len(faulty) + len(good)),
        "regions": len(regions),
    }
