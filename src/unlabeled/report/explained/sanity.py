"""Does a map need what was learnt: is it another one when the encoder's weights are random?"""

from typing import Any

from unlabeled.explain import _sanity
from unlabeled.report.blocks import Block, Cell, Row
from unlabeled.report.explained.story import short
from unlabeled.report.section import Section

TITLE = "Random weights"
HEAD = ("map", "rank correlation with random weights", "sums to the score's difference within", "time")


def section(found: Any) -> Section:
    """Gather a table and a sentence a map, for each item."""
    f, blocks = found.figures, list[Block]()
    for number, item in enumerate(f["items"]):
        mine = [r for r in f["explainers"] if r["item"] == number]
        rows = [
            Row(
                r["explainer"],
                [
                    Cell(f"{r['likeness']:.2f}".replace("-", "−")),
                    Cell("–" if r["missing"] is None else f"{100 * r['missing']:.1f} %"),
                    Cell(f"{r['seconds']:.1f} s"),
                ],
                colour=found.colours[r["explainer"]],
            )
            for r in mine
        ]
        notes = [_sanity.words(r["explainer"], r["likeness"]) for r in mine]
        title = short(item) if len(f["items"]) > 1 else ""
        caption = f"Mean over {f['random']} encoders with random weights, asked the same."
        blocks.append(Block(title, caption=caption, head=HEAD, rows=rows, notes=notes))
    lead = (
        "A map that hardly changes when all that was learnt is thrown away shows edges of the item, and no reasons. "
        f"From a rank correlation of {_sanity.SAME:g} on it is called the same."
    )
    return Section({"lead": lead, "blocks": blocks})
