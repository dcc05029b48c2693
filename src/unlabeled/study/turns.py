"""Where few items are labelled and many are not, each labelled one is tested on once: cross-validation of all that
labels are used for, over encoders that saw none of the labelled items.

With 60 labels that is off by 5 to 7 points where a fifth of them is off by 10 (`benchmarks/turns.py`). Its intervals
regard that the fits share most of the labels (`stats.shared`); else they hold the truth in 80 to 93 % of cases only.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
    learnt, asked = kind(table.modality).learns, folds != 0
    if not asked:
        free = len(table.rows(*LEARN, labelled=False))
        pays = prepared.given is not None and not learnt and 2 * USUAL <= len(rows) < min(FEW, free / TIMES)
        folds = USUAL if pays else 1
    if folds == 1:
        return prepared
    if prepared.given is None:
        raise UserError(f"{table.root} brings test items of its own", "leave --folds out: those are tested on")
    if learnt:
        raise UserError(f"--folds is {folds}, and words are learnt from the {table.modality}s", "leave --folds out")
    units, codes = unit_numbers(table, rows), alike(prepared.store.array, rows, table.rows())
    units = _together(codes[rows] if units is None else units, codes[rows])
    few = int(units.max()) + 1
    apart = _apart(table, rows, codes)
    free = len(apart.rows(*LEARN))
    if not asked and (few < folds or free < TIMES * len(rows)):
        return prepared
    if not 1 < folds <= few:
        raise UserError(f"--folds is {folds}, and {few} items or groups are labelled", f"take 2 to {few}")
    if not free:
        raise UserError(f"--folds is {folds}, and every item of {table.root} is labelled", "leave --folds out")
    y = table.labels[rows]
    turns = deal(y, units, folds, seed)
    if any(len(np.unique(y[turns != turn])) < 2 for turn in range(folds)):
        if not asked:
            return prepared
        raise UserError(f"--folds is {folds}, and in one of them only one class is learnt from", "label more items")
    return replace(measured(apart, prepared.store, prepared.prep, prepared.size), turns=turns)


def without_labelled(prepared: Prepared) -> np.ndarray:
    """Rows that a study in turns pretrains on: neither labelled items nor their copies nor others of their groups."""
    table = _as_labelled(prepared)
    rows = table.rows("train", "val", "test", labelled=True)
    return _apart(table, rows, alike(prepared.store.array, rows, table.rows())).rows(*LEARN)


def _as_labelled(prepared: Prepared) -> Table:
    """The table with all the labels that were given."""
    table = prepared.table
    return table if prepared.given is None else replace(table, items=table.items.assign(label=prepared.given))


def _together(groups: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """A number (N,) for each item, equal where two are of one group or hold the same, also by way of others."""
    first, second = (np.unique(v, return_inverse=True)[1] for v in (groups, codes))
    nodes = int(first.max()) + int(second.max()) + 2
    ties = coo_array((np.ones(len(first)), (first, second + int(first.max()) + 1)), shape=(nodes, nodes))
    return np.unique(connected_components(ties, directed=False)[1][first], return_inverse=True)[1]


def _apart(table: Table, rows: np.ndarray, codes: np.ndarray) -> Table:
    """The table with these rows, their copies and the others of their groups in the test split."""
    items = table.items.copy()
    away = np.isin(codes, codes[rows]) | items["group"].isin(set(items["group"].iloc[rows].dropna())).to_numpy()
    items.loc[away, "split"] = "test"
    return replace(table, items=items)


def draws(prepared: Prepared, shares: Sequence[float], number: int) -> list[list[dict[float, np.ndarray]]]:
    """For each turn the label draws from the items that are not tested on in it; without turns one list of them."""
    y, rows, turns = prepared.table.labels, prepared.labelled, prepared.turns
    parts = [rows] if turns is None else [rows[turns != turn] for turn in range(times(prepared))]
    return [nested_draws(y, part, shares, number, 0) for part in parts]


def times(prepared: Prepared) -> int:
    """In how many turns the test items are asked; 1 where all are asked at once."""
    return 1 if prepared.turns is None else int(prepared.turns.max()) + 1


def told(prepared: Prepared) -> list[str]:
    """What is to be said of the turns, in a sentence; nothing where there are none."""
    if prepared.turns is None:
        return []
    items, many = len(prepared.test), times(prepared)
    return [
        f"Each of the {items} labelled items was tested on once, in {many} turns, by what had learnt from the labels "
        "of the others; no pretraining of this study saw any of them. The intervals are wider than those of as many "
        "items that were set apart, as the turns share labels."
    ]


def as_given(prepared: Prepared) -> Table:
    """The table as it is told of: labelled items that are tested on in turn are items to learn from."""
    if prepared.turns is None:
        return prepared.table
    items = prepared.table.items.copy()
    items.loc[prepared.test, "split"] = "train"
    items.loc[(items["split"] == "test") & items["label"].isna(), "split"] = "unlabeled"
    return replace(prepared.table, items=items)
