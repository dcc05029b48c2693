"""What a manifest names: items whose files lie beside it, or those of the folder that it lies in."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from unlabeled.data.source import file_of, spelled
from unlabeled.data.table import SPLIT_WORDS, SPLITS, frame
from unlabeled.errors import UserError
from unlabeled.formats import manifest

NAMES = 0.9  # share of a column's cells that must be files of the folder, for it to name them


def of_table(path: Path) -> pd.DataFrame:
    """The items that a table names, each once.

    Raises:
        UserError: when it cannot be read, says two things of one item, or none of its files is there.
    """
    listed = manifest.read(path)
    own = [c for c in ("path", "first", "end") if c in listed]  # several ranges of one file are several items
    twice = listed[listed.duplicated(own, keep=False)]
    if "label" in twice and (twice.groupby(own, dropna=False)["label"].nunique() > 1).any():
        first = twice["path"].iloc[0]
        raise UserError(f"{path} names {first} with several labels", "give one row and one label a picture")
    items = _items(listed.drop_duplicates(own), path)
    _there(items, path)
    return items


def of_folder(root: Path, name: str, known: Collection[str]) -> pd.DataFrame | None:
    """The items of a table that lies in the folder, when it lists the folder's files once each; else nothing.

    Args:
        root: the folder.
        name: of the table in it.
        known: the folder's files, as paths below it.
    """
    try:
        listed = below(manifest.read(root / name), root)
    except UserError:
        return None
    told = {"label", "split", "group", "domain"} & set(listed.columns)
    paths = pd.Series(spelled(listed["path"].dropna().tolist(), root), dtype="str")
    twice = paths.duplicated().any() and not {"first", "end"} <= set(listed.columns)
    if not told or paths.empty or twice or paths.isin(known).mean() < NAMES:
        return None
    items = _items(listed, root / name)
    if "split" in listed:
        return items
    named = set(items["path"])
    for column in listed.columns.difference(["path", "label", "group", "domain", "split"]):
        # masks and other companions are not items of their own
        named |= set(spelled([_tidy(p, root) for p in listed[column].dropna()], root))
    rest = sorted(set(known) - named)
    return pd.concat([items, frame(rest, ["unlabeled"] * len(rest))], ignore_index=True) if rest else items


def _there(items: pd.DataFrame, path: Path) -> None:
    """Refuse a table whose files are all somewhere else, and say where, if they lie in a folder beside it."""
    files = items["path"].drop_duplicates()
    if any((path.parent / file_of(f)).exists() for f in files):
        return
    first = file_of(files.iloc[0])
    inside = (f for f in sorted(path.parent.iterdir()) if f.is_dir() and (f / first).exists())
    where = next(inside, None)
    raise UserError(
        f"none of the {len(files):,} files that {path} names is in {path.parent.resolve()} ({first}, ...)",
        f"they are in {where}: put the table there" if where else "put it into the folder that its paths begin in",
    )


def _items(listed: pd.DataFrame, path: Path) -> pd.DataFrame:
    listed = listed[listed["path"].notna()]
    if listed.empty:
        raise UserError(f"{path} names no files", 'fill its column "path"')
    columns = {
        c: listed[c].tolist() if c in listed else [None] * len(listed) for c in ("label", "group", "domain", "split")
    }
    splits = [split_of(given, label, path) for given, label in zip(columns["split"], columns["label"], strict=True)]
    paths = spelled([_tidy(p) for p in listed["path"]], path.parent)
    if {"first", "end"} <= set(listed.columns):
        ends = zip(paths, listed["first"], listed["end"], strict=True)
        paths = [_part(p, a, b, path) if isinstance(a, str) and isinstance(b, str) else p for p, a, b in ends]
    return frame(paths, splits, columns["label"], columns["group"], columns["domain"])


def _part(item: str, first: str, end: str, path: Path) -> str:
    """The name of a part of an item, from its first row or sample up to the end.

    Raises:
        UserError: when these are no whole numbers, or hold nothing.
    """
    try:
        a, b = int(first), int(end)
    except ValueError:
        raise UserError(f"{path} has ranges that are no whole numbers", "give rows counted from 0") from None
    if not 0 <= a < b:
        raise UserError(f"{path} has the range {a} to {b} of {item}", "count rows from 0, and end behind the first")
    return f"{item}@{a}+{b - a}"


def split_of(given: object, label: object, path: Path) -> str:
    """The split of an item from what a table tells of it; what is to be learnt from and has no label is unlabelled.

    Raises:
        UserError: when it is a word that means no split.
    """
    split = SPLIT_WORDS.get(given.strip().lower()) if isinstance(given, str) else "train"
    if split is None:
        raise UserError(f'{path} has the split "{given}"', f"take one of {', '.join(SPLITS)}, or leave it empty")
    return "unlabeled" if split == "train" and not isinstance(label, str) else split


def aside(root: Path, name: str, known: Collection[str]) -> str:
    """Why a table that tells labels or groups, or names the folder's files, is not the list of them; "" where it is
    about something else.
    """
    try:
        listed = manifest.read(root / name, files=False)
    except UserError as fault:
        return f"{name} was not read: {fault.wrong}"
    what = [c for c in ("label", "group") if c in listed]
    if not what or listed.empty:
        return _nameless(root, name, listed, known)
    told = f"{name} tells a {' and a '.join(what)}, and was not read"
    if "path" not in listed:
        return f'{told}: name the files in a column "path" of it'
    paths = pd.Series(spelled(below(listed, root)["path"].dropna().tolist(), root), dtype="str")
    gone = paths[~paths.isin(known)]
    if len(gone):
        return f"{told}: {len(gone):,} of the {len(paths):,} files that it names are not in the folder ({gone.iloc[0]})"
    return f"{told}: it names {paths[paths.duplicated()].iloc[0]} twice" if paths.duplicated().any() else ""


def _nameless(root: Path, name: str, listed: pd.DataFrame, known: Collection[str]) -> str:
    """What to call the columns of a table that names files of the folder, but none of whose heads is known to be that
    of labels; "" where it names no files.
    """
    if any(_tidy(str(head), root) in known for head in listed.columns):
        return f'{name} has no heads, and was not read: write "path,label" as its first line'
    for column in listed.columns:
        cells = listed[column].dropna()
        if len(cells) and pd.Series(spelled([_tidy(c, root) for c in cells], root)).isin(known).mean() >= NAMES:
            if wrong := manifest.marked(listed.drop(columns=column))[1]:
                return f"{name} was not read: {wrong}"
            others = [str(c) for c in listed.columns if c != column]
            files = "" if column == "path" else f', and call {column} "path"'
            most = ", ".join(others[: manifest.MOST]) + (", ..." if len(others) > manifest.MOST else "")
            told = f"{name} names files, and no column of it is known to hold labels (others: {most})"
            return f'{told}: call the one that does "label"{files}' if others else ""
    return ""


def below(listed: pd.DataFrame, root: Path) -> pd.DataFrame:
    """A table whose paths are those below the folder."""
    return listed.assign(path=[_tidy(p, root) if isinstance(p, str) else p for p in listed["path"]])


def _tidy(path: str, root: Path | None = None) -> str:
    """A path as items are called; a whole one that leads into the folder `root` as it goes on from there."""
    tidy = path.replace("\\", "/").removeprefix("./")
    for base in (root.absolute(), root.resolve()) if root is not None and Path(tidy).is_absolute() else ():
        if Path(tidy).is_relative_to(base):
            return Path(tidy).relative_to(base).as_posix()
    return tidy
