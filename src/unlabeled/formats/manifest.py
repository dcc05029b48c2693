"""Manifests: a CSV or Parquet table that names the files, or parts of them (`first`, `end`: half-open ranges of rows),
and says what is known of each.

The columns may be called by any of the words in `WORDS`; the first that is there counts.
"""

import itertools
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from unlabeled.errors import UserError
from unlabeled.formats.cells import layout, table

MOST = 6  # names of columns that are told
SUFFIXES = frozenset((".csv", ".tsv", ".parquet", ".pq"))
WORDS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path"),
    "label": ("label", "class", "class_name", "target", "category", "diagnosis", "y"),
    "group": ("group", "patient", "patient_id", "subject", "subject_id", "speaker", "case", "part", "plate", "track"),
    "domain": ("domain", "site", "device", "scanner", "camera", "hospital", "center", "centre"),
    "split": ("split", "set", "subset", "partition"),
    "first": ("first", "first_row", "start", "start_row"),
    "end": ("end", "end_row", "stop", "stop_row"),
}


def read(path: Path) -> pd.DataFrame:
    """Read a manifest as strings, its columns named `path`, `label`, `group`, `domain`, `split` where it has them.

    Other columns keep their names. Empty cells are missing; `None` and `NA` are words like any other.

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
    lower = {str(column).strip().lower(): column for column in reversed(list(frame.columns))}
    names = {}
    for name, words in WORDS.items():
        found = next((lower[word] for word in words if word in lower), None)
        if found is not None:
            names[found] = name
    frame = frame.drop(columns=[c for c in names.values() if c in frame and c not in names]).rename(columns=names)
    if "path" not in frame:
        columns = ", ".join(map(str, frame.columns)) or "none"
        raise UserError(f"{path} has no column that names files (it has: {columns})", 'call that column "path"')
    return frame


def unnamed(path: Path, known: Collection[str] = ()) -> str:
    """What to tell of a table of text that names no labels: its columns whose names tell nothing, or "" where all do.

    Args:
        path: the table; of others nothing is told.
        known: further names, in lower case, that tell what a column holds.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        return ""
    try:
        head = layout(path).head
    except (OSError, UnicodeError):
        return ""
    words = {*known, *itertools.chain.from_iterable(WORDS.values())}
    odd = [name for name in head if name and name.lower() not in words]
    if not odd or {name.lower() for name in head} & set(WORDS["label"]):
        return ""
    told = ", ".join(odd[:MOST]) + (", ..." if len(odd) > MOST else "")
    return f'no column of {path.name} is known to hold labels (others: {told}): call the one that does "label"'
