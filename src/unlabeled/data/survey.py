"""What the pictures of a table are like, from few of them: their size, and whether any of them shows colour."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from unlabeled.data.source import Source, silent, workers
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable

SAMPLE = 64  # pictures that are looked at
HEADS, OPENED = 20_000, 1_000  # where these are all grey: files whose heads are read, and of the others those decoded


@dataclass(frozen=True)
class Survey:
    """What a sample of the pictures is like: typical shorter side in pixels, channels 1 or 3, bits 8 or 16."""

    side: int
    channels: int
    bits: int


def survey(table: Table, rows: np.ndarray | None = None, *, colour: bool = True) -> Survey:
    """Look at a sample of the items: side, channels, depth; where it is all grey, colour is looked for in more files.

    Args:
        table: the items.
        rows: the items to look at, all when not given.
        colour: whether channels matter; without it the sample alone tells them.

    Raises:
        UserError: when none can be read.
    """
    rows = np.arange(len(table)) if rows is None else np.asarray(rows)
    some = _spread(rows, SAMPLE)
    source = Source(table)
    looks, last = [], ""
    with silent():
        for row in some.tolist():
            try:
                looks.append(source.look(row))
            except Unreadable as fault:
                last = f" ({source.paths[row]}: {fault})"
    if not looks:
        raise UserError(
            f"none of {len(some)} pictures in {table.root} can be read{last}",
            "check that they are pictures, and that paths in a manifest lie beside it",
        )
    channels = max(look.channels for look in looks)
    if channels == 1 and colour and _coloured(source, rows, len(some)):
        channels = 3
    return Survey(
        side=int(np.median([min(look.width, look.height) for look in looks])),
        channels=channels,
        bits=max(look.bits for look in looks),
    )


def _coloured(source: Source, rows: np.ndarray, seen: int) -> bool:
    """Whether one of an even sample of the items shows colour; heads tell most of those that do not."""

    def room(row: int) -> bool:
        with suppress(Unreadable):
            return source.may_be_coloured(row)
        return False

    def colour(row: int) -> bool:
        with suppress(Unreadable):
            return source.look(row).channels == 3
        return False

    if len(rows) <= seen:
        return False
    with silent(), ThreadPoolExecutor(workers()) as pool:
        some = _spread(rows, HEADS)
        left = _spread(some[np.fromiter(pool.map(room, some.tolist()), bool, len(some))], OPENED)
        parts = (left[at : at + SAMPLE].tolist() for at in range(0, len(left), SAMPLE))
        return any(any(pool.map(colour, part)) for part in parts)


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64))]
