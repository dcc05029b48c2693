"""Strangers in the form of the data: a detector that tells them by their size, shape or codec has learnt nothing."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from unlabeled.data.scan import scan

QUALITY = 87  # of the JPEG files of the steel pictures, and of most others here


def in_form(folder: str, like: Path, out: Path, *, most: int = 400) -> Path:
    """Pictures of a folder, evenly taken: the middle square, in size and colours of the picture `like`, as JPEG."""
    with Image.open(like) as one:
        size, mode = one.size, "L" if one.mode in ("1", "L", "I;16") else "RGB"
    table = scan(folder)
    code = hashlib.sha256(f"{Path(folder).resolve()} {size} {mode} {most}".encode()).hexdigest()[:12]
    target = out / f"in-form-{Path(folder).name}-{code}"
    if target.is_dir():
        return target
    beside = target.with_name(f".{target.name}")
    beside.mkdir(parents=True, exist_ok=True)
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), most)).astype(int))
    for number, row in enumerate(rows.tolist()):
        with Image.open(table.folder / table.items["path"].iloc[row]) as found:
            picture = found.convert(mode)
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side)).resize(size, Image.Resampling.BICUBIC)
        square.save(beside / f"{number:04d}.jpg", quality=QUALITY)
    beside.rename(target)
    return target
