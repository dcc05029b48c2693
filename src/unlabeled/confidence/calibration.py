"""Is a classifier that says 80 % right in 80 of 100 cases? Calibration error, with its interval and its bins.

ECE of Guo et al. (2017, arXiv:1706.04599), top label; beside bins of equal width there are bins of equal mass (Nguyen &
O'Connor 2015, arXiv:1508.05154), and the mean over classes. All are biased upwards on few items and can be gamed by
constant answers: read them with n, the interval, and the log-loss and Brier score of `metrics.report`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from unlabeled.stats import resampled

BINS = 15  # Guo et al. (2017), section 2


@dataclass(frozen=True)
class Bin:
    """One line of a reliability table: mean confidence, accuracy and number of the items in a range of confidence."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


def error(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS, mass: bool = False) -> float:
    """Mean distance between confidence and accuracy.

    Args:
        confidence: (N,) probability of the answer, 0 to 1.
        right: (N,) whether it was right.
        bins: number of bins.
        mass: bins with as many items each instead of bins of equal width.

    >>> error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([1, 1, 1, 0]))
    0.1
    """
    where = numbers(confidence, bins, mass)
    gap = np.bincount(where, np.asarray(confidence, np.float64) - np.asarray(right, np.float64), bins)
    return round(float(np.abs(gap).sum() / len(where)), 12)


def chance(confidence: np.ndarray, *, bins: int = BINS, draws: int = 400, seed: int = 0) -> tuple[float, float]:
    """The calibration error that an honest classifier shows by chance: mean, and what 95 % of draws stay below.

    Args:
        confidence: (N,) probability of the answer; each is right with just that probability.
        bins: number of bins.
        draws: how often that is played.
        seed: of the draws.

    >>> mean, most = chance(np.full(100, 0.8))
    >>> 0.02 < mean < 0.04 < most < 0.09
    True
    """
    c = np.asarray(confidence, np.float64)
    random = np.random.default_rng([seed, 37])
    found = [error(c, random.uniform(size=len(c)) < c, bins=bins) for _ in range(draws)]
    return float(np.mean(found)), float(np.quantile(found, 0.95))


def numbers(confidence: np.ndarray, bins: int = BINS, mass: bool = False) -> np.ndarray:
    """The bin (N,) of each item: of equal width, open below and closed above; or of equal mass, equal confidences
    together: which of them are right is often a matter of the order in which the items stand, as classes do.
    """
    c = np.asarray(confidence, np.float64)
    if mass:
        return np.asarray((rankdata(c) - 1) * bins // max(1, len(c)), np.int64)
    return (np.ceil(c * bins) - 1).clip(0, bins - 1).astype(np.int64)


def classwise(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = BINS) -> float:
    """Mean over classes of the calibration error of each class's own probability (Kull et al. 2019,
    arXiv:1910.12656)."""
    p, y = np.asarray(probabilities), np.asarray(labels)
    return float(np.mean([error(p[:, c], y == c, bins=bins) for c in range(p.shape[1])]))


def table(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> list[Bin]:
    """The reliability table, empty bins left out."""
    where = numbers(confidence, bins)
    out = []
    for b in range(bins):
        mine = where == b
        if mine.any():
            facts = float(np.mean(confidence[mine])), float(np.mean(right[mine])), int(mine.sum())
            out.append(Bin(b / bins, (b + 1) / bins, *facts))
    return out


def interval(
    measure: Callable[[np.ndarray], float],
    items: int,
    *,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of any figure of merit by bootstrap of the items, or of whole groups.

    Args:
        measure: from row numbers (some more than once) to the figure.
        items: how many rows there are.
        groups: (N,) patients, parts ...
        resamples: of the bootstrap.
        seed: of the bootstrap.

    >>> low, high = interval(lambda rows: float(rows.mean()), 101, resamples=200)
    >>> 40 < low < 50 < high < 60
    True
    """
    unit = np.arange(items) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    random = np.random.default_rng([seed, 31])
    found = []
    for _ in range(resamples):
        times = resampled(int(unit.max()) + 1, 1, random)[0].astype(np.int64)[unit]
        found.append(measure(np.repeat(np.arange(items), times)))
    return ends(np.array(found), int(unit.max()) + 1)


def centred(found: np.ndarray, value: float) -> np.ndarray:
    """Resampled calibration errors (R,), moved so that their mean is the error itself, 0 to 1.

    Chance alone makes such an error larger; a resample has the chance of its sample and its own, so that the error that
    was found would often lie below all of them.

    Args:
        found: (R,) errors of the resamples.
        value: that of the sample.

    >>> centred(np.array([0.06, 0.08]), 0.03).round(2).tolist()
    [0.02, 0.04]
    """
    known = found[np.isfinite(found)]
    return np.asarray((found - known.mean() + value).clip(0, 1)) if len(known) else found


def ends(found: np.ndarray, units: int, most: float = 1.0) -> tuple[float, float]:
    """Ends of the 95 % interval from resampled figures (R,), where these are numbers.

    One item or group alone has none. Where every resample gives 0 or every one gives 1, as a share does of items that
    are all alike, the interval reaches as far as an unseen one may differ (Clopper & Pearson 1934).

    Args:
        found: (R,) figures.
        units: items or groups that were resampled.
        most: what one item can have at most: 1 where the figure is a share, all classes where it is a label set's size.

    >>> [round(end, 3) for end in ends(np.ones(100), 20)]
    [0.832, 1.0]
    >>> [round(end, 3) for end in ends(np.ones(100), 20, most=4)]
    [0.832, 1.505]
    """
    known = found[np.isfinite(found)]
    if units < 2 or not len(known):
        return float("nan"), float("nan")
    unseen = 1 - 0.025 ** (1 / units)
    if (known == 1).all():
        return 1 - unseen, 1.0 + unseen * (most - 1)
    if (known == 0).all():
        return 0.0, unseen
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
