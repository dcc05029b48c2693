"""For whom is a model worse? Figures by any column (site, sex, device), each part against all others, with intervals.

A difference is marked only where it is larger than chance gives among so many comparisons (Bonferroni): of many parts
one looks bad by chance alone. Its standard error is the bootstrap's, or that of parts that do not differ at all where
this is larger: 30 of 30 right have no spread of their own. The calibration error is never marked, since
it is larger in small parts whatever the model does; `overconfidence`, mean confidence less accuracy, is not.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from unlabeled.confidence import calibration
from unlabeled.deploy.decide import Limits
from unlabeled.stats import TABLE, resampled

FEWEST = 10  # items of a part
QUARTERS = 4  # parts that numbers are cut into which are mostly rare
METRICS = ("accuracy", "ece", "overconfidence", "coverage", "size", "flagged", "abstained")
SHARES = ("accuracy", "coverage", "flagged", "abstained")
COLUMNS = ("column", "part", "n", "metric", "value", "low", "high", "difference", "difference_low", "difference_high",
           "differs")  # fmt: skip
MISSING = "(missing)"


def table(
    found: Mapping[str, np.ndarray],
    labels: np.ndarray,
    limits: Limits,
    columns: Mapping[str, np.ndarray],
    *,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Figures of every part of every column.

    Args:
        found: `probabilities` (N, C) and `strangeness` (N,).
        labels: (N,) class numbers.
        limits: of the model.
        columns: for each column the part (N,) that each item is in; missing values are a part of their own.
        groups: (N,) patients, parts ...: whole groups are resampled.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One row a part and metric: column, part, n, metric, value, low, high (95 %), difference from all other items
        with its interval, and whether it differs; parts with fewer than 10 items are left out.
    """
    p, y = np.asarray(found["probabilities"], np.float64), np.asarray(labels)
    members, odd = limits.sets(p), limits.strange(found["strangeness"])
    top, right = p.max(1), (p.argmax(1) == y).astype(np.float64)
    each = {
        "accuracy": right,
        "overconfidence": top - right,
        "coverage": members[np.arange(len(y)), y].astype(np.float64),
        "size": members.sum(1).astype(np.float64),
        "flagged": odd.astype(np.float64),
        "abstained": (odd | (members.sum(1) != 1)).astype(np.float64),
    }
    where = calibration.numbers(top)
    bins = np.eye(calibration.BINS)[where] * (top - right)[:, None]  # (N, bins)
    unit = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    parts = [(column, part) for column, values in columns.items() for part in _parts(values)]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    values = np.column_stack([np.ones(len(y)), *each.values(), bins])  # (N, 1 + metrics + bins)
    masks = [np.ones(len(y), bool), *(_words(columns[column]) == part for column, part in parts)]
    sums = _resummed(values, unit, masks, resamples, np.random.default_rng([seed, 51]))

    def measure(total: np.ndarray) -> dict[str, np.ndarray]:
        items = np.where(total[:, 0] > 0, total[:, 0], np.nan)
        out = {k: total[:, 1 + i] / items for i, k in enumerate(each)}
        return out | {"ece": np.abs(total[:, 1 + len(each) :]).sum(1) / items}

    spread = {k: _spread(v, unit) for k, v in each.items()}
    rows = []
    for (column, part), mask, own in zip(parts, masks[1:], sums[1:], strict=True):
        mine, others = measure(own), measure(sums[0] - own)
        sides = [len(np.unique(unit[mask == side])) for side in (1, 0)]
        for metric in METRICS:
            value, gap = mine[metric], mine[metric] - others[metric]
            low, high = _ends(metric, value, sides[0])
            alone = not np.isfinite(gap[0])  # there are no others
            ends = np.full(2, np.nan) if alone or min(sides) < 2 else _apart(metric, value, others[metric], sides)
            inside = int(mask.sum())
            alike = 0.0 if alone or metric == "ece" else spread[metric] * (1 / inside + 1 / (len(y) - inside)) ** 0.5
            far = 0.0 if alone else abs(gap[0]) / max(float(np.nanstd(gap[1:])), alike, 1e-12)
            lone = groups is not None and min(sides) < 2  # one patient is no part
            beyond = metric != "ece" and not lone and bool(far > norm.isf(0.025 / (len(parts) * (len(METRICS) - 1))))
            rows.append((column, part, int(mask.sum()), metric, value[0], low, high, gap[0], *ends, beyond))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _resummed(
    values: np.ndarray, unit: np.ndarray, masks: Sequence[np.ndarray], resamples: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Sums of values (N, K) under each mask (N,): of all items as they are, and of each resample of units (N,), a few
    resamples at a time: (1 + R, K) each.
    """
    units = int(unit.max()) + 1
    mine = [np.unique(unit[mask], return_inverse=True) for mask in masks]
    each = [
        np.column_stack([np.bincount(code, column[mask], len(some)) for column in values.T])
        for (some, code), mask in zip(mine, masks, strict=True)
    ]
    out = [[one.sum(0)[None]] for one in each]
    step = max(1, TABLE // units)
    for at in range(0, resamples, step):
        draws = resampled(units, min(step, resamples - at), random)
        for found, (some, _), one in zip(out, mine, each, strict=True):
            found.append(draws[:, some] @ one)
    return [np.concatenate(found) for found in out]


def banded(values: np.ndarray) -> np.ndarray:
    """Parts (N,) by quarters of the items where values (N,) are numbers of which most are rare, as ages are; else the
    values as they are.

    >>> banded(np.array([str(30 + i) for i in range(40)]))[[0, 39]].tolist()
    ['30 to 39', '60 to 69']
    """
    words = _words(values)
    known = words != MISSING
    numbers = pd.to_numeric(pd.Series(words), errors="coerce").to_numpy(np.float64)
    different, counts = np.unique(words[known], return_counts=True)
    if not np.isfinite(numbers[known]).all() or len(different) <= QUARTERS or (counts >= FEWEST).mean() > 0.5:
        return values
    inner = np.quantile(numbers[known], np.arange(1, QUARTERS) / QUARTERS)
    quarter = np.where(known, np.searchsorted(inner, numbers), -1)
    out = words.astype(object)
    for number in np.unique(quarter[known]):
        mine = numbers[quarter == number]
        out[quarter == number] = f"{mine.min():g} to {mine.max():g}"
    return out


def small(values: np.ndarray) -> list[str]:
    """Parts of values (N,) that are left out as they hold too few items, with how many."""
    names, counts = np.unique(_words(values), return_counts=True)
    return [f"{n} ({c})" for n, c in zip(names, counts, strict=True) if c < FEWEST]


def _ends(metric: str, found: np.ndarray, units: int) -> tuple[float, float]:
    """The 95 % interval of a figure of a part, from (1 + R,) the figure itself and its resamples; of one unit none."""
    if units < 2:
        return float("nan"), float("nan")
    if metric in SHARES:
        return calibration.ends(found[1:], units)
    drawn = calibration.centred(found[1:], float(found[0])) if metric == "ece" else found[1:]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _apart(metric: str, mine: np.ndarray, others: np.ndarray, units: Sequence[int]) -> np.ndarray:
    """The 95 % interval (2,) of a part's difference from all others. A share that is 0 or 1 throughout has no spread of
    its own: there the ends come from those of both sides (Newcombe 1998, square and add).
    """
    gap = mine - others
    flat = [side for side in (mine, others) if (known := side[np.isfinite(side)]).min() == known.max()]
    if metric not in SHARES or not flat:
        return np.asarray(np.nanquantile(gap[1:], [0.025, 0.975]))
    (low, high), (least, most) = (_ends(metric, side, n) for side, n in zip((mine, others), units, strict=True))
    down, up = np.hypot(mine[0] - low, most - others[0]), np.hypot(high - mine[0], others[0] - least)
    return np.array([gap[0] - down, gap[0] + up])


def _spread(values: np.ndarray, unit: np.ndarray) -> float:
    """Standard deviation of values (N,), as much larger as items of one unit (N,) are alike, so that over the root of n
    it gives the standard error of a mean.
    """
    rest = values - values.mean()
    within = np.square(np.bincount(unit, rest)).sum() / max(float(np.square(rest).sum()), 1e-12)
    return float(values.std() * max(1.0, within) ** 0.5)


def _words(values: np.ndarray) -> np.ndarray:
    return np.array([MISSING if pd.isna(v) or v == "" else str(v) for v in values])


def _parts(values: np.ndarray) -> list[str]:
    names, counts = np.unique(_words(values), return_counts=True)
    return [str(n) for n, c in zip(names, counts, strict=True) if c >= FEWEST]
