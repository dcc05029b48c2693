"""Is what comes in still like what was learnt from? One alarm, at a false-alarm rate that the user chooses.

Four figures are compared with the reference items of the bundle, which no head has learnt from: the features by energy
distance (Szekely & Rizzo 2004), the share of strangers, the shares of the classes, and the confidence. The same
permutations of both sets serve all four, and the smallest p value is set against the smallest ones of the permutations
(Westfall & Young 1993): if new and reference items are exchangeable, an alarm is false with at most the chosen rate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unlabeled.deploy.decide import Limits
from unlabeled.errors import UserError
from unlabeled.progress import count

FEWEST = 20  # items on either side
ENOUGH = 8  # permutations times the rate: each of four figures has one farthest out, and these tie for the least p
AT_ONCE = 4_000_000  # numbers of a block of permutations
WORDS: Mapping[str, str] = {
    "features": "features, energy distance",
    "strangers": "share of strangers",
    "classes": "shares of the classes, largest change",
    "confidence": "mean confidence",
}


@dataclass(frozen=True)
class Check:
    """One figure, there and here.

    Args:
        name: `features`, `strangers`, `classes` or `confidence`.
        reference: in the reference; for features the distance that chance gives (median of the permutations).
        now: in the new items.
        p: of the difference, by permutation.
    """

    name: str
    reference: float
    now: float
    p: float


@dataclass(frozen=True)
class Drift:
    """What was found.

    Args:
        alarm: whether the new items differ.
        p: over all figures together.
        rate: of false alarms that was chosen.
        items: new items.
        reference: reference items.
        checks: the figures.
        classes: share of each class, reference and now.
    """

    alarm: bool
    p: float
    rate: float
    items: int
    reference: int
    checks: tuple[Check, ...]
    classes: Mapping[str, tuple[float, float]]

    @property
    def sentence(self) -> str:
        """The answer."""
        if not self.alarm:
            return f"No drift is seen in {self.items:,} items (p {self.p:.3f}, alarm at {self.rate:g})."
        worst = [c for c in self.checks if c.p <= max(self.p, min(x.p for x in self.checks))]
        names = ", ".join(WORDS[c.name].partition(",")[0] for c in worst)
        sure = f"p {self.p:.3f}, alarm at {self.rate:g}"
        return f"The {self.items:,} new items are not like those learnt from ({sure}): {names}."


def compare(
    reference: Mapping[str, np.ndarray],
    new: Mapping[str, np.ndarray],
    limits: Limits,
    *,
    rate: float = 0.05,
    permutations: int = 999,
    seed: int = 0,
) -> Drift:
    """Compare new items with reference items.

    Args:
        reference: `features` (N, D), `probabilities` (N, C), `strangeness` (N,).
        new: the same of M new items.
        limits: of the model.
        rate: of false alarms, above 1 / (permutations + 1).
        permutations: how many at least; the smallest p of a figure is 1 / (permutations + 1). For a low rate more are
            drawn, so that a change of one figure alone can raise the alarm.
        seed: of the permutations.

    Raises:
        UserError: when there are too few items, or the rate cannot be had with so few permutations.
    """
    sizes = len(reference["features"]), len(new["features"])
    if sizes[0] < FEWEST:
        raise UserError(
            f"the model holds {count(sizes[0], 'reference item')} (calibration and unlabelled ones), and {FEWEST} "
            "are needed",
            "make it again with more labels, with --calibrate 0.5, or with unlabelled items beside",
        )
    if sizes[1] < FEWEST:
        raise UserError(f"{count(sizes[1], 'new item')} can be compared", f"give {FEWEST} or more")
    for items, name in ((reference, "reference"), (new, "new")):
        lost = ~np.isfinite(np.column_stack([items[k] for k in ("features", "probabilities", "strangeness")])).all(1)
        if lost.any():  # one of them would make every distance none, and silence the alarm
            raise UserError(f"the answers on {count(lost.sum(), f'{name} item')} are no numbers", "leave these out")
    if not 1 / (permutations + 1) <= rate < 1:
        raise UserError(
            f"a false-alarm rate of {rate} was asked for", f"give {1 / (permutations + 1):g} or more, and less than 1"
        )
    permutations = max(permutations, math.ceil(ENOUGH / rate) - 1)
    both = {k: np.concatenate([reference[k], new[k]]) for k in ("features", "probabilities", "strangeness")}
    near = -_distances(scaled(both["features"], reference["features"]))
    odd = limits.strange(both["strangeness"]).astype(np.float64)
    answer = np.eye(len(limits.classes))[both["probabilities"].argmax(1)]
    sure = both["probabilities"].max(1).astype(np.float64)
    marks = _marks(*sizes, permutations, seed)
    stats = np.concatenate([_statistics(part, near, odd, answer, sure) for part in _blocks(marks)], 1)  # (4, P + 1)
    # the share of draws, the observed one among them, that are as far out
    order = np.sort(stats, 1)
    p = np.stack(
        [1 - np.searchsorted(o, s - 1e-9 * np.abs(s) - 1e-12) / o.size for o, s in zip(order, stats, strict=True)]
    )
    least = p.min(0)
    whole = float((least <= least[0] + 1e-12).mean())
    here = marks[0].astype(bool)
    now, then = answer[here].mean(0), answer[~here].mean(0)
    values = {
        "features": (float(np.median(stats[0, 1:])), float(stats[0, 0])),
        "strangers": (float(odd[~here].mean()), float(odd[here].mean())),
        "classes": (0.0, float(np.abs(now - then).max())),
        "confidence": (float(sure[~here].mean()), float(sure[here].mean())),
    }
    checks = tuple(Check(k, *values[k], float(q)) for k, q in zip(values, p[:, 0], strict=True))
    shares = {c: (float(a), float(b)) for c, a, b in zip(limits.classes, then, now, strict=True)}
    return Drift(whole <= rate, whole, rate, sizes[1], sizes[0], checks, shares)


def scaled(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Features in units of the reference's spread, (N, D) float32."""
    spread = reference.std(0)
    spread = np.where(spread > 1e-6 * (1 + np.abs(reference.mean(0))), spread, 1.0)
    return np.asarray((features - reference.mean(0)) / (spread * features.shape[1] ** 0.5), np.float32)


def _distances(x: np.ndarray) -> np.ndarray:
    length = np.square(x).sum(1)
    return np.asarray(np.sqrt(np.maximum(length[:, None] + length - 2 * (x @ x.T), 0)))


def _marks(old: int, new: int, permutations: int, seed: int) -> np.ndarray:
    """Who counts as new (P + 1, N) float32; the first line is the truth."""
    random = np.random.default_rng([seed, 41])
    out = np.zeros((permutations + 1, old + new), np.float32)
    out[0, old:] = 1
    for line in out[1:]:
        line[random.permutation(old + new)[:new]] = 1
    return out


def _blocks(marks: np.ndarray) -> list[np.ndarray]:
    return np.array_split(marks, max(1, marks.size // AT_ONCE))


def _statistics(
    marks: np.ndarray, near: np.ndarray, odd: np.ndarray, answer: np.ndarray, sure: np.ndarray
) -> np.ndarray:
    """The four statistics (4, P) for each way to part the items."""
    new = marks.sum(1)
    old = marks.shape[1] - new
    within = ((marks @ near) * marks).sum(1)
    row = marks @ near.sum(1)
    outside = near.sum() - 2 * row + within
    energy = within / new**2 + outside / old**2 - 2 * (row - within) / (new * old)
    strange = marks @ odd / new - (odd.sum() - marks @ odd) / old
    there = marks @ answer
    share = answer.mean(0)
    gap = there / new[:, None] - (answer.sum(0) - there) / old[:, None]
    classes = (np.square(gap) / np.where(share > 0, share, 1)).sum(1)
    confidence = np.abs(marks @ sure / new - (sure.sum() - marks @ sure) / old)
    return np.stack([energy, strange, classes, confidence]).astype(np.float64)
