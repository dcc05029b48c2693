"""For whom the model is worse: each part of a column against all others."""

from typing import Any

from unlabeled.deploy.fairness import FEWEST
from unlabeled.report.blocks import Block, Cell, Row, percent
from unlabeled.report.folder import Absent
from unlabeled.report.section import Section

TITLE = "Parts"
SHOWN = {"accuracy": "right", "overconfidence": "surer than right by", "coverage": "set holds the truth",
         "abstained": "no answer", "flagged": "flagged"}  # fmt: skip


def section(source: Any) -> Section | None:
    """Gather a table for each column."""
    if not len(source.parts):
        if source.asked:
            raise Absent(f"no part of {', '.join(source.asked)} has {FEWEST} items or more")
        return None
    blocks = []
    for column, mine in source.parts.groupby("column", sort=False):
        rows = []
        for (part, n), own in mine.groupby(["part", "n"], sort=False):
            by = {str(r["metric"]): r for r in own.to_dict("records")}
            cells = [percent(*(float(by[m][k]) for k in ("value", "low", "high"))) for m in SHOWN]
            marked = [SHOWN[m] for m in SHOWN if by[m]["differs"]]
            rows.append(Row(str(part), [Cell(f"{n:,}"), *cells], how=f"differs: {', '.join(marked)}" if marked else ""))
        head = ["", "items", *SHOWN.values()]
        blocks.append(Block(str(column), caption=f"By {column}, in % with 95 % intervals", head=head, rows=rows))
    note = "A part is marked where it differs from all others by more than chance gives among so many comparisons."
    return Section({"lead": note, "blocks": blocks})
