"""Array files with recordings: NumPy's `.npz` with `series` (N, V, T) or `series_train`, `series_test`, ... and what is
known of them, as `unlabeled.formats.npz` reads it; pickled objects are never loaded.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from unlabeled.formats import Unreadable, npz
from unlabeled.formats.record import Recording, made

NAMES = ("series",)


def holds_series(path: Path) -> bool:
    """Whether an array file holds recordings rather than pictures."""
    return any(name.split("_")[0] in NAMES for name in npz.shapes(path))


def index(path: Path) -> dict[str, list[str | None]]:
    """What is known of each recording: `label`, `group`, `domain`, `split`, each of length N."""
    return npz.index(path, NAMES)


def read(path: Path) -> Mapping[str, Recording]:
    """All recordings of the file by their number from 0; whole rows without a value are left out.

    Raises:
        Unreadable: when the arrays are not (N, V, T).
    """
    out: dict[str, Recording] = {}
    number = 0
    for name in npz.parts(path, NAMES):
        array = npz.member(path, name)
        if array.ndim not in (2, 3) or array.dtype.kind not in "fiub":
            raise Unreadable(f"{name} has the shape {array.shape} and the type {array.dtype}, not (N, V, T) of numbers")
        array = array[:, None] if array.ndim == 2 else array
        variables = ("value",) if array.shape[1] == 1 else tuple(f"v{i}" for i in range(array.shape[1]))
        for one in array:
            with suppress(Unreadable):  # the row stays without a recording and is told as broken by name
                out[str(number)] = made(np.asarray(one, np.float32), variables)
            number += 1
    if not out:
        raise Unreadable("all its values are missing")
    return out
