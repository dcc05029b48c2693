"""Sounds: a file each, or windows of long recordings."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from unlabeled.data import hearing, sounds
from unlabeled.data.kinds import Examined, Kind
from unlabeled.data.sounds import AudioPrep
from unlabeled.data.store import Preparation, Store
from unlabeled.data.table import Table
from unlabeled.formats import sound

MEASURED = 1_000  # sounds whose bands are measured


class Audio(Kind):
    """Sounds of one rate."""

    what: ClassVar[str] = "sounds"
    own: ClassVar[frozenset[str]] = sound.SUFFIXES

    def read(self, values: Mapping[str, Any]) -> Preparation:
        """How sounds are brought to one shape."""
        return AudioPrep(**values)

    def ready(self, table: Table, size: int, stride: int, step: float) -> tuple[Table, Preparation, int]:
        """Sounds or windows of them, how they are stored, and their frames of 10 ms."""
        items, made = sounds.ready(table, size, stride)
        return items, made, made.size

    def again(self, table: Table, prep: Preparation, stride: int = 0, *, keep: bool = False) -> Table:
        """The windows that an earlier run has cut."""
        return sounds.again(table, _own(prep), stride, keep=keep)

    def measure(self, store: Store, rows: np.ndarray, prep: Preparation) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each log-mel band, in nats, inside the sounds of the given rows."""
        from unlabeled.modalities.audio import Audio as Looks

        made, rows = _own(prep), np.asarray(rows)
        looks = Looks(size=made.size, rate=made.rate, bands=made.bands, trim=made.trim)
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), MEASURED)).astype(np.int64)]
        total, squares, count = np.zeros(made.bands), np.zeros(made.bands), 0
        for at in range(0, len(some), 64):
            view = looks.plain(store.batch(some[at : at + 64])).double().numpy()
            total += view[:, 1:].sum((0, 2))  # behind the end there is 0
            squares += np.square(view[:, 1:]).sum((0, 2))
            count += int(view[:, 0].sum())
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return tuple(mean.tolist()), tuple(spread.tolist())

    def examine(self, table: Table, store: Store | None) -> Examined:
        """Rates, lengths, silence, clipping, offset, copies."""
        return hearing.examine(table, store)


def _own(prep: Preparation) -> AudioPrep:
    if not isinstance(prep, AudioPrep):
        raise TypeError(f"sounds cannot be cut as {prep.what} are")
    return prep
