"""Whatever a person has in hand becomes a table of items: paths, a folder, pictures in memory, arrays, a data frame.

What is in memory is written, without loss, into a folder that goes away again, and read as every file is read: there is
one way in.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled.data.kinds import kind
from unlabeled.data.scan import scan
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError

PNG, TIFF = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"), ("F", "I", "CMYK", "YCbCr", "LAB")  # modes they hold
ALPHA: Mapping[str, str] = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}  # what others are converted to, where not to RGB


@contextmanager
def table_of(x: Any, modality: str) -> Iterator[Table]:
    """A table for as long as it is needed; row i is the i-th thing that was given.

    Args:
        x: a folder, file, manifest or `.npz` (path), a list of paths, one or several pictures (PIL), an array of
            items (N, ...), one picture as an array (H, W) or (H, W, 3), a tensor of torch, or a data frame with a
            column `path`; of texts also strings that are no files.
        modality: that the model works on.

    Raises:
        UserError: when it is none of these, or empty.
    """
    if isinstance(x, Table):
        yield x
    elif isinstance(x, str | Path):
        yield scan(x)
    elif isinstance(x, pd.DataFrame):
        if "path" not in x.columns:
            raise UserError(f'the data frame has no column "path", but {", ".join(map(str, x.columns))}', "name it so")
        yield _paths([str(p) for p in x["path"]], modality)
    else:
        things = [_bare(t) for t in x] if isinstance(x, list | tuple) else _bare(x)
        if not isinstance(things, list | np.ndarray) or (isinstance(things, np.ndarray) and _lone(things, modality)):
            things = [things]
        if not len(things):
            raise UserError("nothing was given to predict", "give one item or more")
        if kind(modality).words and all(isinstance(t, str) and not _leads(t) for t in things):
            with tempfile.TemporaryDirectory(prefix="unlabeled-") as folder:
                yield _said([str(t) for t in things], Path(folder), modality)
            return
        if all(isinstance(t, str | Path) for t in things):
            yield _paths([str(t) for t in things], modality)
            return
        with tempfile.TemporaryDirectory(prefix="unlabeled-") as folder:
            yield _written(things, Path(folder), modality)


def _leads(text: str) -> bool:
    """Whether a string is a path to what is there; a single word is none, whatever lies in the folder of the moment."""
    return (os.sep in text or "/" in text or bool(Path(text).suffix)) and os.path.exists(text)  # noqa: PTH110


def _bare(x: Any) -> Any:
    """A tensor of torch, which is not imported for that, as an array; all else as it is."""
    return x.detach().cpu().numpy() if hasattr(x, "detach") and hasattr(x, "cpu") else x


def _lone(x: np.ndarray, modality: str) -> bool:
    """Whether an array is one picture (H, W) or (H, W, 3) and not several: none is three or four pixels wide."""
    return modality == "image" and (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (3, 4) and min(x.shape[:2]) > 4))


def _paths(paths: Sequence[str], modality: str) -> Table:
    if not paths:
        raise UserError("nothing was given to predict", "give one item or more")
    return Table(Path(), "paths", modality, frame(list(paths), ["unlabeled"] * len(paths)))


def _said(texts: Sequence[str], folder: Path, modality: str) -> Table:
    """Texts that are in memory, a line each of a file."""
    lines = (json.dumps({"text": text}) for text in texts)
    (folder / "items.jsonl").write_text("\n".join(lines), "utf-8")
    names = [f"items.jsonl#{i}" for i in range(len(texts))]
    return Table(folder, "texts", modality, frame(names, ["unlabeled"] * len(names)))


def _written(things: Any, folder: Path, modality: str) -> Table:
    """Put items that are in memory into a folder."""
    if isinstance(things, np.ndarray) or all(isinstance(t, np.ndarray) for t in things):
        shapes = {np.shape(t) for t in things}
        if len(shapes) > 1:
            raise UserError(f"arrays of {len(shapes)} shapes were given together", "give one array (items, ...)")
        array = np.asarray(things)
        own = kind(modality)
        if not own.arrays:
            raise UserError(f"{own.what} were given as arrays, which do not say what they are", "give paths of files")
        named: dict[str, Any] = {own.arrays: array}
        np.savez(folder / "items.npz", **named)
        found = scan(folder / "items.npz")
        return replace(found, modality=modality)
    odd = next((type(t).__name__ for t in things if not (hasattr(t, "save") and hasattr(t, "mode"))), "")
    if odd:
        raise UserError(f"items of the kind {odd} were given", "give paths, PIL pictures, an array or a data frame")
    return _paths([_drawn(picture, number, folder) for number, picture in enumerate(things)], modality)


def _drawn(picture: Any, number: int, folder: Path) -> str:
    """The file of a picture (PIL): upright, in a mode that files hold; floats from 0 to 255, which is Pillow's white
    where others are converted to floats, are spread.

    Raises:
        UserError: when it has no pixels, or its own file is broken.
    """
    from PIL import Image, ImageOps

    try:
        given = picture.format is None  # else its file tells how it is read
        picture = ImageOps.exif_transpose(picture)
    except OSError as fault:  # it was opened, and is read only now
        raise UserError(f"picture {number + 1} cannot be read: {fault}", "leave it out, or give its path") from None
    if 0 in picture.size:
        raise UserError(f"picture {number + 1} has {picture.width} x {picture.height} pixels", "leave it out")
    if picture.mode in ("F", "I"):
        values = np.asarray(picture, np.float32)
        if given and values.min() >= 0 and 1 < values.max() <= 255:
            picture = Image.fromarray(values * np.float32(257))
    elif picture.mode not in (*PNG, *TIFF):
        picture = picture.convert(ALPHA.get(picture.mode, "RGB"))
    name = folder / f"{number:08d}.{'tif' if picture.mode in TIFF else 'png'}"
    picture.save(name)
    return str(name)
