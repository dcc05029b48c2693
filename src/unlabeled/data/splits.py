"""Who is in the test split, and which items carry labels: stratified, by group, drawn before any method runs.

No group (patient, part) ever has items on both sides of a split.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from unlabeled.data.table import Table
from unlabeled.errors import UserError

GLANCE = 64  # numbers at four places, by which most items differ


def holdout(table: Table, *, share: float = 0.2, seed: int = 0) -> Table:
    """Give a table a test split where it has none; a table that has one comes back as it is.

    Args:
        table: with labelled items in `train`.
        share: part of the labelled items that become `test`, 0 to 1; at least one of a class that has two.
        seed: another seed, another split.

    Raises:
        UserError: when nothing is labelled, or when whole groups cannot be parted.
    """
    if len(table.rows("test", labelled=True)):
        return table
    if not 0 < share < 1:
        raise UserError(f"the share of test items is {share}", "give a number between 0 and 1")
    rows = table.rows("train", labelled=True)
    if not len(rows):
        raise UserError(
            f"nothing in {table.root} is labelled, so there is nothing to test on", "label some items first"
        )
    labels, units = table.labels[rows], unit_numbers(table, rows)
    parts = max(2, round(1 / share))
    if units is None:
        test = _part(labels, share, np.random.default_rng([seed, 11]))
    else:
        test = deal(labels, units, parts, seed) == 0
        if test.all() or not test.any():
            raise UserError(f"all labelled items of {table.root} are of one group", "give a test split of other groups")
    items = table.items.copy()
    items.loc[rows[test], "split"] = "test"
    if units is not None:  # unlabelled pictures of a test group would give the test away
        out = set(items.loc[rows[test], "group"].dropna())
        items.loc[(items["split"] != "test") & items["group"].isin(out), "split"] = "test"
    return replace(table, items=items)


def without_copies(table: Table, items: np.ndarray) -> tuple[Table, int]:
    """The table with the labels of such test items taken away as another split holds an exact copy of, and how many.

    A test item that was drawn while its copy may be learnt from tells nothing; nothing else is changed.

    Args:
        table: with a drawn test split.
        items: (N, ...) decoded, row i of the table in row i.
    """
    tests = table.rows("test", labelled=True)
    others = np.setdiff1d(table.rows(), table.rows("test"))
    codes = alike(items, tests, others)
    copies = tests[np.isin(codes[tests], codes[others])]
    if not len(copies):
        return table, 0
    changed = table.items.copy()
    changed.loc[copies, "label"] = None
    return replace(table, items=changed), len(copies)


def alike(items: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A number (N,) for each item, equal where an item of `rows` and another of these or of `others` hold the same.

    Args:
        items: (N, ...) decoded.
        rows: (M,) a few of their numbers, read whole.
        others: (L,) numbers of those that may be copies of these.
    """
    codes = np.arange(len(items))
    known = {_glance(items[row]) for row in rows.tolist()}
    near = [row for row in others.tolist() if _glance(items[row]) in known]
    first: dict[bytes, int] = {}
    for row in [*rows.tolist(), *near]:
        codes[row] = first.setdefault(_content(items[row]), row)
    return codes


def _glance(item: np.ndarray) -> bytes:
    """A few bytes of an item, so that unlike ones need not be read whole."""
    flat = item.reshape(-1)
    at = np.linspace(0, max(0, len(flat) - GLANCE), 4).astype(np.int64)
    return b"".join(flat[start : start + GLANCE].tobytes() for start in at)


def _content(item: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(item).tobytes(), digest_size=16).digest()


def unit_numbers(table: Table, rows: np.ndarray) -> np.ndarray | None:
    """The group of each given row as a number (N,) int64, items without a group being one each; None without groups."""
    groups = table.items["group"].to_numpy(dtype=object)[rows]
    known = pd.notna(groups)
    if not known.any():
        return None
    codes: np.ndarray = np.asarray(pd.factorize(groups)[0], dtype=np.int64)
    codes[~known] = codes.max() + 1 + np.arange(int((~known).sum()))
    return codes


def nested_draws(
    labels: np.ndarray,
    rows: np.ndarray,
    shares: Sequence[float],
    draws: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> list[dict[float, np.ndarray]]:
    """Draw which items carry labels: stratified, nested (1 % lies in 10 % lies in 100 %), at least one item a class.

    Each draw is one order of the items in which every beginning is stratified; a share takes a beginning of it.

    Args:
        labels: class number of every item of the table, (N,) int, -1 where there is none.
        rows: the labelled training rows to draw from, (M,) int.
        shares: parts of these rows, 0 to 1; above 1 numbers of labels.
        draws: how many independent draws.
        seed: another seed, other draws.
        groups: group number of every item of the table, (N,); whole groups are drawn then, the last one may go over.

    Returns:
        For each draw, the sorted row numbers of each share.
    """
    rows = np.asarray(rows)
    y = np.asarray(labels)[rows]
    if not len(rows) or (y < 0).any():
        raise UserError(
            f"{int((y < 0).sum())} of the {len(rows)} items to draw from have no label", "draw from labelled items"
        )
    if not len(shares):
        raise UserError("no label budget was given", "give one or more, such as --labels 0.1,1")
    classes = len(np.unique(y))
    counts = {}
    for share in shares:
        if not 0 < share <= len(rows):
            raise UserError(
                f"cannot draw {share:g} of {len(rows)} labels", f"give a share up to 1 or a number up to {len(rows)}"
            )
        counts[share] = max(classes, round(share * len(rows)) if share <= 1 else round(share))
    units = np.arange(len(rows)) if groups is None else pd.factorize(np.asarray(groups)[rows])[0]
    out = []
    for draw in range(draws):
        order, ends = _order(y, units, np.random.default_rng([seed, 12, draw]))
        take = {
            share: int(ends[np.searchsorted(ends, count).clip(max=len(ends) - 1)]) for share, count in counts.items()
        }
        out.append({share: np.sort(rows[order[:end]]) for share, end in take.items()})
    return out


def inner_folds(y: np.ndarray, groups: np.ndarray | None, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stratified (and grouped) folds for choosing settings inside the labelled items: pairs of (learn, check) indices.

    A class with fewer items (groups) than folds is checked in as many folds as it has, and one with a single one is
    always learnt from; every fold learns from all classes. `k` falls to the number that the largest class has. The
    first pair checks as many classes as any: it is the one to keep back where one is enough. An empty list says that
    there is too little to choose with: take the default.

    Args:
        y: class numbers (N,).
        groups: group of each item (N,) or None; no group is on both sides.
        k: number of folds wanted.
        seed: another seed, other folds.
    """
    units = np.arange(len(y)) if groups is None else pd.factorize(np.asarray(groups))[0]
    have = {c: len(np.unique(units[y == c])) for c in np.unique(y)}
    k = min(k, max(have.values(), default=0))
    lone = np.isin(y, [c for c, n in have.items() if n == 1])
    free = ~np.isin(units, units[lone])
    if k < 2 or not free.any():
        return []
    fold = np.full(len(y), -1)
    fold[free] = deal(y[free], units[free], k, seed)
    pairs = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k)]
    whole = [(learn, check) for learn, check in pairs if len(check) and len(np.unique(y[learn])) == len(have)]
    return sorted(whole, key=lambda pair: -len(np.unique(y[pair[1]])))


def _part(y: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Mark a share of each class, at least one item where it has two or more, never all of a class."""
    marked = np.zeros(len(y), dtype=bool)
    for c in np.unique(y):
        own = random.permutation(np.flatnonzero(y == c))
        marked[own[: min(max(1, round(share * len(own))), len(own) - 1)]] = True
    return marked


def _order(y: np.ndarray, units: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An order of all items in which every beginning is stratified, units staying together, and where units end in it.

    A unit (group, or single item) counts for the class that most of its items have.
    """
    number = int(units.max()) + 1
    table = np.zeros((number, int(y.max()) + 1), dtype=np.int64)
    np.add.at(table, (units, y), 1)
    kind = table.argmax(axis=1)
    shuffled = random.permutation(number)
    place = np.empty(number)
    first = np.zeros(number, dtype=bool)
    for c in np.unique(kind):
        own = shuffled[kind[shuffled] == c]
        place[own] = (np.arange(len(own)) + random.uniform(0.25, 0.75)) / len(own)
    missing, kinds = set(np.flatnonzero(table.sum(axis=0)).tolist()), set(kind.tolist())
    for unit in shuffled:  # the first units are those that show every class once
        if not missing:
            break
        new = missing & set(np.flatnonzero(table[unit]).tolist())
        if kind[unit] in new or (new and not new & kinds):
            first[unit] = True
            missing -= new
    sequence = np.lexsort((place, ~first))
    rank = np.empty(number, dtype=np.int64)
    rank[sequence] = np.arange(number)
    return np.argsort(rank[units], kind="stable"), np.cumsum(table.sum(axis=1)[sequence])


def deal(y: np.ndarray, units: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """A part number (N,) for each item: big units first, each to the part that is shortest of its classes.

    Before them come, small ones first, units of classes that have fewer than there are parts: part 0 gets one of each.
    """
    random = np.random.default_rng([seed, 13])
    classes, y = np.unique(y, return_inverse=True)
    table = np.zeros((int(units.max()) + 1, len(classes)))
    np.add.at(table, (units, y), 1)
    share, count = table / table.sum(axis=0), (table > 0).sum(axis=0)
    few = share * ((count > 1) & (count < parts))
    rare, later = few.any(axis=1), np.arange(parts) > 0
    held = np.zeros((parts, len(classes)))
    part = np.empty(len(table), dtype=np.int64)
    shuffled = random.permutation(len(table))
    size = table.sum(axis=1) * np.where(rare, 1, -1)
    for unit in shuffled[np.lexsort((size[shuffled], ~rare[shuffled]))]:
        short = 1e-6 * held.sum(axis=1)
        lack = held @ few[unit] + short * later if rare[unit] else held @ share[unit] + short
        part[unit] = np.argmin(lack)
        held[part[unit]] += share[unit]
    return np.asarray(part[units])
