"""Instead of one label a set of labels that holds the true one with a promised probability: split conformal prediction.

Vovk et al. (2005); the score is one minus the probability of the true class (Sadinle et al. 2019, arXiv:1609.00451).
The promise is marginal: over all items (or over those of a class or group, where quantiles are kept by class or group,
Mondrian), and for items from the same source as those that it was calibrated on. Under shift it is void.
"""

import math

import numpy as np
from scipy.stats import beta

from unlabeled.errors import UserError


def scores(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How badly each item's label fits its probabilities (N,), 0 to 1."""
    p = np.asarray(probabilities, np.float64)
    return np.asarray(1 - p[np.arange(len(p)), np.asarray(labels)])


def needed(coverage: float) -> int:
    """How many calibration items a coverage needs at least: with fewer, every set holds all classes.

    >>> needed(0.9), needed(0.95)
    (9, 19)
    """
    if not 0 < coverage < 1:
        raise UserError(f"a coverage of {coverage} was asked for", "give a share between 0 and 1, such as 0.9")
    return math.ceil(1 / (1 - coverage) - 1 - 1e-9)


def quantile(held: np.ndarray, coverage: float) -> float:
    """The score of rank ceil((n + 1) * coverage) among n calibration items; infinite where n is too small.

    >>> quantile(np.arange(1, 10) / 10, 0.9), quantile(np.arange(8) / 10, 0.9)
    (0.9, inf)
    """
    held = np.sort(np.asarray(held, np.float64))
    if len(held) < needed(coverage):
        return float("inf")
    return float(held[math.ceil((len(held) + 1) * coverage - 1e-9) - 1])


def quantiles(held: np.ndarray, parts: np.ndarray, count: int, coverage: float) -> np.ndarray:
    """A quantile for each part (class, group) 0..count-1, (count,), from scores (N,) and part numbers (N,).

    >>> quantiles(np.arange(20) / 20, np.arange(20) % 2, 2, 0.9).tolist()
    [0.9, 0.95]
    """
    held, parts = np.asarray(held), np.asarray(parts)
    return np.array([quantile(held[parts == part], coverage) for part in range(count)])


def sets(probabilities: np.ndarray, limit: float | np.ndarray) -> np.ndarray:
    """Which classes each set holds, (N, C) bool.

    Args:
        probabilities: (N, C).
        limit: from `quantile`; or (C,), one a class; or (N, 1), the one of each item's group.

    >>> sets(np.array([[0.7, 0.3], [0.5, 0.5]]), 0.4).tolist()
    [[True, False], [False, False]]
    """
    return np.asarray(1 - np.asarray(probabilities, np.float64) <= limit)


def expected(n: int, coverage: float, *, level: float = 0.95) -> tuple[float, float]:
    """Where the coverage of one calibration with n items lies with probability `level`, over many test items.

    It is Beta(n + 1 - l, l) with l = floor((n + 1) * (1 - coverage)).

    >>> [round(end, 3) for end in expected(240, 0.9)]
    [0.86, 0.935]
    """
    low = math.floor((n + 1) * (1 - coverage) + 1e-9)
    if low < 1:
        return 1.0, 1.0
    tail = (1 - level) / 2
    return float(beta.ppf(tail, n + 1 - low, low)), float(beta.ppf(1 - tail, n + 1 - low, low))


def report(members: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What came of sets (N, C) on labelled items.

    Returns:
        `coverage`, `size` (mean number of classes), `empty`, `single` and `full` (shares of the sets), `worst_class`
        (coverage of the class that is covered least).
    """
    members, labels = np.asarray(members), np.asarray(labels)
    hit = members[np.arange(len(labels)), labels]
    size = members.sum(1)
    return {
        "coverage": float(hit.mean()),
        "size": float(size.mean()),
        "empty": float((size == 0).mean()),
        "single": float((size == 1).mean()),
        "full": float((size == members.shape[1]).mean()),
        "worst_class": float(min(hit[labels == c].mean() for c in np.unique(labels))),
    }
