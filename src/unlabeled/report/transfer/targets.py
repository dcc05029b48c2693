"""Every arm in every domain that was kept back, beside the domains that it learnt in."""

import math
from typing import Any

from unlabeled.report.blocks import Block, Cell, Row, percent
from unlabeled.report.section import Section

TITLE = "Targets"
HOW = {"adaptation": "saw the target without labels", "random": "frozen"}


def section(source: Any) -> Section:
    """Gather the table of targets and that of the means."""
    summary, overall = source.frame("summary"), source.frame("overall").sort_values("mean", ascending=False)
    targets = [str(t) for t in source.answer["targets"]]
    kinds, blocks = source.answer["arms"], []
    heads = {"target": "in the domain kept back", "source": "in the domains that were learnt"}
    for where, words in heads.items():
        part, rows = summary[summary["where"] == where].set_index(["arm", "target"]).sort_index(), []
        for arm in overall["arm"]:
            cells = [percent(*(float(part.loc[(arm, t), c]) for c in ("accuracy", "low", "high"))) for t in targets]
            rows.append(Row(str(arm), cells, HOW.get(kinds[arm], "source only"), source.colours[arm]))
        head = ["arm", *(f"→ {t}" for t in targets)]
        blocks.append(
            Block(words[:1].upper() + words[1:], caption=f"Accuracy in % {words}, 95 % intervals", head=head, rows=rows)
        )
    rows = []
    for r in overall.to_dict("records"):
        cells = [percent(r["mean"], r["low"], r["high"]), Cell(percent(r["worst"]).value, str(r["worst_target"]))]
        cells += [percent(r["source"]), percent(r.get("auroc", math.nan)), percent(r["detected"]), percent(r["kept"])]
        rows.append(Row(str(r["arm"]), cells, colour=source.colours[r["arm"]]))
    head = ["arm", "mean", "worst", "own domains", "AUROC", "target flagged", "source kept"]
    blocks.insert(0, Block(caption="Mean of the targets in %, every one counting the same", head=head, rows=rows))
    detector = source.answer["detector"]
    lead = (
        f"Each column: that domain was kept back, and every arm made {source.answer['steps']:,} optimizer steps on the "
        f"others. Flagged: share of the target's items above the threshold of {detector} that keeps 95 % of held-out "
        "training items of the source."
    )
    return Section({"lead": lead, "blocks": blocks})
