"""Severity curves: accuracy of every arm under every corruption at severity 0 (clean) to 5, and what follows from them.

The mean corruption error of Hendrycks & Dietterich (2019, arXiv:1903.12261) is set against a named arm of the same
comparison instead of AlexNet. All intervals resample test items (in groups where there are any), seeds and label draws.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import stats
from unlabeled.significance import holm_of_pairs

SEVERITIES = 5
ALL = "all kinds"
NEW = "kinds without a relative"


@dataclass(frozen=True, eq=False)
class Curve:
    """Right or wrong, for one arm.

    Args:
        cells: (seed, draw) of each of the R fits.
        hits: (R, K, 6, N) bool: of fit, kind, severity 0 (clean) to 5 and test item.
    """

    cells: tuple[tuple[int, int], ...]
    hits: np.ndarray

    def values(self, kinds: Sequence[int], severities: Sequence[int] = range(1, SEVERITIES + 1)) -> list[stats.Cell]:
        """Share of the given kinds and severities at which each item is right: a cell (seed, draw, (N,)) a fit."""
        part = self.hits[:, list(kinds)][:, :, list(severities)].mean((1, 2))
        return [(seed, draw, row) for (seed, draw), row in zip(self.cells, part, strict=True)]

    def drops(self, kinds: Sequence[int]) -> list[stats.Cell]:
        """Clean less corrupted, for each item, as `values`."""
        clean, worse = self.values(kinds, [0]), self.values(kinds)
        return [(s, d, a - b) for (s, d, a), (_, _, b) in zip(clean, worse, strict=True)]

    def accuracy(self) -> np.ndarray:
        """Mean accuracy (K, 6)."""
        return np.asarray(self.hits.mean((0, 3)))


def cells(curves: Mapping[str, Curve], kinds: Sequence[str]) -> pd.DataFrame:
    """One row a fit, kind and severity 1 to 5: arm, seed, draw, kind, severity, accuracy, clean, degradation.

    `degradation` is 1 - accuracy / clean, which flatters arms that are poor on clean items: read `clean` with it.
    """
    rows = []
    for arm, curve in curves.items():
        accuracy = curve.hits.mean(3)  # (R, K, 6)
        for (seed, draw), table in zip(curve.cells, accuracy, strict=True):
            for kind, row in zip(kinds, table, strict=True):
                for severity in range(1, SEVERITIES + 1):
                    found = {"accuracy": row[severity], "clean": row[0], "degradation": _lost(row[severity], row[0])}
                    rows.append({"arm": arm, "seed": seed, "draw": draw, "kind": kind, "severity": severity} | found)
    return pd.DataFrame(rows)


def means(
    curves: Mapping[str, Curve], kinds: Sequence[str], new: Sequence[str], groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Mean curves: arm, kind, severity 0 to 5, accuracy, low, high, degradation, n (fits).

    `kind` is a name, `all kinds` or `kinds without a relative`; intervals are given for the two means.

    Args:
        curves: of the arms.
        kinds: names of the K kinds.
        new: those without a relative in training.
        groups: (N,) of the test items, resampled as wholes.
    """
    rows = []
    for arm, curve in curves.items():
        table = curve.accuracy()
        for kind, line in zip(kinds, table, strict=True):
            rows += [_row(arm, kind, s, line[s], line[0], len(curve.cells)) for s in range(SEVERITIES + 1)]
        for name, mine in _scopes(kinds, new).items():
            clean = float(table[mine, 0].mean())
            for s in range(SEVERITIES + 1):
                found = stats.summarise(curve.values(mine, [s]), groups=groups)
                rows.append(_row(arm, name, s, found.mean, clean, found.n) | {"low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def robustness(
    curves: Mapping[str, Curve],
    kinds: Sequence[str],
    new: Sequence[str],
    reference: str,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row an arm and scope (`all kinds`, `kinds without a relative`) over all severities.

    Columns: arm, scope, kinds, clean, accuracy, low, high, degradation, drop, drop_low, drop_high, worst_kind,
    worst_accuracy, mce (error summed over severities over the reference's, mean over kinds; nan where the reference
    makes none), reference, n.
    """
    rows = []
    error = {arm: 1 - curve.accuracy()[:, 1:].mean(1) for arm, curve in curves.items()}  # (K,)
    for arm, curve in curves.items():
        table = curve.accuracy()
        for name, mine in _scopes(kinds, new).items():
            worse = stats.summarise(curve.values(mine), groups=groups)
            drop = stats.summarise(curve.drops(mine), groups=groups)
            clean = float(table[mine, 0].mean())
            by_kind = table[mine, 1:].mean(1)
            worst = int(by_kind.argmin())
            base = error[reference][mine]
            ratio = error[arm][mine] / np.where(base > 0, base, np.nan)
            rows.append({
                "arm": arm, "scope": name, "kinds": len(mine), "clean": clean, "accuracy": worse.mean,
                "low": worse.low, "high": worse.high, "degradation": _lost(worse.mean, clean),
                "drop": drop.mean, "drop_low": drop.low, "drop_high": drop.high,
                "worst_kind": kinds[mine[worst]], "worst_accuracy": float(by_kind[worst]),
                "mce": float(ratio.mean()), "reference": reference, "n": worse.n,
            })  # fmt: skip
    return pd.DataFrame(rows)


def differences(
    curves: Mapping[str, Curve], kinds: Sequence[str], new: Sequence[str], groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Paired differences of all pairs of arms that share seeds, first minus second, both ways round.

    Columns: arm_a, arm_b, what (`accuracy` under corruption, `drop` from clean, `clean`), scope (the two means, each
    severity as `severity 3`, each kind), difference, low, high, n, seeds, probability, p (nan below five seeds).
    """
    rows = []
    scopes: dict[str, tuple[list[int], Sequence[int]]] = {
        name: (mine, range(1, SEVERITIES + 1)) for name, mine in _scopes(kinds, new).items()
    }
    scopes |= {f"severity {s}": (list(range(len(kinds))), [s]) for s in range(1, SEVERITIES + 1)}
    scopes |= {kind: ([i], range(1, SEVERITIES + 1)) for i, kind in enumerate(kinds)}
    for a, b in itertools.combinations(curves, 2):
        first, second = curves[a], curves[b]
        if not set(first.cells) & set(second.cells):
            continue
        pairs = [("clean", ALL, first.values([0], [0]), second.values([0], [0]))]
        pairs += [("accuracy", n, first.values(k, s), second.values(k, s)) for n, (k, s) in scopes.items()]
        pairs += [("drop", n, first.drops(k), second.drops(k)) for n, k in _scopes(kinds, new).items()]
        for what, scope, x, y in pairs:
            d = stats.paired_difference(x, y, groups=groups)
            where = {"what": what, "scope": scope, "n": d.n, "seeds": d.seeds, "p": d.p}
            there = {"difference": d.difference, "low": d.low, "high": d.high, "probability": d.probability}
            back = {"difference": -d.difference, "low": -d.high, "high": -d.low, "probability": 1 - d.probability}
            rows += [{"arm_a": a, "arm_b": b} | where | there, {"arm_a": b, "arm_b": a} | where | back]
    columns = ["arm_a", "arm_b", "what", "scope", "difference", "low", "high", "n", "seeds", "probability", "p"]
    found = pd.DataFrame(rows, columns=columns)
    found["p_holm"] = holm_of_pairs(found, ["what", "scope"])
    return found


def paired(a: Sequence[stats.Cell], b: Sequence[stats.Cell]) -> bool:
    """Whether two arms share a seed and draw, without which no difference of them is a paired one.

    >>> paired([(0, 0, np.zeros(1))], [(1, 0, np.zeros(1))])
    False
    """
    return bool({c[:2] for c in a} & {c[:2] for c in b})


def _scopes(kinds: Sequence[str], new: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the kinds that each mean is over; without the second where it would be empty or the same."""
    out = {ALL: list(range(len(kinds)))}
    fresh = [i for i, kind in enumerate(kinds) if kind in new]
    return out | {NEW: fresh} if 0 < len(fresh) < len(kinds) else out


def _lost(worse: float, clean: float) -> float:
    """Relative degradation 1 - worse / clean; nan where nothing was right to begin with."""
    return float(1 - worse / clean) if clean > 0 else float("nan")


def _row(arm: str, kind: str, severity: int, accuracy: float, clean: float, n: int) -> dict[str, Any]:
    nothing = float("nan")
    row = {"arm": arm, "kind": kind, "severity": severity, "accuracy": float(accuracy), "low": nothing, "high": nothing}
    return row | {"degradation": _lost(accuracy, clean), "n": n}
