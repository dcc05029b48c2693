"""What is odd about the values of recordings, and no reader can mend: numbers that stand for "missing", variables that
give the label away, copies, and what a model has learnt from and new recordings do not hold.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from unlabeled.data.checks import SHOWN, Finding
from unlabeled.formats.record import Recording

CODES = (-1.0, *(sign * (10.0**digits - 1) for digits in (1, 2, 3, 4, 5) for sign in (-1, 1)))  # -9, 9, -99 ...
SELDOM, FEWEST = 0.002, 10  # share and number of the measurements from which on a code is told
FAR = 10.0  # times that all others must lie farther from 0 than -1 does, so that it is none of them
LABELLED, EACH = 20, 3  # recordings with a label, and of each class, that tell whether a variable gives it away
SURE = 0.95  # share of each class that it must give away
WIDE, MANY = 20.0, 4  # steps between two rows, and rows that one step holds, from which on times have another unit
TELLING = 8  # measurements that a recording needs, not all alike, so that an equal one is a copy
ENOUGH = 10  # recordings from which on it is odd that none of them holds a variable


class Watch:
    """What is seen of recordings as they pass, one after the other."""

    def __init__(self) -> None:
        self.holding = Counter[str]()  # recordings that hold a value of each variable
        self.cells = Counter[str]()
        self.codes = Counter[tuple[str, float]]()
        self.ends: dict[str, tuple[float, float]] = {}  # least and largest of what is no code
        self.told: dict[str, list[tuple[float, str]]] = {}  # by variable value and label of each labelled recording
        self.varies: set[str] = set()
        self.labelled = 0
        self.gaps: list[float] = []  # the usual time from one row to the next
        self.rows: list[int] = []
        self.alike: dict[bytes, list[tuple[str, bool, str | None]]] = {}  # path, whether of the test split, label

    def see(self, found: Recording, label: str | None, path: str = "", test: bool = False) -> None:
        """Look at a recording.

        Args:
            found: the recording.
            label: that it bears as a whole.
            path: its name among the items; of a part of a recording "", as parts are no copies of each other.
            test: whether it is of the test split.
        """
        if path and np.isfinite(found.values).sum() >= TELLING and np.nanmin(found.values) < np.nanmax(found.values):
            key = hashlib.blake2b(found.values.tobytes(), digest_size=16)
            key.update("\n".join(found.variables).encode())
            self.alike.setdefault(key.digest(), []).append((path, test, label))
        known = [(n, v[~np.isnan(v)].astype(np.float64)) for n, v in zip(found.variables, found.values, strict=True)]
        known += [(n, np.array([v])) for n, v in found.static.items() if v == v]
        self.labelled += label is not None
        if found.times is not None and len(between := np.diff(np.unique(found.times))):
            self.gaps.append(float(np.median(between)))
            self.rows.append(len(between) + 1)
        for name, values in known:
            if not len(values):
                continue
            self.holding[name] += 1
            self.cells[name] += len(values)
            rest = values
            for code in CODES:
                if count := int((values == code).sum()):
                    self.codes[name, code] += count
                    rest = rest[rest != code]
            low, high = self.ends.get(name, (np.inf, -np.inf))
            self.ends[name] = min(low, rest.min(initial=np.inf)), max(high, rest.max(initial=-np.inf))
            if label is not None and values.min() == values.max():
                self.told.setdefault(name, []).append((float(values[0]), label))
            elif label is not None:
                self.varies.add(name)

    def findings(self) -> list[Finding]:
        """What a person should look at."""
        out = []
        if codes := [text for (name, code), n in self.codes.items() if (text := self._code(name, code, n))]:
            text = (
                'a number stands among values that are far from it: where it means "missing", leave those cells empty'
            )
            out.append(Finding("codes", "warning", text, codes[:SHOWN]))
        if given := [name for name, told in self.told.items() if name not in self.varies and self._gives(told)]:
            text = "a variable alone tells the labels: where it is the outcome, or follows from it, take it out"
            out.append(Finding("leak", "warning", text, given[:SHOWN]))
        return out + self._copies()

    def _copies(self) -> list[Finding]:
        """Recordings that are there more than once, across the test split and under two labels first of all."""
        same = [rows for rows in self.alike.values() if len(rows) > 1]
        crossing = [rows for rows in same if len({test for _, test, _ in rows}) > 1]
        torn = [rows for rows in same if len({label for _, _, label in rows} - {None}) > 1]
        out = []
        if crossing:
            text = "test recordings are there outside the test split too; take them out of one side"
            out.append(Finding("leak", "error", f"{text} ({len(crossing):,})", [_pair(r, 1) for r in crossing[:SHOWN]]))
        if torn:
            text = "equal recordings have different labels; decide which is right"
            out.append(Finding("labels", "error", f"{text} ({len(torn):,})", [_pair(r, 2) for r in torn[:SHOWN]]))
        if same:
            text = f"the same recordings are there more than once ({sum(len(rows) - 1 for rows in same):,})"
            out.append(Finding("duplicates", "info", text, [_pair(r, 0) for r in same[:SHOWN]]))
        return out

    def lacks(self, learnt: Sequence[str], recordings: int) -> tuple[str, ...]:
        """What is to be said where recordings do not hold what was learnt from; nothing where they do.

        Args:
            learnt: names of variables and descriptors.
            recordings: that were seen; a few may well be without some.
        """
        lost = [name for name in learnt if not self.holding[name]]
        others = [name for name in self.holding if name not in learnt]
        if not lost or not (others or recordings >= ENOUGH):
            return ()
        text = f"{_some(lost)} of what was learnt from {'is' if len(lost) == 1 else 'are'} in none of the recordings"
        if others:
            text += f", and {_some(others)} in them {'was' if len(others) == 1 else 'were'} not learnt from: give the "
            text += "variables the names that they had"
        return (text,)

    def unlike(self, step: float, lengths: np.ndarray) -> tuple[str, ...]:
        """What is to be said where times count in another unit than those that were learnt from, else nothing.

        Args:
            step: between two steps, as it was learnt.
            lengths: of the recordings, in such steps.
        """
        if not self.gaps:
            return ()
        gap, rows = float(np.median(self.gaps)), float(np.median(self.rows))
        if gap < WIDE * step and (np.median(lengths) > 1 or rows < MANY):
            return ()
        text = f"from one row to the next {gap:g} go by, where a step was {step:g}"
        return (f"{text}: give times in the unit that was learnt from (dates and clocks count in seconds)",)

    def _code(self, name: str, code: float, count: int) -> str:
        low, high = self.ends[name]
        if count < max(FEWEST, SELDOM * self.cells[name]) or not low <= high:
            return ""
        if code == -1:
            odd = low >= -FAR * code
        else:
            odd = (code < 0 <= low) or (low < high and max(low - code, code - high) > high - low)
        share = 100 * count / self.cells[name]
        return f"{name}: {code:g} in {share:.2g} % of its measurements, else {low:g} to {high:g}" if odd else ""

    def _gives(self, told: Sequence[tuple[float, str]]) -> bool:
        """Whether the value of a recording tells its label, by those of the others."""
        classes, y = np.unique([label for _, label in told], return_inverse=True)
        _, x = np.unique([value for value, _ in told], return_inverse=True)
        sizes = np.bincount(y)
        if len(told) < max(LABELLED, SURE * self.labelled) or len(classes) < 2 or sizes.min() < EACH:
            return False
        table = np.zeros((int(x.max()) + 1, len(classes)))
        np.add.at(table, (x, y), 1)
        without = table[x]
        without[np.arange(len(y)), y] -= 1  # a recording does not vote for itself
        right = (without.argmax(1) == y) & (without.max(1) > 0)
        return bool((np.bincount(y, right) / sizes).min() >= SURE)


def _pair(rows: Sequence[tuple[str, bool, str | None]], by: int) -> str:
    """Two of equal recordings, which differ in that column."""
    each = {row[by]: row[0] for row in reversed(rows) if row[by] is not None}
    return " = ".join(list(each.values())[-2:][::-1])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
