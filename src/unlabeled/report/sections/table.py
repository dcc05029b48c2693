"""The table: every contender at every number of labels, with intervals, and which of them are really ahead."""

import math
from collections.abc import Sequence
from typing import Any

from unlabeled.progress import count
from unlabeled.report.folder import Study
from unlabeled.report.section import Section
from unlabeled.report.words import METRICS, Contender, Metric, interval

TITLE = "Results"


def section(study: Study) -> Section:
    """Gather one table for each metric."""
    shown = [m for name, m in METRICS.items() if (study.summary["metric"] == name).any()]
    return Section({"tables": [_table(study, m) for m in shown], "budgets": study.budgets})


def _table(study: Study, metric: Metric) -> dict[str, Any]:
    s = study.summary[study.summary["metric"] == metric.name]
    low, high = float(s[["mean", "low"]].min().min()), float(s[["mean", "high"]].max().max())
    if metric.share:
        low, high = max(low, 0.0), min(high, 1.0)
    span = max(high - low, 1e-9)
    marks = {n: _marks(study, n) if metric.name == "accuracy" else {} for n in study.budgets}
    rows = []
    for contender in study.contenders:
        cells = [
            _cell(study.row(contender, n, metric.name), metric, low, span, marks[n].get(contender, ""))
            for n in study.budgets
        ]
        rows.append({"contender": contender, "cells": cells})
    runs = sorted({int(n) for n in s["n"]}) if "n" in s else []
    fits = f"{runs[0]} to {count(runs[-1], 'fit')}" if len(runs) > 1 else count(runs[0], "fit") if runs else ""
    return {
        "metric": metric,
        "rows": rows,
        "fits": fits,
        "marked": any(marks.values()),
    }


def _cell(row: Any, metric: Metric, low: float, span: float, mark: str) -> dict[str, Any] | None:
    if row is None or not math.isfinite(row["mean"]):
        return None
    begin, end = (row[k] if math.isfinite(row[k]) else row["mean"] for k in ("low", "high"))
    at = [min(100.0, max(0.0, 100 * (v - low) / span)) for v in (begin, row["mean"], end)]
    return {
        "value": metric.show(row["mean"]),
        "interval": interval(row["low"], row["high"], metric),
        "style": f"--a:{at[0]:.1f};--m:{at[1]:.1f};--b:{at[2]:.1f}",
        "mark": mark,
    }


def _marks(study: Study, labels: int) -> dict[Contender, str]:
    """`best` only where the paired intervals against all others exclude 0, else `tied` for all that may be as good."""
    ranked: Sequence[tuple[float, Contender]] = sorted(
        ((row["mean"], c) for c in study.contenders if (row := study.row(c, labels)) is not None),
        key=lambda pair: -pair[0],
    )
    if len(ranked) < 2:
        return {}
    first = ranked[0][1]
    gaps = {c: study.difference(first, c, labels) for _, c in ranked[1:]}
    if all(gap is None for gap in gaps.values()):
        return {}
    level = [c for c, gap in gaps.items() if gap is None or not gap["low"] > 0]  # without an interval nothing is beaten
    return {first: "tied"} | dict.fromkeys(level, "tied") if level else {first: "best"}
