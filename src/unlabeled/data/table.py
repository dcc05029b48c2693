"""The table of items: one row a picture (or recording, record, text), whatever form the data had on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

SPLITS = ("train", "val", "test", "unlabeled")
SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "unlabeled": "unlabeled", "unlabelled": "unlabeled", "unsup": "unlabeled", "unsupervised": "unlabeled",
}  # fmt: skip


@dataclass(frozen=True)
class Broken:
    """A file that could not be used, and why, in words."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Table:
    """All items of a data set, with what is known of each.

    Args:
        root: folder or file that was scanned.
        form: how the data lie on disk, in words: `class folders`, `train and test folders`, `flat folder`, `arrays`.
        modality: `image`, `series`, `text`, ...
        items: one row an item, index 0..n-1, with the columns
            `path` (str, relative to root with forward slashes; `name.npz#17` for row 17 of an array file),
            `label` (str or missing), `group` (str or missing: patient, part, plate),
            `domain` (str or missing: site, device), `split` (`train`, `val`, `test`, `unlabeled`).
        broken: files that were left out, with reasons.
        notes: what else lay there and was left aside, in sentences.
    """

    root: Path
    form: str
    modality: str
    items: pd.DataFrame
    broken: tuple[Broken, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.items)

    @property
    def folder(self) -> Path:
        """The folder that the paths start from: the root, or where the root lies when it is a file."""
        return self.root if self.root.is_dir() else self.root.parent

    @property
    def classes(self) -> list[str]:
        """Names of the classes, sorted; empty when nothing is labelled."""
        return sorted(self.items["label"].dropna().unique().tolist())

    @property
    def labels(self) -> np.ndarray:
        """Class number of each item, shape (N,), int64, -1 where there is no label."""
        codes = pd.Categorical(self.items["label"], categories=self.classes).codes
        return np.asarray(codes, dtype=np.int64)

    def rows(self, *splits: str, labelled: bool | None = None) -> np.ndarray:
        """Row numbers of the items in the given splits (all when none is given), optionally only (un)labelled ones."""
        keep = np.ones(len(self.items), dtype=bool)
        if splits:
            keep &= self.items["split"].isin(splits).to_numpy()
        if labelled is not None:
            keep &= self.items["label"].notna().to_numpy() == labelled
        return np.flatnonzero(keep)

    def places(self, lost: set[str]) -> np.ndarray:
        """Row numbers of the items but for those whose path is lost, (M,) int64."""
        return np.flatnonzero(~self.items["path"].isin(lost).to_numpy())

    def without(self, broken: tuple[Broken, ...]) -> "Table":
        """The same table less the items named in `broken`, which are added to its own list."""
        if not broken:
            return self
        gone = {b.path for b in broken}
        items = self.items[~self.items["path"].isin(gone)].reset_index(drop=True)
        return replace(self, items=items, broken=(*self.broken, *broken))


def complete(windows: Table, of: np.ndarray, table: Table) -> Table:
    """Windows with a row, too, for each item that none was cut from, where it stands among the others.

    What is told of such a table can be laid beside what was given: no item is missing, and their order is kept.

    Args:
        windows: cut from the table, in its order.
        of: (M,) the row number in the table of each one's item.
        table: one row an item.
    """
    lost = np.setdiff1d(np.arange(len(table)), of)
    if not len(lost):
        return windows
    order = np.argsort(np.concatenate([of, lost]), kind="stable")
    both = pd.concat([windows.items, table.items.iloc[lost]], ignore_index=True)
    return replace(windows, items=both.iloc[order].reset_index(drop=True), broken=table.broken)


def starts(first: int, length: int, size: int, stride: int, *, ends: bool) -> list[int]:
    """Where the windows of a part of a recording begin.

    Args:
        first: where the part begins.
        length: of it.
        size: of a window.
        stride: from one window to the next.
        ends: a last one reaches to the end.

    >>> starts(0, 200, 128, 64, ends=False), starts(0, 200, 128, 64, ends=True)
    ([0, 64], [0, 64, 72])
    """
    last = first + max(0, length - size)
    out = list(range(first, last + 1, stride))
    return [*out, last] if ends and out[-1] < last else out


def frame(
    path: Sequence[str],
    split: Sequence[str],
    label: Sequence[str | None] | None = None,
    group: Sequence[str | None] | None = None,
    domain: Sequence[str | None] | None = None,
) -> pd.DataFrame:
    """The items of a table from its columns, each of length N; what is not given is missing.

    >>> frame(["a.png", "b.png"], ["train", "test"], ["cat", None])["label"].isna().tolist()
    [False, True]
    """
    columns = {"path": path, "label": label, "group": group, "domain": domain, "split": split}
    nothing = [None] * len(path)
    return pd.DataFrame({k: pd.Series(nothing if v is None else list(v), dtype="str") for k, v in columns.items()})
