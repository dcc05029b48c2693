"""What the doctor looks at in sounds: rates, lengths, silence, clipping, offset, copies."""

import hashlib
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from unlabeled.data import sounds
from unlabeled.data.checks import SHOWN, Finding, spread
from unlabeled.data.store import Store
from unlabeled.data.table import Broken, Table
from unlabeled.formats import Unreadable, sound
from unlabeled.progress import count

Facts = dict[str, Any]
MOST = 2_000  # sounds that are decoded where no store is there
SILENT, CLIPPED, OFFSET = 1e-3, 0.01, 0.05  # of full scale; share of samples at the peak; of full scale
SHORT = 0.05  # seconds


def examine(table: Table, store: Store | None) -> tuple[list[Finding], Facts, tuple[Broken, ...]]:
    """Findings, facts and broken items of a table of sounds, opened from their files or taken from the store."""
    seen, broken = sounds.survey(table)
    whole = table.without(broken)
    facts: Facts = {"looked_at": len(table)}
    if not len(seen.rates):
        return [], facts, broken
    seconds = seen.seconds
    facts["seconds"] = [float(seconds.min()), float(np.median(seconds)), float(seconds.max())]
    facts["rates"] = {int(k): n for k, n in Counter(seen.rates.tolist()).most_common()}
    facts["total_seconds"] = float(seconds.sum())
    out = _headers(whole, seen)
    rows = spread(np.arange(len(whole)), len(whole) if store is not None else MOST)
    found, bad = _samples(whole, rows, store)
    return [*out, *found], facts, (*broken, *bad)


def _headers(table: Table, seen: sounds.Survey) -> list[Finding]:
    out = []
    paths = table.items["path"].tolist()
    usual, most = Counter(seen.rates.tolist()).most_common(1)[0]
    if most < len(seen.rates):
        other = np.flatnonzero(seen.rates != usual)
        text = f"{len(other):,} of {len(paths):,} sounds have another rate than {usual:,} Hz; all are brought to one"
        lower = bool((seen.rates < usual).any())
        text += ", but what a lower rate lost stays lost and may give a class away" if lower else ""
        names = [f"{paths[i]}: {seen.rates[i]:,} Hz" for i in other[:SHOWN]]
        out.append(Finding("rates", "warning" if lower else "info", text, names))
    if (mixed := int((seen.channels > 1).sum())) > 0:
        have = count(mixed, "sound has", "sounds have")
        out.append(Finding("channels", "info", f"{have} several channels, which are averaged"))
    if len(short := np.flatnonzero(seen.seconds < SHORT)):
        text = count(len(short), "sound lasts", "sounds last")
        text += f" less than {1000 * SHORT:.0f} ms; little can be heard in that"
        out.append(Finding("lengths", "warning", text, [paths[i] for i in short[:SHOWN]]))
    return out


def _samples(table: Table, rows: np.ndarray, store: Store | None) -> tuple[list[Finding], tuple[Broken, ...]]:
    """Look at the samples themselves: silence, clipping, offset, copies across the split."""
    paths, broken = table.items["path"].tolist(), []
    tests = set(table.rows("test").tolist())
    odd: defaultdict[str, list[str]] = defaultdict(list)
    where: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in rows.tolist():
        try:
            x = _read(table, row, store)
        except Unreadable as fault:
            broken.append(Broken(paths[row], str(fault)))
            continue
        heard = np.round(x * 32767).astype(np.int16)
        code = hashlib.blake2b(heard.data, digest_size=16).digest()
        where[code].append(row)  # not the samples, which may fill the memory
        peak = float(np.abs(x).max(initial=0))
        if peak < SILENT:
            odd["silent"].append(paths[row])
        elif peak > 0.5 and float((np.abs(x) >= 0.999 * peak).mean()) > CLIPPED:
            odd["clipped"].append(paths[row])
        if peak >= SILENT and abs(float(x.mean())) > OFFSET:
            odd["offset"].append(paths[row])
    words = {
        "silent": ("is", "are", "silent; nothing can be learnt from that"),
        "clipped": ("is", "are", "clipped: recorded too loud"),
        "offset": ("does", "do", "not swing around zero; the microphone adds a constant"),
    }
    out = []
    for kind, found in odd.items():
        one, many, what = words[kind]
        text = f"{count(len(found), f'sound {one}', f'sounds {many}')} {what}"
        out.append(Finding(kind, "info" if kind == "offset" else "warning", text, found[:SHOWN]))
    crossing = [same for same in where.values() if len({row in tests for row in same}) > 1]
    if crossing:
        names = [" = ".join(paths[row] for row in same[:2]) for same in crossing[:SHOWN]]
        text = "equal sounds lie on both sides of the test split; results will look too good"
        out.append(Finding("leak", "error", f"{text} ({len(crossing):,})", names))
    if copies := sum(len(same) - 1 for same in where.values()):
        out.append(Finding("duplicates", "info", f"{copies:,} of {len(rows):,} sounds are copies of others"))
    return out, tuple(broken)


def _read(table: Table, row: int, store: Store | None) -> np.ndarray:
    if store is not None:
        x = np.asarray(store.array[row, 0])
        return np.asarray(x[x != sounds.END], np.float32) / 32767
    file, first, count = sounds.place(table.items["path"].iloc[row])
    return sound.read(table.folder / file, 0, first, count)
