"""Items decoded on the way, a few hundred at a time, for work that looks at each once: nothing is kept on disk."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unlabeled.data.store import Preparation, _chunks
from unlabeled.data.table import Broken, Table


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some of a table's items, in order.

    Args:
        rows: (M,) row numbers of the items that decode.
        raw: (M, ...) as the store holds them; of no use where M is 0.
        broken: row number of each item that does not, with its path and the reason.
    """

    rows: np.ndarray
    raw: np.ndarray
    broken: dict[int, Broken]


def stream(table: Table, prep: Preparation, *, step: int = 64, start: int = 0) -> Iterator[Chunk]:
    """Decode a table's items in threads, in order; memory does not grow with their number.

    Args:
        table: the items.
        prep: how they are brought to one shape.
        step: most items of a chunk.
        start: row of the first one that is wanted.
    """
    paths = table.items["path"].tolist()
    for stop, good, bad in _chunks(table, prep, range(start, len(table)), step):
        reasons = dict(bad)
        broken = {r: Broken(paths[r], reasons[paths[r]]) for r in range(start, stop) if paths[r] in reasons}
        rows = np.array([r for r in range(start, stop) if r not in broken], np.int64)
        yield Chunk(rows, np.stack(good) if good else np.zeros(0, prep.dtype), broken)
        start = stop
