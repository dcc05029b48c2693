"""Paired differences of the arms: mean of the targets, and each target."""

from contextlib import suppress
from typing import Any

from unlabeled.report.blocks import Block, Row, percent
from unlabeled.report.folder import Absent
from unlabeled.report.section import Section

TITLE = "Differences"
RANKS = "differences_auroc"  # the table that is there where one class holds most labels


def section(source: Any) -> Section:
    """Gather a table of each figure that tells the arms apart: a line a pair, the better arm first."""
    blocks = [_block(source, "differences", "accuracy")]
    with suppress(Absent):
        blocks.insert(0, _block(source, RANKS, "AUROC"))
    return Section({"lead": "", "blocks": blocks})


def _block(source: Any, name: str, what: str) -> Block:
    table = source.frame(name)
    mean = "mean of the targets"
    targets, rows = [mean, *map(str, source.answer["targets"])], []
    by = table.set_index(["arm_a", "arm_b", "target"]).sort_index()
    for r in table[(table["target"] == mean) & (table["difference"] >= 0)].to_dict("records"):
        a, b = r["arm_a"], r["arm_b"]
        if r["difference"] == 0 and a > b:
            continue
        found = [[float(by.loc[(a, b, t), c]) for c in ("difference", "low", "high")] for t in targets]
        rows.append(Row(f"{a} against {b}", [percent(*f, sign=True) for f in found], colour=source.colours[a]))
    caption = f"Difference of the {what} in points, with 95 % intervals"
    note = "Paired by seed and test item; an interval that holds 0 is no difference."
    return Block(caption=caption, head=["pair", *targets], rows=rows, notes=[note])
