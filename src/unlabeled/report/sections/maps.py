"""Maps of the test items (t-SNE) before and after pretraining; a point shows its thumbnail."""

from typing import Any

import numpy as np

from unlabeled.report.folder import Absent, Study
from unlabeled.report.pictures import sheet
from unlabeled.report.plots import Spec, class_style, figure, numbers
from unlabeled.report.section import Section
from unlabeled.report.words import label

TITLE = "Feature maps"
WHEN = ("before", "after")


def section(study: Study) -> Section | None:
    """Gather one pair of maps for each arm; None where the study pretrained nothing."""
    arrays = study.arrays("tsne.npz")
    arms = [
        k.removesuffix("/after")
        for k in arrays
        if k.endswith("/after") and k.removesuffix("after") + "before" in arrays
    ]
    if not arms:
        return None
    labels = study.test["labels"].astype(int)
    items = np.asarray(arrays.get("rows_in_test", np.arange(len(labels))), int)
    first = study.winner.arm
    arms = sorted(arms, key=lambda a: a != first)
    arms = [a for a in arms if all(arrays[f"{a}/{w}"].shape == (len(items), 2) for w in WHEN)]
    if not arms or not len(items) or items.min() < 0 or items.max() >= len(labels):
        raise Absent("tsne.npz does not fit test.npz")
    thumbs = sheet(study.test["thumbs"], items)
    figures: dict[str, Any] = {}
    panels = []
    for i, arm in enumerate(arms):
        for when in WHEN:
            figures[f"map-{i}-{when}"] = _map(arrays[f"{arm}/{when}"], items, labels, study.classes)
        panels.append(
            {"key": str(i), "name": arm, "neighbours": [_same(arrays[f"{arm}/{w}"], labels[items]) for w in WHEN]}
        )
    known = {
        str(item): {"c": study.classes[labels[item]], "p": str(study.test["paths"][item]), "at": thumbs.places[item]}
        for item in items.tolist()
    }
    figures["map-items"] = {"columns": thumbs.columns, "items": known}
    facts = {
        "arms": arms,
        "panels": panels,
        "classes": [
            {"name": c, "colour": colour, "symbol": symbol, "group": str(k)}
            for k, c in enumerate(study.classes)
            for colour, symbol in [class_style(k)]
        ],
        "shown": len(items),
        "all": len(labels),
    }
    return Section(facts, figures, thumbs_style("map", thumbs.uri, thumbs.columns, thumbs.rows))


def thumbs_style(name: str, uri: str, columns: int, rows: int) -> str:
    """CSS for thumbnails of one sheet."""
    return f'\n.{name} .thumb{{background-image:url("{uri}");--columns:{columns};--rows:{rows}}}'


def _map(points: np.ndarray, items: np.ndarray, labels: np.ndarray, classes: Any) -> Spec:
    traces = []
    for k, name in enumerate(classes):
        mine = labels[items] == k
        colour, symbol = class_style(k)
        traces.append({
            "type": "scatter", "mode": "markers", "name": label(name), "legendgroup": str(k), "hoverinfo": "none",
            "x": numbers(points[mine, 0], 4), "y": numbers(points[mine, 1], 4), "customdata": items[mine].tolist(),
            "marker": {"size": 7, "opacity": 0.85, "color": colour, "symbol": symbol,
                       "line": {"width": 0.5, "color": "var(--paper)"}},
        })  # fmt: skip
    bare = {"visible": False}
    spec = figure(traces, 400, x=bare, y=bare | {"scaleanchor": "x"})
    spec["layout"]["margin"] = {"l": 4, "r": 4, "t": 4, "b": 4}
    return spec


def _same(points: np.ndarray, labels: np.ndarray) -> str:
    """How often the nearest point on the map is of the same class, in percent."""
    hits = 0
    for at in range(0, len(points), 512):
        part = points[at : at + 512].astype(np.float64)
        gaps = np.square(part[:, None] - points[None]).sum(2)
        gaps[np.arange(len(part)), np.arange(at, at + len(part))] = np.inf
        hits += int((labels[gaps.argmin(1)] == labels[at : at + 512]).sum())
    return f"{100 * hits / max(1, len(points)):.0f}"
