"""How the pretrainings went: loss and effective rank over the steps, and what the watch on them said."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlabeled.report.folder import Absent, Study, safe
from unlabeled.report.plots import Spec, figure, numbers, thin
from unlabeled.report.section import Section

TITLE = "Training"
CURVES: Mapping[str, str] = {"loss": "loss", "rank": "effective rank of the features"}
HEIGHT = 280


def section(study: Study) -> Section | None:
    """Gather curves and sentences of each pretrained arm; None where nothing was pretrained."""
    files = sorted(study.path.glob("runs/*/metrics.jsonl"))
    if not files:
        return None
    colours: Mapping[str, str] = {}
    try:
        colours = {safe(arm): colour for arm, colour in study.colours.items()}
        names = {safe(arm): arm for arm in study.colours}
    except Absent:
        names = {}
    order = list(colours)
    files.sort(key=lambda f: order.index(s) if (s := _arm(f)) in order else len(order))
    runs: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {}
    for file in files:
        stem, seed = _arm(file), file.parent.name.rpartition("-s")[2]
        if lines := _lines(study.text(str(file.relative_to(study.path)))):
            runs.setdefault(stem, []).append((seed, lines))
    if not runs:
        raise Absent("the pretrainings have written no line yet")
    arms, figures = [], {}
    for i, (stem, seeds) in enumerate(runs.items()):
        plots = []
        for key, title in CURVES.items():
            if any(isinstance(line.get(key), int | float) for _, lines in seeds for line in lines):
                figures[f"training-{i}-{key}"] = _curves(seeds, key, colours.get(stem, "var(--c0)"))
                plots.append({"figure": f"training-{i}-{key}", "title": title})
        said = [{"seed": seed, "text": _health(lines), "well": _health(lines) == "healthy"} for seed, lines in seeds]
        arms.append({"name": names.get(stem, stem), "plots": plots, "said": said})
    return Section({"arms": arms, "height": HEIGHT}, figures)


def _arm(file: Path) -> str:
    """The arm of a run by the name of its folder, `simclr-s0`."""
    return file.parent.name.rpartition("-s")[0]


def _lines(text: str) -> list[dict[str, Any]]:
    """The lines that are whole; the last one may be half written."""
    out = []
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict) and "step" in found:
            out.append(found)
    return out


def _health(lines: list[dict[str, Any]]) -> str:
    """The last thing that the watch said, and what else it said on the way."""
    said = [str(line["health"]) for line in lines if line.get("health")]
    if not said:
        return "healthy"
    odd = [s for s in dict.fromkeys(said) if s != "healthy"]
    if said[-1] != "healthy":
        return said[-1]
    return f"healthy in the end; on the way: {odd[-1]}" if odd else "healthy"


def _curves(seeds: list[tuple[str, list[dict[str, Any]]]], key: str, colour: str) -> Spec:
    traces = []
    for number, (seed, lines) in enumerate(seeds):
        there = [line for line in lines if isinstance(line.get(key), int | float)]
        kept = [there[k] for k in thin(len(there)).tolist()] if there else []
        traces.append({
            "type": "scatter", "mode": "lines" if len(kept) > 1 else "markers", "name": f"seed {seed}",
            "x": numbers([line["step"] for line in kept], 9), "y": numbers([line[key] for line in kept]),
            "line": {"color": colour, "width": 1.75}, "opacity": max(0.35, 1 - 0.25 * number),
            "hovertemplate": f"step %{{x}}: %{{y:.4g}}<extra>seed {seed}</extra>",
        })  # fmt: skip
    return figure(traces, HEIGHT, x={"title": {"text": "step"}, "rangemode": "tozero"})
