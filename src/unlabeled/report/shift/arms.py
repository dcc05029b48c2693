"""Every arm clean and corrupted, and the paired differences."""

import math
from typing import Any

from unlabeled.report.blocks import Block, Cell, Row, percent
from unlabeled.report.section import Section

TITLE = "Arms"


def section(source: Any) -> Section:
    """Gather a table for each mean, and one of the differences over all kinds."""
    table, blocks = source.frame("robustness"), []
    for scope in table["scope"].unique():
        rows = []
        for r in table[table["scope"] == scope].sort_values("accuracy", ascending=False).to_dict("records"):
            cells = [percent(r["clean"]), percent(r["accuracy"], r["low"], r["high"])]
            cells += [percent(r["drop"], r["drop_low"], r["drop_high"]), percent(r["degradation"])]
            cells += [
                Cell("–" if math.isnan(r["mce"]) else f"{r['mce']:.2f}"),
                Cell(str(r["worst_kind"]).replace("_", " "), f"{100 * r['worst_accuracy']:.1f}"),
            ]
            rows.append(Row(str(r["arm"]), cells, colour=source.colours[r["arm"]]))
        head = ["arm", "clean", "corrupted", "drop", "degradation", "mCE", "worst kind"]
        caption = (
            f"Accuracy in % over {scope}, severities 1 to 5; mCE is the error set against "
            f"{table['reference'].iloc[0]}, a dash where that makes none under some kind"
        )
        blocks.append(Block(str(scope)[:1].upper() + str(scope)[1:], caption=caption, head=head, rows=rows))
    blocks.append(_differences(source))
    return Section({"lead": "", "blocks": blocks})


def _differences(source: Any) -> Block:
    table = source.frame("differences")
    rows = []
    for r in table[table["scope"] == "all kinds"].to_dict("records"):
        if r["difference"] < 0 or (r["difference"] == 0 and r["arm_a"] > r["arm_b"]):
            continue  # each pair once, the larger first
        what = {"accuracy": "accuracy under corruption", "drop": "drop from clean", "clean": "clean accuracy"}[
            r["what"]
        ]
        cell = percent(r["difference"], r["low"], r["high"], sign=True)
        rows.append(Row(f"{r['arm_a']} against {r['arm_b']}", [cell], what, source.colours[r["arm_a"]]))
    note = "Paired by seed, label draw, item and corruption; an interval that holds 0 is no difference."
    return Block(
        "Differences", caption="In points, with 95 % intervals", head=["pair", "points"], rows=rows, notes=[note]
    )
