"""The tables of a study; here, and only here, the test labels are opened, once, after every cell stands."""

import itertools
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import metrics, stats
from unlabeled.data.prepare import Prepared
from unlabeled.progress import count
from unlabeled.study.fits import groups
from unlabeled.study.plan import PLAIN, Arm, Cell
from unlabeled.study.short import FITTED
from unlabeled.study.turns import times
from unlabeled.training.threads import free_threads

KEYS = ["arm", "share", "labels", "protocol"]
Key = tuple[str, float, int, str]


@dataclass(frozen=True, eq=False)
class Tables:
    """A study's results.

    Args:
        table: one row a figure of a cell: arm, encoder, share, labels, seed, draw, protocol, metric, value.
        summary: mean, sd and 95 % interval over seeds, draws and test items (or their groups): arm, share, labels,
            protocol, metric, mean, sd, low, high, n; figures of another kind than these have no interval.
        differences: paired differences in accuracy between contenders at equal labels: arm_a, protocol_a, arm_b,
            protocol_b, share, labels,
            difference, low, high, n, probability.
        diverged: cells whose predictions are no numbers; they count as wrong.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    diverged: tuple[str, ...] = ()


def tables(folder: Path, prepared: Prepared, plan: Sequence[Arm], cells: Sequence[Cell]) -> Tables:
    """Score all cells against the test labels and write `table.csv`, `summary.csv` and `differences.csv`."""
    labels = prepared.table.labels[prepared.test]
    classes, units, turns = prepared.table.classes, groups(prepared, prepared.test), times(prepared)
    encoders = {arm.name: "" if arm.kind == PLAIN else str(arm.recipe.encoder) for arm in plan}
    rows: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    diverged: list[str] = []
    hits: dict[Key, list[stats.Cell]] = {}
    by_key: dict[Key, list[Cell]] = {}
    for cell in cells:
        by_key.setdefault((cell.arm, cell.share, cell.labels, cell.protocol), []).append(cell)
    todo: list[tuple[str, list[stats.Cell]]] = []
    for key, mine in by_key.items():
        told, own = list[stats.Cell](), list[dict[str, float]]()
        for cell in mine:
            probabilities, figures = _scored(folder / "predictions" / cell.file, labels, classes)
            facts = {"arm": cell.arm, "encoder": encoders[cell.arm], "share": cell.share, "labels": cell.labels}
            facts |= {"seed": cell.seed, "draw": cell.draw, "protocol": cell.protocol}
            rows.extend({**facts, "metric": k, "value": v} for k, v in figures.items())
            if not np.isfinite(probabilities).all():
                diverged.append(f"{cell.arm} ({cell.protocol}, {count(cell.labels, 'label')})")
            told.append((cell.seed, cell.draw, probabilities))
            own.append(figures)
        hits[key] = [(seed, draw, metrics.right(p, labels)) for seed, draw, p in told]
        for metric in dict.fromkeys(name for figures in own for name in figures if "/" not in name):
            values = np.array([figures.get(metric, np.nan) for figures in own])
            sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            facts = {"metric": metric, "mean": float(values.mean()), "sd": sd, "low": None, "high": None}
            summary.append(dict(zip(KEYS, key, strict=True)) | facts | {"n": len(values)})
            todo.append((metric, hits[key] if metric == "accuracy" else told))
    with ThreadPoolExecutor(min(8, free_threads())) as pool:  # each draws for itself: their order is no matter
        ends = pool.map(lambda task: _interval(task[0], task[1], labels, len(classes), units, turns), todo)
        for row, (low, high) in zip(summary, ends, strict=True):
            row |= {"low": low, "high": high}
    pairs = _differences(hits, units, turns)
    found = Tables(pd.DataFrame(rows), pd.DataFrame(summary), pairs, tuple(dict.fromkeys(diverged)))
    for name in ("table", "summary", "differences"):
        write_csv(folder / f"{name}.csv", getattr(found, name))
    return found


def _scored(file: Path, labels: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, dict[str, float]]:
    """Probabilities (N, C) of a cell, and its figures; rows that are no numbers count as wrong."""
    with np.load(file) as arrays:
        probabilities, told = arrays["probabilities"], json.loads(str(arrays["facts"]))
    right = float(metrics.right(probabilities, labels).mean())
    figures = metrics.report(probabilities, labels, classes) | {"accuracy": right}
    return probabilities, figures | ({FITTED: told[FITTED]} if FITTED in told else {})


def _interval(
    metric: str,
    cells: Sequence[stats.Cell],
    labels: np.ndarray,
    classes: int,
    units: np.ndarray | None,
    turns: int,
) -> tuple[float, float]:
    """Ends of the 95 % interval of a figure over seeds, draws and test items; nan where it has none."""
    if not all(np.isfinite(v).all() for _, _, v in cells):
        return float("nan"), float("nan")
    if metric == "accuracy":
        told = stats.summarise(cells, groups=units, turns=turns)
    elif metric in EACH:
        each = [(s, d, EACH[metric](v.astype(np.float64), labels)) for s, d, v in cells]
        told = stats.summarise(each, groups=units, turns=turns)
    elif metric in WHOLE:
        many = int(np.clip(stats.TABLE // len(labels), 200, 1000))
        how = metrics.weighted(metric, labels, classes)
        rare = stats.rarer(labels == 0, units) if metric in RANKS and classes == 2 else None
        told = stats.summarise(cells, groups=units, turns=turns, metric=how, resamples=many, rare=rare)
    else:
        return float("nan"), float("nan")
    return told.low, told.high


def _surprise(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-loss of each item, as `metrics.report` has it."""
    return np.asarray(-np.log(probabilities[np.arange(len(labels)), labels].clip(metrics.NLL_CLIP)))


def _brier(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Brier score of each item."""
    return np.asarray(np.square(probabilities - np.eye(probabilities.shape[1])[labels]).sum(1))


EACH = {"nll": _surprise, "brier": _brier}  # figures that are means over items
RANKS = ("auroc", "auprc")
WHOLE = ("macro_f1", "sensitivity", "specificity", "auroc", "auprc")  # those of all items together


def _differences(hits: Mapping[Key, list[stats.Cell]], units: np.ndarray | None, turns: int) -> pd.DataFrame:
    rows = []
    for a, b in itertools.combinations(hits, 2):
        if a[1] != b[1]:
            continue
        first, second = _pair(hits[a], hits[b])
        if not first:
            continue
        d = stats.paired_difference(first, second, groups=units, turns=turns)
        where = {
            "share": a[1],
            "labels": a[2],
            "protocol": a[3] if a[3] == b[3] else "",
            "metric": "accuracy",
            "n": d.n,
        }
        there = {"difference": d.difference, "low": d.low, "high": d.high, "probability": d.probability}
        back = {"difference": -d.difference, "low": -d.high, "high": -d.low, "probability": 1 - d.probability}
        rows.append({"arm_a": a[0], "protocol_a": a[3], "arm_b": b[0], "protocol_b": b[3], **where, **there})
        rows.append({"arm_a": b[0], "protocol_a": b[3], "arm_b": a[0], "protocol_b": a[3], **where, **back})
    columns = [
        "arm_a",
        "protocol_a",
        "arm_b",
        "protocol_b",
        "share",
        "labels",
        "protocol",
        "metric",
        "difference",
        "low",
        "high",
        "n",
        "probability",
    ]
    return pd.DataFrame(rows, columns=columns)


def _pair(a: list[stats.Cell], b: list[stats.Cell]) -> tuple[list[stats.Cell], list[stats.Cell]]:
    """The cells of two contenders that share seed and draw; an arm with one seed alone (PCA) is set against each
    seed.
    """
    seeds_a, seeds_b = {c[0] for c in a}, {c[0] for c in b}
    if len(seeds_b) == 1 and len(seeds_a) > 1:
        b = [(s, draw, hit) for s in sorted(seeds_a) for _, draw, hit in b]
    elif len(seeds_a) == 1 and len(seeds_b) > 1:
        a = [(s, draw, hit) for s in sorted(seeds_b) for _, draw, hit in a]
    both = {(c[0], c[1]) for c in a} & {(c[0], c[1]) for c in b}
    return [c for c in a if (c[0], c[1]) in both], [c for c in b if (c[0], c[1]) in both]


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table beside and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    frame.to_csv(beside, index=False, float_format="%.6g")
    beside.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write JSON beside and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=1), "utf-8")
    beside.replace(path)
