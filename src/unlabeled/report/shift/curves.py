"""Accuracy against severity: the mean over kinds, and each kind alone."""

from typing import Any

from unlabeled.report.blocks import Block, curve, legend
from unlabeled.report.plots import figure, symbols
from unlabeled.report.section import Section

TITLE = "Severity"


def section(source: Any) -> Section:
    """Gather one figure for each mean, and one for each kind."""
    table = source.frame("curves")
    figures: dict[str, Any] = {}
    blocks = []
    for i, kind in enumerate(sorted(table["kind"].unique(), key=lambda k: not str(k).endswith(("kinds", "relative")))):
        part, traces = table[table["kind"] == kind], []
        shown = {str(arm): source.colours[arm] for arm in part["arm"].unique()}
        marks = symbols(shown)
        for arm, rows in part.groupby("arm", sort=False):
            y, low, high = (100 * rows[c].to_numpy(float) for c in ("accuracy", "low", "high"))
            ends = (low.tolist(), high.tolist()) if rows["low"].notna().all() else ()
            x, mark = rows["severity"].tolist(), marks[str(arm)]
            traces.append(curve(str(arm), source.colours[arm], x, y.tolist(), ends, symbol=mark))
        name = f"severity-{i}"
        y_axis = {"title": {"text": "accuracy in %"}, "rangemode": "tozero"}
        figures[name] = figure(traces, 300, x={"title": {"text": "severity"}, "dtick": 1}, y=y_axis)
        known = sorted({w for found in source.answer["related"].values() for w in found.get(kind, [])})
        note = [f"A relative was seen in training: {', '.join(known)}."] if known else []
        alt = f"Accuracy against severity 0 to 5 under {kind}, a line for each arm; curves.csv holds the figures."
        title = str(kind).replace("_", " ")
        blocks.append(Block(title, name, alt, 300, legend(name, shown), notes=note))
    return Section({"lead": "Severity 0 is the item as it is. Bars are 95 % intervals.", "blocks": blocks}, figures)
