"""Arms at the strength at which one of them has lost a given number of points: the same trouble for all.

A mean over fixed severities mixes corruptions that hurt nobody with such as blind everybody. Here each kind is turned
up until the reference arm has lost `points`; what every other arm has lost there is read off its own curve, straight
between severities 0 (clean) to 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unlabeled import stats
from unlabeled.errors import UserError
from unlabeled.progress import count, ends
from unlabeled.shift.severity import Curve

BLOCK = 250  # resamples worked on at once


@dataclass(frozen=True, eq=False)
class EqualLoss:
    """What every arm loses where the reference loses `points`.

    Args:
        reference: the arm that sets the strengths.
        points: accuracy that it has lost there, 0 to 1.
        arms: one row an arm: arm, loss, low, high (95 %), spared, spared_low, spared_high (points less loss), kinds.
        strengths: one row a kind and arm: kind, strength (0 to 5; nan where the reference never loses so much), arm,
            loss.
    """

    reference: str
    points: float
    arms: pd.DataFrame
    strengths: pd.DataFrame

    def lines(self) -> list[str]:
        """A sentence for each other arm."""
        there = self.strengths.drop_duplicates("kind")["strength"]
        found = int(there.notna().sum())
        if not found:
            return [f"{self.reference} never loses {100 * self.points:g} points, at no kind and severity."]
        head = f"Where {self.reference} has lost {100 * self.points:g} points ({found} of {count(len(there), 'kind')})"
        rows = self.arms[self.arms["arm"] != self.reference].to_dict("records")
        return [f"{head}, {r['arm']} has lost {100 * r['loss']:.1f} ({ends(r['low'], r['high'])})." for r in rows]


def equal_loss(
    curves: Mapping[str, Curve],
    kinds: Sequence[str],
    reference: str,
    *,
    points: float = 0.08,
    groups: np.ndarray | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> EqualLoss:
    """Find the strengths at which the reference has lost `points`, and what the others have lost there.

    The interval repeats all of it (strengths, kinds that get there, losses, mean) on resampled test items, the same
    for all arms, and resampled seeds, the same for arms that have the same ones; few seeds that differ widen it as they
    do every interval (see `stats`). Draws of labels are averaged.

    Args:
        curves: of the arms, on the same kinds and test items.
        kinds: names of the K kinds.
        reference: name of an arm.
        points: accuracy lost, above 0 and up to 1.
        groups: (N,) of the test items, resampled as wholes.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UserError: when there is no such arm, or points cannot be lost.

    >>> line = lambda lost: (np.arange(100) >= lost)  # so many of 100 items are wrong
    >>> hits = lambda step: np.stack([line(step * s) for s in range(6)])[None, None]
    >>> pair = {"a": Curve(((0, 0),), hits(4)), "b": Curve(((0, 0),), hits(2))}
    >>> found = equal_loss(pair, ["fog"], "a", points=0.06)
    >>> [round(float(v), 3) for v in (found.strengths["strength"][0], *found.arms["loss"])]
    [1.5, 0.06, 0.03]
    """
    if reference not in curves:
        raise UserError(f'there is no arm "{reference}"', f"take one of {', '.join(curves)}")
    if not 0 < points <= 1:
        raise UserError(f"a loss of {points} was asked for", "give a share of the items above 0, up to 1")
    by_seed = {arm: _by_seed(curve) for arm, curve in curves.items()}
    items = next(iter(by_seed.values()))[1].shape[-1]
    whole = {arm: hits.mean((0, 3))[..., None] for arm, (_, hits) in by_seed.items()}  # (K, 6, 1)
    strength, lost, mean = _read(whole, reference, points)
    unit = np.arange(items) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    random = np.random.default_rng([seed, 22])
    parts = []
    for at in range(0, resamples, BLOCK):
        many = min(BLOCK, resamples - at)
        weights = stats.resampled(int(unit.max()) + 1, many, random)[:, unit]
        weights = weights / weights.sum(1, keepdims=True)
        drawn: dict[tuple[int, ...], np.ndarray] = {}
        accuracy = {}
        for arm, (seeds, hits) in by_seed.items():
            if seeds not in drawn:
                drawn[seeds] = stats.resampled(len(seeds), many, random)
            share = drawn[seeds] / drawn[seeds].sum(1, keepdims=True)  # (R, S)
            accuracy[arm] = np.einsum("skvr,rs->kvr", hits @ weights.T, share)
        parts.append(_read(accuracy, reference, points)[2])
    replicates = {arm: np.concatenate([p[arm] for p in parts]) for arm in curves}
    rows = []
    for arm in curves:
        low, high = _ends(replicates[arm], _of_seeds(by_seed, arm, reference, points), int(unit.max()) + 1)
        loss = float(mean[arm][0])
        spared = {"spared": points - loss, "spared_low": points - high, "spared_high": points - low}
        there = {"kinds": int(np.isfinite(strength[:, 0]).sum())}
        rows.append({"arm": arm, "loss": loss, "low": low, "high": high} | spared | there)
    table = [
        {"kind": kind, "strength": float(strength[k, 0]), "arm": arm, "loss": float(lost[arm][k, 0])}
        for k, kind in enumerate(kinds)
        for arm in curves
    ]
    return EqualLoss(reference, points, pd.DataFrame(rows), pd.DataFrame(table))


def _by_seed(curve: Curve) -> tuple[tuple[int, ...], np.ndarray]:
    """Seeds and hits (S, K, 6, N), label draws averaged."""
    own = np.array([s for s, _ in curve.cells])
    seeds = tuple(int(s) for s in np.unique(own))
    return seeds, np.stack([curve.hits[own == s].mean(0) for s in seeds])


def _read(
    accuracy: Mapping[str, np.ndarray], reference: str, points: float
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """From accuracies (K, 6, R): strengths (K, R), losses there (K, R), and their means over kinds (R,)."""
    loss = {arm: a[:, :1] - a for arm, a in accuracy.items()}
    mine = loss[reference]
    there = mine[:, 1:] >= points - 1e-12
    first = there.argmax(1)  # severity first + 1 is the first at which so much is lost; the one before is `first`
    before, after = (np.take_along_axis(mine, (first + i)[:, None], 1)[:, 0] for i in (0, 1))
    part = (points - before) / np.where(after > before, after - before, 1.0)
    found = there.any(1)
    lost = {}
    for arm, table in loss.items():
        x, y = (np.take_along_axis(table, (first + i)[:, None], 1)[:, 0] for i in (0, 1))
        lost[arm] = np.where(found, x + part * (y - x), np.nan)
    count = found.sum(0)
    total = {arm: np.where(found, v, 0.0).sum(0) for arm, v in lost.items()}
    mean = {arm: np.where(count > 0, t / np.maximum(count, 1), np.nan) for arm, t in total.items()}
    return np.where(found, first + part, np.nan), lost, mean


def _of_seeds(
    by_seed: Mapping[str, tuple[tuple[int, ...], np.ndarray]], arm: str, reference: str, points: float
) -> list[tuple[float, int]]:
    """The variance of an arm's loss that comes from its seeds and from the reference's, with degrees of freedom; the
    two together where they are the same seeds.
    """
    same = by_seed[arm][0] == by_seed[reference][0]
    parts = []
    for moved in [(arm, reference)] if same else [(arm,), (reference,)]:
        seeds = len(by_seed[moved[0]][0])
        each = {}
        for name in (arm, reference):
            own = by_seed[name][1].mean(3).transpose(1, 2, 0)  # (K, 6, S)
            each[name] = own if name in moved else np.repeat(own.mean(2, keepdims=True), seeds, 2)
        loss = _read(each, reference, points)[2][arm]
        loss = loss[np.isfinite(loss)]
        if len(loss) > 1:
            parts.append((float(loss.var(ddof=1)) / len(loss), len(loss) - 1))
    return parts


def _ends(replicates: np.ndarray, parts: list[tuple[float, int]], units: int) -> tuple[float, float]:
    known = replicates[np.isfinite(replicates)]
    if units < 2 or len(known) < 0.9 * len(replicates):  # too often the reference did not lose so much
        return float("nan"), float("nan")
    middle, spread = float(known.mean()), float(known.var())
    wide = stats.widening(parts, spread, units) if spread > stats.TINY else 1.0
    low, high = np.clip(middle + wide * (np.quantile(known, [0.025, 0.975]) - middle), -1.0, 1.0)
    return float(low), float(high)
