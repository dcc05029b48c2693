"""The figures that were compared, and the shares of the classes."""

from typing import Any

from unlabeled.deploy.drift import WORDS
from unlabeled.report.blocks import Block, Cell, Row, percent
from unlabeled.report.section import Section

TITLE = "Figures"


def section(source: Any) -> Section:
    """Gather two tables."""
    rows = []
    for c in source.drift["checks"]:
        if c["name"] == "features":
            values = [Cell(f"{c['reference']:.4f}", "by chance"), Cell(f"{c['now']:.4f}")]
        elif c["name"] == "classes":
            values = [Cell("–"), percent(c["now"])]
        else:
            values = [percent(c["reference"]), percent(c["now"])]
        rows.append(Row(WORDS[c["name"]], [*values, Cell(f"{c['p']:.3f}")]))
    note = (
        "Each p is of one figure alone; the alarm goes by all of them together, so that it is false at the chosen rate."
    )
    shares = [Row(name, [percent(was), percent(now)]) for name, (was, now) in source.drift["classes"].items()]
    caption = f"{source.drift['reference']:,} reference items, {source.drift['items']:,} new ones; shares in %"
    head = ["", "reference", "now"]
    blocks = [Block(caption=caption, head=[*head, "p"], rows=rows, notes=[note])]
    blocks.append(
        Block("Classes", caption="Share of each predicted class in %", head=["class", *head[1:]], rows=shares)
    )
    return Section({"lead": "", "blocks": blocks})
