"""From scores to alarms at a chosen rate of false ones, by good items that the detector has not seen (split conformal
prediction: Vovk et al. 2005; for anomalies Laxhammar and Falkman 2010, doi:10.1145/1833280.1833285).
"""

import math

import numpy as np

from unlabeled.data.splits import unit_numbers
from unlabeled.data.table import Table
from unlabeled.errors import UserError


def apart(table: Table, rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Part good items into those that are learnt from and those that set the threshold; no group stands on both sides.

    Args:
        table: the items.
        rows: the good ones (N,).
        share: of them that set the threshold, 0 to 1.
        seed: another seed, another split.

    Returns:
        Sorted rows to learn from, and sorted rows that are kept apart.

    Raises:
        UserError: when one of the two would be empty.
    """
    units = unit_numbers(table, rows)
    units = np.arange(len(rows)) if units is None else units
    names, counts = np.unique(units, return_counts=True)
    wanted, kept, out = share * len(rows), 0, []
    for at in np.random.default_rng([seed, 31]).permutation(len(names)):
        if kept + counts[at] <= wanted + 0.5:  # a group too large to be kept apart is learnt from
            out.append(names[at])
            kept += int(counts[at])
    aside = np.isin(units, out)
    if not aside.any() or aside.all():
        raise UserError(
            f"{len(rows)} good items in {len(names)} groups cannot be parted", "give more good items, or smaller groups"
        )
    return np.sort(rows[~aside]), np.sort(rows[aside])


def folds(table: Table, rows: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Part good items into folds of about one size, no group in two of them; the largest groups are placed first.

    Args:
        table: the items.
        rows: the good ones (N,).
        count: how many folds; fewer come back where there are fewer groups.
        seed: another seed, other folds.

    Returns:
        Sorted rows of each fold.

    Raises:
        UserError: when there are not two items of two groups.
    """
    units = unit_numbers(table, rows)
    units = np.arange(len(rows)) if units is None else units
    names, counts = np.unique(units, return_counts=True)
    order = np.random.default_rng([seed, 31]).permutation(len(names))
    parts: list[list[int]] = [[] for _ in range(min(count, len(names)))]
    sizes = [0] * len(parts)
    for at in order[np.argsort(-counts[order], kind="stable")]:
        smallest = sizes.index(min(sizes))
        parts[smallest].append(int(names[at]))
        sizes[smallest] += int(counts[at])
    if len(parts) < 2:
        raise UserError(
            f"{len(rows)} good items in {len(names)} groups cannot be parted", "give more good items, or smaller groups"
        )
    return [np.sort(rows[np.isin(units, part)]) for part in parts]


def weights(units: np.ndarray | None, items: int, rate: float) -> np.ndarray:
    """What each good item counts for (N,), so that every group counts for one: a new item comes from a new group.

    One large group would else set the threshold by itself (pooling of groups: Dunn et al. 2023, arXiv:1809.07441).
    Where there are too few groups to vouch for the rate, every item counts for one.

    Args:
        units: group of each item as a number (N,), or None.
        items: how many there are, N.
        rate: of false alarms, 0 to 1.
    """
    if units is None or vouching(units, rate):
        return np.ones(items)
    _, where, counts = np.unique(units, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[where])


def vouching(units: np.ndarray | None, rate: float) -> int:
    """How many groups the good items are of where these are too few to vouch for the rate in a new one; else 0.

    >>> vouching(np.arange(30) % 3, 0.1), vouching(np.arange(30) % 9, 0.1), vouching(None, 0.1)
    (3, 0, 0)
    """
    groups = 0 if units is None else len(np.unique(units))
    return groups if rate * (groups + 1) < 1 - 1e-9 else 0


def p_values(scores: np.ndarray, good: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """How likely a good item is to look at least as unusual (N,): (1 + number of `good` scores as high) / (n + 1).

    A good item of the same kind gets a value of at most r with a probability of at most r, whatever the scores are.

    Args:
        scores: of the items (N,).
        good: of good items that the detector has not seen (M,).
        weight: what each good item counts for (M,); n is their sum. One each when not given.

    >>> p_values(np.array([0.5, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.25]
    >>> p_values(np.array([2.0]), np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5, 0.5])).tolist()
    [0.6666666666666666]
    """
    weight = np.ones(len(good)) if weight is None else weight
    order = np.argsort(good, kind="stable")
    above = np.append(weight[order][::-1].cumsum()[::-1], 0.0)  # of all scores from each one on
    found = above[np.searchsorted(good[order], scores, side="left")]
    return np.asarray((1 + found) / (weight.sum() + 1))


def threshold(good: np.ndarray, rate: float, weight: np.ndarray | None = None) -> float:
    """The score above which an item is flagged: its p-value is then at most `rate`.

    >>> threshold(np.arange(1.0, 20.0), 0.1)
    18.0

    Raises:
        UserError: when there are too few good scores for such a rate.
    """
    if not 0 < rate < 1:
        raise UserError(f"a rate of {rate:g} false alarms was asked for", "give a number between 0 and 1")
    weight = np.ones(len(good)) if weight is None else weight
    spare = rate * (weight.sum() + 1) - 1 + 1e-9  # what may lie above
    if spare < 0:
        raise UserError(
            f"{len(good)} good items kept apart cannot vouch for {rate:.1%} false alarms",
            f"keep {math.ceil(1 / rate) - 1} or more apart, or allow more false alarms",
        )
    order = np.argsort(-good, kind="stable")
    return float(good[order][np.searchsorted(weight[order].cumsum(), spare, side="right")])


def flagged(p: np.ndarray, rate: float) -> np.ndarray:
    """Which items are flagged (N,) bool: those whose p-value is at most the rate."""
    return np.asarray(p <= rate + 1e-9)


def beyond(hits: float, tested: float, kept: float, rate: float) -> int:
    """Whether more (1) or fewer (-1) good test items are flagged than chance explains in 95 of 100 cases, else 0.

    A threshold that few items set scatters, too: the share of good items that it flags in truth is
    Beta(spare, kept + 1 - spare), with spare = (kept + 1) * rate, rounded down (Vovk 2012, arXiv:1209.2673).

    Args:
        hits: how many are flagged.
        tested: how many good test items there are; less where they overlap or belong together, and `hits` as well.
        kept: how many items, or groups, set the threshold.
        rate: of false alarms, 0 to 1.

    >>> beyond(5, 12, 12, 0.1), beyond(500, 1200, 12, 0.1), beyond(42, 100, 400, 0.1), beyond(0, 400, 400, 0.1)
    (1, 1, 1, -1)
    >>> beyond(2, 12, 12, 0.1), beyond(12, 100, 19, 0.05)
    (0, 0)
    """
    from scipy.stats import betabinom  # seconds to import, and a server needs none of it

    whole = max(1, round(kept))
    spare = min(whole, max(1, math.floor((whole + 1) * rate + 1e-9)))
    law, found = betabinom(max(1, round(tested)), spare, whole + 1 - spare), round(hits)
    return 1 if law.sf(found - 1) < 0.025 else -1 if law.cdf(found) < 0.025 else 0
