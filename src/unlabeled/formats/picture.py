"""Pictures: JPEG, PNG, BMP, TIFF, GIF, WebP and the like, 8 or 16 bit, grey, colour, palette, CMYK or with alpha.

Alpha is laid on white, the EXIF orientation is applied, of several frames the first counts, and a file that is cut
short is an error, never a half-grey picture. Colour PNGs of 16 bits are read at 8 (Pillow has no such mode).
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from unlabeled.formats import Unreadable

Fit = Literal["squash", "crop", "pad"]
Planes = list[Image.Image]  # one picture: [L] or [RGB] with 8 bits; one or three [F], 0 to 65,535, with 16

SUFFIXES = frozenset(
    f".{suffix}"
    for line in ("jpg jpeg jpe jfif png bmp dib tif tiff gif webp", "ppm pgm pbm pnm jp2 j2k tga avif pcx")
    for suffix in line.split()
)
LIMIT = 178_956_970  # pixels of one picture in memory, Pillow's own guard against decompression bombs
FAULTS = (
    OSError,
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
REACH = "reach"  # under which a plane tells how far its file's floats go
ORIENTATION = 0x0112  # EXIF tag
PHOTOMETRIC = 262  # TIFF tag, 0 where 0 is white
TURNS = {number: Image.Transpose(turn) for number, turn in zip(range(2, 9), (0, 3, 1, 5, 4, 6, 2), strict=True)}


class Unfit(Unreadable):
    """A picture is whole, but its values are not those of pictures."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a picture is, and a small copy of it.

    Args:
        width: in pixels, once upright; `height` likewise.
        channels: 1 when all pixels are grey (also in a colour file), else 3.
        bits: 8 or 16 per channel.
        thumb: (side, side, 3) uint8.
        reach: 1 or 65,535 where the file holds floats that were read as going so far, else 0.
        frames: of that size in the file, of which the first is read.
    """

    width: int
    height: int
    channels: int
    bits: int
    thumb: np.ndarray
    reach: int = 0
    frames: int = 1


def look(path: str | Path, side: int = 32) -> Look:
    """Decode a picture whole; keep its facts and a thumbnail of side x side pixels.

    Raises:
        Unreadable: with the reason in words.
    """
    with _told(path), Path(path).open("rb") as file:
        picture = _open(file)
        width, height = picture.size
        if picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        planes = _load(picture, file, side)
        if not isinstance(picture, JpegImageFile):  # all of it was decoded, and stands upright
            width, height = planes[0].size
        small = _array([_square(p, side, "squash") for p in planes], 8).transpose(1, 2, 0)
        frames = _frames(picture, file)
    reach, bits = int(planes[0].info.get(REACH, 0)), 16 if planes[0].mode == "F" else 8
    return Look(width, height, 1 if is_grey(small) else 3, bits, _rgb(small), reach, frames)


def look_at(pixels: np.ndarray, side: int = 32) -> Look:
    """The same for a picture that is an array already: (H, W) or (H, W, C), uint8 or uint16."""
    small = square(pixels, side, 1 if pixels.ndim == 2 else 3).transpose(1, 2, 0)
    height, width = pixels.shape[:2]
    return Look(width, height, 1 if is_grey(small) else 3, 16 if pixels.dtype == np.uint16 else 8, _rgb(small))


def may_be_coloured(path: str | Path) -> bool:
    """Whether a file's head leaves room for colour; its pixels are not decoded, and may be grey all the same.

    Raises:
        Unreadable: with the reason in words.
    """
    with _told(path), Path(path).open("rb") as file:
        mode = _open(file).mode
    return mode not in ("1", "L", "LA", "La") and not mode.startswith(("I", "F"))


def is_grey(pixels: np.ndarray) -> bool:
    """Whether the channels (..., C) uint8 are equal but for rounding."""
    return pixels.shape[-1] == 1 or int((pixels.max(-1).astype(int) - pixels.min(-1)).max()) <= 2


def square(pixels: np.ndarray, size: int, channels: int, fit: Fit = "squash", bits: int = 8) -> np.ndarray:
    """Bring an array (H, W) or (H, W, C), uint8 or uint16, to (channels, size, size); arguments as for `read`."""
    pixels = pixels[..., :3] if pixels.ndim == 3 and pixels.shape[2] > 1 else pixels.reshape(pixels.shape[:2])
    if pixels.dtype == np.uint16:
        planes = [Image.fromarray(p.astype(np.float32)) for p in np.atleast_3d(pixels).transpose(2, 0, 1)]
    else:
        planes = [Image.fromarray(np.ascontiguousarray(pixels))]
    return _array([_square(p, size, fit) for p in _with_channels(planes, channels)], bits)


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
    with _told(path), Path(path).open("rb") as file:
        planes = _with_channels(_load(_open(file), file, size), channels)
        return _array([_square(p, size, fit) for p in planes], bits)


def whole(path: str | Path, most: int) -> np.ndarray:
    """Decode a picture in its own shape and size to (H, W, 3) uint8, upright; a larger one is shrunk.

    Args:
        path: the file.
        most: pixels that come back.

    Raises:
        Unreadable: with the reason in words.
    """
    with _told(path), Path(path).open("rb") as file:
        picture = _open(file)
        planes = _load(picture, file, max(picture.size))
        width, height = planes[0].size
        scale = min(1.0, (most / (width * height)) ** 0.5)
        size = max(1, int(width * scale)), max(1, int(height * scale))
        if size != (width, height):
            planes = [p.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0) for p in planes]
        return _rgb(_array(planes, 8).transpose(1, 2, 0))


def odd_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a TIFF that Pillow does not know, by its head.

    Raises:
        Unreadable: when it is none, or a pixel of it holds more than colours and alpha.
    """
    with _told(path), Path(path).open("rb") as file:
        if _open(file).mode:
            raise UnidentifiedImageError
        import tifffile

        file.seek(0)
        with tifffile.TiffFile(file) as pages:
            first = pages.pages.first
            if first.samplesperpixel > 4 or (first.imagedepth or 1) > 1:
                raise ValueError(f"its shape {first.shape} is neither grey nor colour")
            return first.imagewidth, first.imagelength


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong with one file becomes one reason in words."""
    try:
        yield
    except Unreadable:
        raise
    except FAULTS as fault:
        raise Unreadable(_reason(Path(path), fault)) from None


def _reason(path: Path, fault: BaseException) -> str:
    if isinstance(fault, FileNotFoundError):
        return "there is no such file"
    if isinstance(fault, PermissionError):
        return "no permission to read it"
    if isinstance(fault, UnidentifiedImageError):
        return "the file is empty" if path.stat().st_size == 0 else "it is not a picture"
    if isinstance(fault, Image.DecompressionBombError):
        return f"more than {LIMIT:,} pixels would fill the memory; make it smaller first"
    if isinstance(fault, MemoryError):
        return "not enough memory to decode it"
    text = str(fault).split("\n")[0]
    return f"it is cut short ({text})" if "truncated" in text.lower() else text or type(fault).__name__


def _open(file: BinaryIO) -> Image.Image:
    try:
        return Image.open(file)
    except Image.DecompressionBombError:
        file.seek(0)
        if file.read(3) != b"\xff\xd8\xff":
            raise
        file.seek(0)
        picture = JpegImageFile(file)  # a baseline JPEG is decoded row by row, and small at once
        if picture.info.get("progressive"):
            raise
        return picture
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) in (b"II*\0", b"MM\0*"):
            return Image.Image()  # a TIFF that Pillow does not know; `_load` turns to tifffile
        raise


def _load(picture: Image.Image, file: BinaryIO, side: int) -> Planes:
    """Decode the first frame to upright planes; a JPEG at once near twice the wanted side."""
    tags = picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    if not isinstance(picture, JpegImageFile):
        if not picture.mode or (picture.mode in ("RGB", "RGBA") and 16 in np.atleast_1d(tags.get(258, 8))):
            turn = TURNS.get(picture.getexif().get(ORIENTATION, 1) if picture.mode else 1)
            return [plane if turn is None else plane.transpose(turn) for plane in _tiff(file)]
    else:
        picture.draft(None, (2 * side, 2 * side))
        if picture.width * picture.height > LIMIT:
            raise Image.DecompressionBombError
    picture.load()
    if picture.getexif().get(ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        return _deep([np.asarray(picture.convert("F"))], picture.mode == "F", tags.get(PHOTOMETRIC) == 0)
    if picture.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in picture.info:
        grey = picture.mode in ("L", "LA", "La")
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("L" if grey else "RGB")
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return [picture]


def _frames(picture: Image.Image, file: BinaryIO) -> int:
    """How many frames of one size a file holds; small copies, as JPEGs of phones and scans of slides hold, are none."""
    if isinstance(picture, JpegImageFile):
        return 1
    with suppress(*FAULTS):
        if not picture.mode:
            import tifffile

            file.seek(0)
            with tifffile.TiffFile(file) as pages:
                first = pages.pages.first.shape[:2]
                return sum(page.shape[:2] == first for page in pages.pages)
        if (count := getattr(picture, "n_frames", 1)) > 1:
            size = picture.size
            picture.seek(1)
            return count if picture.size == size else 1
    return 1


def _deep(values: list[np.ndarray], floats: bool, negative: bool) -> Planes:
    """Planes (H, W) float32 of more than 8 bits, from 0 to 65,535; a file's floats up to 1 are spread, and what counts
    from white on, as films of X-rays may, is turned, as Pillow does with 8 bits alone.
    """
    low, high = float(np.min([v.min() for v in values])), float(np.max([v.max() for v in values]))  # NaN stays
    if not (low >= 0 and high <= 65535):
        told = f"its values run from {low:g} to {high:g}: bring all pictures from one such range to 0 to 65,535"
        raise Unfit(told if low == low else "some of its values are no numbers (NaN): fill them first")
    spread = floats and high <= 1
    values = [v * np.float32(65535) if spread else v for v in values]
    planes = [Image.fromarray(np.float32(65535) - v if negative else v) for v in values]
    if floats:
        planes[0].info[REACH] = 1 if spread else 65535
    return planes


def _tiff(file: BinaryIO) -> Planes:
    """Colour TIFFs of 16 bits and other kinds that Pillow does not read."""
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as pages:
        pixels, negative = np.squeeze(pages.pages.first.asarray()), pages.pages.first.photometric == 0
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ValueError(f"its shape {pixels.shape} is neither grey nor colour")
    if pixels.dtype == np.uint8:
        return [Image.fromarray(255 - pixels if negative else pixels[..., :3] if pixels.ndim == 3 else pixels)]
    planes = np.atleast_3d(pixels).transpose(2, 0, 1)[:3]
    return _deep([p.astype(np.float32) for p in planes], pixels.dtype.kind == "f", negative)


def _with_channels(planes: Planes, channels: int) -> Planes:
    if planes[0].mode == "F":
        if channels == len(planes):
            return planes
        if channels == 3:
            return planes * 3
        r, g, b = (np.asarray(p) for p in planes)
        return [Image.fromarray(0.299 * r + 0.587 * g + 0.114 * b)]
    mode = "L" if channels == 1 else "RGB"
    return [planes[0] if planes[0].mode == mode else planes[0].convert(mode)]


def _square(plane: Image.Image, size: int, fit: Fit) -> Image.Image:
    width, height = plane.size
    left = top = 0.0
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        width = height = side
    if (width, height) == (size, size) and left == int(left) and top == int(top):
        return plane if fit != "crop" else plane.crop((int(left), int(top), int(left) + size, int(top) + size))
    how = Image.Resampling.LANCZOS if min(width, height) >= size else Image.Resampling.BICUBIC
    if fit == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        out = Image.new(plane.mode, (size, size))
        out.paste(plane.resize(inner, how, reducing_gap=3.0), ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return out
    return plane.resize((size, size), how, box=(left, top, left + width, top + height), reducing_gap=3.0)


def _array(planes: Planes, bits: int) -> np.ndarray:
    """Planes to (C, H, W) in the wanted depth."""
    if planes[0].mode == "F":
        deep = np.stack([np.asarray(p) for p in planes]).clip(0, 65535)
        return np.rint(deep if bits == 16 else deep / 257).astype(np.uint16 if bits == 16 else np.uint8)
    flat = np.asarray(planes[0])
    out = np.ascontiguousarray(flat[None] if flat.ndim == 2 else flat.transpose(2, 0, 1))
    return out if bits == 8 else out.astype(np.uint16) * 257


def _rgb(small: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(small, (*small.shape[:2], 3)))
