"""Array files: NumPy's `.npz` with pictures and what is known of them; pickled objects are never loaded.

Names that are understood: `x` or `images` with `y` or `labels`, `groups` (or `patients`), `domains` (or `sites`); or
the same for each split: `x_train`, `y_train`, `x_test`, `y_test`, `x_unlabeled`. Rows are numbered through: train,
val, test, unlabeled.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unlabeled.errors import UserError

PICTURES = ("x", "images", "image", "data")
KNOWN = {
    "label": ("y", "labels", "label", "targets"),
    "group": ("groups", "group", "patients", "patient", "subjects", "subject"),
    "domain": ("domains", "domain", "sites", "site"),
}
FAULTS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
SPLITS = ("train", "val", "test", "unlabeled")


def index(path: Path, names: tuple[str, ...] = PICTURES) -> dict[str, list[str | None]]:
    """What is known of each row, without reading the items: `label`, `group`, `domain`, `split`, each of length N.

    Args:
        path: the file.
        names: what the array of the items may be called.

    Raises:
        UserError: when the file has no such array, or labels of another length than it.
    """
    out: dict[str, list[str | None]] = {"label": [], "group": [], "domain": [], "split": []}
    there = shapes(path)
    for name, split in _items(path, names, there):
        count = there[name][0]
        if names is PICTURES:
            _layout(path, name, there[name])
        suffix = name[len(name.split("_")[0]) :]
        for column, words in KNOWN.items():
            values: list[str | None] = [None] * count
            found = next((w + suffix for w in words if w + suffix in there), None)
            if found is not None:
                array = member(path, found)
                if array.ndim != 1 or len(array) != count:
                    raise UserError(
                        f"{path}: {found} has the shape {array.shape}, {name} has {count} rows", "give one value a row"
                    )
                values = [_word(v) for v in array.tolist()]
            out[column] += values
        own = out["label"][len(out["label"]) - count :]
        out["split"] += [split if split in ("val", "test") else "train" if v is not None else "unlabeled" for v in own]
    return out


def read(path: Path) -> np.ndarray:
    """All pictures of the file, (N, H, W) or (N, H, W, C), uint8 or uint16.

    Booleans and floats from 0 to 1 are spread over 0 to 255; whole numbers up to 255 or 65,535 are taken as they are.
    """
    parts = []
    for name, _ in _items(path, PICTURES, shapes(path)):
        array = member(path, name)
        if _layout(path, name, array.shape) == "first":
            array = np.moveaxis(array, 1, -1)
        parts.append(_whole(path, name, array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array))
    if len({(p.shape[1:], p.dtype) for p in parts}) > 1:
        told = ", ".join(f"{p.shape[1:]} {p.dtype}" for p in parts)
        raise UserError(
            f"the pictures in {path} differ between the splits ({told})", "give all splits one shape and type"
        )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def parts(path: Path, names: tuple[str, ...]) -> list[str]:
    """Names of the arrays that hold the items, in the order in which their rows are numbered through."""
    return [name for name, _ in _items(path, names, shapes(path))]


def _items(path: Path, names: tuple[str, ...], there: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, str | None]]:
    whole = [(w, None) for w in names if w in there]
    parts = [(f"{w}_{s}", s) for s in SPLITS for w in names if f"{w}_{s}" in there]
    if not whole and not parts:
        has = ", ".join(there) or "nothing"
        what = "pictures" if names is PICTURES else "recordings"
        raise UserError(
            f"{path} has no array of {what} (it has: {has})",
            f'call it "{names[0]}", or "{names[0]}_train" and "{names[0]}_test"',
        )
    yield from parts or whole[:1]


def _layout(path: Path, name: str, shape: tuple[int, ...]) -> str:
    """Whether the channels of (N, ...) come `last`, `first`, or there are none."""
    if len(shape) == 3 and min(shape) > 0:
        return "none"
    if len(shape) == 4 and min(shape) > 0:
        if shape[3] in (1, 3, 4):
            return "last"
        if shape[1] in (1, 3, 4):
            return "first"
    raise UserError(f"{path}: {name} has the shape {shape}", "pictures are (N, H, W), (N, H, W, C) or (N, C, H, W)")


def _whole(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype in (np.uint8, np.uint16):
        return array
    low, high = float(array.min()), float(array.max())
    if array.dtype == np.bool_ or (array.dtype.kind == "f" and low >= 0 and high <= 1):
        return np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    if array.dtype.kind in "iuf" and low >= 0 and high <= 65535 and np.array_equal(array, np.rint(array)):
        return array.astype(np.uint8 if high <= 255 else np.uint16)
    raise UserError(
        f"{path}: {name} is {array.dtype} from {low:g} to {high:g}", "give whole numbers from 0 or floats from 0 to 1"
    )


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each array, from the headers alone."""
    out = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    version = np.lib.format.read_magic(file)
                    header = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    out[name.removesuffix(".npy")] = tuple(header(file)[0])
    except FAULTS as fault:
        raise UserError(f"cannot read {path}: {fault}", "give a file that numpy.savez has written") from None
    return out


def member(path: Path, name: str) -> np.ndarray:
    """One array of the file; raises UserError when it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])
    except FAULTS as fault:
        raise UserError(f"cannot read {name} in {path}: {fault}", "write it again, without pickled objects") from None


def _word(value: object) -> str | None:
    """A label as a word; missing are empty text, NaN and -1."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or value == "" or value != value or value == -1:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
