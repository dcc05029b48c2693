"""The tables of a study; here, and only here, the test labels are opened, once, after every cell stands."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from unlabeled import metrics, stats
from unlabeled.data.prepare import Prepared
from unlabeled.study.plan import PLAIN, Arm, Cell

KEYS = ["arm", "share", "labels", "protocol"]
UNBOUNDED = ("nll", "brier")  # figures that can exceed 1


@dataclass(frozen=True, eq=False)
class Tables:
    """A study's results.

    Args:
        table: one row a figure of a cell: arm, encoder, share, labels, seed, draw, protocol, metric, value.
        summary: mean, sd and 95 % interval over seeds, draws and test items: arm, share, labels, protocol, metric,
            mean, sd, low, high, n.
        differences: paired differences in accuracy between contenders at equal labels: arm_a, protocol_a, arm_b,
            protocol_b, share, labels,
            difference, low, high, n, probability.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame


def tables(folder: Path, prepared: Prepared, plan: Sequence[Arm], cells: Sequence[Cell]) -> Tables:
    """Score all cells against the test labels and write `table.csv`, `summary.csv` and `differences.csv`."""
    labels = prepared.table.labels[prepared.test]
    classes = prepared.table.classes
    encoders = {arm.name: "" if arm.kind == PLAIN else str(arm.recipe.encoder) for arm in plan}
    rows: list[dict[str, Any]] = []
    hits: dict[tuple[str, float, int, str], list[tuple[int, int, np.ndarray]]] = {}
    for cell in cells:
        with np.load(folder / "predictions" / cell.file) as arrays:
            probabilities, told = arrays["probabilities"], json.loads(str(arrays["facts"]))
        facts = {"arm": cell.arm, "encoder": encoders[cell.arm], "share": cell.share, "labels": cell.labels}
        facts |= {"seed": cell.seed, "draw": cell.draw, "protocol": cell.protocol}
        rows.extend(
            {**facts, "metric": k, "value": v} for k, v in metrics.report(probabilities, labels, classes).items()
        )
        if stats.FITTED in told:
            rows.append({**facts, "metric": stats.FITTED, "value": told[stats.FITTED]})
        key = (cell.arm, cell.share, cell.labels, cell.protocol)
        hits.setdefault(key, []).append((cell.seed, cell.draw, probabilities.argmax(1) == labels))
    table = pd.DataFrame(rows)
    summary = _summary(table, hits)
    differences = _differences(hits)
    for name, frame in (("table", table), ("summary", summary), ("differences", differences)):
        write_csv(folder / f"{name}.csv", frame)
    return Tables(table, summary, differences)


def _summary(
    table: pd.DataFrame, hits: Mapping[tuple[str, float, int, str], list[tuple[int, int, np.ndarray]]]
) -> pd.DataFrame:
    rows = []
    plain = table[~table["metric"].str.contains("/")]
    for (arm, share, labels, protocol, metric), part in plain.groupby([*KEYS, "metric"], sort=False):
        key = (str(arm), float(str(share)), int(str(labels)), str(protocol))
        values = part["value"].to_numpy(float)
        row = {"arm": arm, "share": share, "labels": labels, "protocol": protocol, "metric": metric, "n": len(values)}
        if metric == "accuracy":
            s = stats.summarise(hits[key])
            row |= {"mean": s.mean, "sd": s.sd, "low": s.low, "high": s.high}
        else:
            mean, sd = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
            half = (
                float(scipy_stats.t.ppf(0.975, len(values) - 1)) * sd / len(values) ** 0.5
                if len(values) > 1
                else float("nan")
            )
            top = float("inf") if metric in UNBOUNDED else 1.0
            low, high = np.clip([mean - half, mean + half], 0.0, top)  # nan stays nan: one fit has no interval
            row |= {"mean": mean, "sd": sd, "low": float(low), "high": float(high)}
        rows.append(row)
    return pd.DataFrame(rows)[[*KEYS, "metric", "mean", "sd", "low", "high", "n"]]


def _differences(hits: Mapping[tuple[str, float, int, str], list[tuple[int, int, np.ndarray]]]) -> pd.DataFrame:
    rows = []
    for a, b in itertools.combinations(hits, 2):
        if a[1] != b[1]:
            continue
        first, second = _pair(hits[a], hits[b])
        if not first:
            continue
        d = stats.paired_difference(first, second)
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


def _pair(
    a: list[tuple[int, int, np.ndarray]], b: list[tuple[int, int, np.ndarray]]
) -> tuple[list[tuple[int, int, np.ndarray]], list[tuple[int, int, np.ndarray]]]:
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
