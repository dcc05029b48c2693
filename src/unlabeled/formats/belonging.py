"""Whose a row of a table is: which recording's (a stay), whose that is (a patient), and where it was made (a site)."""

from collections.abc import Container, Iterable
from dataclasses import dataclass

import pandas as pd

from unlabeled.formats.manifest import PERSONS, WORDS, folded

RECORDINGS = ("id", "recordid", "record_id", "recording", "series_id", "stay_id", "icustay_id", "encounter_id",
              "visit_id", "hadm_id", "admission_id")  # fmt: skip
IDS = (*RECORDINGS, *PERSONS)  # the finest first: stays of one patient are recordings of their own
SITES = WORDS["domain"]
MANY = 16  # rows of which each would be a recording of one step: these are numbered rows


@dataclass(frozen=True)
class Belonging:
    """The columns of a table that tell whose its rows are, as the table calls them; "" where there is none.

    Args:
        recording: numbers the recordings.
        person: tells whose a recording is; the same column where each person has one.
        site: tells where a recording was made, one for each.
        beside: further numbers of the kind, which tell no more and are no measurements.
    """

    recording: str = ""
    person: str = ""
    site: str = ""
    beside: tuple[str, ...] = ()

    @property
    def columns(self) -> set[str]:
        """All of them."""
        return {c for c in (self.recording, self.person, self.site, *self.beside) if c}


def belonging(frame: pd.DataFrame, *, timed: bool = False) -> Belonging:
    """What tells whose the rows of a table are; `timed` where a column tells when each was measured.

    >>> stays = pd.DataFrame({"subject_id": [7, 7, 7], "stay_id": [1, 1, 2], "ward": ["a", "a", "b"]})
    >>> belonging(stays)
    Belonging(recording='stay_id', person='subject_id', site='', beside=())
    """
    there = named(IDS, frame.columns)
    if not there:
        return Belonging()
    if there[0].lower() == "id" and len(frame) > 1 and frame[there[0]].is_unique:
        if len(there) == 1 and timed and len(frame) >= MANY:
            return Belonging(beside=(there[0],))
        there = [*there[1:], there[0]]  # it numbers the rows, not the recordings
    mine = there[0]
    person = next(iter(named(PERSONS, there)), "")
    site = next(iter(named(SITES, frame.columns)), "")
    if site and not constant(frame[mine], frame[site]):
        site = ""  # it changes within a recording, so that it is measured
    return Belonging(mine, person, site, tuple(c for c in there if c not in (mine, person)))


def named(words: Iterable[str], columns: Iterable[str]) -> list[str]:
    """The columns that words name, in the order of the words; how a name is spaced or parted does not count.

    >>> named(("stay_id", "patient_id"), ["Patient ID", "hr"])
    ['Patient ID']
    """
    known = {folded(column): column for column in reversed(list(columns))}
    return list(dict.fromkeys(known[folded(word)] for word in words if folded(word) in known))


def constant(ids: "pd.Series", cells: "pd.Series") -> bool:
    """Whether all rows of each id hold the same, or all of them nothing."""
    each = cells.groupby(ids, sort=False)
    told = each.count()
    return bool(((each.nunique() <= 1) & ((told == 0) | (told == each.size()))).all())


def first(words: Iterable[str], there: Container[str]) -> str:
    """The first of some words that is there, or ""."""
    return next((w for w in words if w in there), "")
