"""Single predictions with their confidence: the most confident mistakes first, then what was right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unlabeled.metrics import right
from unlabeled.progress import count
from unlabeled.report.folder import Absent, Cell, Study
from unlabeled.report.pictures import Sheet, sheet
from unlabeled.report.players import Players
from unlabeled.report.section import Section
from unlabeled.report.sections.maps import thumbs_style

TITLE = "Predictions"
WRONG, SURE, UNSURE = 12, 6, 6


def section(study: Study) -> Section:
    """Gather one panel for each contender and number of labels, from its first seed and draw."""
    labels = study.test["labels"].astype(int)
    if not len(labels):
        raise Absent("test.npz holds no items")
    fits = {
        f"{i}-{j}": found[0]
        for i, contender in enumerate(study.contenders)
        for j, n in enumerate(study.budgets)
        if (found := study.cells(contender, n, limit=1))
    }
    if not fits:
        raise Absent("there are no predictions in the study's folder")
    chosen = {key: _choose(cell.probabilities, labels) for key, cell in fits.items()}
    thumbs = sheet(study.test["thumbs"], (int(i) for groups in chosen.values() for g in groups for i in g))
    players, panels = Players(study), []
    for key, cell in fits.items():
        wrong, sure, unsure = ([_card(study, cell, thumbs, players, int(i)) for i in group] for group in chosen[key])
        mistakes = int((~right(cell.probabilities, labels)).sum())
        lost = int((~np.isfinite(cell.probabilities).all(1)).sum())
        panels.append({
            "key": key, "wrong": wrong, "sure": sure, "unsure": unsure, "draw": cell.draw, "seed": cell.seed,
            "mistakes": count(mistakes, "mistake"), "of": count(len(labels), "test item"), "lost": lost,
        })  # fmt: skip
    facts = {
        "contenders": [c.name for c in study.contenders],
        "budgets": study.budgets,
        "chosen": f"{study.contenders.index(study.winner)}-0",
        "panels": panels,
    }
    return Section(facts, style=thumbs_style("samples", thumbs.uri, thumbs.columns, thumbs.rows))


def _choose(probabilities: np.ndarray, labels: np.ndarray) -> Sequence[np.ndarray]:
    """Items that were wrong with the most confidence, right with the most, and right with the least; those whose
    answer is no number have no confidence, and are not shown.
    """
    confidence, good = probabilities.max(1), right(probabilities, labels)
    order = np.argsort(-confidence, kind="stable")
    wrong, hits = order[~good[order] & np.isfinite(confidence[order])][:WRONG], order[good[order]]
    sure = hits[:SURE]
    return wrong, sure, hits[len(sure) :][-UNSURE:][::-1]


def _card(study: Study, cell: Cell, thumbs: Sheet, players: Players, item: int) -> dict[str, Any]:
    p = cell.probabilities[item]
    top = np.argsort(-p, kind="stable")[:3]
    true = int(study.test["labels"][item])
    return {
        "style": thumbs.style(item),
        "sound": players.uri(item),
        "path": str(study.test["paths"][item]),
        "true": study.classes[true],
        "taken": study.classes[int(top[0])],
        "right": int(top[0]) == true,
        "top": [
            {"name": study.classes[k], "percent": f"{100 * p[k]:.0f}", "true": k == true}
            for k in top.tolist()
            if p[k] >= 0.005 or k == true
        ],
    }
