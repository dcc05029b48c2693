"""How well items that belong to no class are noticed, by every detector on every arm's features."""

from typing import Any

from unlabeled.report.blocks import Block, Row, percent
from unlabeled.report.section import Section

TITLE = "Strangers"
HEADS = {
    "detected": "flagged", "kept": "test items kept", "auroc": "AUROC", "fpr95": "FPR95", "aupr_in": "AUPR in",
    "base_in": "chance", "aupr_out": "AUPR out", "base_out": "chance",
}  # fmt: skip


def section(source: Any) -> Section | None:
    """Gather a table for each set of strangers; None where there was none."""
    if not (source.path / "strangers_summary.csv").is_file():
        return None
    table, blocks = source.frame("strangers_summary"), []
    for name in table["strangers"].unique():
        rows = []
        for (arm, detector), part in table[table["strangers"] == name].groupby(["arm", "detector"], sort=False):
            mine = part.set_index("metric")
            cells = [percent(*(float(mine.loc[m, c]) for c in ("mean", "low", "high"))) for m in HEADS]
            rows.append(Row(str(arm), cells, str(detector), source.colours[arm]))
        caption = f"{name}, in %; intervals over seeds"
        blocks.append(Block(str(name), caption=caption, head=["arm", *HEADS.values()], rows=rows))
    lead = (
        "Flagged is the share of strangers above the threshold that keeps 95 % of held-out training items; beside it "
        "the share of test items that the same threshold keeps. FPR95 is the share of strangers accepted when 95 % of "
        "the test items are; AUPR stands beside what chance would give. Texture is the detector that a bundle has: it "
        "looks at the first maps and the spectrum, all others at the features."
    )
    return Section({"lead": lead, "blocks": blocks})
