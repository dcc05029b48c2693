"""How the scores lie: good items kept apart, good and faulty test items, and the threshold."""

from typing import Any

import numpy as np

from unlabeled.report.anomalies.inspected import Inspected
from unlabeled.report.plots import figure, numbers
from unlabeled.report.section import Section

TITLE = "Scores"
BINS = 48


def section(found: Inspected) -> Section:
    """Gather one histogram a group of items."""
    frame, line = found.scores, float(found.figures["threshold"])
    scores = frame["score"].to_numpy(float)
    groups = [("good, kept apart", "var(--random)", found.kept_apart)]
    if "images" in found.figures:
        good = (frame["label"] == "good").to_numpy()
        faulty = (frame["label"].notna() & ~good).to_numpy()
        groups += [("good", "var(--c1)", scores[good]), ("faulty", "var(--bad)", scores[faulty])]
    else:
        groups += [("looked at", "var(--c0)", scores)]
    every = np.concatenate([x for _, _, x in groups])
    edges = np.linspace(every.min(), every.max() + 1e-9, BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    traces: list[dict[str, Any]] = [
        {
            "type": "bar", "name": name, "legendgroup": name, "x": numbers(middle), "opacity": 0.6,
            "y": numbers(100 * np.histogram(x, edges)[0] / max(len(x), 1)), "marker": {"color": colour},
            "hovertemplate": f"{name}: %{{y:.1f}} %<extra></extra>", "width": float(edges[1] - edges[0]),
        }
        for name, colour, x in groups
    ]  # fmt: skip
    top = max(max(v for v in t["y"] if v is not None) for t in traces)
    traces.append({
        "type": "scatter", "mode": "lines", "x": numbers([line, line]), "y": [0, top], "hoverinfo": "skip",
        "line": {"color": "var(--ink)", "width": 2, "dash": "dash"}, "name": "threshold", "legendgroup": "threshold",
    })  # fmt: skip
    plot = figure(traces, 340, x={"title": {"text": "score"}}, y={"title": {"text": "share of the group, %"}})
    plot["layout"] |= {"barmode": "overlay"}
    legend = [{"name": n, "colour": c, "group": n, "figure": "scores"} for n, c, _ in groups]
    return Section(
        {"legend_of": legend, "threshold": f"{line:.4g}", "rate": f"{100 * found.figures['rate']:g}"}, {"scores": plot}
    )
