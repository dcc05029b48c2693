"""Is it right as often as it says, and what is gained by answering only when sure?"""

from typing import Any

from unlabeled.report.blocks import Block, Row, curve, percent
from unlabeled.report.plots import LINE, figure
from unlabeled.report.section import Section

TITLE = "Confidence"
SHARES = {
    "accuracy": "right",
    "answered_accuracy": "right where it answers",
    "abstained": "no answer",
    "coverage": "label sets that hold the truth",
    "flagged": "flagged as strangers",
    "ece": "calibration error",
}


def section(source: Any) -> Section:
    """Gather the figures of all items, the reliability of the confidence and the risk-coverage curve."""
    told = source.figures
    rows = [Row(words, [percent(*_ends(told[name]))]) for name, words in SHARES.items()]
    chance = told["ece_chance"]
    notes = [
        f"Promised: {100 * source.promised:g} % of the label sets hold the truth, {100 * (1 - source.kept):.3g} % of "
        "known items are flagged.",
        f"A model that is perfectly honest would show a calibration error of {100 * chance['mean']:.1f} % on so many "
        f"items by chance, in 19 of 20 cases less than {100 * chance['most']:.1f} %.",
    ]
    blocks = [Block(caption=f"{told['n']:,} items, in %", head=["", "share"], rows=rows, notes=notes)]
    bins = told["reliability"]
    sure, right = ([100 * b[k] for b in bins] for k in ("confidence", "accuracy"))
    honest = curve("honest", LINE, [0, 100], [0, 100]) | {"mode": "lines", "hoverinfo": "skip"}
    own = curve("this model", "var(--c0)", sure, right)
    own["marker"]["size"] = [6 + 18 * (b["count"] / told["n"]) ** 0.5 for b in bins]
    axes = {"x": {"title": {"text": "confidence in %"}}, "y": {"title": {"text": "right, in %"}}}
    figures = {"reliability": figure([honest, own], 320, **axes)}
    alt = "Share of right answers against confidence; on the straight line both are the same."
    note = "A point is a fifteenth of the range of confidence, its size the share of the items there."
    blocks.append(Block("As sure as it is right", "reliability", alt, 320, notes=[note]))
    share, wrong = ([100 * point[i] for point in told["risk"]] for i in (0, 1))
    axes = {"x": {"title": {"text": "items answered, in %"}}, "y": {"title": {"text": "wrong among them, in %"}}}
    figures["risk"] = figure([curve("this model", "var(--c0)", share, wrong)], 300, **axes)
    alt = "Share of wrong answers among those answered, surest first, against the share that is answered."
    blocks.append(Block("Answer only when sure", "risk", alt, 300))
    return Section({"lead": "", "blocks": blocks}, figures)


def _ends(told: dict[str, float | None]) -> tuple[float, float, float]:
    value, low, high = (float("nan") if told[k] is None else float(told[k] or 0) for k in ("value", "low", "high"))
    return value, low, high
