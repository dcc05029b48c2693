"""A table of answers that is written in pieces, so that what was answered is kept when the work is stopped.

The pieces lie in a folder beside the table to be, and go when it stands. The next call takes up those whose items and
model are what they were.
"""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow
import pyarrow.parquet

SUFFIXES = (".parquet", ".csv", ".jsonl")
SECONDS, CELLS = 30.0, 2_000_000  # a piece is written when so much time has passed, or so much has come together
PLAN = "plan.json"


class Pieces:
    """The rows of a table as they come, kept piece by piece.

    Args:
        file: the table to be, with one of SUFFIXES.
        of: all that the rows hang on but the items themselves, in words; pieces of something else are thrown away.
        stamp: of rows from one to another: a text that changes when one of these items does.

    Attributes:
        rows: how many rows are kept or wait to be.
    """

    def __init__(self, file: Path, of: str, stamp: Callable[[slice], str]) -> None:
        self.file, self.folder, self.stamp = file, folder(file), stamp
        self._parts = list[pd.DataFrame]()
        self._written = time.monotonic()
        self.rows = self._from = self._take_up(of)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk is told by what it stopped
            self._write()
        if not self._kept():
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, part: pd.DataFrame) -> None:
        """Add rows of a model's answers, in the order of the items."""
        self._parts.append(part)
        self.rows += len(part)
        waiting = (self.rows - self._from) * part.shape[1]
        if waiting >= CELLS or time.monotonic() - self._written >= SECONDS:
            self._write()

    def join(self, each: Callable[[pd.DataFrame], None]) -> None:
        """Make the table of all pieces, under its name only when it is whole, and take them away; `each` sees them."""
        self._write()
        beside = self.folder / f"whole{self.file.suffix}"
        sink = _Parquet(beside) if self.file.suffix == ".parquet" else _Text(beside, self.file.suffix)
        try:
            for piece in self._kept():
                part = _read(piece)
                each(part)
                sink.add(part)
        finally:
            sink.close()
        beside.replace(self.file)
        for piece in (*self._kept(), self.folder / PLAN):
            piece.unlink()

    def _write(self) -> None:
        if self._parts:
            parts = pd.concat(self._parts, ignore_index=True)
            name = f"{self._from:012d}-{self.rows:012d}"
            table = pyarrow.Table.from_pandas(parts, preserve_index=False)
            told = {"stamp": self.stamp(slice(self._from, self.rows))} | (table.schema.metadata or {})
            beside = self.folder / f"{name}.part"
            pyarrow.parquet.write_table(table.replace_schema_metadata(told), beside)
            beside.replace(self.folder / f"{name}.parquet")
        self._parts, self._from, self._written = [], self.rows, time.monotonic()

    def _kept(self) -> list[Path]:
        return sorted(self.folder.glob("*-*.parquet"))

    def _take_up(self, of: str) -> int:
        """How many rows are kept from before; what does not hold is taken away."""
        plan, until = self.folder / PLAN, 0
        try:
            known = json.loads(plan.read_text("utf-8")) == {"of": of}
        except (OSError, ValueError):
            known = False
        for piece in self._kept():
            start, _, stop = piece.stem.partition("-")
            known = known and int(start) == until and self._holds(piece, until, int(stop))
            if known:
                until = int(stop)
            else:
                piece.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        plan.write_text(json.dumps({"of": of}), "utf-8")
        return until

    def _holds(self, piece: Path, start: int, stop: int) -> bool:
        try:
            found = pyarrow.parquet.read_metadata(piece)
        except (OSError, pyarrow.ArrowInvalid):
            return False
        stamp = self.stamp(slice(start, stop)).encode()
        return found.num_rows == stop - start and (found.metadata or {}).get(b"stamp") == stamp


def folder(file: Path) -> Path:
    """Where the pieces of a table lie while it is not whole."""
    return file.with_name(f".part-{file.name}")


def _read(piece: Path) -> pd.DataFrame:
    table = pyarrow.parquet.read_table(piece)
    part: pd.DataFrame = table.to_pandas()
    return part.assign(set=table.column("set").to_pylist())


class _Parquet:
    writer: Any

    def __init__(self, path: Path) -> None:
        self.path, self.writer = path, None  # opened with the first rows

    def add(self, part: pd.DataFrame) -> None:
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
