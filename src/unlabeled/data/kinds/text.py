"""Texts: plain files, or rows of tables with a column of text; long unlabelled ones are cut into windows."""

import copy
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from unlabeled.data import documents, texts
from unlabeled.data.kinds import Examined, Kind
from unlabeled.data.store import Preparation, Store
from unlabeled.data.table import SPLIT_WORDS, SPLITS, Table, frame
from unlabeled.data.texts import TextPrep
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, text

MOSTLY = 0.5  # share of the plain files without a split in their names from which on such a word is one of a title


class Text(Kind):
    """Documents, or windows of long ones."""

    what: ClassVar[str] = "texts"
    shared: ClassVar[frozenset[str]] = text.SUFFIXES
    learns: ClassVar[bool] = True
    words: ClassVar[bool] = True
    first: ClassVar[tuple[str, ...]] = ("mlm", "simcse")
    tokenizer: str = "uncased"

    def told(self, tokenizer: str) -> Self:
        """The same with a tokenizer of the user's choice."""
        other = copy.copy(self)
        other.tokenizer = tokenizer
        return other

    def claims(self, path: Path) -> bool:
        """Whether a file holds text, or is a table with a column of it."""
        return text.holds_text(path)

    def items(self, items: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, str]:
        """One row a document: rows of tables, and lines of plain files that are lists; labels and splits that a table,
        or a file's name, tells count where the folders tell none.

        Raises:
            UserError: when a column tells splits, and words that are none.
        """
        ends = items["path"].map(_split_of)
        plain = items["path"].map(lambda path: Path(texts.place(path)[0]).suffix.lower() in text.PLAIN).astype(bool)
        titles = bool(ends[plain].isna().mean() > MOSTLY)  # test-of-courage.txt is a title
        rows, named = [], set(ends[~plain] if titles else ends)
        for item in items.astype(object).where(items.notna(), None).to_dict("records"):
            file, key, _, count = texts.place(item["path"])
            suffix = Path(file).suffix.lower()
            split = None if titles and suffix in text.PLAIN else _split_of(file)
            item["split"] = split if split and item["split"] in ("train", "unlabeled") else item["split"]
            listed = suffix in text.PLAIN and item["label"] is None and (len(items) == 1 or split is not None)
            several = suffix in text.TABLES or (listed and text.lists(folder / file))
            if key or count is not None or not several:
                rows.append(item | {"split": _usual(item["split"], item["label"])})
                continue
            try:
                found = text.rows(folder / file)
            except Unreadable:  # stays an item, so that it is told as broken
                rows.append(item | {"split": "unlabeled"})
                continue
            _check(file, {one.split.strip() for one in found.values() if one.split})
            for number, one in found.items():
                own: dict[Hashable, Any] = {"label": item["label"] or one.label, "group": item["group"] or one.group}
                own |= {"path": f"{item['path']}#{number}", "domain": item["domain"] or one.domain}
                told = SPLIT_WORDS.get((one.split or "").strip().lower(), item["split"])
                rows.append(own | {"split": _usual(told, own["label"])})
        form = "train and test files" if {"train", "test"} <= named else ""
        return frame(*([r[c] for r in rows] for c in ("path", "split", "label", "group", "domain"))), form

    def read(self, values: Mapping[str, Any]) -> Preparation:
        """How texts are brought to one shape."""
        return TextPrep(**values)

    def ready(self, table: Table, size: int, stride: int, step: float) -> tuple[Table, Preparation, int]:
        """Documents and windows, how they are stored, and their tokens."""
        items, made = texts.ready(table, size, self.tokenizer)
        return items, made, made.size

    def again(self, table: Table, prep: Preparation, stride: int = 0, *, keep: bool = False) -> Table:
        """The windows that an earlier run would have cut; with `keep` whole documents, of which a model reads as much
        as of the labelled ones that it was made with: an answer a document.
        """
        if not isinstance(prep, TextPrep):
            raise TypeError(f"texts cannot be cut as {prep.what} are")
        return table if keep else texts.again(table, prep)

    def examine(self, table: Table, store: Store | None) -> Examined:
        """Copies and near copies, texts on both sides of the test split, odd lengths."""
        return documents.examine(table, store)


def _check(file: str, words: set[str]) -> None:
    """Refuse a table whose split column tells some splits and words that are none: such rows would be learnt from."""
    odd = sorted(word for word in words if word.lower() not in SPLIT_WORDS)
    if odd and len(odd) < len(words):
        raise UserError(f'{file} has the split "{odd[0]}"', f"take one of {', '.join(SPLITS)}, or leave it empty")


def _split_of(path: str) -> str | None:
    """The split that a file's name tells: `train.csv`, `ag_test.parquet`, `test-00000-of-00001.parquet`."""
    parts = re.split(r"[-_.]", Path(texts.place(path)[0]).stem.lower())
    found = [SPLIT_WORDS[p] for p in (parts[0], parts[-1]) if p in SPLIT_WORDS]
    return found[0] if found else None


def _usual(split: str, label: object) -> str:
    """Training items without a label are unlabelled, and unlabelled ones with a label are training items."""
    if split in ("train", "unlabeled"):
        return "unlabeled" if label is None else "train"
    return split
