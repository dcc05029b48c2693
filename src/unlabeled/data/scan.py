"""Find out how a data set lies on disk, from what is there: names are read, no picture is opened.

Known forms: class folders; train and test folders (also val and unlabeled) of class folders; a flat folder; labelled
and unlabelled items side by side; a manifest (CSV, TSV, Parquet), given or found in the folder; arrays in `.npz`.
Where there are no pictures, `.ts` files and tables over time are recordings.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from unlabeled.data import series
from unlabeled.data.table import SPLITS, Table, frame
from unlabeled.errors import UserError
from unlabeled.formats import arrays, manifest, npz, picture, recording, steps

SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "unlabeled": "unlabeled", "unlabelled": "unlabeled", "unsup": "unlabeled", "unsupervised": "unlabeled",
}  # fmt: skip
PLAIN_WORDS = frozenset(
    ("images", "imgs", "img", "image", "pictures", "photos", "data", "frames", "jpg", "jpeg", "png")
)


@dataclass
class _Tree:
    """Items by folder, relative to the root: `{"train/cat": ["1.png", ...]}`; and what else was seen."""

    folders: dict[str, list[str]] = field(default_factory=dict)
    recordings: dict[str, list[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)

    @property
    def tops(self) -> list[str]:
        return sorted({folder.split("/")[0] for folder in self.folders if folder})


def scan(path: str | Path, *, unlabeled: str | Path | None = None) -> Table:
    """Index a data set: one row a picture, with its label, group, domain and split as far as they are there.

    Without a test split the labelled items are all `train` and the others `unlabeled`; `splits.holdout` takes a test
    split from the first. A manifest inside the folder that has no `split` column tells labels only: pictures that it
    does not name are unlabelled. With a `split` column, and when it is given itself, it is the whole list.

    Args:
        path: a folder, a manifest, an `.npz` file, or one picture.
        unlabeled: another folder (or file) whose items are added without labels, to learn from.

    Raises:
        UserError: when there is nothing, or nothing that can be understood.
    """
    root = Path(path)
    if not root.exists():
        raise UserError(f"cannot scan {root}: there is no such file or folder", "check the path")
    table = _folder(root) if root.is_dir() else _file(root)
    return table if unlabeled is None else _beside(table, Path(unlabeled))


def _file(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix == ".npz" and arrays.holds_series(path):
        known = arrays.index(path)
        names = [f"{path.name}#{i}" for i in range(len(known["split"]))]
        splits = [s or "unlabeled" for s in known["split"]]
        return Table(path, "arrays", "series", frame(names, splits, known["label"], known["group"], known["domain"]))
    if suffix == ".npz":
        known = npz.index(path)
        names = [f"{path.name}#{i}" for i in range(len(known["split"]))]
        splits = [s or "unlabeled" for s in known["split"]]
        return Table(path, "arrays", "image", frame(names, splits, known["label"], known["group"], known["domain"]))
    lists = bool(set(manifest.WORDS["path"]) & set(steps.columns(path))) if suffix in manifest.SUFFIXES else False
    if suffix in recording.SUFFIXES and not lists and (suffix == ".ts" or _over_time(path)):
        return Table(
            path, "one file of recordings", "series", _expanded(frame([path.name], ["unlabeled"]), path.parent)
        )
    if suffix in manifest.SUFFIXES:
        items = _listed(manifest.read(path), path)
        if not _are_recordings(items):
            return Table(path, "manifest", "image", items)
        return Table(path, "manifest", "series", _expanded(items, path.parent))
    if suffix in picture.SUFFIXES:
        return Table(path, "one picture", "image", frame([path.name], ["unlabeled"]))
    raise UserError(
        f"cannot scan {path}: it is neither picture, recording, manifest nor .npz file", "give the folder of the items"
    )


def _folder(root: Path) -> Table:
    tree = _walk(root)
    if not tree.folders:
        files = sorted(root.glob("*.npz"))
        if len(files) == 1:
            return _file(files[0])
        if tree.recordings:
            return _of_recordings(root, tree)
        seen = ", ".join(f"{n:,} {kind}" for kind, n in tree.others.most_common(3)) or "nothing"
        raise UserError(
            f"there are no pictures or recordings in {root} (found: {seen})", "give the folder that holds the items"
        )
    for name in tree.tables:
        items = _own_manifest(root, name, tree)
        if items is not None:
            return Table(root, f"manifest {name}", "image", items, notes=_notes(tree, len(items)))
    form, items, skipped = _shape(tree)
    return Table(root, form, "image", items, notes=(*skipped, *_notes(tree, None)))


def _of_recordings(root: Path, tree: _Tree) -> Table:
    """Recordings in folders; what lists them, or names numbers, is not one of them."""
    lists = [
        n for n in tree.tables if set(manifest.WORDS["path"]) & set(steps.columns(root / n)) or not _over_time(root / n)
    ]
    files = {f: [n for n in names if f or n not in lists] for f, names in tree.recordings.items()}
    mine = _Tree({f: names for f, names in files.items() if names}, others=tree.others)
    if not mine.folders:
        raise UserError(f"there are no recordings in {root}", "give the folder that holds the recordings")
    mine.others = Counter(
        {k: n - sum(x.endswith(k) for names in mine.folders.values() for x in names) for k, n in tree.others.items()}
    )
    mine.others = +mine.others
    for name in lists:
        items = _own_manifest(root, name, mine)
        if items is not None:
            return Table(root, f"manifest {name}", "series", _expanded(items, root), notes=_notes(mine, len(items)))
    form, items, skipped = _shape(mine)
    ends = items["path"].str.extract(r"_(TRAIN|TEST)\.[^.]+$")[0]
    if ends.notna().all():  # the archives' way: Name_TRAIN.ts beside Name_TEST.ts
        items = items.assign(split=ends.map({"TRAIN": "train", "TEST": "test"}).to_numpy())
        form = "train and test files"
        items["label"] = pd.Series(pd.NA, index=items.index, dtype="str")
    return Table(root, form, "series", _expanded(items, root), notes=(*skipped, *_notes(mine, None)))


def _expanded(items: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """One row a recording where files hold several; labels that the files tell count where the table has none."""
    rows = []
    parts = items["path"].map(series.place)
    for item, (file, key, _, count) in zip(items.to_dict("records"), parts, strict=True):
        if key or count is not None or not (folder / file).is_file():
            rows.append(item)
            continue
        for path, label in series.expand([file], folder):
            known = item["label"] if isinstance(item["label"], str) else label
            split = item["split"]
            if split == "unlabeled" and known is not None and not isinstance(item["label"], str):
                split = "train"
            rows.append(item | {"path": path, "label": known, "split": split})
    return frame(*([r[c] for r in rows] for c in ("path", "split", "label", "group", "domain")))


def _are_recordings(items: pd.DataFrame) -> bool:
    return bool(items["path"].map(lambda p: Path(series.place(p)[0]).suffix.lower() in recording.SUFFIXES).mean() > 0.5)


def _over_time(path: Path) -> bool:
    """Whether a table looks like numbers over time: most cells of its second line are numbers or times."""
    names = steps.columns(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return bool(set(steps.WORDS["time"]) & set(names)) or not set(manifest.WORDS["path"]) & set(names)
    if set(steps.WORDS["time"]) & set(names):
        return True
    try:
        with path.open("rb") as file:
            file.readline(1 << 20)
            cells = file.readline(1 << 20).decode("utf-8", "replace").replace("\t", ",").strip().split(",")
    except OSError:
        return False
    numbers = sum(c.strip().lstrip("-").replace(".", "", 1).replace("e-", "").isdigit() for c in cells)
    return len(names) > 2 and numbers >= 0.5 * len(cells) and not {"id", "recordid"} & set(names[:1])


def _walk(root: Path) -> _Tree:
    """All pictures below a folder, sorted; links are followed once, hidden folders are not."""
    tree = _Tree()
    open_folders = [("", str(root))]
    seen: set[tuple[int, int]] = set()
    while open_folders:
        relative, folder = open_folders.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116 (a Path for each of a million files costs seconds)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError as fault:
            raise UserError(f"cannot look into {folder}: {fault.strerror}", "check its permissions") from None
        names, tables = [], []
        for entry in found:
            name = entry.name
            if name[0] in "._" and (name[0] == "." or name == "__MACOSX"):
                continue
            dot = name.rfind(".")
            suffix = name[dot:].lower() if dot > 0 else ""
            if suffix in picture.SUFFIXES:
                names.append(name)
            elif suffix in recording.SUFFIXES and not entry.is_dir():
                tables.append(name)
                tree.others[suffix] += 1
                if not relative and suffix in manifest.SUFFIXES:
                    tree.tables.append(name)
            elif entry.is_dir():
                open_folders.append((f"{relative}/{name}" if relative else name, entry.path))
            else:
                tree.others[suffix or "files without a suffix"] += 1
        if names:
            tree.folders[relative] = sorted(names)
        if tables:
            tree.recordings[relative] = sorted(tables)
    tree.folders = dict(sorted(tree.folders.items()))
    tree.recordings = dict(sorted(tree.recordings.items()))
    tree.tables.sort()
    return tree


def _notes(tree: _Tree, listed: int | None) -> tuple[str, ...]:
    notes = []
    total = sum(map(len, tree.folders.values()))
    if listed is not None and listed < total:
        notes.append(f"{total - listed:,} of {total:,} items in the folder are not in the manifest and were left aside")
    if tree.others:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in tree.others.most_common(4))
        notes.append(f"other files were left aside: {kinds}")
    return tuple(notes)


def _shape(tree: _Tree) -> tuple[str, pd.DataFrame, list[str]]:
    """Decide between split folders, class folders and a flat folder."""
    depth = 0  # folders that wrap all others are stepped into
    while True:
        below = {f.split("/")[depth] for f in tree.folders if f.count("/") >= depth and f}
        loose = any(not f or f.count("/") < depth for f in tree.folders)
        wraps = len(below) == 1 and not loose and all(f.count("/") > depth for f in tree.folders)
        if not wraps or next(iter(below)).lower() in SPLIT_WORDS:
            break
        depth += 1
    parted = {SPLIT_WORDS[b.lower()] for b in below if b.lower() in SPLIT_WORDS}
    with_splits = bool(parted & {"train", "test"})
    plain = len(below) == 1 and not loose and next(iter(below)).lower() in PLAIN_WORDS
    paths: list[str] = []
    labels: list[str | None] = []
    splits: list[str] = []
    skipped: Counter[str] = Counter()
    inner: dict[str, set[str]] = {}
    for folder, names in tree.folders.items():
        parts = folder.split("/")[depth:] if folder else []
        split = SPLIT_WORDS.get(parts[0].lower()) if parts else None
        if with_splits:
            if parts and split is None:
                skipped[parts[0]] += len(names)
                continue
            label = parts[1] if len(parts) > 1 and split != "unlabeled" else None
            if label is None and split in (None, "train"):
                split = "unlabeled"
        else:
            label = None if not parts or split == "unlabeled" or plain else parts[0]
            split = "unlabeled" if label is None else "train"
            if label is not None:
                inner.setdefault(label, set()).add("/".join(parts[1:2]))
        prefix = f"{folder}/" if folder else ""
        paths += [prefix + name for name in names]
        labels += [label] * len(names)
        splits += [split or "unlabeled"] * len(names)
    notes = [f"the {n:,} pictures in {name}/ beside the splits were left aside" for name, n in skipped.items()]
    common = set.intersection(*inner.values()) if len(inner) > 1 else set()
    if len(common) > 1:
        some = ", ".join(sorted(common)[:3])
        notes.append(
            f"every class folder has the folders {some}: if those are the classes, give a manifest with path and label"
        )
    return _form(with_splits, labels, splits), frame(paths, splits, labels), notes


def _form(with_splits: bool, labels: list[str | None], splits: list[str]) -> str:
    present = set(splits)
    if with_splits:
        *most, last = [s for s in SPLITS if s in present]
        return f"{', '.join(most)} and {last} folders" if most else f"{last} folder"
    if all(label is None for label in labels):
        return "flat folder"
    return "class folders and unlabelled pictures" if "unlabeled" in present else "class folders"


def _own_manifest(root: Path, name: str, tree: _Tree) -> pd.DataFrame | None:
    """The items of a table that lies in the folder, when it lists the folder's pictures once each; else nothing."""
    try:
        listed = manifest.read(root / name)
    except UserError:
        return None
    known = {f"{folder}/{n}" if folder else n for folder, names in tree.folders.items() for n in names}
    told = {"label", "split", "group", "domain"} & set(listed.columns)
    paths = listed["path"].dropna().map(_tidy)
    twice = paths.duplicated().any() and not {"first", "end"} <= set(listed.columns)
    if not told or paths.empty or twice or paths.isin(known).mean() < 0.9:
        return None
    items = _items(listed, root / name)
    if "split" in listed:
        return items
    named = set(items["path"])
    for column in listed.columns.difference(["path", "label", "group", "domain", "split"]):
        named |= set(listed[column].dropna().map(_tidy))  # masks and other companions are not items of their own
    rest = sorted(known - named)
    return pd.concat([items, frame(rest, ["unlabeled"] * len(rest))], ignore_index=True) if rest else items


def _listed(listed: pd.DataFrame, path: Path) -> pd.DataFrame:
    twice = listed[listed["path"].duplicated(keep=False)]
    if "label" in twice and (twice.groupby("path")["label"].nunique() > 1).any():
        first = twice["path"].iloc[0]
        raise UserError(f"{path} names {first} with several labels", "give one row and one label a picture")
    return _items(listed.drop_duplicates("path"), path)


def _items(listed: pd.DataFrame, path: Path) -> pd.DataFrame:
    listed = listed[listed["path"].notna()]
    if listed.empty:
        raise UserError(f"{path} names no files", 'fill its column "path"')
    columns = {
        c: listed[c].tolist() if c in listed else [None] * len(listed) for c in ("label", "group", "domain", "split")
    }
    splits = []
    for given, label in zip(columns["split"], columns["label"], strict=True):
        if isinstance(given, str):
            split = SPLIT_WORDS.get(given.strip().lower())
            if split is None:
                raise UserError(
                    f'{path} has the split "{given}"', f"take one of {', '.join(SPLITS)}, or leave it empty"
                )
        else:
            split = "train"
        splits.append("unlabeled" if split == "train" and not isinstance(label, str) else split)
    paths = [_tidy(p) for p in listed["path"]]
    if {"first", "end"} <= set(listed.columns):
        ends = zip(paths, listed["first"], listed["end"], strict=True)
        try:
            paths = [
                f"{p}@{int(a)}+{int(b) - int(a)}" if isinstance(a, str) and isinstance(b, str) else p
                for p, a, b in ends
            ]
        except ValueError:
            raise UserError(f"{path} has ranges that are no whole numbers", "give rows counted from 0") from None
    return frame(paths, splits, columns["label"], columns["group"], columns["domain"])


def _tidy(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./")


def _beside(table: Table, other: Path) -> Table:
    """Add the items of another folder as unlabelled ones; a picture that lies in both is taken once."""
    more = scan(other)
    here, there = table.folder.resolve(), more.folder.resolve()
    items = table.items
    if there.is_relative_to(here):
        prefix = "" if there == here else there.relative_to(here).as_posix() + "/"
        items = items[~(items["path"].str.startswith(prefix) & (items["split"] != "test"))] if prefix else items
    mine = {str(here / p) for p in items["path"]}
    added = [p for p in (str(there / p) for p in more.items["path"]) if p not in mine]
    both = pd.concat([items, frame(added, ["unlabeled"] * len(added))], ignore_index=True)
    notes = (*table.notes, *more.notes)
    return Table(table.root, f"{table.form}, and unlabelled from {other}", table.modality, both, table.broken, notes)
