"""The tables of a transfer: every arm in a domain that it has not seen; here the test labels are opened, once."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import metrics, stats
from unlabeled.metrics import report
from unlabeled.shift.crossing import Crossing, Place
from unlabeled.study.fits import groups
from unlabeled.study.plan import Arm

MEAN = "mean of the targets"
TARGET, SOURCE = "target", "source"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was found.

    Args:
        table: one row a cell: target, arm, kind, seed, accuracy, auroc and auprc (in the target), source_accuracy,
            detected, kept (nan for arms without a frozen encoder), items, source_items.
        summary: target, arm, where (`target`, `source`), accuracy, low, high, n; also for `mean of the targets`.
        overall: one row an arm: mean, low, high, worst, worst_target, source, detected, kept; auroc, its standard
            deviation over seeds auroc_sd, auprc (means of the targets).
        differences: paired, first less second, in the target: arm_a, arm_b, target, difference, low, high, n, seeds,
            p, and p_holm, corrected for all pairs of that target.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    overall: pd.DataFrame
    differences: pd.DataFrame


def gather(place: Place, todo: Sequence[Crossing], arms: Sequence[Arm], seeds: Sequence[int]) -> Outcome:
    """Score all cells."""
    rows: list[dict[str, Any]] = []
    hits: dict[tuple[str, str, str], list[stats.Cell]] = {}  # target, arm, where
    for crossing, arm, seed in itertools.product(todo, arms, seeds):
        labels = crossing.source.table.labels
        with np.load(place.cell(crossing, arm, seed)) as arrays:
            away = metrics.right(arrays["target"], labels[crossing.test])
            known = report(arrays["target"], labels[crossing.test], crossing.source.table.classes)
            home = metrics.right(arrays["source"], labels[crossing.source.test])
            odd = {k: float(arrays[w].mean()) if w in arrays else float("nan") for k, w in
                   (("detected", "flagged"), ("kept", "kept"))}  # fmt: skip
        row = {"target": crossing.target, "arm": arm.name, "kind": arm.kind, "seed": seed, "accuracy": away.mean()}
        row |= {"auroc": known["auroc"], "auprc": known["auprc"], "source_accuracy": home.mean()} | odd
        rows.append(row | {"items": len(away), "source_items": len(home)})
        hits.setdefault((crossing.target, arm.name, TARGET), []).append((seed, 0, away))
        hits.setdefault((crossing.target, arm.name, SOURCE), []).append((seed, 0, home))
    units = {c.target: groups(c.source, c.test) for c in todo}
    homes = {c.target: groups(c.source, c.source.test) for c in todo}
    table = pd.DataFrame(rows)
    summary = []
    for (target, arm_name, where), cells in hits.items():
        found = stats.summarise(cells, groups=(units if where == TARGET else homes)[target])
        row = {"target": target, "arm": arm_name, "where": where, "accuracy": found.mean}
        summary.append(row | {"low": found.low, "high": found.high, "n": found.n})
    names = [c.target for c in todo]
    whole = {arm.name: _joined(hits, names, arm.name) for arm in arms}
    metric = macro([len(c.test) for c in todo])
    every = groups(todo[0].source, np.concatenate([c.test for c in todo]))  # a patient of two targets is one
    for arm in arms:
        found = stats.summarise(whole[arm.name], groups=every, metric=metric)
        row = {"target": MEAN, "arm": arm.name, "where": TARGET, "accuracy": found.mean}
        summary.append(row | {"low": found.low, "high": found.high, "n": found.n})
    frame = pd.DataFrame(summary)
    differences = []
    for a, b in itertools.permutations((arm.name for arm in arms), 2):
        pairs: list[tuple[str, Any, Any, Any, Any]] = [(MEAN, whole[a], whole[b], every, metric)]
        pairs += [(t, hits[t, a, TARGET], hits[t, b, TARGET], units[t], None) for t in names]
        for target, first, second, some, how in pairs:
            d = stats.paired_difference(first, second, groups=some, metric=how)
            row = {"arm_a": a, "arm_b": b, "target": target, "difference": d.difference, "low": d.low, "high": d.high}
            differences.append(row | {"n": d.n, "seeds": d.seeds, "p": d.p})
    columns = ["arm_a", "arm_b", "target", "difference", "low", "high", "n", "seeds", "p"]
    gaps = pd.DataFrame(differences, columns=columns)
    gaps["p_holm"] = stats.holm_of_pairs(gaps, ["target"])
    return Outcome(table, frame, _overall(table, frame), gaps)


def macro(sizes: Sequence[int]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """For the bootstrap of `stats`: values of the targets' items one after the other, every target counting the same.

    >>> macro([1, 3])(np.array([1, 0, 0, 1]), np.ones((1, 4))).round(3).tolist()
    [0.667]
    """
    part = np.repeat(np.eye(len(sizes)), sizes, axis=0)  # (N, targets)

    def measure(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        total = weights @ part
        sums = (weights * values) @ part
        there = total > 0
        shares = np.divide(sums, total, out=np.zeros_like(sums), where=there)
        return np.asarray(shares.sum(1) / there.sum(1))

    return measure


def _joined(
    hits: Mapping[tuple[str, str, str], list[stats.Cell]], targets: Sequence[str], arm: str
) -> list[stats.Cell]:
    """The items of all targets one after the other, a cell a seed."""
    by_target = [hits[t, arm, TARGET] for t in targets]
    return [(cells[0][0], 0, np.concatenate([hit for _, _, hit in cells])) for cells in zip(*by_target, strict=True)]


def _overall(table: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    out = []
    for arm, part in table.groupby("arm", sort=False):
        by_target = part.groupby("target")[["accuracy", "source_accuracy", "detected", "kept", "auprc"]].mean()
        by_seed = part.groupby("seed")["auroc"].mean()
        whole = summary[(summary["arm"] == arm) & (summary["target"] == MEAN)].iloc[0]
        row = {"arm": arm, "kind": part["kind"].iloc[0], "mean": whole["accuracy"], "low": whole["low"]}
        row |= {
            "high": whole["high"],
            "worst": by_target["accuracy"].min(),
            "worst_target": by_target["accuracy"].idxmin(),
        }
        row |= {"source": by_target["source_accuracy"].mean(), "detected": by_target["detected"].mean()}
        row |= {"kept": by_target["kept"].mean(), "auroc": by_seed.mean(), "auroc_sd": by_seed.std(ddof=1)}
        out.append(row | {"auprc": by_target["auprc"].mean()})
    return pd.DataFrame(out)
