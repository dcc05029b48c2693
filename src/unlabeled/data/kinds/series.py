"""Recordings over time: tables, `.ts` files, arrays; cut into windows of an even grid."""

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from unlabeled.data import recordings, series
from unlabeled.data.kinds import Examined, Kind
from unlabeled.data.naming import mark_names, name_of
from unlabeled.data.series import SeriesPrep
from unlabeled.data.store import Preparation, Store
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, arrays, manifest, recording, steps
from unlabeled.formats.belonging import named
from unlabeled.formats.cells import layout
from unlabeled.formats.record import Recording

TOLD = ("label", "group", "domain")  # that a table of several recordings may tell of each


class Series(Kind):
    """Windows of recordings."""

    what: ClassVar[str] = "recordings"
    arrays: ClassVar[str] = "series"
    shared: ClassVar[frozenset[str]] = recording.SUFFIXES

    def claims(self, path: Path) -> bool:
        """Whether a table holds numbers over time."""
        if path.suffix.lower() in (".npz", ".ts"):
            return path.suffix.lower() == ".ts" or arrays.holds_series(path)
        lists = path.suffix.lower() in manifest.SUFFIXES and named(manifest.WORDS["path"], steps.columns(path))
        return not lists and _over_time(path)

    def items(self, items: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, str]:
        """One row a recording where files hold several; labels, groups and domains that the files tell count where the
        table has none.
        """
        form, ends = "", items["path"].str.extract(r"_(TRAIN|TEST)\.[^.]+$")[0]
        if ends.notna().all():  # the archives' way: Name_TRAIN.ts beside Name_TEST.ts
            items = items.assign(split=ends.map({"TRAIN": "train", "TEST": "test"}).to_numpy())
            form = "train and test files"
            items["label"] = pd.Series(pd.NA, index=items.index, dtype="str")
        rows, names = [], mark_names(folder)
        parts = items["path"].map(series.place)
        for item, (file, key, _, count) in zip(items.to_dict("records"), parts, strict=True):
            if key or count is not None or not (folder / file).is_file():
                rows.append(item)
                continue
            if file.lower().endswith(".npz"):
                rows += _of_arrays(item, folder / file)
                continue
            for path, one in _expanded(file, folder):
                own = {} if one is None else {"label": one.label, "group": one.group, "domain": one.domain}
                if own.get("label") is not None and names is not None:
                    own["label"] = name_of(str(own["label"]), names)
                known = {what: item[what] if isinstance(item[what], str) else own.get(what) for what in TOLD}
                split = item["split"]
                if split == "unlabeled" and known["label"] is not None and not isinstance(item["label"], str):
                    split = "train"
                rows.append(item | {"path": path, "split": split} | known)
        return frame(*([r[c] for r in rows] for c in ("path", "split", "label", "group", "domain"))), form

    def read(self, values: Mapping[str, Any]) -> Preparation:
        """How recordings are brought to one shape."""
        return SeriesPrep(**values)

    def ready(self, table: Table, size: int, stride: int, step: float) -> tuple[Table, Preparation, int]:
        """Windows, how they are stored, and their steps."""
        windows, made = series.ready(table, size, stride, step)
        return windows, made, made.size

    def again(self, table: Table, prep: Preparation, stride: int = 0, *, keep: bool = False) -> Table:
        """The windows that an earlier run has cut."""
        if not isinstance(prep, SeriesPrep):
            raise TypeError(f"recordings cannot be cut as {prep.what} are")
        return series.again(table, prep, stride, keep=keep)

    def measure(self, store: Store, rows: np.ndarray, prep: Preparation) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel; -1 where no row that may be learnt from holds a value."""
        mean, std = store.statistics(rows)
        empty = [c for c in range(1, store.shape[0]) if mean[c] == std[c] == 0]
        never = {c for c in empty if not any(np.isfinite(store.array[row, c]).any() for row in rows.tolist())}
        return mean, tuple(-1.0 if c in never else s for c, s in enumerate(std))

    def encoder(self, prep: Preparation) -> str:
        """A recurrent network where values are missing: on records of patients convolutions are far behind it."""
        return "gru" if isinstance(prep, SeriesPrep) and prep.missing else ""

    def examine(self, table: Table, store: Store | None) -> Examined:
        """Gaps, constant variables, odd lengths, times out of order, copies."""
        return recordings.examine(table, store)


def _of_arrays(item: dict[Hashable, Any], file: Path) -> list[dict[Hashable, Any]]:
    """Every recording of an array file with what its arrays tell of it; a file that cannot be read stays one item, so
    that it is told as broken later.
    """
    try:
        told = arrays.index(file)
    except UserError:
        return [item]
    out = []
    for i, split in enumerate(told["split"]):
        known = {what: item[what] if isinstance(item[what], str) else told[what][i] for what in TOLD}
        own = item["split"] if item["split"] in ("val", "test") else split
        own = "train" if own == "unlabeled" and isinstance(known["label"], str) else own
        out.append(item | known | {"path": f"{item['path']}#{i}", "split": own})
    return out


def _expanded(path: str, folder: Path) -> Iterator[tuple[str, Recording | None]]:
    """Every recording of a file as path and what it tells of itself: `file#key` where the file holds several; of one
    alone nothing.

    A file that cannot be read stays one item, so that it is told as broken later, and so does a recording of a file.
    """
    file = folder / path
    try:
        several = file.suffix.lower() in (".ts", ".npz") or named(steps.WORDS["id"], steps.columns(file))
        found = recording.read(file) if several else None
    except Unreadable:
        found = None
    if found is None or list(found) == [""]:
        yield path, None
    else:
        yield from ((f"{path}#{key}", one) for key, one in found.items())


def _over_time(path: Path) -> bool:
    """Whether a table looks like numbers over time: most cells of its second line are numbers or times."""
    names = steps.columns(path)
    if path.suffix.lower() not in (".parquet", ".pq") and (len(names) < 2 or _prose(path)):
        return False
    if path.suffix.lower() in (".parquet", ".pq"):
        return bool(set(steps.WORDS["time"]) & set(names)) or _numeric(path)
    if set(steps.WORDS["time"]) & set(names):
        return True
    cells = _second(path)
    numbers = sum(c.lstrip("-").replace(",", ".").replace(".", "", 1).replace("e-", "").isdigit() for c in cells)
    return len(names) > 2 and numbers >= 0.5 * max(1, len(cells)) and not {"id", "recordid"} & set(names[:1])


def _second(path: Path) -> tuple[str, ...]:
    """The cells of the second line; none where there is no such line."""
    try:
        return layout(path).second
    except (OSError, ValueError):
        return ()


def _prose(path: Path) -> bool:
    """Whether a cell of the second line is a sentence: six words or more."""
    return any(cell.count(" ") >= 5 and any(c.isalpha() for c in cell) for cell in _second(path))


def _numeric(path: Path) -> bool:
    """Whether at least half of a Parquet table's columns hold numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        kinds = pq.read_schema(path).types
    except (OSError, ValueError):
        return False
    return bool(sum(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds) >= 0.5 * len(kinds))
