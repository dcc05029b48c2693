"""Find out how a data set lies on disk, from what is there: names are read, no picture is opened.

Known forms: class folders; train and test folders (also val and unlabeled) of class folders; a flat folder; labelled
and unlabelled items side by side; a manifest (CSV, TSV, Parquet), given or found in the folder; arrays in `.npz`.
What a file is its suffix tells, or, where several kinds of items share that, a look into it (`data/kinds/`).
"""

import os
import unicodedata
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from unlabeled.data import listed, owners
from unlabeled.data.kinds import kind, kind_of, kinds
from unlabeled.data.source import file_of
from unlabeled.data.table import SPLIT_WORDS, SPLITS, Table, frame
from unlabeled.errors import UserError
from unlabeled.formats import arrays, cells, manifest, npz, text

PLAIN_WORDS = frozenset(
    ("images", "imgs", "img", "image", "pictures", "photos", "data", "frames", "jpg", "jpeg", "png")
)
NOTHING = "files without a suffix"
BARE = "DICOM files without a suffix"
VOLUMES = (".nii.gz", ".nii", ".dcm", ".dicom", ".ima", ".mha", ".mhd", ".nrrd", ".mgz", ".mgh", BARE)
SLICES = (
    "volumes and DICOM are not read: save their slices as PNG or TIFF of 16 bits, and name them in a table "
    "(path,label,group) whose group is the patient"
)
REMEDIES = {  # of files that hold items, but not as they are
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".sav", ".dta", ".sas7bdat", ".rds"), "save it as CSV or Parquet"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zip", ".7z"), "unpack it first"),
    **dict.fromkeys(VOLUMES, SLICES),
    ".json": 'give a list of rows in it, such as [{"text": ..., "label": ...}, ...]',
    ".npy": "put all of them into one .npz file as x (N, H, W), with y and groups where known",
}
FEW = 10  # times that there are more files of shared suffixes before they are looked into
LOOKED_INTO = 16  # files in folders whose first lines say which kind such files are of


@dataclass
class _Tree:
    """Items by folder, relative to the root: `{"train/cat": ["1.png", ...]}`; and what else was seen."""

    folders: dict[str, list[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.folders.values()))


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
    suffix = _suffix(path.name)
    modality = kind_of(path)
    if suffix == ".npz":
        modality = modality or "image"
        known = (arrays if modality == "series" else npz).index(path)
        names = [f"{path.name}#{i}" for i in range(len(known["split"]))]
        splits = [s or "unlabeled" for s in known["split"]]
        return Table(path, "arrays", modality, frame(names, splits, known["label"], known["group"], known["domain"]))
    if modality:
        items, _ = kind(modality).items(frame([path.name], ["unlabeled"]), path.parent)
        form = "one file" if [path.name] == items["path"].tolist() else f"one file of {kind(modality).what}"
        return Table(path, form, modality, items, notes=_encoded(modality, path.parent, [path.name], items))
    if suffix in manifest.SUFFIXES:
        items = listed.of_table(path)
        _refuse(items, path)
        modality = _modality_of(items, path.parent)
        items, _ = kind(modality).items(items, path.parent)
        return Table(path, "manifest", modality, items, notes=_of_list(path, items))
    raise UserError(
        f"cannot scan {path}: it is neither an item that is known, nor a manifest or .npz file",
        REMEDIES.get(suffix or _bare(path), "give the folder of the items"),
    )


def _suffix(name: str) -> str:
    """What a file's name ends in, in lower case, or ""; of packed volumes both ends, and no number, as UIDs end in."""
    low = name.lower()
    dot = low.rfind(".")
    if dot <= 0 or low[dot + 1 :].isdecimal():
        return ""
    return ".nii.gz" if low.endswith(".nii.gz") else low[dot:]


def _bare(path: str | Path) -> str:
    """What a file is whose name ends in nothing that tells it."""
    with suppress(OSError), Path(path).open("rb") as file:
        return BARE if file.read(132)[128:] == b"DICM" else NOTHING
    return NOTHING


def _refuse(items: pd.DataFrame, path: Path) -> None:
    """Refuse a list whose files are all of kinds that hold items, but not as they are."""
    found = Counter(map(_suffix, items["path"].unique()))
    if found.keys() <= REMEDIES.keys() - text.SUFFIXES:
        first = items["path"].iloc[0]
        raise UserError(f"{path} names files that cannot be read as they are ({first})", REMEDIES[_suffix(first)])


def _modality_of(items: pd.DataFrame, folder: Path) -> str:
    """What most of the files are that a manifest names; pictures where that cannot be told."""
    files = items["path"].drop_duplicates()
    some = files.iloc[:: max(1, len(files) // LOOKED_INTO)].map(file_of)
    found = Counter(m for m in (_known(folder / f) for f in some) if m)
    return found.most_common(1)[0][0] if found else "image"


def _known(path: Path) -> str | None:
    try:
        return kind_of(path)
    except UserError:
        return None


def _folder(root: Path) -> Table:
    trees = _walk(root)
    shared = trees.pop("")
    named = {m: t for m, t in trees.items() if len(t)}
    if not named and len(shared) == 1 and (alone := shared.folders.get("", [""])[0]).lower().endswith(".npz"):
        return _file(root / alone)
    if len(shared) > FEW * sum(map(len, named.values())):
        named |= _looked_into(root, shared)
    if not named:
        seen = ", ".join(f"{n:,} {kind}" for kind, n in shared.others.most_common(3)) or "nothing"
        wanted = ", ".join(k.what for k in kinds().values())
        raise UserError(
            f"there are no items in {root} (known: {wanted}; found: {seen})",
            next(
                (REMEDIES[s] for s, _ in shared.others.most_common() if s in REMEDIES),
                "give the folder that holds the items",
            ),
        )
    modality = max(named, key=lambda m: len(named[m]))
    tree = named[modality]
    tree.tables = [t for t in shared.tables if t not in tree.folders.get("", [])]
    tree.others = shared.others + Counter(
        Path(n).suffix.lower() for m, t in named.items() if m != modality for names in t.folders.values() for n in names
    )
    return _table(root, modality, tree)


def _looked_into(root: Path, shared: _Tree) -> dict[str, _Tree]:
    """Files with suffixes that several kinds share: loose ones one by one, those in folders by a few of them."""
    votes: dict[str, Counter[str]] = {}
    inner = [f"{folder}/{name}" for folder, names in shared.folders.items() if folder for name in names]
    for name in inner[:: max(1, len(inner) // LOOKED_INTO)]:
        votes.setdefault(Path(name).suffix.lower(), Counter())[_known(root / name) or ""] += 1
    told = {suffix: found.most_common(1)[0][0] for suffix, found in votes.items()}
    out: dict[str, _Tree] = {}
    for folder, names in shared.folders.items():
        for name in names:
            found = told.get(Path(name).suffix.lower(), "") if folder else _known(root / name)
            if found:
                out.setdefault(found, _Tree()).folders.setdefault(folder, []).append(name)
    for tree in out.values():
        shared.others.subtract(Path(n).suffix.lower() for names in tree.folders.values() for n in names)
    shared.others = +shared.others
    for tree in out.values():
        for name in tree.folders.get("", []):
            if name in shared.tables:
                shared.tables.remove(name)
    return out


def _table(root: Path, modality: str, tree: _Tree) -> Table:
    own = kind(modality)
    files = {f"{folder}/{n}" if folder else n for folder, names in tree.folders.items() for n in names}
    form, found, skipped = _shape(tree, own.what)
    found = owners.by_folders(found)
    if listing := listed.of_folder(root, tree.tables, files, found):
        lists, named = listing
        tree.others = +(tree.others - Counter(Path(name).suffix.lower() for name in lists))  # these were not left aside
        items, _ = own.items(named, root)
        notes = [note for name in lists for note in _of_list(root / name, named)]
        form = f"manifest {' and '.join(lists)}"
        return Table(root, form, modality, items, notes=(*notes, *_notes(tree, len(named))))
    for name in tree.tables if own.own else ():  # files with a suffix of their own are no tables
        keyed = owners.keyed(root, name, found)
        if keyed is not None:
            found, form = keyed, f"folders, and {name} by their names"
            tree.others = +(tree.others - Counter([Path(name).suffix.lower()]))
            break
        skipped += filter(None, [listed.aside(root, name, files)])
    items, told = own.items(found, root)
    read_as = _encoded(modality, root, found["path"].tolist(), items)
    return Table(root, told or form, modality, items, notes=(*skipped, *read_as, *_notes(tree, None)))


def _of_list(path: Path, items: pd.DataFrame) -> tuple[str, ...]:
    """How a manifest was read, and what it may have meant, where neither is a matter of course."""
    unlabelled = items["label"].isna().all()
    return tuple(filter(None, (cells.note(path), manifest.unnamed(path) if unlabelled else manifest.as_classes(path))))


def _encoded(modality: str, root: Path, names: list[str], items: pd.DataFrame) -> tuple[str, ...]:
    """How tables of texts were read, and what they may have meant, where neither is a matter of course; recordings tell
    it themselves.
    """
    unlabelled = items["label"].isna().all() and items["group"].isna().any()  # texts of pairs are groups
    tables = [n for n in names if n.lower().endswith((".csv", ".tsv"))] if modality == "text" else []
    bare = [note for name in tables if (note := text.note(root / name))]
    hints = (manifest.unnamed(root / name, text.NAMES) for name in tables[:1] if unlabelled and not bare)
    return tuple(filter(None, (*(cells.note(root / name) for name in tables), *bare, *hints)))


def _walk(root: Path) -> dict[str, _Tree]:
    """All files below a folder by their modality, sorted, those with shared suffixes under ""; links are followed once,
    hidden folders are not.
    """
    mine = {suffix: name for name, each in kinds().items() for suffix in each.own}
    shared = frozenset().union(*(each.shared for each in kinds().values()))
    trees = {name: _Tree() for name in ("", *kinds())}
    rest = trees[""]
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
        names: dict[str, list[str]] = {}
        others, bare = Counter[str](), list[str]()
        for entry in found:
            name = entry.name
            if name[0] in "._" and (name[0] == "." or name == "__MACOSX"):
                continue
            if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
                rest.others["whose names are no UTF-8"] += 1
                continue
            dot = name.rfind(".")
            suffix = name[dot:].lower() if dot > 0 else ""
            if suffix in mine and not _is_folder(entry):
                names.setdefault(mine[suffix], []).append(name)
            elif suffix in shared and not _is_folder(entry):
                names.setdefault("", []).append(name)
                rest.others[suffix] += 1
                if not relative and suffix in manifest.SUFFIXES:
                    rest.tables.append(name)
            elif _is_folder(entry):
                open_folders.append((f"{relative}/{name}" if relative else name, entry.path))
            else:
                others[_suffix(name) or NOTHING] += 1
                if len(bare) < FEW and not _suffix(name):
                    bare.append(entry.path)
        if any(_bare(file) == BARE for file in bare):
            others[BARE] = others.pop(NOTHING)
        rest.others += others
        for modality, some in names.items():
            trees[modality].folders[relative] = sorted(some)
    for tree in trees.values():
        tree.folders = dict(sorted(tree.folders.items()))
    rest.tables.sort()
    return trees


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or through a folder that is closed
        return False


def _notes(tree: _Tree, named: int | None) -> tuple[str, ...]:
    notes = []
    total = sum(map(len, tree.folders.values()))
    if named is not None and named < total:
        notes.append(f"{total - named:,} of {total:,} items in the folder are not in the manifest and were left aside")
    if tree.others:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in tree.others.most_common(4))
        notes.append(f"other files were left aside: {kinds}")
        if tree.others.keys() & set(VOLUMES):
            notes.append(SLICES)
    return tuple(notes)


def _shape(tree: _Tree, what: str) -> tuple[str, pd.DataFrame, list[str]]:
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
        label = unicodedata.normalize("NFC", label) if label else label  # Macs write ä as two letters
        prefix = f"{folder}/" if folder else ""
        paths += [prefix + name for name in names]
        labels += [label] * len(names)
        splits += [split or "unlabeled"] * len(names)
    if with_splits and len(only := {label for label in labels if label}) == 1 and only.pop().lower() in PLAIN_WORDS:
        labels = [None] * len(labels)  # train/images, test/images
        splits = ["unlabeled" if split == "train" else split for split in splits]
    notes = [f"the {n:,} {what} in {name}/ beside the splits were left aside" for name, n in skipped.items()]
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


def _beside(table: Table, other: Path) -> Table:
    """Add the items of another folder as unlabelled ones; a picture that lies in both is taken once."""
    more = scan(other)
    if more.modality != table.modality:
        found, wanted = kind(more.modality).what, kind(table.modality).what
        raise UserError(f"{other} holds {found}, and {table.root} {wanted}", f"give --unlabeled a folder of {wanted}")
    here, there = table.folder.resolve(), more.folder.resolve()
    items = table.items
    if there.is_relative_to(here):
        prefix = "" if there == here else there.relative_to(here).as_posix() + "/"
        items = items[~(items["path"].str.startswith(prefix) & (items["split"] != "test"))] if prefix else items
    mine = {str(here / p) for p in items["path"]}
    paths = [str(there / p) for p in more.items["path"]]
    new = more.items.assign(path=paths, label=None, split="unlabeled")[[p not in mine for p in paths]]
    both = pd.concat([items, new.astype(items.dtypes)], ignore_index=True)
    notes = (*table.notes, *more.notes)
    return Table(table.root, f"{table.form}, and unlabelled from {other}", table.modality, both, table.broken, notes)
