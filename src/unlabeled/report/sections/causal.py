"""The causal graph that a method has learnt: which style reaches which factor of the features, and whether it does."""

from collections.abc import Mapping
from typing import Any

from unlabeled.report.folder import Absent, Study, safe
from unlabeled.report.section import Section

TITLE = "Style and content"
ROW, WIDE, LEFT, RIGHT, HEAD = 30, 640, 120, 560, 34  # pixels of the drawing
KEYS = ("kinds", "adjacency", "edge", "effect", "free", "words")


def section(study: Study) -> Section | None:
    """Gather graph and figures of every arm with a causal model; None where there is none."""
    arms = []
    for file in sorted(study.path.glob("causal-*.json")):
        found = study.json(file.name)
        if not isinstance(found, dict) or any(key not in found for key in KEYS):
            raise Absent(f"{file.name} does not hold a causal graph")
        stem = file.stem.removeprefix("causal-")
        names = {safe(a): a for a in study.colours}
        arms.append({"name": names.get(stem, stem), "graph": _graph(found), "table": _table(found)} | _only(found))
    return Section({"arms": arms}) if arms else None


def _only(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"words": found["words"], "kinds": found["kinds"], "factors": list(range(1, len(found["effect"][0]) + 1))}


def _graph(found: Mapping[str, Any]) -> dict[str, Any]:
    """Places of kinds on the left and of factors on the right, and a curve for each edge."""
    kinds, strengths, edge = found["kinds"], found["adjacency"], found["edge"]
    count = len(strengths[0])
    high = HEAD + ROW * max(len(kinds), count)

    def at(number: int, of: int) -> float:
        return HEAD + (high - HEAD) * (number + 0.5) / of

    lines, loops = [], []
    for j in range(count):
        for i, row in enumerate(strengths):
            if row[j] <= edge:
                continue
            wide, end = min(6.0, 1 + 2 * row[j]), at(j, count)
            if i < len(kinds):
                start = at(i, len(kinds))
                path = f"M{LEFT},{start:.0f} C{LEFT + 180},{start:.0f} {RIGHT - 180},{end:.0f} {RIGHT - 14},{end:.0f}"
                lines.append({"path": path, "wide": f"{wide:.1f}", "says": f"{kinds[i]} moves factor {j + 1}"})
            else:
                start = at(i - len(kinds), count)
                path = f"M{RIGHT + 14},{start:.0f} Q{WIDE + 30},{(start + end) / 2:.0f} {RIGHT + 14},{end:.0f}"
                loops.append(
                    {"path": path, "wide": f"{wide:.1f}", "says": f"factor {i - len(kinds) + 1} moves {j + 1}"}
                )
    free = set(found["free"])
    left = [{"y": f"{at(i, len(kinds)):.0f}", "name": name} for i, name in enumerate(kinds)]
    right = [{"y": f"{at(j, count):.0f}", "name": j + 1, "free": j in free} for j in range(count)]
    return {"high": f"{high + 8:.0f}", "lines": lines, "loops": loops, "left": left, "right": right}


def _table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Effects, a row a kind, with a shade from 0 to 1."""
    return [
        {"kind": kind, "cells": [{"value": f"{v:.2f}", "shade": f"{100 * min(1.0, v):.0f}"} for v in row]}
        for kind, row in zip(found["kinds"], found["effect"], strict=True)
    ]
