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


def images(
    scores: np.ndarray, kinds: Sequence[str], threshold: float, *, groups: np.ndarray | None = None, own: float = 1.0
) -> dict[str, dict[str, float]]:
    """Figures of the items' scores: `all` faulty kinds against the good items, then each kind against them.

    Args:
        scores: (N,), more is worse.
        kinds: of each item; "" for a good one.
        threshold: from good items kept apart.
        groups: (N,) of the parts or recordings that items are of; the intervals count whole groups.
        own: share of each item that no other one holds.

    Returns:
        For `all` and each kind: auroc, f1, f1_oracle, found (share of the faulty that are flagged), n, and the ends of
        the 95 % intervals of auroc and found (auroc_low, ..., found_high), not numbers where a single group is good or
        faulty.
    """
    names = np.asarray(kinds, dtype=object)
    good = names == ""
    parts = {"all": ~good} | {_named(k): names == k for k in sorted(set(kinds) - {""})}
    units = np.arange(len(names)) if groups is None else groups
    out = {}
    for name, ill in parts.items():
        x, y, both = scores[ill], scores[good], ill | good
        apart = len(np.unique(units[ill])) / max(1, ill.sum()) if groups is not None else own
        low, high = between(scores[both], ill[both], units[both])
        found = share_with_interval(int((x > threshold).sum()), len(x), apart)
        out[name] = {
            "auroc": auroc(x, y), "auroc_low": low, "auroc_high": high, "f1": f1(x, y, threshold),
            "f1_oracle": f1_oracle(x, y), "found": found["share"], "found_low": found["low"],
            "found_high": found["high"], "n": len(x),
        }  # fmt: skip
    return out


def between(scores: np.ndarray, faulty: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Ends of the 95 % interval of the AUROC over groups of items; nan where a side is of one group or all are alike.

    The variance is that of DeLong et al. (1988) for whole groups (Obuchowski 1997, doi:10.2307/2533958); the interval
    is Student's on the scale of the log-odds, which does not run over 1.

    Args:
        scores: (N,), more is worse.
        faulty: (N,) bool.
        groups: (N,) of each item.

    >>> [round(end, 2) for end in between(np.array([0.0, 1, 3, 2, 4, 5]), np.arange(6) > 2, np.arange(6))]
    [0.09, 1.0]
    """
    from scipy.stats import t  # seconds to import, and a server needs none of it

    few = [len(np.unique(groups[side])) for side in (faulty, ~faulty)]
    if min(few) < 2:
        return float("nan"), float("nan")
    area = auroc(scores[faulty], scores[~faulty])
    if area in (0.0, 1.0):
        unseen = 0.025 ** (1 / min(few))  # Clopper & Pearson 1934, for the rarer side
        return (unseen, 1.0) if area else (0.0, 1 - unseen)
    number = np.unique(groups, return_inverse=True)[1]
    own, parts = [], []
    for side, n, sign in zip((faulty, ~faulty), few, (1, -1), strict=True):
        others = np.sort(scores[~side])
        below = np.searchsorted(others, scores[side], "left") + np.searchsorted(others, scores[side], "right")
        share = below / (2 * len(others)) if sign > 0 else 1 - below / (2 * len(others))
        own.append(np.bincount(number[side], share - area, int(number.max()) + 1) / side.sum())
        parts.append(n / (n - 1) * float((own[-1] ** 2).sum()))
    both = len(own[0]) / (len(own[0]) - 1) * 2 * float((own[0] * own[1]).sum())
    variance = sum(parts) + both
    if variance < 1e-12:
        return float("nan"), float("nan")
    freedom = sum(parts) ** 2 / sum(v**2 / (n - 1) for v, n in zip(parts, few, strict=True))
    half = float(t.ppf(0.975, freedom)) * np.sqrt(variance) / (area * (1 - area))
    middle = np.log(area / (1 - area))
    low, high = 1 / (1 + np.exp(-np.array([middle - half, middle + half]).clip(-700, 700)))
    return float(low), float(high)


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
        parts |= {_named(kind): regions for kind, regions in sorted(self.regions.items())}
        return {k: _pixels(list(v), good) for k, v in parts.items()}


def _named(kind: str) -> str:
    """A kind beside the figures of all of them."""
    return "all (a kind)" if kind == "all" else kind


def _pixels(regions: Sequence[np.ndarray], good: np.ndarray) -> dict[str, float]:
    faulty = np.concatenate(regions)
    return {
        "auroc": auroc(faulty, good),
        "ap": average_precision(faulty, good),
        "pro": float(np.mean([overlap(r, good) for r in regions])) if len(good) else float("nan"),
        "share": len(faulty) / (len(faulty) + len(good)),
        "regions": len(regions),
    }
