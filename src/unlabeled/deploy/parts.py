"""Which labels are learnt from and which are kept back for calibration: never items of one group on both sides.

Groups are those that the data name. Where they name none, but files that follow one another are alike (slices of a
patient, frames of a film), calibration items drawn at random would have likenesses among those learnt from, and look
easier than any new item: blocks of neighbouring files are kept together then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from unlabeled.data import order
from unlabeled.data.prepare import Prepared
from unlabeled.data.splits import inner_folds, unit_numbers
from unlabeled.errors import UserError
from unlabeled.progress import count

SIMPLE = 10  # most parts of which a share to calibrate on takes some; smaller shares than one of ten take one
FEWEST = 4  # blocks that a class must lie in, so that some can be kept back
LEAKS = 0.2  # share of test items with a neighbour of their block outside the test split, before it is told


@dataclass(frozen=True, eq=False)
class Units:
    """What is kept together.

    Args:
        source: `data` where groups are named, `order` for blocks of neighbouring files, `none` for single items.
        numbers: (N,) group of every item; None for single items.
        found: what the order of names tells, where it was looked at.
        block: files of a block, where there are blocks.
    """

    source: str
    numbers: np.ndarray | None = None
    found: order.Order | None = None
    block: int = 0

    def of(self, rows: np.ndarray) -> np.ndarray | None:
        """The groups of rows."""
        return None if self.numbers is None else self.numbers[rows]

    def told(self) -> dict[str, Any]:
        """The facts for a bundle."""
        out: dict[str, Any] = {"from": self.source, "block": self.block}
        return out if self.found is None else out | {"alike": round(self.found.alike, 3), "reach": self.found.reach}

    def notes(self, prepared: Prepared, held: np.ndarray, least: int) -> list[str]:
        """What a card must say of it, a sentence each, where `held` rows are kept back and a promise needs `least`."""
        return [*self._few(held, least), *self._near(prepared)]

    def _few(self, held: np.ndarray, least: int) -> list[str]:
        mine = self.of(held)
        if mine is None or len(held) < least or (groups := len(np.unique(mine))) >= least:
            return []
        what = count(groups, "block of neighbouring files", "blocks of neighbouring files")
        what = what if self.source == "order" else count(groups, "group")
        return [
            f"The {len(held):,} calibration items are of {what}, whose items may be much alike: with fewer than "
            f"{least} of them label sets may hold the truth far less often than promised, and more known items may be "
            "flagged; label items of more, or give --calibrate 0.5."
        ]

    def _near(self, prepared: Prepared) -> list[str]:
        if self.source != "order" or self.numbers is None or not len(prepared.test):
            return []
        shared = np.isin(self.numbers[prepared.test], self.numbers[prepared.learning]).mean()
        if shared < LEAKS:
            return []
        return [
            f"Files that follow one another are alike, and {100 * shared:.0f} % of the test items have neighbours "
            "among those learnt from: the figures flatter. Name groups in the data, or give a test split of others."
        ]


def units(prepared: Prepared, source: order.From, features: Callable[[np.ndarray], np.ndarray]) -> Units:
    """Find what must be kept together.

    Args:
        prepared: the data.
        source: `data` for named groups alone; `order` for blocks of neighbouring files whatever they are like; `auto`
            for named groups, or blocks where there are none and neighbours are alike.
        features: of rows (M,), (M, D); asked for where the order is looked at.
    """
    named = unit_numbers(prepared.table, prepared.table.rows())
    if source == "data" or (source == "auto" and named is not None):
        return Units("none" if named is None else "data", named)
    paths = prepared.table.items["path"].tolist()
    rows, y = prepared.learning, prepared.table.labels
    apart = ["/".join((folder, str(y[row]), name)) for row in rows for folder, _, name in [paths[row].rpartition("/")]]
    found = order.look(apart, lambda some: features(rows[some]))  # within classes: files may lie in the order of these
    if source == "auto" and not found.carries:
        return Units("none", found=found)
    length = found.block
    while length:
        numbers = order.blocks(paths, length)
        if min(len(np.unique(numbers[y == c])) for c in np.unique(y[prepared.labelled])) >= FEWEST or length == 1:
            return Units("order", numbers, found, length)
        length //= 2
    return Units("none", found=found)


def part(
    prepared: Prepared, rows: np.ndarray, share: float, seed: int, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labelled rows to learn from and rows to calibrate on: stratified, no group on both sides.

    Args:
        prepared: the data.
        rows: labelled rows (M,).
        share: to calibrate on, above 0 and up to 0.5.
        seed: of the draw.
        groups: (M,) of the rows, or None.

    Raises:
        UserError: when the share is none, or there are too few labels to keep some back.
    """
    if not 0 < share <= 0.5:
        raise UserError(f"--calibrate {share} was given", "give a share above 0 and up to 0.5")
    wanted = Fraction(share).limit_denominator(SIMPLE) if share >= 1 / SIMPLE else Fraction(1, round(1 / share))
    y = prepared.table.labels[rows]
    folds = inner_folds(y, groups, wanted.denominator, seed)
    if not folds:
        raise UserError(
            f"{len(rows)} labelled items are too few to keep some back for calibration",
            "label two or more items of each class, of different groups (--groups-from data for those named alone)",
        )
    held, taken = folds[0][1], 1
    for _, more in folds[1:]:  # such as two of five
        both = np.sort(np.concatenate([held, more]))
        nearer = abs(len(both) - share * len(rows)) < abs(len(held) - share * len(rows))
        if taken < wanted.numerator and nearer and len(np.unique(np.delete(y, both))) == len(np.unique(y)):
            held, taken = both, taken + 1
    return np.delete(rows, held), rows[held]


def by_domain(prepared: Prepared, learn: np.ndarray, held: np.ndarray) -> dict[str, np.ndarray]:
    """Which calibration items are of each domain that labelled items name, (N,) bool.

    Raises:
        UserError: when items name none, all name one, or one has no calibration item.
    """
    words = prepared.table.items["domain"]
    mine, names = words.iloc[held], sorted(words.iloc[np.concatenate([learn, held])].dropna().unique().tolist())
    wrong = ""
    if mine.isna().any():
        wrong = f"{mine.isna().sum()} of {count(len(held), 'calibration item')} name no domain"
    elif len(names) < 2:
        wrong = f"all labelled items are of one domain, {names[0]}"
    elif missing := sorted(set(names) - set(mine)):
        wrong = f"no calibration item is of {', '.join(missing)}"
    if wrong:
        remedy = 'name a domain (site, device) for every item in a manifest\'s column "domain", label more in each'
        raise UserError(f"label sets by domain were asked for, and {wrong}", f"{remedy}, or take --sets-by all")
    return {name: (mine == name).to_numpy() for name in names}
