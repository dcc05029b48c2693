"""Each class on its own: precision, recall and F1, and which class is taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unlabeled.metrics import confusion
from unlabeled.progress import count, in_percent
from unlabeled.report.folder import Absent, Study
from unlabeled.report.plots import SOFT, Spec, figure, numbers
from unlabeled.report.section import Section
from unlabeled.report.words import Contender, label

TITLE = "Classes"
FIGURES = ("precision", "recall", "f1")
WRITTEN = 12  # classes up to which the counts stand in the matrix
DRAWN = 60  # classes up to which there is a matrix
UPRIGHT, NAMED = 10, 20  # classes up to which names stand aslant, and at all, under its columns
WIDE = 18  # letters of a name at a row or column


def section(study: Study) -> Section:
    """Gather one panel for each contender and number of labels."""
    classes = study.classes
    if not classes:
        raise Absent("no class is named in data.json or table.csv")
    panels, figures = [], {}
    for i, contender in enumerate(study.contenders):
        for j, labels in enumerate(study.budgets):
            panel: dict[str, Any] = {"key": f"{i}-{j}", "rows": _rows(study, contender, labels, classes)}
            counts, fits = _confusion(study, contender, labels, len(classes))
            panel |= {"pairs": _pairs(counts, classes), "fits": fits, "figure": ""}
            if fits and len(classes) <= DRAWN:
                panel["figure"] = f"classes-{i}-{j}"
                figures[panel["figure"]] = _matrix(counts, classes)
            panels.append(panel)
    facts = {
        "contenders": [c.name for c in study.contenders],
        "budgets": study.budgets,
        "chosen": f"{study.contenders.index(study.winner)}-0",
        "panels": panels,
        "height": _height(len(classes)),
    }
    return Section(facts, figures)


def _rows(study: Study, contender: Contender, labels: int, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Means over seeds and draws, a class a row; empty where the table has none."""
    t = study.table
    part = t[(t["arm"] == contender.arm) & (t["protocol"] == contender.protocol) & (t["labels"] == labels)]
    mean = part.groupby("metric")["value"].mean()
    if f"recall/{classes[0]}" not in mean.index:
        return []
    out = []
    for name in classes:
        cells = []
        for key in FIGURES:
            value = float(mean.get(f"{key}/{name}", float("nan")))
            known = bool(np.isfinite(value))
            cells.append({"value": in_percent(value) if known else "–", "bar": f"{100 * value:.1f}" if known else "0"})
        out.append({"name": name, "cells": cells, "support": f"{mean.get(f'support/{name}', 0):,.0f}"})
    return out


def _confusion(study: Study, contender: Contender, labels: int, n: int) -> tuple[np.ndarray, int]:
    """Counts (true, taken for) summed over all fits, and the number of fits; an answer that is no number is for no
    class, and a fit without any other does not count.
    """
    total, fits = np.zeros((n, n), np.int64), 0
    for cell in study.cells(contender, labels):
        told = np.isfinite(cell.probabilities).all(1)
        total += confusion(cell.probabilities[told], study.test["labels"].astype(np.int64)[told], n)
        fits += bool(told.any())
    return total, fits


def _pairs(counts: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The three largest mistakes in words, as shares of the true class."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.fill_diagonal(share, 0)
    order = np.argsort(-share, axis=None, kind="stable")[:3]
    places = zip(*np.unravel_index(order, share.shape), strict=True)
    return [
        f"{in_percent(share[i, j], 0)} % of {classes[i]} are taken for {classes[j]}" for i, j in places if share[i, j]
    ]


def _height(n: int) -> int:
    return max(int(np.clip(150 + 26 * n, 320, 620)), 150 + 13 * n)


def _names(classes: Sequence[str]) -> list[str]:
    """Names short enough for rows and columns: cut at the end or, where that makes some alike, by what all share."""
    cut = [label(c, WIDE) for c in classes]
    if len(set(cut)) == len(set(classes)):
        return cut
    first = _alike(classes)
    last = _alike([c[first:][::-1] for c in classes])
    return [label("…" * (first > 0) + c[first : len(c) - last] + "…" * (last > 0), WIDE) for c in classes]


def _alike(names: Sequence[str]) -> int:
    """With how many letters all names begin alike."""
    columns = enumerate(zip(*names, strict=False))
    return next((i for i, letters in columns if len(set(letters)) > 1), min(map(len, names)))


def _under(names: Sequence[str]) -> Spec:
    """How names stand under columns. Slanted down to the right, those of the last columns would run out of the figure,
    and are left away.
    """
    if len(names) > NAMED:
        return {"showticklabels": False, "title": {"text": "taken for, in the same order"}}
    slant = {"tickangle": -40 if len(names) <= UPRIGHT else -90} if max(map(len, names)) > 4 else {}
    return {"ticklabeloverflow": "allow", "title": {"text": "taken for"}} | slant


def _matrix(counts: np.ndarray, classes: Sequence[str]) -> Spec:
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = _names(classes)
    hover = [[f"{count(int(v), 'prediction')}" for v in row] for row in counts]
    z = [numbers(row, 3) for row in share]
    trace = {
        "type": "heatmap", "z": z, "customdata": hover, "zmin": 0, "zmax": 100, "showscale": False,
        "xgap": 1, "ygap": 1,
        "colorscale": [[0, "var(--heat0)"], [0.5, "var(--heat1)"], [1, "var(--heat2)"]],
        "hovertemplate": "%{y} taken for %{x}: %{z:.1f} % (%{customdata})<extra></extra>",
    }  # fmt: skip
    if len(classes) <= WRITTEN:
        trace |= {"text": [[f"{v:.0f}" if v >= 0.5 else "" for v in row] for row in share], "texttemplate": "%{text}"}
    ticks = {"tickvals": list(range(len(classes))), "ticktext": names, "showgrid": False}
    small = {"tickfont": {"color": SOFT, "size": 10}} if len(classes) > NAMED else {}
    spec = figure([trace], _height(len(classes)), x=ticks | _under(names), y=ticks | small | {"autorange": "reversed"})
    spec["layout"]["yaxis"]["title"] = {"text": "true class"}
    return spec
