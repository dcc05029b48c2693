"""Decode every item once, into one memory-mapped array on disk that later runs open at once.

The cache lies in `$UNLABELED_CACHE` or `~/.cache/unlabeled`, under a key made of paths, sizes, times of change and the
preparation. Items are appended in order and a log says how far they are safe on disk, so a run that was killed goes on
where it was, and what is half written never counts.
"""

import hashlib
import json
import os
import shutil
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from unlabeled.data.source import Source, file_of, silent, workers
from unlabeled.data.survey import survey
from unlabeled.data.table import Broken, Table
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.progress import Bar, Silent, bar

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 6  # of the decoding; another number, other caches
CHUNK_BYTES = 1 << 22
REASONS = 16  # for which items could not be read are tried anew

Reasons = list[tuple[str, str]]  # paths, and why each cannot be read


class Preparation(Protocol):
    """How items are brought to one shape: `Prep` for pictures, `data.series.SeriesPrep` for recordings."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def size(self) -> int:
        """Side in pixels, or time steps."""

    @property
    def channels(self) -> int:
        """Channels of a stored item."""

    @property
    def dtype(self) -> str:
        """Type of the stored numbers."""

    @property
    def what(self) -> str:
        """What such items are called, in the plural."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a stored item."""

    def reader(self, table: Table) -> Callable[[int], np.ndarray]:
        """What reads an item of the table by its row; it raises Unreadable."""


@dataclass(frozen=True)
class Prep:
    """How pictures are brought to one shape.

    Args:
        size: side of the stored square in pixels.
        channels: 1 (grey) or 3 (colour).
        fit: `squash` changes the shape to a square, `crop` takes the middle, `pad` adds black bars.
        dtype: `uint16` for pictures with more than 8 bits.
    """

    size: int
    channels: int
    fit: Literal["squash", "crop", "pad"] = "squash"
    dtype: Literal["uint8", "uint16"] = "uint8"

    what = "pictures"

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, size, size)."""
        return (self.channels, self.size, self.size)

    def reader(self, table: Table) -> Callable[[int], np.ndarray]:
        """What reads an item of the table by its row: (channels, size, size)."""
        source, bits = Source(table), 16 if self.dtype == "uint16" else 8
        return lambda row: source.read(row, self.size, self.channels, self.fit, bits)


class Store:
    """All items of a table, decoded: row i of the table is row i of the store.

    Attributes:
        array: (N, C, ...) memory-mapped, read-only: (N, C, H, W) uint8 or uint16 for pictures, (N, C, T) float32 for
            series, NaN where nothing was measured.
        shape: (C, ...).
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape[1:]
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def batch(self, rows: np.ndarray) -> "Tensor":
        """The given rows as a contiguous tensor (B, C, ...) of the store's own type."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(self.array[np.asarray(rows)]))

    def statistics(self, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the given (training) rows, 4,000 at most.

        Pictures count in 0..1, recordings in their own units and without what is missing.
        """
        rows = np.asarray(rows)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), 4000)).astype(np.int64)]
        full = float(np.iinfo(self.dtype).max) if self.dtype.kind == "u" else 1.0
        total, squares, count = np.zeros(self.shape[0]), np.zeros(self.shape[0]), np.zeros(self.shape[0])
        for at in range(0, len(rows), 64):
            x = (
                self.array[rows[at : at + 64]]
                .astype(np.float64)
                .reshape(-1, self.shape[0], int(np.prod(self.shape[1:])))
            )
            known = ~np.isnan(x)
            x = np.where(known, x, 0) / full
            total += x.sum(axis=(0, 2))
            squares += (x * x).sum(axis=(0, 2))
            count += known.sum(axis=(0, 2))
        count = np.maximum(count, 1)
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return tuple(mean.tolist()), tuple(spread.tolist())


def plan(table: Table, size: int, rows: np.ndarray | None = None) -> Prep:
    """Choose how to store pictures for views of `size` pixels, from a sample of them.

    Grey pictures (also in colour files) get one channel. The side is twice the views' side, so that random crops stay
    sharp, but not above the pictures' own typical shorter side, and never below `size`.

    Args:
        table: the items.
        size: side of the views in pixels.
        rows: the items to look at, all when not given.

    Raises:
        UserError: when no item of the sample can be read.
    """
    seen = survey(table, rows)
    return Prep(max(size, min(2 * size, seen.side)), seen.channels, dtype="uint16" if seen.bits == 16 else "uint8")


def build(table: Table, prep: Preparation, *, cache: Path | None = None, progress: bool = True) -> tuple[Table, Store]:
    """Decode all items, or open what an earlier run has decoded.

    Args:
        table: the items.
        prep: how to bring them to one shape.
        cache: folder for the decoded items; `$UNLABELED_CACHE` or `~/.cache/unlabeled` when not given.
        progress: show a bar.

    Returns:
        The table without the items that do not decode (they are in its `broken`), and the store of the others.

    Raises:
        UserError: when no item decodes, or when the disk cannot hold them; what was decoded until then is kept.
    """
    home = cache or Path(os.environ.get("UNLABELED_CACHE") or Path.home() / ".cache" / "unlabeled")
    done = home / key(table, prep)
    found = _open(table, prep, done)
    if found is not None and not _mended(table, prep, found[0]):
        return found
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(done.with_suffix(".lock")):
            found = _open(table, prep, done)  # another process may have made it meanwhile
            if found is None or _mended(table, prep, found[0]):
                _decode(table, prep, done, progress)
                found = _open(table, prep, done)
    except OSError as fault:
        remedy = "free some space, or set UNLABELED_CACHE to a folder on a larger disk; what is decoded is kept"
        raise UserError(f"cannot write the decoded {prep.what} to {home}: {fault.strerror or fault}", remedy) from None
    if found is None:
        raise UserError(f"the decoded {prep.what} in {done} vanished while they were opened", "run it again")
    return found


def key(table: Table, prep: Preparation, rows: slice = slice(None)) -> str:
    """The name of a table's cache, or of some of its rows: another file, size, time of change, order or preparation is
    another name.
    """
    digest = hashlib.sha256(f"{VERSION} {prep} {table.folder.resolve()}\n".encode())
    stamps: dict[str, str] = {}
    for path in table.items["path"].iloc[rows]:
        file = path if prep.what == "pictures" and ".npz#" not in path.lower() else file_of(path)
        if file not in stamps:
            try:
                status = os.stat(os.path.join(table.folder, file))  # noqa: PTH116, PTH118 (a million of them)
                stamps[file] = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                stamps[file] = "absent"
        digest.update(f"{path}\0{stamps[file]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _open(table: Table, prep: Preparation, folder: Path) -> tuple[Table, Store] | None:
    """Open a finished cache; nothing when there is none or its size is wrong."""
    try:
        about = json.loads((folder / "about.json").read_text("utf-8"))
        shape = tuple(about["shape"])
        if (folder / "items.bin").stat().st_size != int(np.prod(shape)) * np.dtype(prep.dtype).itemsize:
            return None
        array = np.memmap(folder / "items.bin", dtype=prep.dtype, mode="r", shape=shape)
    except (OSError, ValueError, KeyError):
        return None
    broken = tuple(Broken(path, reason) for path, reason in about["broken"])
    return table.without(broken), Store(array)


def _mended(table: Table, prep: Preparation, found: Table) -> bool:
    """Whether an item that could not be read now can be (its permissions, a package): one of each reason is tried."""
    some = {one.reason: one.path for one in found.broken[len(table.broken) :]}
    if not some:
        return False
    rows, read = {path: row for row, path in enumerate(table.items["path"])}, prep.reader(table)
    for path in list(some.values())[:REASONS]:
        with suppress(Unreadable, KeyError):
            read(rows[path])
            return True
    return False


def _decode(table: Table, prep: Preparation, done: Path, progress: bool) -> None:
    """Append all items to a file beside, chunk by chunk, and rename the whole into place."""
    part = done.with_suffix(".part")
    part.mkdir(exist_ok=True)
    shape = prep.shape
    each = int(np.prod(shape)) * np.dtype(prep.dtype).itemsize
    start, kept, broken = _resume(part, each)
    _check_disk(part, (len(table) - start) * each)
    with (
        (part / "items.bin").open("r+b" if start else "wb") as items,
        (part / "log.jsonl").open("a" if start else "w", encoding="utf-8") as log,
        _bar(progress, prep.what, len(table), start) as shown,
    ):
        items.seek(kept * each)
        items.truncate()
        step = max(1, min(256, CHUNK_BYTES // each))
        for until, good, bad in _chunks(table, prep, range(start, len(table)), step):
            data = b"".join(item.tobytes() for item in good)
            items.write(data)
            items.flush()
            kept += len(good)
            broken += bad
            entry = {"until": until, "kept": kept, "sum": zlib.crc32(data), "broken": bad}
            log.write(json.dumps(entry) + "\n")
            log.flush()
            shown.advance(len(good) + len(bad))
        os.fsync(items.fileno())
    if not kept:
        shutil.rmtree(part)
        path, reason = broken[0] if broken else ("the table", "it has no items")
        where = f'run "unlabeled scan {table.root} --broken" to list them all'
        raise UserError(f"none of the {len(table):,} {prep.what} in {table.root} can be read ({path}: {reason})", where)
    about = {"shape": (kept, *shape), "broken": broken, "prep": str(prep), "root": str(table.root)}
    with (part / "about.json").open("w", encoding="utf-8") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())
    if done.exists():  # left over with a wrong size
        shutil.rmtree(done)
    part.rename(done)


def _chunks(table: Table, prep: Preparation, rows: range, step: int) -> Iterator[tuple[int, list[np.ndarray], Reasons]]:
    """Decode rows in threads; give in order where a chunk ends, its items, and which are broken and why."""
    read, paths = prep.reader(table), table.items["path"].tolist()

    def decode(part: range) -> tuple[int, list[np.ndarray], Reasons]:
        good, bad = [], []
        for row in part:
            try:
                good.append(read(row))
            except Unreadable as fault:
                bad.append((paths[row], str(fault)))
        return part.stop, good, bad

    parts = (rows[at : at + step] for at in range(0, len(rows), step))
    waiting: deque[Future[tuple[int, list[np.ndarray], Reasons]]] = deque()
    with silent(), ThreadPoolExecutor(workers()) as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(decode, part))
                if len(waiting) > 2 * workers():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _resume(part: Path, each: int) -> tuple[int, int, Reasons]:
    """How far an earlier run came, as far as its chunks' sums hold: the next row, the items, and the broken ones."""
    start, kept, sound = 0, 0, ""
    broken: Reasons = []
    log = part / "log.jsonl"
    try:
        with (part / "items.bin").open("rb") as items:
            for line in log.read_text("utf-8").splitlines(keepends=True):
                entry = json.loads(line)
                if not line.endswith("\n") or zlib.crc32(items.read((entry["kept"] - kept) * each)) != entry["sum"]:
                    break
                start, kept, sound = entry["until"], entry["kept"], sound + line
                broken += [(path, reason) for path, reason in entry["broken"]]
    except (OSError, ValueError, KeyError):
        pass  # no log, or its last line is half written: go on from the line before
    if start:
        log.write_text(sound, "utf-8")
    return start, kept, broken


def _check_disk(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder).free
    if need > free:
        wrong = f"the decoded items need {need / 1e9:.2f} GB, and {folder.parent} has {free / 1e9:.2f} GB free"
        raise UserError(wrong, "set UNLABELED_CACHE to a folder on a larger disk, or take a smaller size")


def _bar(progress: bool, what: str, total: int, start: int) -> AbstractContextManager[Bar]:
    return bar(f"decoding {what}", total, start) if progress else nullcontext(Silent())


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time decode the same pictures; the others wait, and then find them done."""
    with lock.open("w") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    lock.unlink(missing_ok=True)
