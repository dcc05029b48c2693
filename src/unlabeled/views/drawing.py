"""Curves, spectra and lines of text as small pictures, so that all items can be shown wherever pictures are."""

import textwrap
from collections.abc import Sequence

import numpy as np

SIDE = 96  # pixels
COLOURS = np.array(
    [(31, 100, 200), (214, 90, 30), (30, 140, 90), (160, 60, 160), (130, 110, 20), (90, 90, 90)], np.uint8
)  # told apart by most eyes, also in grey
HEAT = np.array([(10, 10, 35), (70, 20, 110), (175, 45, 95), (240, 125, 40), (250, 245, 180)], float)  # dark to bright
MOST = 6  # curves; of more variables the first show


def curves(values: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Curves (B, V, T), NaN where nothing was measured, as pictures (B, side, side, 3) uint8 on white.

    All curves of a picture share one scale, from the 1st to the 99th percentile of the batch.

    >>> curves(np.zeros((2, 3, 50)), 32).shape
    (2, 32, 32, 3)
    """
    shown = values[:, :MOST]
    known = shown[np.isfinite(shown)]
    low, high = np.percentile(known, (1, 99)) if known.size else (-1.0, 1.0)
    pad = 0.1 * max(float(high - low), 1e-6)
    low, high = float(low) - pad, float(high) + pad
    out = np.full((len(values), side, side, 3), 255, np.uint8)
    at = np.linspace(0, shown.shape[2] - 1, 2 * side)
    first = np.floor(at).astype(int)
    second = np.minimum(first + 1, shown.shape[2] - 1)
    mix = at - first
    for v in range(shown.shape[1]):
        line = shown[:, v, first] * (1 - mix) + shown[:, v, second] * mix  # a gap on either side stays a gap
        line = np.where(np.isnan(line), np.where(mix < 0.5, shown[:, v, first], shown[:, v, second]), line)
        rows = (side - 1) * (high - line) / (high - low)
        for i in range(len(values)):
            _draw(out[i], rows[i], COLOURS[v % len(COLOURS)])
    return out


def lines(texts: Sequence[str], side: int = 160) -> np.ndarray:
    """The beginnings of texts in small black letters on white (B, side, side, 3) uint8.

    >>> lines(["so it goes"], 32).shape
    (1, 32, 32, 3)
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(10)
    out = np.full((len(texts), side, side, 3), 255, np.uint8)
    for picture, text in zip(out, texts, strict=True):
        page = Image.new("RGB", (side, side), "white")
        shown = "\n".join(textwrap.wrap(text[:600], max(4, side // 6))[: side // 12])
        ImageDraw.Draw(page).text(
            (3, 2), shown.encode("latin-1", "replace").decode("latin-1"), "black", font, spacing=1
        )
        picture[:] = np.asarray(page)
    return out


def _draw(picture: np.ndarray, rows: np.ndarray, colour: np.ndarray) -> None:
    """One curve of two points a column, joined where neighbours are known."""
    side = len(picture)
    rows = np.clip(rows, 0, side - 1)
    before = np.concatenate([rows[:1], rows[:-1]])
    joined = np.where(np.isnan(before), rows, before)
    for x in range(len(rows)):
        if np.isnan(rows[x]):
            continue
        top, bottom = sorted((round(float(rows[x])), round(float(joined[x]))))
        picture[top : bottom + 1, x // 2] = colour


def heights(values: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Fields (B, F, T) in units of their spread, the first row at the bottom, as pictures (B, side, side, 3) uint8.

    The higher, the brighter; NaN is grey.

    >>> heights(np.zeros((2, 40, 50)), 32).shape
    (2, 32, 32, 3)
    """
    rows, columns = (np.linspace(0, n - 1, side).round().astype(int) for n in values.shape[1:])
    shown = values[:, rows[::-1]][:, :, columns]
    at = np.clip((np.nan_to_num(shown) + 2) / 4.5, 0, 1)[..., None] * (len(HEAT) - 1)
    low = np.minimum(at.astype(int), len(HEAT) - 2)
    out = HEAT[low[..., 0]] * (1 - (at - low)) + HEAT[low[..., 0] + 1] * (at - low)
    return np.where(np.isnan(shown)[..., None], 225, out).round().astype(np.uint8)
