"""Which places an answer hangs on, asked of any engine: one part is covered after the other (Zeiler & Fergus 2013,
arXiv:1311.2901). It needs answers alone, so that it works where there is no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unlabeled.errors import UserError

CELLS = {1: 33, 2: 9}  # along a side of items of one and of two dimensions; a window covers two
TINY = 1e-37  # probability; smaller ones are none in float32
SILENT = np.iinfo(np.int16).min  # what a sound holds behind its end


@dataclass(frozen=True, eq=False)
class Covered:
    """An item with one part after the other covered.

    Args:
        copies: (K, ...) raw items.
        windows: of each the slices of cells that are covered.
        cells: of the map, (G,) or (G, G).
    """

    copies: np.ndarray
    windows: tuple[tuple[slice, ...], ...]
    cells: tuple[int, ...]


def covered(raw: np.ndarray, modality: str, prep: Mapping[str, Any]) -> Covered:
    """Copies of one raw item (C, ...) with a part covered by each channel's mean, or a word by what hides words.

    Of series the first channel, which says where the recording is, stays, and of sounds what lies behind the end.

    Args:
        raw: the item.
        modality: what it is.
        prep: how it was prepared; of texts its numbers of special tokens.

    Raises:
        UserError: for texts of a tokenizer that has nothing that hides a word.

    >>> covered(np.zeros((1, 18, 18), np.uint8), "image", {}).copies.shape
    (64, 1, 18, 18)
    """
    if modality == "text":
        return _words(raw, int(prep["special"][3]))
    sides = raw.shape[1:]
    cells = tuple(min(CELLS[len(sides)], side) for side in sides)
    edges = [np.linspace(0, side, n + 1).round().astype(int) for side, n in zip(sides, cells, strict=True)]
    first = 1 if modality == "series" else 0
    known = raw[first:].reshape(len(raw) - first, -1)
    filled = np.where(np.isnan(known).all(1, keepdims=True), 0, known) if known.dtype.kind == "f" else known
    middle = np.zeros(len(filled)) if modality == "audio" else np.nanmean(filled, axis=1)
    middle = middle.round().astype(raw.dtype) if raw.dtype.kind in "iu" else middle.astype(raw.dtype)
    copies, windows = [], []
    for at in np.ndindex(*(max(1, n - 1) for n in cells)):
        window = tuple(slice(a, a + 2) for a in at)
        place = tuple(slice(int(e[a]), int(e[min(a + 2, len(e) - 1)])) for a, e in zip(at, edges, strict=True))
        one = raw.copy()
        one[(slice(first, None), *place)] = middle.reshape(-1, *(1 for _ in sides))
        copies.append(np.where(raw == SILENT, raw, one) if modality == "audio" else one)
        windows.append(window)
    return Covered(np.stack(copies), tuple(windows), cells)


def _words(raw: np.ndarray, mask: int) -> Covered:
    """Copies of a row of tokens (1, T) with one after the other hidden; beginning and end stay."""
    if mask < 0:
        raise UserError("the model's tokenizer has nothing that hides a word", "use unlabeled explain")
    last = int(np.flatnonzero(raw[0])[-1]) if raw.any() else 0
    copies = np.repeat(raw[None], max(1, last - 1), 0)
    at = np.arange(1, max(2, last))
    copies[np.arange(len(copies)), 0, at] = mask
    return Covered(copies, tuple((slice(int(a), int(a) + 1),) for a in at), (last + 1,))


def told(found: Covered, whole: float, parts: np.ndarray) -> np.ndarray:
    """The map (G,) or (G, G): how far covering each place lowers the log-odds of the label.

    Args:
        found: from `covered`.
        whole: log-odds of the label on the item as it is.
        parts: (K,) the same on the copies.
    """
    falls = whole - parts
    total, count = np.zeros(found.cells), np.zeros(found.cells)
    for fall, window in zip(falls.tolist(), found.windows, strict=True):
        total[window] += fall
        count[window] += 1
    return np.asarray(total / np.maximum(count, 1))


def overlay(raw: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture (C, H, W) with a map over it, orange speaks for the label and blue against: (H, W, 3) uint8."""
    from PIL import Image

    full = float(np.iinfo(raw.dtype).max) if raw.dtype.kind == "u" else 1.0
    grey = (255 * raw.astype(np.float64) / full).mean(0)[..., None]
    strong = heat / max(float(np.abs(heat).max()), 1e-12)
    picture = Image.fromarray(strong.astype(np.float32))
    wide = np.asarray(picture.resize((raw.shape[2], raw.shape[1]), Image.Resampling.BICUBIC)).clip(-1, 1)[..., None]
    colour = np.where(wide > 0, np.array([255.0, 106.0, 0.0]), np.array([30.0, 110.0, 255.0]))
    opaque = 0.8 * np.abs(wide)
    return np.asarray(((0.75 * grey + 30) * (1 - opaque) + colour * opaque).round().clip(0, 255), np.uint8)


def odds(probabilities: np.ndarray, label: int) -> np.ndarray:
    """Log-odds (N,) of a class from probabilities (N, C) float32.

    The other classes are added up: one minus the label's own would be 0 where a model is surer than seven digits tell.

    >>> odds(np.array([[1.0, 1e-20], [0.5, 0.5]], np.float32), 0).round(1).tolist()
    [46.1, 0.0]
    """
    p = np.asarray(probabilities, np.float64).clip(TINY)
    return np.asarray(np.log(p[:, label]) - np.log(np.delete(p, label, 1).sum(1)))
