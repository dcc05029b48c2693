"""What every arm loses at the strength at which one of them has lost a given number of points."""

from typing import Any

from unlabeled.report.blocks import Block, Cell, Row, percent
from unlabeled.report.section import Section

TITLE = "Equal trouble"


def section(source: Any) -> Section:
    """Gather the losses of the arms, and those of each kind."""
    told = source.answer["equal"]
    losses, strengths = source.frame("losses"), source.frame("strengths")
    rows = [
        Row(str(r["arm"]), [percent(r["loss"], r["low"], r["high"])], colour=source.colours[r["arm"]])
        for r in losses.to_dict("records")
    ]
    arms = losses["arm"].tolist()
    wide = strengths.pivot_table(index="kind", columns="arm", values="loss", sort=False, dropna=False)
    at = strengths.drop_duplicates("kind").set_index("kind")["strength"]
    kinds = [
        Row(str(kind).replace("_", " "), [Cell("–" if at[kind] != at[kind] else f"{at[kind]:.1f}"),
                                          *(percent(wide.loc[kind, arm]) for arm in arms)])
        for kind in at.index
    ]  # fmt: skip
    points = f"{100 * told['points']:g} points"
    lead = (
        f"Each corruption is turned up until {told['reference']} has lost {points}; this is what the arms have lost "
        "there, read off their own curves."
    )
    never = "A dash: it never loses so much there; such kinds are not in the mean."
    return Section({
        "lead": lead,
        "blocks": [
            Block(caption=f"Points lost where {told['reference']} has lost {points}, mean over kinds, 95 % interval",
                  head=["arm", "lost"], rows=rows),
            Block("By kind", caption="Severity (0 to 5) at which it happens, and points lost",
                  head=["kind", "severity", *arms], rows=kinds, notes=[never]),
        ],
    })  # fmt: skip
