"""Pictures: JPEG, PNG, BMP, TIFF, GIF, WebP and the like, 8 or 16 bit, grey, colour, palette, CMYK or with alpha.

Alpha is laid on white, the EXIF orientation is applied, of several frames the first counts, and a file that is cut short is
an error, never a half-grey picture. Colour PNGs with 16 bits are read at 8 (Pillow has no such mode); all others keep 16.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from unlabeled.formats import Unreadable

Fit = Literal["squash", "crop", "pad"]

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .gif .webp .ppm .pgm .pbm .pnm .jp2 .j2k .tga .avif .ico .pcx".split()
)
LIMIT = 178_956_970  # pixels of one picture in memory: Pillow's guard against decompression bombs
FAULTS = (
    OSError,  # includes PIL's own UnidentifiedImageError
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
DEEP = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True, eq=False)
class Look:
    """What a picture is, and a small copy of it.

    Args:
        width: in pixels, after turning it upright; `height` likewise.
        channels: 1 when all its pixels are grey (also in a colour file), else 3.
        bits: 8 or 16 per channel.
        alpha: whether it had transparent parts.
        thumb: (side, side, 3) uint8.
    """

    width: int
    height: int
    channels: int
    bits: int
    alpha: bool
    thumb: np.ndarray


def look(path: str | Path, side: int = 32) -> Look:
    """Decode a picture whole, and keep its facts and a thumbnail of side x side pixels.

    Raises:
        Unreadable: with the reason in words.
    """
    with _opened(path) as picture:
        width, height = picture.size
        planes = _upright(_loaded(picture, path, side))
        if picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        alpha = _has_alpha(picture)
    bits = 16 if planes[0].mode == "F" else 8
    small = _array([_square(p, side, "squash") for p in planes], 8)
    small = small.transpose(1, 2, 0)
    grey = small.shape[2] == 1 or int(np.ptp(small.astype(np.int16), axis=2).max()) <= 2
    thumb = np.ascontiguousarray(np.broadcast_to(small, (side, side, 3)))
    return Look(width, height, 1 if grey else 3, bits, alpha, thumb)


def read(path: str | Path, size: int, channels: int = 3, fit: Fit = "squash", bits: int = 8) -> np.ndarray:
    """Decode a picture to a square array (channels, size, size), uint8 or uint16.

    Args:
        path: the file.
        size: side of the square in pixels.
        channels: 1 for grey, 3 for colour.
        fit: `squash` changes the shape to a square, `crop` takes the middle, `pad` adds black bars.
        bits: 8 or 16; 8-bit values are spread over the 16-bit range (255 becomes 65,535), and the other way round.

    Raises:
        Unreadable: with the reason in words.
    """
    with _opened(path) as picture:
        planes = _upright(_loaded(picture, path, size))
    with _told(path):
        if channels == 1 and len(planes) == 3:
            planes = [Image.merge("RGB", planes).convert("L")] if planes[0].mode == "L" else [_grey(planes)]
        elif channels == 1 and planes[0].mode == "RGB":
            planes = [planes[0].convert("L")]
        out = _array([_square(p, size, fit) for p in planes], bits)
        return out if len(out) == channels else np.repeat(out, channels, axis=0)


def square(pixels: np.ndarray, size: int, channels: int, fit: Fit, bits: int) -> np.ndarray:
    """The same for a picture that is an array already: (H, W) or (H, W, C) uint8 or uint16 to (channels, size, size)."""
    planes = [_plane(p) for p in np.atleast_3d(pixels).transpose(2, 0, 1)[:3]]
    if channels == 1 and len(planes) == 3:
        planes = [_grey([p.convert("F") for p in planes])] if planes[0].mode == "F" else [Image.merge("RGB", planes).convert("L")]
    out = _array([_square(p, size, fit) for p in planes], bits)
    return out if len(out) == channels else np.repeat(out, channels, axis=0)
