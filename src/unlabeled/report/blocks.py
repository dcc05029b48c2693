"""What a plain section is made of: headings, curves, tables and notes, which `blocks.html` lays out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unlabeled.progress import in_percent
from unlabeled.report.plots import Spec, figure, numbers, symbols
from unlabeled.report.words import COLOURS, label


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a value, and small print such as its interval."""

    value: str
    small: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table: name, what stands small beside it, cells, CSS colour of its mark."""

    name: str
    cells: Sequence[Cell]
    how: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Block:
    """A piece of a section: a figure with its legend, a table, notes; any of them may be missing.

    Args:
        title: heading.
        figure: name of a figure of the section, or "".
        alt: what the figure shows, for those who cannot see it.
        height: of the figure in CSS pixels.
        legend: of the figure, from `legend`.
        caption: of the table.
        head: headings of its columns, that of the names first.
        rows: its lines.
        notes: sentences under it.
    """

    title: str = ""
    figure: str = ""
    alt: str = ""
    height: int = 360
    legend: Sequence[Mapping[str, str]] = ()
    caption: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Row] = field(default=())
    notes: Sequence[str] = ()


def colours(arms: Mapping[str, str]) -> dict[str, str]:
    """A CSS colour for each arm, from the kind of each: random and supervised have their own.

    >>> colours({"simclr": "trained", "random": "random"})
    {'simclr': 'var(--c0)', 'random': 'var(--random)'}
    """
    learned = [arm for arm, kind in arms.items() if kind not in ("random", "supervised")]
    own = {arm: f"var(--c{i % COLOURS})" for i, arm in enumerate(learned)}
    return {arm: own.get(arm, f"var(--{kind})") for arm, kind in arms.items()}


def legend(name: str, entries: Mapping[str, str]) -> list[dict[str, str]]:
    """The legend of a figure from names and colours; a pressed name brings its curve out. Names of one colour have
    different symbols, those of `plots.symbols`.
    """
    marks = symbols(entries)
    return [
        {"figure": name, "group": arm, "colour": colour, "name": arm, "symbol": marks[arm]}
        for arm, colour in entries.items()
    ]


def curve(
    name: str,
    colour: str,
    x: Sequence[float],
    y: Sequence[float],
    error: Sequence[Any] = (),
    *,
    symbol: str = "circle",
) -> Spec:
    """A line with points; `error` is the lower and the upper ends of its intervals.

    >>> curve("a", "red", [0, 1], [0.5, 0.25])["y"]
    [0.5, 0.25]
    """
    out: Spec = {
        "type": "scatter", "mode": "lines+markers", "name": label(name), "legendgroup": name, "x": numbers(x, 6),
        "y": numbers(y), "line": {"color": colour, "width": 2},
        "marker": {"size": 6, "color": colour, "symbol": symbol},
        "hovertemplate": f"{label(name)}: %{{y:.1f}}<extra></extra>",
    }  # fmt: skip
    if error:
        low, high = error
        out["error_y"] = {
            "type": "data", "symmetric": False, "thickness": 1, "width": 3, "color": colour,
            "array": numbers([h - v for h, v in zip(high, y, strict=True)]),
            "arrayminus": numbers([v - w for w, v in zip(low, y, strict=True)]),
        }  # fmt: skip
    return out


def points(traces: Sequence[tuple[str, str, Any]], height: int = 360) -> Spec:
    """A map without axes: name, colour and places (N, 2) of each kind of point."""
    out = [
        {
            "type": "scatter", "mode": "markers", "name": label(name), "legendgroup": name, "hoverinfo": "name",
            "x": numbers(at[:, 0], 4), "y": numbers(at[:, 1], 4),
            "marker": {"size": 5, "opacity": 0.8, "color": colour},
        }
        for name, colour, at in traces
    ]  # fmt: skip
    spec = figure(out, height, x={"visible": False}, y={"visible": False, "scaleanchor": "x"})
    spec["layout"]["margin"] = {"l": 4, "r": 4, "t": 4, "b": 4}
    return spec


def percent(value: float, low: float = float("nan"), high: float = float("nan"), *, sign: bool = False) -> Cell:
    """A share in percent with its interval.

    >>> percent(0.613, 0.58, 0.64)
    Cell(value='61.3', small='58.0 to 64.0')
    """
    if not math.isfinite(value):
        return Cell("–")
    known = math.isfinite(low) and math.isfinite(high)
    shown, *ends = (f"{100 * v:+.1f}" if sign else in_percent(v) for v in ((value, low, high) if known else (value,)))
    return Cell(shown.replace("-", "−"), " to ".join(ends).replace("-", "−"))
