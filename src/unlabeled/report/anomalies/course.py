"""Over time: the score of every step, and the stretches that stand out with what was measured there."""

import math
from collections.abc import Mapping
from typing import Any

from unlabeled.report.anomalies.inspected import Inspected
from unlabeled.report.blocks import Block, legend
from unlabeled.report.folder import Absent
from unlabeled.report.plots import figure, numbers
from unlabeled.report.section import Section

TITLE = "When"
LEAD = (
    "The score of each step is the mean over the windows that hold it. All stretches are in events.csv, all steps in "
    "steps.parquet."
)
TOLD = "Single stretches are shown in the variables that add most to their score."
APART = (
    "Single stretches are shown in the variables that lie farthest from their middle, which need not have made the "
    "score: this detector cannot tell which did."
)
SCORE, FOUND, TRUE = ("score", "var(--c0)"), ("found", "var(--bad)"), ("marked as faulty in the data", "var(--ink)")


def section(found: Inspected) -> Section | None:
    """Gather a figure for each recording and each of the strongest stretches; None where items are pictures."""
    if found.figures.get("modality") != "series":
        return None
    told = found.json("course.json")
    if not isinstance(told, dict) or {"line", "courses", "close"} - told.keys():
        raise Absent("course.json holds no course")
    figures: dict[str, Any] = {}
    blocks = []
    for number, course in enumerate(told["courses"]):
        name = f"course-{number}"
        figures[name] = _course(course, float(told["line"]))
        alt = "The highest score of each piece of the recording, and what was found."
        blocks.append(Block(course["recording"], name, alt, 260, _legend(name, any(course["true"]), SCORE)))
    for number, close in enumerate(told["close"]):
        event = close["event"]
        title = f"{event['recording']}, {event['start']} to {event['end']}"
        for v, (variable, values) in enumerate(close["curves"].items()):
            name = f"close-{number}-{v}"
            figures[name] = _close(close, variable, values)
            alt = f"{variable} around the stretch, which is drawn in another colour."
            blocks.append(Block(f"{title}: {variable}", name, alt, 220, _legend(name, any(close["true"]))))
    lead = f"{LEAD} {TOLD if told.get('told') else APART}" if told["close"] else LEAD
    return Section({"lead": lead, "blocks": blocks}, figures)


def _course(course: Mapping[str, Any], line: float) -> dict[str, Any]:
    step, score = course["step"], [math.nan if s is None else s for s in course["score"]]
    marks = [s if f else math.nan for s, f in zip(score, course["found"], strict=True)]
    traces = [_line(SCORE, step, score), _line(FOUND, step, marks, 3)]
    traces += _true(step, course["true"], min((s for s in score if not math.isnan(s)), default=0.0))
    traces.append({
        "type": "scatter", "mode": "lines", "x": [step[0], step[-1]], "y": numbers([line, line]), "hoverinfo": "skip",
        "line": {"color": "var(--soft)", "width": 1, "dash": "dash"}, "name": "seldom reached by good ones",
    })  # fmt: skip
    return figure(traces, 260, x={"title": {"text": "step"}}, y={"title": {"text": "score"}})


def _close(close: Mapping[str, Any], variable: str, values: list[float | None]) -> dict[str, Any]:
    step = [close["first"] + i for i in range(len(values))]
    known = [math.nan if v is None else v for v in values]
    marks = [v if f else math.nan for v, f in zip(known, close["found"], strict=True)]
    traces = [_line((variable, "var(--soft)"), step, known), _line(FOUND, step, marks, 3)]
    there = [v for v in values if v is not None]
    traces += _true(step, close["true"], min(there, default=0.0))
    return figure(traces, 220, x={"title": {"text": "step"}}, y={"title": {"text": variable}})


def _line(told: tuple[str, str], x: list[int], y: list[float], width: float = 1.5) -> dict[str, Any]:
    name, colour = told
    return {
        "type": "scatter", "mode": "lines+markers" if width > 2 else "lines", "name": name, "legendgroup": name, "x": x,
        "y": numbers(y), "line": {"color": colour, "width": width}, "marker": {"color": colour, "size": 4},
        "hovertemplate": f"{name}: %{{y:.3g}} at %{{x}}<extra></extra>", "connectgaps": False,
    }  # fmt: skip


def _true(step: list[int], true: list[bool], low: float) -> list[dict[str, Any]]:
    """A bar under the curve where the data say that something is faulty."""
    return [_line(TRUE, step, [low if t else math.nan for t in true], 4)] if any(true) else []


def _legend(name: str, true: bool, *first: tuple[str, str]) -> list[dict[str, str]]:
    return legend(name, dict([*first, FOUND, *([TRUE] if true else [])]))
