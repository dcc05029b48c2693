"""What a manifest names: items whose files lie beside it, or those of the folder that it lies in."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from unlabeled.data.source import file_of, spelled
from unlabeled.data.table import SPLIT_WORDS, SPLITS, frame
from unlabeled.errors import UserError
from unlabeled.formats import manifest

TOLD = frozenset(("label", "split", "group", "domain"))
ANSWERS = frozenset(("confidence", "abstain", "strangeness"))  # columns of what `predict` wrote, which tells no truths
NAMES = 0.9  # share of a column's cells that must be files of the folder, for it to name them


def of_table(path: Path) -> pd.DataFrame:
    """The items that a table names, each once.

    Raises:
        UserError: when it cannot be read, says two things of one item, or none of its files is there.
    """
    listed = manifest.read(path)
    own = [below(listed, path.parent)["path"], *(listed[c] for c in ("first", "end") if c in listed)]
    twice = pd.concat(own, axis=1).duplicated(keep=False)  # several ranges of one file are several items
    for what in ("label", "split") if twice.any() else ():
        many = listed[what].groupby(own, dropna=False).nunique() if what in listed else pd.Series(dtype=int)
        if (many > 1).any():
            first = many.index[many > 1][0]
            name = first if isinstance(first, str) else first[0]
            raise UserError(f"{path} names {name} with several {what}s", f"give one row and one {what} an item")
    if twice.any():  # what one row does not tell of an item, another may
        listed = listed.groupby([k.rename(f"own{i}") for i, k in enumerate(own)], dropna=False, sort=False).first()
    items = _items(listed, path)
    _there(items, path)
    return items


def of_folder(
    root: Path, names: Sequence[str], known: Collection[str], found: pd.DataFrame
) -> tuple[list[str], pd.DataFrame] | None:
    """The tables in a folder that list its files once each, and the items that they tell; nothing where none does.

    What no table has a column for the folders tell: labels, groups, and which items are for tests.

    Args:
        root: the folder.
        names: of the tables in it.
        known: the folder's files, as paths below it.
        found: the items as the folders tell them.

    Raises:
        UserError: when several list the files, and it cannot be told how they belong together.
    """
    lists = {name: one for name in names if (one := _list(root, name, known)) is not None}
    if not lists:
        return None
    listed = _joined(root, lists)
    items = _by_folders(_items(listed, root / next(iter(lists))), set(listed.columns), found)
    if "split" in listed:
        return [*lists], items
    named = set(items["path"].map(file_of))
    for column in listed.columns.difference(["path", "label", "group", "domain", "split"]):
        # masks and other companions are not items of their own
        named |= set(spelled([_tidy(p, root) for p in listed[column].dropna()], root))
    rest = found[~found["path"].isin(named)]
    kept = rest["split"].isin(("test", "val"))
    alike = set(rest["label"][kept].dropna()) <= set(items["label"].dropna())  # else the table calls classes otherwise
    rest = rest.assign(split=rest["split"].where(kept, "unlabeled"), label=rest["label"].where(kept & alike))
    return [*lists], pd.concat([items, rest.astype(items.dtypes)], ignore_index=True) if len(rest) else items


def _list(root: Path, name: str, known: Collection[str]) -> pd.DataFrame | None:
    """A table as it was read, when it tells something of the folder's files and names each once; else nothing."""
    try:
        listed = below(manifest.read(root / name), root)
    except UserError:
        return None
    columns = set(listed.columns)
    paths = pd.Series(spelled(listed["path"].dropna().tolist(), root), dtype="str")
    twice = paths.duplicated().any() and not {"first", "end"} <= columns
    if columns >= ANSWERS or not columns & TOLD or paths.empty or twice or paths.isin(known).mean() < NAMES:
        return None
    return listed


def _joined(root: Path, lists: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Several lists as one: where their names say of which split each is (train.csv, test.csv) one below the other,
    where each tells something else of the files side by side.

    Raises:
        UserError: when neither can be.
    """
    tables, told = list(lists.values()), [set(one.columns) & TOLD for one in lists.values()]
    words = [[w for w in re.findall("[a-z]+", name.lower()) if w in SPLIT_WORDS] for name in lists]
    paths = pd.concat([one["path"] for one in tables])
    if len(tables) == 1:
        return tables[0]
    if all(len(one) == 1 for one in words) and "split" not in set().union(*told) and not paths.duplicated().any():
        parts = [one.assign(split=split) for one, [split] in zip(tables, words, strict=True)]
        return pd.concat(parts, ignore_index=True)
    if sum(map(len, told)) == len(set().union(*told)) and not any(one["path"].duplicated().any() for one in tables):
        whole = tables[0]
        for one in tables[1:]:
            whole = whole.merge(one[["path", *(c for c in one if c not in whole)]], how="outer", on="path", sort=False)
        return whole
    what = f"{root} holds {len(lists)} lists of its files ({', '.join(lists)})"
    raise UserError(what, "join them into one (path,label,group,domain,split), or give the one that counts")


def _by_folders(items: pd.DataFrame, told: Collection[str], found: pd.DataFrame) -> pd.DataFrame:
    """Items with what no column of their list tells, as their folders do."""
    own = found.set_index("path").reindex([file_of(p) for p in items["path"]]).set_axis(items.index)
    if own["label"].nunique() < 2:  # one folder that holds all is no class
        own["label"] = pd.Series(pd.NA, index=own.index, dtype="str")
    out = items.assign(**{c: own[c].astype("str") for c in ("label", "group") if c not in told})
    pairs = out[["label", "group"]].dropna().drop_duplicates()
    if "label" not in told and len(pairs) > 1 and not any(pairs[c].duplicated().any() for c in pairs):
        out["label"] = items["label"]  # folders of persons are no classes
    if "split" not in told:
        kept = own["split"].isin(("test", "val"))
        learnt = out["label"].notna().map({True: "train", False: "unlabeled"})
        out["split"] = own["split"].where(kept, learnt).astype("str")
    return out


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
