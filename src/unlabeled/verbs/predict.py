"""What is in these items? Label, probabilities, label set, strangeness, and where the model would rather not say."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from unlabeled import progress
from unlabeled.data.prepare import as_stored
from unlabeled.data.scan import scan
from unlabeled.deploy.model import load_model
from unlabeled.errors import UserError

SUFFIXES = (".parquet", ".csv", ".jsonl")


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
        out.append(f"{self.items:,} items: {counts or 'none answered'}")
        out.append(
            f"no answer on {self.abstained:,}, of which {self.strange:,} are unlike anything that was learnt from"
        )
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
    """Predict every item of a folder, however large: items are decoded on the way and nothing is kept.

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
    if file and file.suffix not in SUFFIXES:
        raise UserError(f'cannot write "{file.name}"', f"take a name that ends in {', '.join(SUFFIXES)}")
    loaded = load_model(model, engine=engine, threads=threads, coverage=coverage)
    table = as_stored(scan(data), loaded.prep)
    labels: Counter[str] = Counter()
    abstained = strange = unread = 0
    broken: list[tuple[str, str]] = []
    first: list[pd.DataFrame] = []
    with progress.bar("predict", len(table)) as bar, _written(file) as write:
        for chunk, found in loaded.stream(table):
            part = loaded.frame(chunk, found, table)
            write(part)
            lost, silent = part["label"].isna(), part["abstain"].to_numpy(bool)
            labels.update(part.loc[~silent, "label"].tolist())
            abstained += int((silent & ~lost).sum())
            strange += int(part["why"].str.startswith("unlike").sum())
            unread += int(lost.sum())
            broken += list(zip(part.loc[lost, "path"], part.loc[lost, "why"], strict=True))[: 10 - len(broken)]
            if sum(map(len, first)) < 10:
                first.append(part)
            bar.advance(len(part))
    top = pd.concat(first, ignore_index=True).head(10)
    return Predicted(file, len(table), dict(labels), abstained, strange, tuple(broken), unread, top)


@contextmanager
def _written(file: Path | None) -> Iterator[Any]:
    """Give a function that adds rows to the table; it appears under its name when all are there."""
    if file is None:
        yield lambda part: None
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".part-{file.name}")
    sink = _Parquet(beside) if file.suffix == ".parquet" else _Text(beside, file.suffix)
    try:
        yield sink.add
        sink.close()
        beside.replace(file)
    except BaseException:
        sink.close()
        beside.unlink(missing_ok=True)
        raise


class _Parquet:
    writer: Any

    def __init__(self, path: Path) -> None:
        self.path, self.writer = path, None  # opened with the first rows

    def add(self, part: pd.DataFrame) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {"set": pyarrow.list_(pyarrow.string()), "abstain": pyarrow.bool_()}
        words = {c: pyarrow.string() for c in ("path", "label", "why")}
        whole = {c: kinds.get(c) or words.get(c) or pyarrow.float32() for c in part.columns}
        schema = pyarrow.schema(list(whole.items()))
        if self.writer is None:
            self.writer = pyarrow.parquet.ParquetWriter(self.path, schema)
        self.writer.write_table(pyarrow.Table.from_pandas(part, schema=schema, preserve_index=False))

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class _Text:
    def __init__(self, path: Path, suffix: str) -> None:
        self.file, self.suffix, self.head = path.open("w", encoding="utf-8", newline=""), suffix, True

    def add(self, part: pd.DataFrame) -> None:
        if self.suffix == ".csv":
            flat = part.assign(set=[" | ".join(s) for s in part["set"]])
            flat.to_csv(self.file, index=False, header=self.head, float_format="%.7g")
        else:
            for row in part.to_dict("records"):
                self.file.write(json.dumps({k: _plain(v) for k, v in row.items()}, ensure_ascii=False) + "\n")
        self.head = False

    def close(self) -> None:
        self.file.close()


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value


def _line(row: dict[Any, Any]) -> str:
    if row["abstain"]:
        return f"{row['path']}: no answer, {row['why']}"
    return f"{row['path']}: {row['label']} ({progress.in_percent(row['confidence'], 0)} %)"
