"""Whose an item is where no list of files says so: by the folders that it lies in, and by a table keyed by patients.

Slices of one patient are alike, so that a split that parts them flatters. Folders are taken for persons by their names
alone (`patient07`, `sub-12`); of other folders the doctor asks.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from unlabeled.data.checks import SHOWN, Finding
from unlabeled.data.listed import split_of
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.formats import manifest
from unlabeled.formats.belonging import named

PERSON = re.compile(
    r"(?:patient|pat|subject|subj|case|participant|person|proband|donor|volunteer)"
    r"(?:[-_ .]*\d|[-_ .]+[a-z]{0,4}\d)[\w. -]*|sub-\w+",
    re.IGNORECASE,
)
ITEMS = ("image_id", "image_name", "file_id", "id", "name")  # columns that may name files without their suffix
TOLD = ("label", "domain", "split")
FOUND = 0.9  # share of a table's keys that must be there
PLAIN = re.compile(r"\d{1,3}")  # numbers that many a thing has, and that so tell nothing


def by_folders(items: pd.DataFrame) -> pd.DataFrame:
    """The items with the folder of each one's patient as its group, where folders are named as persons are.

    A folder that is the class of its items is none.

    >>> by_folders(pd.DataFrame({"path": ["ill/patient7/1.png"], "label": ["ill"]}))["group"].tolist()
    ['patient7']
    """
    known: dict[tuple[str, str], str | None] = {}  # of each folder, as many items lie in one
    groups = []
    for path, label in zip(items["path"], items["label"], strict=True):
        place = path.rpartition("/")[0], str(label)
        if place not in known:
            known[place] = next((f for f in folders(path) if f != label and PERSON.fullmatch(f)), None)
        groups.append(known[place])
    return items.assign(group=pd.Series(groups, dtype="str", index=items.index)) if any(groups) else items


def folders(path: str) -> list[str]:
    """The folders of a path, outermost first, in one form of letters."""
    return [unicodedata.normalize("NFC", part) for part in path.split("/")[:-1]]


def keyed(root: Path, name: str, items: pd.DataFrame) -> pd.DataFrame | None:
    """The items with what a table tells of the patients whose folders they lie in or after whom they are called, or of
    files without their suffix; nothing where it tells nothing of them, or two things of one.

    Args:
        root: the folder.
        name: of the table in it.
        items: found in the folder.
    """
    try:
        table = manifest.read(root / name, files=False)
    except UserError:
        return None
    told = [c for c in TOLD if c in table]
    for key in ("group", *named(ITEMS, map(str, table.columns))) if told and "path" not in table else ():
        if key not in table:
            continue
        rows = table[table[key].notna()].assign(**{key: lambda t, k=key: t[k].str.strip()})
        rows = rows.drop_duplicates([key, *told]).set_index(key)
        if not len(rows) or rows.index.has_duplicates or any(map(PLAIN.fullmatch, rows.index)):
            continue
        found = [next(_names(path, rows.index, key == "group"), None) for path in items["path"]]
        if len(set(found) - {None}) >= FOUND * len(rows):
            return _with(items, rows.assign(group=rows.index) if key == "group" else rows, found, root / name)
    return None


def examine(table: Table) -> list[Finding]:
    """Classes that are named as persons are, and folders inside the classes that may be persons."""
    if "folder" not in table.form:
        return []
    out = []
    persons = [c for c in table.classes if PERSON.fullmatch(c)]
    if len(persons) >= max(2, FOUND * len(table.classes)):
        text = (
            "the classes are named as patients are; if those are no classes, name the labels that you have in a table "
        )
        out.append(Finding("classes", "warning", f"{text}(patient,label) inside the folder", persons[:SHOWN]))
    items = table.items[table.items["label"].notna() & table.items["group"].isna()]
    inner = [_inside(path, label) for path, label in zip(items["path"], items["label"], strict=True)]
    sizes = Counter(filter(None, inner))
    of_class = Counter(name.partition("/")[0] for name in sizes)
    shared = Counter(name.partition("/")[2] for name in sizes)
    if sum(sizes.values()) < 0.5 * len(table) or sum(sizes.values()) < 2 * len(sizes) or len(of_class) < 2:
        return out
    if min(of_class.values()) > 1 and max(shared.values()) < len(
        of_class
    ):  # those that all classes hold are told by scan
        text = f"the items of a class lie in folders of their own ({len(sizes):,}); where these are patients, parts or "
        text += "films, say so in a table (path,label,group), as a split that parts likenesses flatters"
        out.append(Finding("groups", "warning", text, sorted(sizes)[:SHOWN]))
    return out


def _inside(path: str, label: str) -> str:
    """The folder that follows that of the class, as `class/folder`, or ""."""
    parts = folders(path)
    at = parts.index(label) + 1 if label in parts else len(parts)
    return f"{label}/{parts[at]}" if at < len(parts) else ""


def _names(path: str, known: Collection[str], persons: bool) -> Iterator[str]:
    """Keys of a table that a path holds: of persons also its folders, of a file its name without the suffix."""
    file = unicodedata.normalize("NFC", path.rpartition("/")[2])
    for part in (*(folders(path) if persons else ()), file.rpartition(".")[0], file):
        if part in known:
            yield part


def _with(items: pd.DataFrame, rows: pd.DataFrame, found: list[str | None], path: Path) -> pd.DataFrame:
    """Items (N) with what the rows of a table tell of them by their keys (N); what no row tells of has no label."""
    own = rows.reindex(pd.Index(found, dtype="str")).set_axis(items.index)
    out = items.assign(**{c: own[c].astype("str") for c in ("label", "group", "domain") if c in own})
    given = own["split"] if "split" in own else items["split"].where(items["split"].isin(("test", "val")))
    splits = [split_of(g, label, path) for g, label in zip(given, out["label"], strict=True)]
    return out.assign(split=pd.Series(splits, dtype="str", index=items.index))
