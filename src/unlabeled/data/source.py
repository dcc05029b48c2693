"""Where the items of a table come from: files of their own, or rows of an array file."""

import os
import posixpath
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from unlabeled.data.table import Table
from unlabeled.formats import npz, picture

ENDINGS = "ts|csv|tsv|txt|md|json|jsonl|parquet|pq|npz|wav|flac|ogg|oga|opus|mp3|aif|aiff|aifc|au|caf|w64"
PLACE = re.compile(rf"(?i)\.({ENDINGS})(?=#|@\d+\+\d+$|$)")


def file_of(path: str) -> str:
    """The file that an item's path names, without the row, key or range that follows it.

    >>> file_of("a.npz#3"), file_of("ward.csv#17@240+48"), file_of("x/1.png")
    ('a.npz', 'ward.csv', 'x/1.png')
    """
    found = PLACE.search(path)
    return path[: found.end()] if found else path


def spelled(paths: Sequence[str], folder: Path) -> list[str]:
    """Paths as the files on disk are named: Macs write ä as two letters, and a table that names such a file as one.

    Only names that are not there as they stand are looked for, each folder once.
    """
    inside: dict[str, dict[str, str]] = {}

    def known(relative: str) -> dict[str, str]:
        if relative not in inside:
            try:
                names = os.listdir(folder / relative)  # noqa: PTH208 (names alone, not a Path for each)
            except OSError:
                names = []
            inside[relative] = {unicodedata.normalize("NFC", name): name for name in names}
        return inside[relative]

    def on_disk(path: str) -> str:
        file = file_of(path)
        if path.isascii() or os.path.lexists(folder / file):
            return path
        there = ""
        for part in file.split("/"):
            name = part
            if part and not os.path.lexists(folder / there / part):
                name = known(there).get(unicodedata.normalize("NFC", part), "")
                if not name:
                    return path
            there = posixpath.join(there, name) if name else there or "/"
        return there + path[len(file) :]

    return [on_disk(path) for path in paths]


class Source:
    """Where the items of a table come from: files, or rows of array files, which are loaded at once."""

    def __init__(self, table: Table) -> None:
        self.paths: list[str] = table.items["path"].tolist()
        self.folder = str(table.folder)
        self.arrays: dict[str, np.ndarray] = {}
        for name in {file for file, row in map(self.split, range(len(self.paths))) if row >= 0}:
            self.arrays[name] = npz.read(Path(name))

    def split(self, row: int) -> tuple[str, int]:
        """The file of an item, and its row in it (-1 for a picture of its own)."""
        path = os.path.join(self.folder, self.paths[row])  # noqa: PTH118 (a million of them)
        name, mark, number = path.rpartition("#")
        return (name, int(number)) if mark and name[-4:].lower() == ".npz" else (path, -1)

    def look(self, row: int) -> picture.Look:
        """Facts and thumbnail of one item."""
        file, inner = self.split(row)
        return picture.look(file) if inner < 0 else picture.look_at(self.arrays[file][inner])

    def may_be_coloured(self, row: int) -> bool:
        """Whether there is room for colour in one item, from its head alone; raises Unreadable."""
        file, inner = self.split(row)
        return picture.may_be_coloured(file) if inner < 0 else self.arrays[file].ndim > 3  # (N, H, W, C)

    def read(self, row: int, size: int, channels: int, fit: picture.Fit, bits: int) -> np.ndarray:
        """One item (channels, size, size); arguments as for `picture.read`."""
        file, inner = self.split(row)
        if inner < 0:
            return picture.read(file, size, channels, fit, bits)
        return picture.square(self.arrays[file][inner], size, channels, fit, bits)


@contextmanager
def silent() -> Iterator[None]:
    """Keep Pillow's remarks on odd files from the terminal; what matters is told by the doctor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def workers() -> int:
    """Threads for decoding: the cores this process may use (decoding leaves Python's lock)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, min(len(affinity(0)) if affinity else os.cpu_count() or 1, 32))
