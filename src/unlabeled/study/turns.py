"""Where few items are labelled and many are not, each labelled one is tested on once: cross-validation of all that
labels are used for, over encoders that saw none of the labelled items.

A fifth of sixty labels tells an accuracy to some twenty points; all sixty of them, to half as much.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from unlabeled.data.kinds import kind
from unlabeled.data.prepare import LEARN, Prepared, measured
from unlabeled.data.splits import alike, deal, nested_draws, unit_numbers
from unlabeled.data.table import Table
from unlabeled.errors import UserError

USUAL, FEW, TIMES = 5, 200, 10  # turns, labels below which they are taken, and unlabelled items for each labelled one


def in_turns(prepared: Prepared, folds: int, seed: int) -> Prepared:
    """The data with all labelled items as test items that are tested on in turn, where that is asked for or pays.

    Items with equal contents, and those of one group, are in one turn; unlabelled ones that are copies of a labelled
    item, or of its group, are not learnt from.

    Args:
        prepared: with the test items that were drawn or came with it.
        folds: number of turns; 1 for none; 0 takes five where test items were drawn, fewer than 200 items are labelled
            and ten times as many are not.
        seed: another seed, other turns.

    Raises:
        UserError: when turns were asked for and cannot be had.
    """
    table = _as_labelled(prepared)
    rows = table.rows("train", "val", "test", labelled=True)
    learnt = kind(table.modality).learns
    if folds == 0:
        free = len(table.rows("train", "val", "unlabeled", labelled=False))
        folds = (
            USUAL
            if prepared.given is not None and not learnt and 2 * USUAL <= len(rows) < min(FEW, free / TIMES)
            else 1
        )
        asked = False
    else:
        asked = True
    if folds == 1:
        return prepared
    if prepared.given is None:
        raise UserError(f"{table.root} brings test items of its own", "leave --folds out: those are tested on")
    if learnt:
        raise UserError(f"--folds is {folds}, and words are learnt from the {table.modality}s", "leave --folds out")
    units, codes = unit_numbers(table, rows), alike(prepared.store.array, rows, table.rows())
    units = codes[rows] if units is None else units
    units = np.unique(units, return_inverse=True)[1]
    if not 1 < folds <= len(np.unique(units)):
        few = len(np.unique(units))
        raise UserError(f"--folds is {folds}, and {few} items or groups are labelled", f"take 2 to {few}")
    found = measured(_apart(table, rows, codes), prepared.store, prepared.prep, prepared.size)
    if len(found.learning) < TIMES * len(rows) and not asked:
        return prepared
    if not len(found.learning):
        raise UserError(f"--folds is {folds}, and every item of {table.root} is labelled", "leave --folds out")
    return replace(found, turns=deal(table.labels[rows], units, folds, seed))


def without_labelled(prepared: Prepared) -> np.ndarray:
    """Rows that a study in turns pretrains on: neither labelled items nor their copies nor others of their groups."""
    table = _as_labelled(prepared)
    rows = table.rows("train", "val", "test", labelled=True)
    return _apart(table, rows, alike(prepared.store.array, rows, table.rows())).rows(*LEARN)


def _as_labelled(prepared: Prepared) -> Table:
    """The table with all the labels that were given."""
    table = prepared.table
    return table if prepared.given is None else replace(table, items=table.items.assign(label=prepared.given))


def _apart(table: Table, rows: np.ndarray, codes: np.ndarray) -> Table:
    """The table with these rows, their copies and the others of their groups in the test split."""
    items = table.items.copy()
    away = np.isin(codes, codes[rows]) | items["group"].isin(set(items["group"].iloc[rows].dropna())).to_numpy()
    items.loc[away, "split"] = "test"
    return replace(table, items=items)


def draws(prepared: Prepared, shares: Sequence[float], number: int) -> list[list[dict[float, np.ndarray]]]:
    """For each turn the label draws from the items that are not tested on in it; without turns one list of them."""
    y, rows, turns = prepared.table.labels, prepared.labelled, prepared.turns
    parts = [rows] if turns is None else [rows[turns != turn] for turn in range(int(turns.max()) + 1)]
    return [nested_draws(y, part, shares, number, 0) for part in parts]


def told(prepared: Prepared) -> list[str]:
    """What is to be said of the turns, in a sentence; nothing where there are none."""
    if prepared.turns is None:
        return []
    items, times = len(prepared.test), int(prepared.turns.max()) + 1
    return [
        f"Each of the {items} labelled items was tested on once, in {times} turns, by what had learnt from the labels "
        "of the others; no pretraining saw any of them."
    ]


def as_given(prepared: Prepared) -> Table:
    """The table as it is told of: labelled items that are tested on in turn are items to learn from."""
    if prepared.turns is None:
        return prepared.table
    items = prepared.table.items.copy()
    items.loc[prepared.test, "split"] = "train"
    items.loc[(items["split"] == "test") & items["label"].isna(), "split"] = pd.Series("unlabeled", index=items.index)
    return replace(prepared.table, items=items)
