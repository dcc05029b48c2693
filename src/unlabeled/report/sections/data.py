"""The data card: what there is, what the doctor found, items of each class, and the views that methods are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unlabeled.progress import count
from unlabeled.report.folder import Absent, Study
from unlabeled.report.pictures import Sheet, sheet, uri
from unlabeled.report.players import Players
from unlabeled.report.section import Section
from unlabeled.report.sections.maps import thumbs_style

TITLE = "Data"
EACH, CLASSES, BROKEN = 8, 24, 200  # thumbnails a class, classes and broken files that are shown
HEARD = 2  # sounds a class that can be played
SPLITS = ("train", "val", "test")
ORDER = ("error", "warning", "info")


def section(study: Study) -> Section:
    """Gather facts, counts, findings, thumbnails and views; all but the facts may be missing."""
    card = study.data
    counts: Mapping[str, Mapping[str, int]] = card.get("counts") or {}
    splits = [s for s in counts if sum(counts[s].values())]
    splits.sort(key=lambda s: SPLITS.index(s) if s in SPLITS else 0)
    most = max([n for s in splits for n in counts[s].values()], default=1)
    rows = [
        {
            "name": c,
            "cells": [
                {"n": f"{n:,}", "bar": f"{100 * n / max(most, 1):.1f}"} for s in splits for n in [counts[s].get(c, 0)]
            ],
        }
        for c in study.classes
    ]
    findings = sorted(
        card.get("findings") or (), key=lambda f: ORDER.index(f["severity"]) if f.get("severity") in ORDER else 9
    )
    thumbs, strips, why = _strips(study)
    pictures = _views(study)
    facts = {
        "facts": _facts(card, counts, splits, len(study.classes)),
        "splits": splits,
        "rows": rows,
        "findings": findings,
        "broken": (card.get("broken") or [])[:BROKEN],
        "broken_all": len(card.get("broken") or []),
        "strips": strips,
        "hidden": max(0, len(study.classes) - CLASSES),
        "why": why,
        "views": pictures,
        "classes": study.classes,
        "draws": card.get("draws") or [],
    }
    style = thumbs_style("data", thumbs.uri, thumbs.columns, thumbs.rows) if thumbs else ""
    return Section(facts, style=style)


def _facts(
    card: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]], splits: Sequence[str], classes: int
) -> list[tuple[str, str]]:
    size = card.get("size") or []
    out = [("Where", str(card.get("root", ""))), ("Form", str(card.get("form", "")))]
    out += [(split.capitalize(), count(sum(counts[split].values()), "labelled item")) for split in splits]
    out += [("Without label", count(card["unlabeled"], "item"))] if card.get("unlabeled") else []
    out += [("Classes", f"{classes:,}")]
    out += [("As learnt from", _shape(card, size))] if size else []
    return [(what, text) for what, text in out if text]


def _shape(card: Mapping[str, Any], size: Sequence[int]) -> str:
    if card.get("rate"):
        return f"{size[0]:,} frames of 10 ms, {card['rate']:,} samples a second"
    if len(size) == 1 and card.get("step") is None:
        return f"{size[0]:,} tokens"
    if len(size) == 1:
        variables = card.get("variables") or []
        names = ", ".join(variables[:6]) + (f" and {len(variables) - 6} more" if len(variables) > 6 else "")
        return f"{size[0]:,} time steps of {card.get('step'):g}, {count(len(variables), 'variable')}: {names}"
    channels = {1: "grey", 3: "colour"}.get(card.get("channels") or 0, f"{card.get('channels')} channels")
    return " × ".join(str(n) for n in size) + f" pixels, {channels}"


def _strips(study: Study) -> tuple[Sheet | None, list[dict[str, Any]], str]:
    """The first test items of each class, or the reason why there are none."""
    try:
        labels = study.test["labels"].astype(int)
    except Absent as reason:
        return None, [], str(reason)
    chosen = {k: np.flatnonzero(labels == k)[:EACH].tolist() for k in range(min(CLASSES, len(study.classes)))}
    thumbs = sheet(study.test["thumbs"], (i for items in chosen.values() for i in items))
    players = Players(study)
    paths = study.test["paths"]
    strips = [
        {
            "name": study.classes[k],
            "shown": [{"style": thumbs.style(i), "path": str(paths[i])} for i in items],
            "sounds": [found for i in items[:HEARD] if (found := players.uri(i))],
        }
        for k, items in chosen.items()
        if items
    ]
    return thumbs, strips, ""


def _views(study: Study) -> list[dict[str, Any]]:
    try:
        arrays = study.arrays("views.npz")
    except Absent:
        return []
    if not {"originals", "views"} <= arrays.keys():
        return []
    pairs = zip(arrays["originals"], arrays["views"], strict=False)
    return [{"original": uri(original), "views": [uri(v) for v in views]} for original, views in pairs]
