"""Where a fault is, as people drew it: masks beside the test pictures in MVTec's layout, or in a folder apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unlabeled.data.source import Source
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.formats import picture

GOOD = frozenset(("good", "ok", "normal"))
GOOD_TOO = frozenset(("okay", "fine", "sound", "intact"))  # where none of those is there: a fault may be a fine crack
SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
MOST = 512  # pixels of a mask's longer side that count; a larger one is thinned out, nearest pixels are kept
PIXELS, SLACK = 2.0, 0.02  # pixels, and share of the shorter side, by which a mask may miss its picture's shape
PLACES = ("ground_truth", "masks")


def kinds(table: Table, rows: np.ndarray) -> list[str | None]:
    """The kind of fault of each row: "" where the label says that it is good, None where there is no label.

    Labels say nothing where none of them is a word for good: then all are None.
    """
    labels = table.items["label"].to_numpy(dtype=object)[rows].tolist()
    words = [label if isinstance(label, str) else None for label in labels]
    there = {word.lower() for word in words if word is not None}
    good = there & GOOD or there & GOOD_TOO
    if not good:
        return [None] * len(words)
    return [None if word is None else "" if word.lower() in good else word for word in words]


def folder(table: Table, given: str | None) -> Path | None:
    """Where the masks lie: the folder that was given, else `ground_truth/` or `masks/` in or beside the test folder.

    Raises:
        UserError: when the given folder is not there.
    """
    if given is not None:
        if not Path(given).is_dir():
            raise UserError(f"there is no folder {given}", "check --masks")
        return Path(given)
    around = [base / name for base in (table.folder, table.folder.resolve().parent) for name in PLACES]
    return next((place for place in around if place.is_dir()), None)


def find(place: Path, item: Path, kind: str) -> Path | None:
    """The mask of one item: `<kind>/<stem>_mask.png`, `<kind>/<stem>.png`, or the same without the folder, but never
    the item itself.
    """
    for base in (place / kind, place):
        for name in (f"{item.stem}_mask", item.stem):
            for suffix in SUFFIXES:
                file = base / (name + suffix)
                if file.is_file() and file.resolve() != item.resolve():
                    return file
    return None


def beside(table: Table) -> np.ndarray:
    """Which items (N,) are masks of other items of their folder: `<stem>_mask` beside `<stem>`."""
    names = [Path(path).with_suffix("") for path in table.items["path"]]
    there = set(names)
    own = [n.with_name(n.name.removesuffix("_mask")) if n.name.endswith("_mask") else None for n in names]
    return np.array([n is not None and n in there for n in own], bool)


def read(file: Path) -> np.ndarray:
    """A mask (H, W) bool: what is brighter than half of its brightest pixel; its longer side is at most 512 pixels.

    Raises:
        UserError: when it cannot be read.
    """
    try:
        with Image.open(file) as opened:
            grey = opened.convert("L")
            size = _bounded(*grey.size)
            pixels = np.asarray(grey if size == grey.size else grey.resize(size, Image.Resampling.NEAREST))
    except picture.FAULTS as fault:
        raise UserError(f"cannot read the mask {file}: {fault}", "mend it, or take it away") from None
    top = int(pixels.max())
    return pixels > top / 2 if top else np.zeros(pixels.shape, bool)


def check(table: Table, files: Sequence[Path | None]) -> None:
    """Refuse masks that no program opens, or that have another shape than their pictures, before the work.

    A mask may be larger or smaller than its picture, but what is twice as wide as high is no mask of a square.

    Args:
        table: the items.
        files: of each the mask, None where there is none.

    Raises:
        UserError: with the first of them.
    """
    source = Source(table)
    for row, file in enumerate(files):
        if file is None:
            continue
        try:
            with Image.open(file) as opened:
                width, height = opened.size
        except picture.FAULTS as fault:
            raise UserError(f"cannot read the mask {file}: {fault}", "mend it, or take it away") from None
        look = source.look(row)
        off = abs(width * look.height - height * look.width) / max(look.width, look.height)
        if off > max(PIXELS, SLACK * min(width, height)):
            raise UserError(
                f"the mask {file} is {width} x {height} pixels, and its picture {look.width} x {look.height}",
                "mend it to the picture's shape, or take it away",
            )


def empty(source: Source, row: int) -> np.ndarray:
    """The mask of a good item: nothing, in the picture's own size (its longer side at most 512 pixels)."""
    look = source.look(row)
    width, height = _bounded(look.width, look.height)
    return np.zeros((height, width), bool)


def masks(table: Table, rows: np.ndarray, names: Sequence[str | None], place: Path | None) -> list[Path | None]:
    """The mask file of each faulty item, None where there is none."""
    paths = table.items["path"].to_numpy(dtype=object)[rows]
    return [find(place, table.folder / p, k) if place and k else None for p, k in zip(paths, names, strict=True)]


def _bounded(width: int, height: int) -> tuple[int, int]:
    shrink = min(1.0, MOST / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))
