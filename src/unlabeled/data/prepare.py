"""From a path to items that a run can learn from: scanned, split, decoded, measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.data.doctor import flips
from unlabeled.data.kinds import kind
from unlabeled.data.scan import scan
from unlabeled.data.splits import holdout, without_copies
from unlabeled.data.store import Preparation, Store, build
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.progress import count

LEARN = ("train", "val", "unlabeled")
READ = 10_000  # unlabelled items at most whose features probes stand on: each arm and seed reads them anew


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set that is ready: row i of the table is row i of the store.

    Args:
        table: the items that decode.
        store: their decoded form.
        prep: how they were decoded.
        size: side of the views in pixels, or time steps.
        mean: mean of each channel over the items that may be learnt from, in 0 to 1 for pictures.
        std: standard deviation of each channel.
        seed: by which test items are drawn where the data bring none.
        given: labels of all items as they were given, where test items were drawn here; None where the data bring some.
        turns: (T,) in which turn each of the `test` items is tested on, where that are all labelled ones; None for one.
        mirrors: whether left-right (`horizontal_flip`) and upside-down images (`vertical_flip`) look at home in the
            data, found without labels; empty where there is no such thing.
    """

    table: Table
    store: Store
    prep: Preparation
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirrors: Mapping[str, bool]
    seed: int = 0
    given: pd.Series | None = None
    turns: np.ndarray | None = None

    @property
    def usual_encoder(self) -> str:
        """The encoder that suits such data where nobody asks for one; empty for that of the modality."""
        return kind(self.table.modality).encoder(self.prep)

    @property
    def learning(self) -> np.ndarray:
        """Rows that pretraining may see: all but the test items."""
        return self.table.rows(*LEARN)

    @property
    def pool(self) -> np.ndarray:
        """Rows whose features probes learn from: the labelled ones, and of the others at most `READ`, evenly."""
        rows = self.learning
        known = self.table.labels[rows] >= 0
        others = rows[~known]
        if len(others) <= READ:
            return rows
        some = others[np.linspace(0, len(others) - 1, READ).astype(np.int64)]
        return np.sort(np.concatenate([rows[known], some]))

    @property
    def labelled(self) -> np.ndarray:
        """Labelled rows outside the test items; all labelled ones where they are tested on in turn."""
        return self.test if self.turns is not None else self.table.rows("train", "val", labelled=True)

    @property
    def test(self) -> np.ndarray:
        """Labelled test rows."""
        return self.table.rows("test", labelled=True)

    @property
    def cleared(self) -> bool:
        """Whether the data bring their test items, in whatever form; else these were drawn here."""
        return self.given is None and self.turns is None


def read_prep(modality: str, values: Mapping[str, Any]) -> Preparation:
    """How the items of a run were decoded, from its recipe."""
    return kind(modality).read(values)


def prepare(
    data: str | Path | Table,
    *,
    size: int = 0,
    unlabeled: str | None = None,
    seed: int = 0,
    prep: Preparation | None = None,
    step: float = 0.0,
    stride: int = 0,
    tokenizer: str | None = None,
) -> Prepared:
    """Scan, split, decode and measure a data set.

    Args:
        data: folder, manifest or array file; or a table of one.
        size: side of the views in pixels; 0 takes what suits the pictures: their own side, at least 16, at most 64. Of
            series the steps of a window; 0 takes whole recordings where each has one label and at most 512 steps, else
            128.
        unlabeled: another folder of items without labels.
        seed: of the test split, where the data bring none.
        prep: how to decode, for a run that exists already.
        step: time between two steps of series; 0 takes what the files suggest.
        stride: steps from one window to the next; 0 takes half a window.
        tokenizer: of texts: uncased, cased, or a local Hugging Face folder.

    Raises:
        UserError: when there is nothing to learn from.
    """
    table = data if isinstance(data, Table) else scan(data, unlabeled=unlabeled)
    drawn = _testless(table)
    first = kind(table.modality).learns and drawn  # nothing of a test item may shape what is learnt
    table = holdout(table, seed=seed) if first else table
    table, how, view = fitted(table, size, prep, step, stride, tokenizer)
    drawn = drawn or _testless(table)
    table = holdout(table, seed=seed) if _testless(table) else table
    table, store = build(table, how)
    given = table.items["label"] if drawn else None
    if drawn:
        table, copies = without_copies(table, store.array)
        if copies:
            words = count(copies, "drawn test item is an exact copy", "drawn test items are exact copies")
            progress.say(f"mind: {words} of items outside the test split, and not tested on")
    if len(table) == 0:
        root = table.root
        raise UserError(f"{root} holds no item that can be read", f'run "unlabeled scan {root} --broken" to see why')
    return replace(measured(table, store, how, view), given=given, seed=seed)


def fitted(
    table: Table,
    size: int,
    prep: Preparation | None = None,
    step: float = 0.0,
    stride: int = 0,
    tokenizer: str | None = None,
) -> tuple[Table, Preparation, int]:
    """The items as they will be stored (recordings are cut into windows), how, and the size of their views.

    Raises:
        UserError: when nothing can be read, or what was prepared for is of another kind.
    """
    own = kind(table.modality)
    if prep is None:
        own = own.told(tokenizer) if tokenizer else own
        return own.ready(table, size, stride, step)
    _check(table, prep)
    return _heard(table, own.again(table, prep, stride)), prep, own.view(table, prep, size)


def _check(table: Table, prep: Preparation) -> None:
    if prep.what != (found := kind(table.modality).what):
        raise UserError(f"{table.root} holds {found}, and {prep.what} were learnt from", f"give {prep.what}")


def _testless(table: Table) -> bool:
    return len(table.rows("test")) == 0 and len(table.classes) > 1


def as_stored(table: Table, prep: Preparation) -> Table:
    """The items as a run's preparation makes them of a table: recordings are cut into its windows, pictures and texts
    stay whole.

    A recording that cannot be read stays a row, so that it is told as broken when it is decoded.

    Raises:
        UserError: when there is no item, or items of another kind.
    """
    if not len(table):
        raise UserError(f"there are no items in {table.root}", "give a file or a folder that holds some")
    _check(table, prep)
    return _heard(table, kind(table.modality).again(table, prep, keep=True))


def _heard(table: Table, again: Table) -> Table:
    """The items as an earlier run has cut its own, when what was noted of them has been said."""
    for note in again.notes[len(table.notes) :]:
        progress.say(f"mind: {note}")
    return again


def measured(table: Table, store: Store, prep: Preparation, size: int) -> Prepared:
    """Measure what the items that may be learnt from are like; again, where a table keeps some of a store's items back.

    Args:
        table: row i is row i of the store; only items in the splits `LEARN` are looked at.
        store: decoded items.
        prep: how they were decoded.
        size: side of the views in pixels.
    """
    learn = table.rows(*LEARN)
    mean, std = kind(table.modality).measure(store, learn if len(learn) else table.rows(), prep)
    if table.modality != "image":
        return Prepared(table, store, prep, size, mean, std, {})
    blind = replace(table, items=table.items.assign(label=pd.Series(pd.NA, index=table.items.index, dtype="str")))
    return Prepared(table, store, prep, size, mean, std, flips(blind, store))
