"""Tell what is wrong with a data set before anything is learnt from it, in sentences, with the names of the files.

Every file is looked at in sets of up to 20,000 items, an even sample of larger ones, and the report says so. Findings
are signs to look at, not proofs; how far the checks that turn pictures can be trusted stands in `likeness`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unlabeled.data import checks, likeness, recordings
from unlabeled.data.checks import Finding as Finding
from unlabeled.data.checks import Seen, spread
from unlabeled.data.source import Source, silent, workers
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Store
from unlabeled.data.table import Broken, Table
from unlabeled.formats import Unreadable, picture
from unlabeled.progress import bar

MOST = 20_000  # items that are looked at
SIDE = 32  # of the thumbnails


@dataclass(frozen=True)
class Report:
    """What the doctor found, worst first; the plain facts; and the files that cannot be read."""

    findings: list[Finding]
    facts: dict[str, Any]
    broken: tuple[Broken, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it as plain lists and dictionaries."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The findings for people."""
        out = []
        for finding in self.findings:
            out.append(f"{finding.severity}: {finding.text}")
            out += [f"    {example}" for example in finding.examples]
        return out or ["nothing was found that stands in the way"]


def examine(table: Table, *, store: Store | None = None, deep: bool = True) -> Report:
    """Look for everything that spoils a comparison.

    Args:
        table: the items.
        store: their decoded form where it is there already, which saves opening most files again.
        deep: look at the pictures; without it only at names, labels, groups and splits.
    """
    findings = [*checks.groups(table), *checks.classes(table)]
    findings += [Finding("aside", "info", note) for note in table.notes]
    facts = checks.counts(table)
    broken = table.broken
    if deep:
        if table.modality == "series":
            found, more, bad = recordings.examine(table, store)
            findings, facts, broken = [*findings, *found], facts | more, (*broken, *bad)
            return _report(table, findings, facts, broken)
        seen = _look(table, spread(np.arange(len(table)), MOST)) if store is None else _glance(table, store)
        broken = (*broken, *seen.broken)
        facts["looked_at"] = len(seen.rows) + len(seen.broken)
        if facts["looked_at"] < len(table):
            text = f"{facts['looked_at']:,} of the {len(table):,} items were looked at, evenly drawn"
            findings.append(Finding("sample", "info", text))
        if len(seen.rows):
            for check in (checks.shapes, checks.copies, checks.signs):
                found, more = check(table, seen)
                findings += found
                facts |= more
    return _report(table, findings, facts, broken)


def _report(table: Table, findings: list[Finding], facts: dict[str, Any], broken: tuple[Broken, ...]) -> Report:
    facts["broken"] = len(broken)
    files = len(table) + len(table.broken)
    if broken:
        worst = len(broken) == files
        text = "no file can be read" if worst else f"{len(broken):,} of {files:,} files cannot be read and are left out"
        examples = [f"{b.path}: {b.reason}" for b in broken[: checks.SHOWN]]
        findings.append(Finding("broken", "error" if worst else "warning", text, examples))
    order = ("error", "warning", "info")
    return Report(sorted(findings, key=lambda f: order.index(f.severity)), facts, broken)


def flips(table: Table, store: Store) -> dict[str, bool]:
    """Which mirror images are safe in training views; no test item is looked at.

    Left-right is safe unless it exchanges classes or looks foreign to the data; up-down only where pictures upside down
    look as much at home as before (steel, cells seen from above).

    Returns:
        `horizontal_flip` and `vertical_flip`.
    """
    rows = spread(table.rows(*checks.LEARN), checks.TURNED)
    if len(rows) < 5 * likeness.FEWEST:
        return {"horizontal_flip": True, "vertical_flip": False}
    brightness = likeness.grey(_thumbs(store, rows))
    found = {t.name: t for t in likeness.turned(brightness, table.labels[rows], unit_numbers(table, rows))}
    aside, over = found["left-right mirror image"], found["mirror image upside down"]
    return {
        "horizontal_flip": not aside.swaps and aside.foreign < likeness.FOREIGN,
        "vertical_flip": not over.swaps and over.foreign < likeness.NATURAL,
    }


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
    rows = spread(np.arange(len(table)), MOST)
    return Seen(rows, _thumbs(store, rows), _look(table, spread(rows, 256)).looks)


def _thumbs(store: Store, rows: np.ndarray) -> np.ndarray:
    """Thumbnails (M, 32, 32, 3) uint8 of decoded items."""
    items = (np.moveaxis(store.array[row], 0, -1) for row in rows.tolist())
    return np.stack([picture.look_at(np.asarray(item), SIDE).thumb for item in items])
