"""What the doctor looks at in series: gaps, constant variables, odd lengths, times out of order, copies."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from unlabeled.data import series
from unlabeled.data.checks import SHOWN, Finding
from unlabeled.data.store import Store
from unlabeled.data.table import Broken, Table
from unlabeled.progress import count

Facts = dict[str, Any]
EMPTY = 0.95  # share of missing values from which a variable is told


def examine(table: Table, store: Store | None) -> tuple[list[Finding], Facts, tuple[Broken, ...]]:
    """Findings, facts and broken items of a table of recordings, or of the windows that lie in the store."""
    if store is None:
        step = series.suitable_step(table)
        seen, broken = series.survey(table, step)
        facts: Facts = {"looked_at": len(table)}
        if not len(seen.lengths):
            return [], facts, broken
        facts |= {"variables": list(seen.variables), "statics": list(seen.statics), "step": step, "missing": seen.gaps}
        facts["lengths"] = [int(seen.lengths.min()), int(np.median(seen.lengths)), int(seen.lengths.max())]
        return [*seen.watch.findings(), *_told(seen)], facts, broken
    findings, facts = _stored(table, store)
    return findings, facts, ()


def _told(seen: series.Survey) -> list[Finding]:
    out = [
        Finding("mended", "info", f"in {count(n, 'recording')}: {what}") for what, n in seen.notes.most_common(SHOWN)
    ]
    low, high = int(seen.lengths.min()), int(seen.lengths.max())
    if low < high:
        text = f"recordings have {low:,} to {high:,} steps; shorter ones are filled up and the filling is left out"
        out.append(Finding("lengths", "info", text))
    single = int((seen.lengths == 1).sum())
    if single:
        text = count(single, "recording has a single time step", "recordings have a single time step")
        text += "; nothing happens there"
        out.append(Finding("lengths", "warning", text))
    if seen.gaps > 0:
        text = (
            f"{seen.gaps:.0%} of the values on a grid of {seen.step:g} are missing; methods see which, and no loss does"
        )
        out.append(Finding("missing", "info", text))
    if seen.marked:
        out.append(
            Finding("marks", "info", "labels stand at single steps; windows bear that of nine in ten of their steps")
        )
    return out


def _stored(table: Table, store: Store) -> tuple[list[Finding], Facts]:
    """Checks on the windows themselves, at most 20,000 of them."""
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), 20_000)).astype(np.int64))
    tests = np.isin(rows, table.rows("test"))
    where: defaultdict[bytes, list[int]] = defaultdict(list)
    low, high, missing = np.full(store.shape[0], np.inf), np.full(store.shape[0], -np.inf), np.zeros(store.shape[0])
    for at in range(0, len(rows), 512):
        x = store.array[rows[at : at + 512]]
        known = np.isfinite(x)
        low = np.minimum(low, np.where(known, x, np.inf).min(axis=(0, 2)))
        high = np.maximum(high, np.where(known, x, -np.inf).max(axis=(0, 2)))
        missing += (~known).sum(axis=(0, 2)) / x.shape[2]
        for i, one in enumerate(x):
            where[one.tobytes()].append(at + i)
    missing /= len(rows)
    out = []
    paths = table.items["path"].tolist()
    crossing = [places for places in where.values() if len({bool(tests[p]) for p in places}) > 1]
    if crossing:
        names = [" = ".join(paths[rows[p]] for p in places[:2]) for places in crossing[:SHOWN]]
        text = "equal windows lie on both sides of the test split; results will look too good"
        out.append(Finding("leak", "error", f"{text} ({len(crossing):,})", names))
    copies = sum(len(places) - 1 for places in where.values())
    if copies:
        out.append(Finding("duplicates", "info", f"{copies:,} of {len(rows):,} windows are copies of others"))
    constant = [i for i in range(1, store.shape[0]) if low[i] == high[i]]
    if constant:
        text = f"{len(constant):,} of {store.shape[0] - 1:,} variables never change and tell nothing"
        out.append(Finding("constant", "warning", text, [f"variable {i}" for i in constant[:SHOWN]]))
    rare = Counter(bool(m > EMPTY) for m in missing[1:])[True]
    if rare:
        out.append(
            Finding("missing", "info", f"{rare:,} of {store.shape[0] - 1:,} variables are missing in most steps")
        )
    return out, {"looked_at": len(rows), "constant": len(constant), "missing": float(missing[1:].mean())}
