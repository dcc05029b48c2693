"""Pictures as data URIs, and one sheet that holds all thumbnails of the page."""

import base64
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

SMALL = 64  # pictures up to this side stay lossless


@dataclass(frozen=True)
class Sheet:
    """Thumbnails side by side in one picture.

    Args:
        uri: the picture.
        columns: thumbnails in a row.
        rows: rows.
        places: position (from 0, row by row) of each test item on it.
    """

    uri: str
    columns: int
    rows: int
    places: Mapping[int, int]

    def style(self, item: int) -> str:
        """Where a test item's thumbnail is, as CSS variables."""
        place = self.places[item]
        return f"--x:{place % self.columns};--y:{place // self.columns}"


def sheet(thumbs: np.ndarray, items: Iterable[int]) -> Sheet:
    """Put the thumbnails of some test items on one sheet.

    Args:
        thumbs: (N, S, S, 3) uint8, of all test items.
        items: numbers of those that the page shows.
    """
    chosen = sorted(set(items))
    columns = max(1, math.isqrt(max(0, len(chosen) - 1)) + 1)
    rows = max(1, math.ceil(len(chosen) / columns))
    side = thumbs.shape[1] if thumbs.ndim == 4 else 1
    whole = np.zeros((rows, side, columns, side, 3), np.uint8)
    for place, item in enumerate(chosen):
        whole[place // columns, :, place % columns] = thumbs[item]
    flat = whole.reshape(rows * side, columns * side, 3)
    return Sheet(_jpeg(flat, 84), columns, rows, {item: place for place, item in enumerate(chosen)})


def uri(pixels: np.ndarray) -> str:
    """One picture (H, W, 3) uint8 as a data URI: PNG when small, JPEG else.

    >>> uri(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    if max(pixels.shape[:2]) > SMALL:
        return _jpeg(pixels, 86)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _jpeg(pixels: np.ndarray, quality: int) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
