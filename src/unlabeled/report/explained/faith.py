"""Are the maps faithful: what happens when the places that they name first are hidden, or shown, first."""

from typing import Any

from unlabeled.report.blocks import Block, Cell, Row, curve, legend
from unlabeled.report.explained.story import WATCHED, short
from unlabeled.report.plots import figure
from unlabeled.report.section import Section

TITLE = "Faithful?"
LEAD = (
    "Places are hidden in the order of a map, the most important first: the faster the value falls, the better the map "
    "(deletion). Shown first in a blurred item, they should bring it back fast (insertion). Dotted: the same map moved "
    "to random places. Grey: blocks in random order."
)
HEAD = ("map", "deletion", "better by", "insertion", "better by", "beats")


def section(found: Any) -> Section:
    """Gather two figures and a table for each item."""
    f, table = found.figures, found.curves
    figures: dict[str, Any] = {}
    blocks: list[Block] = []
    for number, item in enumerate(f["items"]):
        for what, verb in (("deletion", "hidden"), ("insertion", "shown")):
            name, traces = f"{what}-{number}", []
            for explainer in found.names:
                mine = table[(table["item"] == number) & (table["curve"] == what) & (table["explainer"] == explainer)]
                x = (100 * mine["share"]).tolist()
                own = curve(explainer, found.colours[explainer], x, mine["value"].tolist())
                dotted = curve(explainer, found.colours[explainer], x, mine["moved"].tolist())
                dotted |= {"mode": "lines", "line": {"color": found.colours[explainer], "width": 1.5, "dash": "dot"}}
                traces += [own, dotted]
                strewn = curve("random order", "var(--random)", x, mine["scattered"].tolist())
            traces.append(strewn | {"mode": "lines"})
            for trace in traces:
                trace["hovertemplate"] = f"{trace['name']}: %{{y:.2f}}<extra></extra>"
            axes = {"title": {"text": f"share of the places {verb}, %"}}, {"title": {"text": WATCHED[f["kind"]]}}
            figures[name] = figure(traces, 300, x=axes[0], y=axes[1])
            keys = found.colours | {"random order": "var(--random)"}
            title = f"{what.capitalize()}{f', {short(item)}' if len(f['items']) > 1 else ''}"
            alt = f"{WATCHED[f['kind']]} while places are {verb}, a line for each map; curves.csv holds the figures."
            blocks.append(Block(title, name, alt, 300, legend(name, keys)))
        rows = [_row(r, found.colours[r["explainer"]]) for r in f["explainers"] if r["item"] == number]
        caption = "Areas under the curves, and how much better than of the map moved elsewhere, or scattered blocks."
        note = "Beats: of so many moved maps, by the area under insertion less that under deletion."
        blocks.append(Block(caption=caption, head=HEAD, rows=rows, notes=(note,)))
    return Section({"lead": LEAD, "blocks": blocks}, figures)


def _row(r: dict[str, Any], colour: str) -> Row:
    cells = []
    for what in ("deletion", "insertion"):
        moved, strewn = (f"{r[f'{what}_gain{kind}']:+.3f}".replace("-", "−") for kind in ("", "_scattered"))
        cells += [Cell(f"{r[what]:.3f}"), Cell(moved, f"{strewn} than scattered")]
    return Row(r["explainer"], [*cells, Cell(f"{r['beats']} of {r['of']}")], colour=colour)
