"""Figures as plotly reads them; colours are CSS variables that the page fills in, so they follow light and dark."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Spec = dict[str, Any]

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
PATHS: Mapping[str, str] = {  # of the symbols in a legend that draws lines, around (0, 0)
    "circle": "M-3.5,0a3.5,3.5 0 1 0 7,0a3.5,3.5 0 1 0 -7,0z",
    "square": "M-3.5,-3.5h7v7h-7z",
    "diamond": "M0,-4.5L4.5,0L0,4.5L-4.5,0z",
    "triangle-up": "M0,-4.2L4.2,3.4H-4.2z",
    "cross": "M-1.5,-4.2h3v2.7h2.7v3h-2.7v2.7h-3v-2.7h-2.7v-3h2.7z",
    "star": "M0,-4.8L1.2,-1.5L4.6,-1.4L1.9,.8L2.8,4L0,2.1L-2.8,4L-1.9,.8L-4.6,-1.4L-1.2,-1.5z",
}
DASHES: Mapping[str, str] = {"linear": "solid", "knn": "dot", "finetune": "dash"}
HUES = 10  # --h0 to --h9, for classes
MOST_POINTS = 400  # of a curve


def figure(traces: Sequence[Spec], height: int, *, x: Spec | None = None, y: Spec | None = None) -> Spec:
    """A figure with its axes; the page adds fonts, colours and margins.

    Args:
        traces: as plotly names their settings.
        height: in CSS pixels.
        x: settings of the horizontal axis.
        y: of the vertical one.
    """
    return {"data": list(traces), "layout": {"height": height, "xaxis": x or {}, "yaxis": y or {}}}


def numbers(values: Sequence[float] | np.ndarray, digits: int = 5) -> list[float | None]:
    """Values for JSON, rounded to significant digits; what is no number becomes a gap.

    >>> numbers([0.1234567, float("nan")])
    [0.12346, None]
    """
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in np.asarray(values, float).tolist()]


def counts_axis(counts: Sequence[int], title: str) -> Spec:
    """A logarithmic axis with a tick at each count that was tried, those too close to their neighbour left out."""
    low, high = math.log10(counts[0]), math.log10(counts[-1])
    pad = max(0.06 * (high - low), 0.04)
    gap, kept = max(0.09 * (high - low), 1e-9), [counts[0]]
    for n in counts[1:]:
        if math.log10(n) - math.log10(kept[-1]) >= gap:
            kept.append(n)
    return {
        "type": "log",
        "title": {"text": title},
        "tickvals": kept,
        "ticktext": [f"{n:,}" for n in kept],
        "range": [low - pad, high + pad],
    }


def dash(protocol: str) -> str:
    """The kind of line of a protocol.

    >>> dash("finetune(encoder_lr=0)")
    'dash'
    """
    return DASHES.get(protocol.partition("(")[0], "solid")


def class_style(number: int) -> tuple[str, str]:
    """Colour and symbol of a class; symbols change when the colours run out."""
    return f"var(--h{number % HUES})", SYMBOLS[number // HUES % len(SYMBOLS)]


def symbols(colours: Mapping[str, str]) -> dict[str, str]:
    """The symbol of each arm: another one whenever its colour comes back.

    >>> symbols({"a": "red", "b": "blue", "c": "red"})
    {'a': 'circle', 'b': 'circle', 'c': 'square'}
    """
    seen = Counter[str]()
    out = {}
    for arm, colour in colours.items():
        out[arm] = SYMBOLS[seen[colour] % len(SYMBOLS)]
        seen[colour] += 1
    return out


def thin(length: int) -> np.ndarray:
    """Numbers of the points of a curve that are drawn: all, or evenly so many that the eye sees no difference."""
    return np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))
