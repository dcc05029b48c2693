"""What the doctor looks at in pictures: sizes and depth, copies, signs that give a class away; on small thumbnails."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from unlabeled.data import checks
from unlabeled.data.checks import Finding, Seen, sample, spread
from unlabeled.data.depth import depth
from unlabeled.data.source import Source, silent, workers
from unlabeled.data.store import Store
from unlabeled.data.survey import survey
from unlabeled.data.table import Broken, Table
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, picture
from unlabeled.progress import bar

MOST = 20_000  # items that are looked at
SIDE = 32  # of the thumbnails


def examine(table: Table, store: Store | None) -> tuple[list[Finding], dict[str, Any], tuple[Broken, ...]]:
    """Findings, facts and broken items of a table of pictures, opened from their files or taken from the store."""
    seen = _look(table, sample(table, np.arange(len(table)), MOST)) if store is None else _glance(table, store)
    findings: list[Finding] = []
    facts: dict[str, Any] = {"looked_at": len(seen.rows) + len(seen.broken)}
    if facts["looked_at"] < len(table):
        labelled = int((table.labels >= 0).sum())
        how = ", all labelled ones among them" if 0 < labelled <= MOST // 2 else ""
        text = f"{facts['looked_at']:,} of the {len(table):,} items were looked at, evenly drawn{how}"
        findings.append(Finding("sample", "info", text))
    if len(seen.rows):
        with suppress(UserError):  # none of a small sample can be read
            seen = replace(seen, channels=survey(table).channels if store is None else store.shape[0])
        for check in (checks.shapes, depth, checks.copies, checks.signs, checks.neighbours):
            found, more = check(table, seen)
            findings += found
            facts |= more
    return findings, facts, seen.broken


def _look(table: Table, rows: np.ndarray) -> Seen:
    """Open and decode files."""
    source = Source(table)

    def look(chunk: np.ndarray) -> list[picture.Look | str]:
        out: list[picture.Look | str] = []
        for row in chunk.tolist():
            try:
                out.append(source.look(row))
            except Unreadable as fault:
                out.append(str(fault))
        return out

    found: list[picture.Look | str] = []
    chunks = [rows[at : at + 32] for at in range(0, len(rows), 32)]
    with silent(), ThreadPoolExecutor(workers()) as pool, bar("looking at pictures", len(rows)) as shown:
        for chunk, part in zip(chunks, pool.map(look, chunks), strict=True):
            found += part
            shown.advance(len(chunk))
    told = list(zip(rows.tolist(), found, strict=True))
    broken = tuple(Broken(source.paths[row], f) for row, f in told if isinstance(f, str))
    good = [(row, f) for row, f in told if not isinstance(f, str)]
    thumbs = np.stack([f.thumb for _, f in good]) if good else np.empty((0, SIDE, SIDE, 3), dtype=np.uint8)
    return Seen(np.array([row for row, _ in good], dtype=np.int64), thumbs, [f for _, f in good], broken)


def _glance(table: Table, store: Store) -> Seen:
    """Take thumbnails from the decoded items, and open a few files for their sizes and depth."""
    rows = sample(table, np.arange(len(table)), MOST)
    return Seen(rows, thumbs(store, rows), _look(table, spread(rows, 256)).looks)


def thumbs(store: Store, rows: np.ndarray) -> np.ndarray:
    """Thumbnails (M, 32, 32, 3) uint8 of decoded items."""
    items = (np.moveaxis(store.array[row], 0, -1) for row in rows.tolist())
    return np.stack([picture.look_at(np.asarray(item), SIDE).thumb for item in items])
