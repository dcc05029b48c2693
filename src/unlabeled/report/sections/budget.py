"""The label budget: how good each contender is with how many labels, and where supervised training catches up."""

import math
from collections.abc import Sequence
from typing import Any

from unlabeled.report import crossing
from unlabeled.report.folder import Absent, Study
from unlabeled.report.plots import INK, PATHS, SOFT, Spec, counts_axis, dash, figure, numbers, symbols
from unlabeled.report.section import Section
from unlabeled.report.words import METRICS, Contender, Metric, interval, label, protocol

TITLE = "Label budget"
HEIGHT = 430


def section(study: Study) -> Section:
    """Gather one figure for each metric and choice of contenders."""
    if len(study.budgets) < 2:
        raise Absent("the study tried one number of labels only")
    best: dict[str, Contender] = {}
    for contender in study.contenders:
        best.setdefault(contender.arm, contender)
    uses = list(dict.fromkeys(c.protocol for c in study.contenders))
    choices = [("best of each arm", list(best.values()))]
    choices += [(protocol(p), [c for c in study.contenders if c.protocol == p]) for p in uses] if len(uses) > 1 else []
    shown = [m for name, m in METRICS.items() if (study.summary["metric"] == name).any()]
    found = crossing.find(study)
    figures, panels = {}, []
    for i, metric in enumerate(shown):
        for j, (_, contenders) in enumerate(choices):
            name = f"budget-{i}-{j}"
            figures[name] = _figure(study, contenders, metric)
            if found and metric.name == "accuracy" and {found.method, found.supervised} <= set(contenders):
                _mark(figures[name], found, study.budgets)
            keys = _legend(study, contenders, name)
            panels.append({"key": f"{i}-{j}", "figure": name, "metric": metric, "legend": keys})
    facts = {
        "metrics": [m.title for m in shown],
        "choices": [title for title, _ in choices],
        "panels": panels,
        "height": HEIGHT,
        "sentence": found.sentence() if found else "",
        "budgets": study.budgets,
    }
    return Section(facts, figures)


def _legend(study: Study, contenders: Sequence[Contender], name: str) -> list[dict[str, Any]]:
    marks = symbols(study.colours)
    return [
        {"name": c.name, "colour": c.colour, "dash": dash(c.protocol), "figure": name, "group": str(i),
         "path": PATHS[marks[c.arm]]}
        for i, c in enumerate(contenders)
    ]  # fmt: skip


def _figure(study: Study, contenders: Sequence[Contender], metric: Metric) -> Spec:
    scale = 100.0 if metric.share else 1.0
    traces, marks = [], symbols(study.colours)
    for i, c in enumerate(contenders):
        rows = [(n, row) for n in study.budgets if (row := study.row(c, n, metric.name)) is not None]
        beside = 1.015 ** (i - (len(contenders) - 1) / 2)  # so that intervals do not hide one another
        mean = [scale * row["mean"] for _, row in rows]
        text = [
            f"{metric.show(row['mean'])} ({interval(row['low'], row['high'], metric) or 'no interval'})"
            for _, row in rows
        ]
        above = [max(0.0, scale * row["high"] - m) for (_, row), m in zip(rows, mean, strict=True)]
        below = [max(0.0, m - scale * row["low"]) for (_, row), m in zip(rows, mean, strict=True)]
        traces.append({
            "type": "scatter", "mode": "lines+markers", "name": label(c.name), "legendgroup": str(i),
            "x": numbers([n * beside for n, _ in rows]), "y": numbers(mean),
            "customdata": [f"{n:,}" for n, _ in rows], "text": text,
            "line": {"color": c.colour, "width": 2.5 if c == study.winner else 1.75, "dash": dash(c.protocol)},
            "marker": {"size": 7, "color": c.colour, "symbol": marks[c.arm]},
            "error_y": {"type": "data", "symmetric": False, "thickness": 1.25, "width": 0, "color": c.colour,
                        "array": numbers(above), "arrayminus": numbers(below)},
            "hovertemplate": "<b>%{fullData.name}</b><br>%{customdata} labels: %{text}<extra></extra>",
        })  # fmt: skip
    y = {"title": {"text": metric.title + (" in %" if metric.share else "")}, "range": _range(traces, metric)}
    return figure(traces, HEIGHT, x=counts_axis(study.budgets, "labels, logarithmic"), y=y)


def _range(traces: Sequence[Spec], metric: Metric) -> list[float]:
    """All intervals with some air; shares stay between 0 and 100."""
    tops = [v + (d or 0.0) for t in traces for v, d in zip(t["y"], t["error_y"]["array"], strict=True) if v is not None]
    ends = [
        v - (d or 0.0) for t in traces for v, d in zip(t["y"], t["error_y"]["arrayminus"], strict=True) if v is not None
    ]
    low, high = min(ends, default=0.0), max(tops, default=1.0)
    air = 0.06 * max(high - low, 1e-3)
    return [max(low - air, 0.0), min(high + air, 101.0) if metric.share else high + air]


def _mark(spec: Spec, found: crossing.Crossing, budgets: Sequence[int]) -> None:
    """Draw the way from the method's first point across to the supervised curve, and down to its labels."""
    score, floor = 100 * found.score, spec["layout"]["yaxis"]["range"][0]
    end = found.labels if found.labels is not None else budgets[-1]
    if end <= found.few:
        return
    across = [[found.few, end], [score, score]]
    down = [[end], [floor]] if found.labels is not None else [[], []]
    spec["data"].append({
        "type": "scatter", "mode": "lines", "x": numbers(across[0] + down[0]), "y": numbers(across[1] + down[1]),
        "hoverinfo": "skip", "line": {"color": SOFT, "width": 1.25, "dash": "dot"},
    })  # fmt: skip
    arm = label(found.supervised.arm)
    if found.labels is not None:
        text = f"{arm}: ≈ {round(end):,} labels"
        hover = f"{text} for what {label(found.method.arm)} reaches with {found.few:,}<extra></extra>"
        ring = {"size": 13, "symbol": "circle-open", "color": INK, "line": {"width": 2}}
        spec["data"].append({
            "type": "scatter", "mode": "markers", "x": numbers([end]), "y": numbers([score]), "marker": ring,
            "hovertemplate": hover,
        })  # fmt: skip
    else:
        text = f"{arm}: not with {budgets[-1]:,} labels"
    left = end < math.sqrt(budgets[0] * budgets[-1])
    spec["layout"]["annotations"] = [{
        "x": float(f"{math.log10(end):.5g}"), "y": floor if found.labels is not None else score, "text": text,
        "showarrow": False, "font": {"color": INK, "size": 13}, "bgcolor": "var(--paper)", "borderpad": 1,
        "xanchor": "left" if left else "right", "xshift": 6 if left else -6, "yanchor": "bottom", "yshift": 4,
    }]  # fmt: skip
