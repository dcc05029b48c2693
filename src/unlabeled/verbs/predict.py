"""What is in these items? Label, probabilities, label set, strangeness, and where the model would rather not say."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.alone import alone
from unlabeled.data.prepare import as_stored
from unlabeled.data.scan import scan
from unlabeled.data.store import key
from unlabeled.data.table import Table
from unlabeled.deploy import pieces
from unlabeled.deploy.bundle import ONNX, digest
from unlabeled.deploy.model import Model, load_model
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, picture

LAYERED = (".tif", ".tiff", ".gif", ".webp")  # files that may hold several pictures
SOME = 16  # of them are looked at


@dataclass(frozen=True, eq=False)
class Predicted:
    """What was predicted.

    Args:
        file: the table, one row an item, or None.
        items: how many there were.
        labels: how many of each label, those abstained on left out.
        abstained: how many readable items have no answer.
        strange: how many of these are unlike anything that was learnt from.
        broken: path and reason of the first ten that cannot be read.
        unread: how many cannot be read.
        first: the first rows.
    """

    file: Path | None
    items: int
    labels: dict[str, int]
    abstained: int
    strange: int
    broken: tuple[tuple[str, str], ...]
    unread: int
    first: pd.DataFrame

    def lines(self) -> list[str]:
        """Counts, and the first rows where no file was asked for."""
        out = [] if self.file else [_line(row) for row in self.first.to_dict("records")]
        counts = ", ".join(f"{n:,} {label}" for label, n in sorted(self.labels.items(), key=lambda kv: -kv[1]))
        out.append(f"{progress.count(self.items, 'item')}: {counts or 'none answered'}")
        unlike = progress.count(self.strange, "is", "are")
        out.append(f"no answer on {self.abstained:,}, of which {unlike} unlike anything that was learnt from")
        if self.unread:
            out.append(f"{self.unread:,} cannot be read:")
            out += [f"  {path}: {why.removeprefix('cannot be read: ')}" for path, why in self.broken]
        return [*out, f"table: {self.file}"] if self.file else out


def predict(
    model: str,
    data: str,
    *,
    out: str | None = None,
    coverage: float | None = None,
    engine: Literal["auto", "torch", "onnx"] = "auto",
    threads: int = 0,
) -> Predicted:
    """Predict every item of a folder, however large: items are decoded on the way, and what was answered is kept.

    Stopped and called again with the same items and the same model, it goes on from where it was.

    Args:
        model: a .ul folder, or an .onnx file.
        data: folder, manifest, array file or one item.
        out: table to write, .parquet, .csv or .jsonl, whole or not at all; the first rows are shown when not given.
        coverage: another share of label sets that hold the true label than the model's own, 0 to 1.
        engine: torch, or onnx, which needs no torch; auto takes torch for a folder.
        threads: CPU threads; 0 leaves the engine's own number.

    Raises:
        UserError: when the model or the data cannot be read, or the file's ending is unknown.

    Example:
        unlabeled predict steel.ul pictures/ -o predictions.parquet
    """
    file = Path(out) if out else None
    if file and file.suffix not in pieces.SUFFIXES:
        raise UserError(f'cannot write "{file.name}"', f"take a name that ends in {', '.join(pieces.SUFFIXES)}")
    loaded = load_model(model, engine=engine, threads=threads, coverage=coverage)
    given = scan(data)
    for note in given.notes:
        progress.say(f"mind: {note}")
    table = as_stored(given, loaded.prep)
    if told := _stacks(table):
        progress.say(f"mind: {told}")
    tally = _Tally()
    if file is None:
        with progress.bar("predict", len(table)) as bar:
            for part in loaded.frames(table):
                tally.add(part)
                bar.advance(len(part))
    else:
        with _kept(file, loaded, model, table) as kept:
            if kept.rows:
                progress.say(f"goes on from item {kept.rows:,} of {len(table):,}")
            with progress.bar("predict", len(table), kept.rows) as bar:
                for part in loaded.frames(table, start=kept.rows):
                    kept.add(part)
                    bar.advance(len(part))
            kept.join(tally.add)
    return tally.told(file)


def _stacks(table: Table) -> str:
    """A word about files of several frames, of which the first alone is answered for; some files are looked at."""
    names = [path for path in table.items["path"].unique() if Path(path).suffix.lower() in LAYERED]
    if table.modality != "image" or not names:
        return ""
    found: dict[str, int] = {}
    for i in np.unique(np.linspace(0, len(names) - 1, SOME).astype(int)):
        with suppress(Unreadable):
            found[names[i]] = picture.look(table.folder / names[i]).frames
    deep = [name for name, frames in found.items() if frames > 1]
    if not deep:
        return ""
    words = f"{deep[0]} holds {found[deep[0]]:,} frames"
    words += f", and others of {len(found):,} several" if deep[1:] else ""
    return f"{words}: of each file the first alone is answered for; save the frames as pictures of their own"


@dataclass(eq=False)
class _Tally:
    """What is counted of rows as they pass."""

    items: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    abstained: int = 0
    strange: int = 0
    unread: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    first: list[pd.DataFrame] = field(default_factory=list)

    def add(self, part: pd.DataFrame) -> None:
        lost, silent = part["label"].isna(), part["abstain"].to_numpy(bool)
        self.labels.update(part.loc[~silent, "label"].tolist())
        self.abstained += int((silent & ~lost).sum())
        self.strange += int(part["why"].str.startswith("unlike").sum())
        self.unread += int(lost.sum())
        bad = zip(part.loc[lost, "path"], part.loc[lost, "why"], strict=True)
        self.broken += list(bad)[: 10 - len(self.broken)]
        if self.items < 10:
            self.first.append(part.head(10))
        self.items += len(part)

    def told(self, file: Path | None) -> Predicted:
        top = pd.concat(self.first, ignore_index=True).head(10)
        counts = (self.items, dict(self.labels), self.abstained, self.strange)
        return Predicted(file, *counts, tuple(self.broken), self.unread, top)


@contextmanager
def _kept(file: Path, loaded: Model, model: str, table: Table) -> Iterator[pieces.Pieces]:
    """The rows that an earlier call has left, if items and model are what they were, and those to come."""
    of = _hangs_on(loaded, model)
    with (
        alone(pieces.folder(file)),
        pieces.Pieces(file, of, lambda rows: key(table, loaded.prep, rows)) as found,
    ):
        yield found


def _hangs_on(loaded: Model, model: str) -> str:
    """All that answers hang on but the items, so that a kept piece is never of another model."""
    files = [digest(f) for f in (Path(model), Path(model) / ONNX) if f.is_file()]
    told: dict[str, Any] = {"version": version("unlabeled"), "engine": type(loaded.engine).__name__, "files": files}
    told |= {"facts": dict(loaded.facts), "coverage": loaded.limits.coverage}
    return json.dumps(told, sort_keys=True, default=str)


def _line(row: dict[Any, Any]) -> str:
    if row["abstain"]:
        return f"{row['path']}: no answer, {row['why']}"
    return f"{row['path']}: {row['label']} ({progress.in_percent(row['confidence'], 0)} %)"
