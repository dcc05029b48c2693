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


def p_values(scores: np.ndarray, good: np.ndarray) -> np.ndarray:
    """How likely a good item is to look at least as unusual (N,): (1 + number of `good` scores as high) / (n + 1).

    A good item of the same kind gets a value of at most r with a probability of at most r, whatever the scores are.

    >>> p_values(np.array([0.5, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.25]
    """
    ranks = len(good) - np.searchsorted(np.sort(good), scores, side="left")
    return np.asarray((1 + ranks) / (len(good) + 1))


def threshold(good: np.ndarray, rate: float) -> float:
    """The score above which an item is flagged: its p-value is then at most `rate`.

    >>> threshold(np.arange(1.0, 20.0), 0.1)
    18.0

    Raises:
        UserError: when there are too few good scores for such a rate.
    """
    if not 0 < rate < 1:
        raise UserError(f"a rate of {rate:g} false alarms was asked for", "give a number between 0 and 1")
    place = math.floor(rate * (len(good) + 1) + 1e-9)
    if place < 1:
        raise UserError(
            f"{len(good)} good items kept apart cannot vouch for {rate:.1%} false alarms",
            f"keep {math.ceil(1 / rate) - 1} or more apart, or allow more false alarms",
        )
    return float(np.sort(good)[-place])


def flagged(p: np.ndarray, rate: float) -> np.ndarray:
    """Which items are flagged (N,) bool: those whose p-value is at most the rate."""
    return np.asarray(p <= rate + 1e-9)
