"""Some test windows with what was told of them, to look at."""

from typing import Any

from unlabeled.report.blocks import Block, legend
from unlabeled.report.plots import INK, SOFT, figure, numbers, thin
from unlabeled.report.section import Section

TITLE = "Windows to look at"
BEFORE, TRUE = "before", "what happened"
MOST = 3  # variables of a window that are drawn


def section(source: Any) -> Section:
    """Gather a figure for each window and variable."""
    figures: dict[str, Any] = {}
    blocks = []
    arms = {arm: source.colours[arm] for arm in source.drawn}
    known = ({} if source.past is None else {BEFORE: SOFT}) | {TRUE: INK}
    for k in range(len(source.true)):
        for v in range(min(MOST, source.true.shape[1])):
            name = f"window-{k}-{v}"
            traces = [_line(TRUE, INK, source.before, source.true[k, v])]
            if source.past is not None:
                x = list(range(source.past.shape[2]))
                traces.insert(0, _line(BEFORE, SOFT, 0, source.past[k, v], x))
            traces += [_line(arm, colour, source.before, source.drawn[arm][k, v]) for arm, colour in arms.items()]
            figures[name] = figure(traces, 240, x={"title": {"text": "step"}}, y={"title": {"text": "spreads"}})
            alt = f"{source.variables[v]}: what was told of it against what happened."
            blocks.append(Block(source.variables[v], name, alt, 240, legend(name, known | arms)))
    return Section({"lead": source.lead, "blocks": blocks}, figures)


def _line(name: str, colour: str, first: int, y: Any, x: Any = None) -> dict[str, Any]:
    at = thin(len(y))
    steps = [first + int(i) for i in at] if x is None else [x[int(i)] for i in at]
    return {
        "type": "scatter", "mode": "lines", "name": name, "legendgroup": name, "x": steps, "y": numbers(y[at]),
        "line": {"color": colour, "width": 1.5}, "hovertemplate": f"{name}: %{{y:.2f}}<extra></extra>",
    }  # fmt: skip
