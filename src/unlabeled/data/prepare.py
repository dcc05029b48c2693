"""From a path to items that a run can learn from: scanned, split, decoded, measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from unlabeled.data.doctor import flips
from unlabeled.data.scan import scan
from unlabeled.data.splits import holdout
from unlabeled.data.store import Prep, Store, build, plan, survey
from unlabeled.data.table import Table
from unlabeled.errors import UserError

LEARN = ("train", "val", "unlabeled")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set that is ready: row i of the table is row i of the store.

    Args:
        table: the items that decode.
        store: their decoded form.
        prep: how they were decoded.
        size: side of the views in pixels.
        mean: mean of each channel over the items that may be learnt from, 0 to 1.
        std: standard deviation of each channel.
        mirrors: whether left-right (`horizontal_flip`) and upside-down images (`vertical_flip`) look at home in the
            data, found without labels.
    """

    table: Table
    store: Store
    prep: Prep
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirrors: Mapping[str, bool]

    @property
    def learning(self) -> np.ndarray:
        """Rows that pretraining may see: all but the test items."""
        return self.table.rows(*LEARN)

    @property
    def labelled(self) -> np.ndarray:
        """Labelled rows outside the test items."""
        return self.table.rows("train", "val", labelled=True)

    @property
    def test(self) -> np.ndarray:
        """Labelled test rows."""
        return self.table.rows("test", labelled=True)


def prepare(
    data: str | Path | Table, *, size: int = 0, unlabeled: str | None = None, seed: int = 0, prep: Prep | None = None
) -> Prepared:
    """Scan, split, decode and measure a data set.

    Args:
        data: folder, manifest or array file; or a table of one.
        size: side of the views in pixels; 0 takes what suits the pictures: their own side, at least 16, at most 64.
        unlabeled: another folder of items without labels.
        seed: of the test split, where the data bring none.
        prep: how to decode, for a run that exists already.

    Raises:
        UserError: when there is nothing to learn from.
    """
    table = data if isinstance(data, Table) else scan(data, unlabeled=unlabeled)
    if len(table.rows("test")) == 0 and len(table.classes) > 1:
        table = holdout(table, seed=seed)
    view = size or suitable_size(table)
    how = prep or plan(table, view)
    table, store = build(table, how)
    if len(table) == 0:
        root = table.root
        raise UserError(f"{root} holds no item that can be read", f'run "unlabeled scan {root} --broken" to see why')
    return measured(table, store, how, view)


def measured(table: Table, store: Store, prep: Prep, size: int) -> Prepared:
    """Measure what the items that may be learnt from are like; again, where a table keeps some of a store's items back.

    Args:
        table: row i is row i of the store; only items in the splits `LEARN` are looked at.
        store: decoded items.
        prep: how they were decoded.
        size: side of the views in pixels.
    """
    learn = table.rows(*LEARN)
    mean, std = store.statistics(learn if len(learn) else table.rows())
    blind = replace(table, items=table.items.assign(label=pd.Series(pd.NA, index=table.items.index, dtype="str")))
    return Prepared(table, store, prep, size, mean, std, flips(blind, store))


def suitable_size(table: Table) -> int:
    """The pictures' own typical shorter side, rounded up to eights, at least 16 and at most 64 pixels."""
    return min(64, max(16, -(-survey(table).side // 8) * 8))
