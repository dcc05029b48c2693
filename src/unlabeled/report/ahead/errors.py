"""The errors of every arm, and how far each is from the plain rule."""

import math
from typing import Any

from unlabeled.report.blocks import Block, Cell, Row
from unlabeled.report.section import Section

TITLE = "Errors"


def section(source: Any) -> Section:
    """Gather a table for each error."""
    blocks = []
    table, by = source.table, source.by
    steps = sorted(table[by].unique().tolist())
    for metric, word in (("mse", "Squared error"), ("mae", "Absolute error")):
        part = table[table["metric"] == metric]
        order = part.groupby("arm")["mean"].mean().sort_values().index
        rows = []
        for arm in order:
            own = part[part["arm"] == arm].set_index(by)
            cells = [_cell(own.loc[s].to_dict()) if s in own.index else Cell("–") for s in steps]
            rows.append(Row(str(arm), cells, colour=source.colours[arm]))
        head = ["", *(source.head(s) for s in steps)]
        blocks.append(
            Block(word, caption=f"{word}, in units of the training data's spread; 95 % intervals", head=head, rows=rows)
        )
    return Section({"lead": "", "blocks": blocks})


def _cell(row: dict[str, float]) -> Cell:
    known = math.isfinite(row["low"]) and math.isfinite(row["high"])
    return Cell(f"{row['mean']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}" if known else "")
