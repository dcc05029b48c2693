"""Manifests: a CSV or Parquet table that names the files, or parts of them (`first`, `end`: half-open ranges of rows),
and says what is known of each.

The columns may be called by any of the words in `WORDS`; the first that is there counts. `Patient ID`, `patientId` and
`patient_id` are one word. A column `group` of few values beside one that names persons, in a table without labels, is
no group of items but one of persons (patients and controls): the persons count then. Where no column is one of labels,
columns of 0 and 1 with one 1 a row are classes (`onehot`).
"""

import itertools
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from unlabeled.errors import UserError
from unlabeled.formats import onehot
from unlabeled.formats.cells import layout, table

MOST = 6  # names of columns that are told
FEW = 10  # groups of persons, such as patients and controls
SUFFIXES = frozenset((".csv", ".tsv", ".parquet", ".pq"))
PERSONS = (
    "patient", "patient_id", "subject", "subject_id", "participant", "participant_id", "person", "person_id", "mrn",
)  # fmt: skip
WORDS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path"),
    "label": ("label", "class", "class_name", "target", "category", "diagnosis", "y"),
    "group": (
        "group", *PERSONS, "speaker", "case", "case_id", "part", "plate", "track", "study_instance_uid",
        "series_instance_uid",
    ),
    "domain": (
        "domain", "site", "site_id", "device", "scanner", "camera", "hospital", "center", "centre", "institution",
        "institution_name", "vendor", "manufacturer",
    ),
    "split": ("split", "set", "subset", "partition"),
    "first": ("first", "first_row", "start", "start_row"),
    "end": ("end", "end_row", "stop", "stop_row"),
}  # fmt: skip


def folded(name: object) -> str:
    """A column's name by its letters and digits alone, in lower case, as names are compared.

    >>> folded("Patient ID"), folded("patient_id"), folded("PatientID")
    ('patientid', 'patientid', 'patientid')
    """
    return "".join(c for c in str(name).lower() if c.isalnum())


def read(path: Path, *, files: bool = True) -> pd.DataFrame:
    """Read a manifest as strings, its columns named `path`, `label`, `group`, `domain`, `split` where it has them.

    Other columns keep their names. Empty cells are missing; `None` and `NA` are words like any other. Spaces around
    what is known of an item do not count, so that a patient typed with one at its end is no other patient.

    Args:
        path: the table.
        files: whether it must name files.

    Raises:
        UserError: when it cannot be read or names no files.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
            whole = [c for c in frame.select_dtypes("float") if (frame[c].dropna() % 1 == 0).all()]
            frame = frame.astype(dict.fromkeys(whole, "Int64"))  # 3 beside an empty cell is no 3.0
            frame = frame.astype("str").where(frame.notna())
        else:
            how = layout(path)
            between = "\t" if path.suffix.lower() == ".tsv" else how.between
            how = replace(how, between=between, decimal=".")
            frame = table(path, how, "str", plain=True)
    except (OSError, ValueError) as fault:  # pandas' and pyarrow's own errors are ValueErrors
        raise UserError(
            f"cannot read the manifest {path}: {str(fault).splitlines()[0]}", "give a CSV or Parquet table"
        ) from None
    there = ", ".join(map(str, frame.columns)) or "none"
    lower = {folded(column): column for column in reversed(list(frame.columns))}
    names = {}
    for name, words in WORDS.items():
        found = next((lower[folded(word)] for word in words if folded(word) in lower), None)
        if found is not None:
            names[found] = name
    group = next((column for column, name in names.items() if name == "group"), "")
    person = next((lower[folded(word)] for word in PERSONS if folded(word) in lower), None)
    if person and folded(group) == "group" and "label" not in names.values() and _coarse(frame[group], frame[person]):
        del names[group]
        names[person] = "group"
    frame = frame.drop(columns=[c for c in names.values() if c in frame and c not in names]).rename(columns=names)
    if files and "path" not in frame:
        raise UserError(f"{path} has no column that names files (it has: {there})", 'call that column "path"')
    if "path" in frame and "label" not in frame:
        classes = marked(frame)[0]
        frame = frame if classes is None else frame.assign(label=classes)
    known = frame.columns.intersection(["label", "group", "domain", "split"])
    frame[known] = frame[known].apply(_tidy)
    return frame


def marked(frame: pd.DataFrame) -> "tuple[pd.Series | None, str]":
    """The labels that columns of 0 and 1 of a table tell; or None, and what keeps these from telling any."""
    persons = {folded(word) for word in PERSONS}
    return onehot.labels(frame, [c for c in frame if c in WORDS or folded(c) in persons])


def _coarse(group: "pd.Series", person: "pd.Series") -> bool:
    """Whether a column tells of persons what many of them share."""
    return group.nunique() < min(FEW + 1, person.nunique())


def _tidy(cells: "pd.Series") -> "pd.Series":
    """Words without spaces around them and in one form of letters; what is empty then is missing. Groups that stand as
    1.0 where a program has counted empty cells among the numbers are 1.
    """
    out = cells.map(lambda cell: unicodedata.normalize("NFC", cell.strip()), na_action="ignore")
    if cells.name == "group" and out.dropna().str.fullmatch(r"\d+\.0").all():
        out = out.str.removesuffix(".0")
    return out.mask(out == "")


def unnamed(path: Path, known: Collection[str] = ()) -> str:
    """What to tell of a table of text that names no labels: its columns whose names tell nothing, or what keeps columns
    of 0 and 1 from being classes; "" where there is nothing to tell.

    Args:
        path: the table; of others nothing is told.
        known: further names, in lower case, that tell what a column holds.
    """
    odd = _odd(path, known)
    if not odd:
        return ""
    with suppress(UserError):
        if wrong := marked(read(path))[1]:
            return f"{path.name}: {wrong}"
    told = ", ".join(odd[:MOST]) + (", ..." if len(odd) > MOST else "")
    return f'no column of {path.name} is known to hold labels (others: {told}): call the one that does "label"'


def as_classes(path: Path) -> str:
    """What to tell of a table of text whose labels are those that columns of 0 and 1 tell; "" of others."""
    with suppress(UserError):
        if _odd(path) and "label" in read(path):
            return f"the classes are columns of {path.name} that hold 0 and 1, one 1 a row"
    return ""


def _odd(path: Path, known: Collection[str] = ()) -> list[str]:
    """The columns of a table of text whose names tell nothing; none where one is known to hold labels."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return []
    try:
        head = layout(path).head
    except (OSError, UnicodeError):
        return []
    words = {folded(word) for word in (*known, *itertools.chain.from_iterable(WORDS.values()))}
    there = {folded(name) for name in head}
    if there & {folded(word) for word in PERSONS}:
        words.discard("group")  # it may tell what persons have
    if there & {folded(word) for word in WORDS["label"]}:
        return []
    return [name for name in head if name and folded(name) not in words]
