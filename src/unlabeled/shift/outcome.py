"""The tables of a transfer: every arm in a domain that it has not seen; here the test labels are opened, once."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import metrics, stats
from unlabeled.metrics import report
from unlabeled.shift.crossing import Crossing, Place
from unlabeled.significance import holm_of_pairs
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
        ranks: the same of the AUROC; None where accuracy tells the arms apart.
        diverged: cells whose predictions are no numbers; they count as wrong, and as alike where they are ranked.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    overall: pd.DataFrame
    differences: pd.DataFrame
    ranks: pd.DataFrame | None = None
    diverged: tuple[str, ...] = ()


def gather(
    place: Place, todo: Sequence[Crossing], arms: Sequence[Arm], seeds: Sequence[int], *, uneven: bool = False
) -> Outcome:
    """Score all cells.

    Args:
        place: where they lie.
        todo: the crossings.
        arms: of each of them.
        seeds: of all arms.
        uneven: whether one class holds most labels, so that the AUROC tells the arms apart.
    """
    rows: list[dict[str, Any]] = []
    hits: dict[tuple[str, str, str], list[stats.Cell]] = {}  # target, arm, where
    said: dict[tuple[str, str, str], list[stats.Cell]] = {}  # their probabilities in the target
    diverged: list[str] = []
    for crossing, arm, seed in itertools.product(todo, arms, seeds):
        labels = crossing.source.table.labels
        with np.load(place.cell(crossing, arm, seed)) as arrays:
            answers = arrays["target"]
            away = metrics.right(answers, labels[crossing.test])
            if not all(np.isfinite(arrays[where]).all() for where in (TARGET, SOURCE)):
                diverged.append(f"{arm.name} with seed {seed} for {crossing.target}")
                sound = np.isfinite(answers).all(1, keepdims=True)
                answers = np.where(sound, answers, np.float32(1 / answers.shape[1]))
            known = report(answers, labels[crossing.test], crossing.source.table.classes)
            home = metrics.right(arrays["source"], labels[crossing.source.test])
            odd = {k: float(arrays[w].mean()) if w in arrays else float("nan") for k, w in
                   (("detected", "flagged"), ("kept", "kept"))}  # fmt: skip
        row = {"target": crossing.target, "arm": arm.name, "kind": arm.kind, "seed": seed, "accuracy": away.mean()}
        row |= {"auroc": known["auroc"], "auprc": known["auprc"], "source_accuracy": home.mean()} | odd
        rows.append(row | {"items": len(away), "source_items": len(home)})
        hits.setdefault((crossing.target, arm.name, TARGET), []).append((seed, 0, away))
        hits.setdefault((crossing.target, arm.name, SOURCE), []).append((seed, 0, home))
        said.setdefault((crossing.target, arm.name, TARGET), []).append((seed, 0, answers))
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
    sizes = [len(c.test) for c in todo]
    metric = mean_of([share] * len(todo), sizes)
    every = groups(todo[0].source, np.concatenate([c.test for c in todo]))  # a patient of two targets is one
    for arm in arms:
        found = stats.summarise(whole[arm.name], groups=every, metric=metric)
        row = {"target": MEAN, "arm": arm.name, "where": TARGET, "accuracy": found.mean}
        summary.append(row | {"low": found.low, "high": found.high, "n": found.n})
    frame = pd.DataFrame(summary)
    gaps = _gaps(whole, hits, names, (every, units), {MEAN: metric}, {})
    if not uneven:
        return Outcome(table, frame, _overall(table, frame), gaps, None, tuple(diverged))
    measures = {c.target: _auroc(c) for c in todo}
    answers_of = {arm.name: _joined(said, names, arm.name) for arm in arms}
    together = {MEAN: mean_of(list(measures.values()), sizes)}
    ranks = _gaps(answers_of, said, names, (every, units), together | measures, rarest(todo, units))
    return Outcome(table, frame, _overall(table, frame), gaps, ranks, tuple(diverged))


def _auroc(crossing: Crossing) -> stats.Metric:
    table = crossing.source.table
    return metrics.weighted("auroc", table.labels[crossing.test], len(table.classes))


def rarest(crossings: Sequence[Crossing], units: Mapping[str, np.ndarray | None]) -> dict[str, int]:
    """Of two classes, how many test items or groups of the rarer one each target has, on which its ranking hangs; and
    of all targets together so many as are free to vary, and one. Of more classes nothing.
    """
    out: dict[str, int] = {}
    if len(crossings[0].source.table.classes) == 2:
        out = {c.target: stats.rarer(c.source.table.labels[c.test] == 0, units[c.target]) for c in crossings}
        out[MEAN] = 1 + sum(max(few - 1, 0) for few in out.values())
    return out


def _gaps(
    whole: Mapping[str, Sequence[stats.Cell]],
    cells: Mapping[tuple[str, str, str], Sequence[stats.Cell]],
    targets: Sequence[str],
    groups_of: tuple[np.ndarray | None, Mapping[str, np.ndarray | None]],
    measures: Mapping[str, stats.Metric],
    rare: Mapping[str, int],
) -> pd.DataFrame:
    """Paired differences of all arms, over all targets and in each.

    Args:
        whole: of each arm, all targets' items one after the other.
        cells: of each target and arm.
        targets: their names.
        groups_of: of the items of all targets, and of each.
        measures: the figure, by target; the mean of the values where none is named.
        rare: for figures that rank, items or groups of the rarer class, by target.
    """
    rows = []
    for a, b in itertools.combinations(whole, 2):
        pairs = [(MEAN, whole[a], whole[b], groups_of[0])]
        pairs += [(t, cells[t, a, TARGET], cells[t, b, TARGET], groups_of[1][t]) for t in targets]
        for target, first, second, some in pairs:
            d = stats.paired_difference(first, second, groups=some, metric=measures.get(target), rare=rare.get(target))
            row = {"target": target, "n": d.n, "seeds": d.seeds, "p": d.p}
            rows.append(row | {"arm_a": a, "arm_b": b, "difference": d.difference, "low": d.low, "high": d.high})
            rows.append(row | {"arm_a": b, "arm_b": a, "difference": -d.difference, "low": -d.high, "high": -d.low})
    columns = ["arm_a", "arm_b", "target", "difference", "low", "high", "n", "seeds", "p"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(p_holm=holm_of_pairs(found, ["target"]))


def mean_of(measures: Sequence[stats.Metric], sizes: Sequence[int]) -> stats.Metric:
    """The mean over targets of a figure of each, for values of the targets' items one after the other; a target that
    has none, as where no item of a class was drawn, does not count.

    >>> mean_of([share, share], [1, 3])(np.array([1, 0, 0, 1]), np.ones((1, 4))).round(3).tolist()
    [0.667]
    """
    ends = np.cumsum(sizes)[:-1]

    def measure(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        parts = zip(measures, np.split(values, ends), np.split(weights, ends, axis=1), strict=True)
        each = np.stack([one(some, heavy) for one, some, heavy in parts])
        there = np.isfinite(each).sum(0)
        return np.asarray(np.divide(np.nansum(each, 0), there, out=np.full(len(there), np.nan), where=there > 0))

    return measure


def share(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean (R,) of values (N,) for weights (R, N); nan where no item has any weight."""
    total = weights.sum(1)
    return np.asarray(np.divide(weights @ values, total, out=np.full(len(weights), np.nan), where=total > 0))


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
