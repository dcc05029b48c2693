"""What the promises are worth when the items get worse: right, answered, misled, by kind and severity."""

from typing import Any

from unlabeled.deploy.worse import ALL
from unlabeled.report.blocks import Block, Row, curve, legend, percent
from unlabeled.report.plots import figure
from unlabeled.report.section import Section

TITLE = "When the items get worse"
LINES = {
    "accuracy": ("right", "var(--c0)"),
    "coverage": ("set holds the truth", "var(--c1)"),
    "answered": ("answers", "var(--c2)"),
    "flagged": ("flagged as strangers", "var(--c3)"),
    "misled": ("answers, and is wrong", "var(--c4)"),
}
SHOWN = 3  # the severity of the table


def section(source: Any) -> Section | None:
    """Gather the curves over severity, a table by kind, and risk-coverage curves."""
    if source.worse is None:
        return None
    table = source.worse
    whole = table[table["kind"] == ALL].sort_values("severity")
    x, traces = whole["severity"].tolist(), []
    for name, (words, colour) in LINES.items():
        y, low, high = (100 * whole[c].to_numpy(float) for c in (name, f"{name}_low", f"{name}_high"))
        traces.append(curve(words, colour, x, y.tolist(), (low.tolist(), high.tolist())))
    y_axis = {"title": {"text": "items in %"}, "rangemode": "tozero"}
    figures = {"worse": figure(traces, 360, x={"title": {"text": "severity"}, "dtick": 1}, y=y_axis)}
    alt = "Shares of the items against severity 0 to 5, mean of the kinds; worse.csv holds the figures."
    note = "Mean of the kinds with 95 % intervals over the items. Answers that are wrong are what harms."
    blocks = [Block("", "worse", alt, 360, legend("worse", dict(LINES.values())), notes=[note])]
    strengths = {s: f"var(--c{i})" for i, s in enumerate((0, 1, 3, 5))}
    axes = {"x": {"title": {"text": "items answered, in %"}}, "y": {"title": {"text": "wrong among them, in %"}}}
    names = {s: "as they are" if s == 0 else f"severity {s}" for s in strengths}
    lines = [
        curve(names[s], colour, *([100 * point[i] for point in source.curves[s]] for i in (0, 1)))
        for s, colour in strengths.items()
    ]
    figures["risks"] = figure(lines, 320, **axes)
    alt = "Wrong answers among those answered, surest first, for items as they are and at severities 1, 3 and 5."
    shown = {names[s]: colour for s, colour in strengths.items()}
    blocks.append(Block("Answer only when sure", "risks", alt, 320, legend("risks", shown)))
    kinds = table[(table["severity"] == SHOWN) & (table["kind"] != ALL)].sort_values("misled", ascending=False)
    rows = [
        Row(str(r["kind"]).replace("_", " "), [percent(float(r[name])) for name in LINES])
        for r in kinds.to_dict("records")
    ]
    head = ["", *(words for words, _ in LINES.values())]
    blocks.append(Block("Kind by kind", caption=f"Severity {SHOWN}, items in %", head=head, rows=rows))
    return Section({"lead": "", "blocks": blocks}, figures)
