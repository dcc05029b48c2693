"""What the doctor looks at in texts: copies and near copies, leaks across the test split, lengths, foreign letters."""

import hashlib
import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from unlabeled.data import texts
from unlabeled.data.checks import SHOWN, Finding, spread
from unlabeled.data.store import Store
from unlabeled.data.table import Broken, Table
from unlabeled.data.tokens import ALONE, WORD

Facts = dict[str, Any]
MOST = 20_000  # items that are looked at
SHORT = 3  # words below which a text tells little
HASHES, BANDS = 32, 8  # of the sketch that proposes near copies; bands of four find likenesses from about 0.7 on
ALIKE = 0.8  # share of common runs of three words from which two texts are copies but for a few words
WORDS, UNSPACED = re.compile(WORD), re.compile(f"[{ALONE}]")
CUT = 0.05  # share of labelled texts longer than an item from which it is told


def examine(table: Table, store: Store | None) -> tuple[list[Finding], Facts, tuple[Broken, ...]]:
    """Findings, facts and broken items of a table of documents, or of the windows that lie in the store."""
    some = np.asarray(spread(np.arange(len(table)), MOST))
    part = table if len(some) == len(table) else _part(table, some)
    whole, said = texts.readable(part)
    broken = whole.broken[len(table.broken) :]
    facts: Facts = {"looked_at": len(some)}
    if not said:
        return [], facts, broken
    lengths = np.array([len(WORDS.findall(t) if UNSPACED.search(t) else t.split()) for t in said])
    facts["words"] = [int(lengths.min()), int(np.median(lengths)), int(lengths.max())]
    facts["letters"] = _letters(said)
    findings = [*_copies(whole, said), *_lengths(whole, lengths)]
    if store is not None and len(whole) == len(some) and table.items["label"].notna().any():
        rows = some[whole.items["label"].notna().to_numpy()]
        full = float((np.asarray(store.array[rows, 0, -1]) != 0).mean()) if len(rows) else 0.0
        if full > CUT:
            text = f"{full:.0%} of the labelled texts fill their {store.shape[1]} tokens, the rest is cut off"
            findings.append(Finding("cut", "info", f"{text}; a larger --size reads more"))
    if len(facts["letters"]) > 1:
        told = ", ".join(f"{name} {share:.0%}" for name, share in facts["letters"].items())
        findings.append(Finding("letters", "info", f"the texts use several scripts: {told}"))
    return findings, facts, broken


def _part(table: Table, rows: np.ndarray) -> Table:
    return Table(table.root, table.form, table.modality, table.items.iloc[rows].reset_index(drop=True), table.broken)


def _letters(said: list[str]) -> dict[str, float]:
    """Shares of the scripts, by the first word of the letters' names, where they make more than 1 %."""
    seen = Counter(c for t in said[:: max(1, len(said) // 2_000)] for c in t[:500] if c.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in seen.items():
        scripts[unicodedata.name(letter, "UNKNOWN").split()[0].lower()] += count
    total = max(1, sum(scripts.values()))
    return {name: count / total for name, count in scripts.most_common(4) if count > 0.01 * total}


def _lengths(table: Table, lengths: np.ndarray) -> list[Finding]:
    short = np.flatnonzero(lengths < SHORT)
    if len(short) < 0.01 * len(lengths):
        return []
    names = table.items["path"].iloc[short[:SHOWN]].tolist()
    text = f"{len(short):,} of {len(lengths):,} texts have fewer than {SHORT} words; they tell little"
    return [Finding("lengths", "info", text, names)]


def _copies(table: Table, said: list[str]) -> list[Finding]:
    tests = table.items["split"].eq("test").to_numpy()
    paths = table.items["path"].tolist()
    plain = [" ".join(WORDS.findall(t.lower())) or t.strip() for t in said]  # of signs alone each counts
    same: defaultdict[str, list[int]] = defaultdict(list)
    for row, t in enumerate(plain):
        same[t].append(row)
    out = []
    equal = [(rows[0], other) for rows in same.values() for other in rows[1:]]
    crossing = [rows for rows in same.values() if len({bool(tests[r]) for r in rows}) > 1]
    if crossing:
        names = [" = ".join(paths[r] for r in _both(rows, tests)) for rows in crossing[:SHOWN]]
        text = f"equal texts lie on both sides of the test split; results will look too good ({len(crossing):,})"
        out.append(Finding("leak", "error", text, names))
    if equal:
        names = [f"{paths[a]} = {paths[b]}" for a, b in equal[:SHOWN]]
        out.append(Finding("duplicates", "info", f"{len(equal):,} of {len(said):,} texts are copies of others", names))
    near = _near([rows[0] for rows in same.values()], plain)
    over = [(a, b) for a, b in near if tests[a] != tests[b]]
    for kind, found, what in (("leak", over, "on both sides of the test split"), ("duplicates", near, "in all")):
        if found:
            names = [f"{paths[a]} ~ {paths[b]}" for a, b in found[:SHOWN]]
            text = f"{len(found):,} pairs of texts {what} differ by a few words only"
            out.append(Finding(kind, "warning" if kind == "leak" else "info", text, names))
    return out


def _both(rows: list[int], tests: np.ndarray) -> list[int]:
    return [next(r for r in rows if not tests[r]), next(r for r in rows if tests[r])]


def _near(rows: list[int], plain: list[str]) -> list[tuple[int, int]]:
    """Pairs of rows that share most of their runs of three words; a sketch of minima proposes them (Broder 1997)."""
    random = np.random.default_rng(0)
    factor = random.integers(1, 1 << 31, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shift = random.integers(0, 1 << 32, HASHES, dtype=np.uint64)
    runs: dict[int, frozenset[int]] = {}
    drawers: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in rows:
        words = plain[row].split()[:400]
        if len(words) < 6:
            continue  # too short to be told from an accident
        own = {_number(" ".join(words[i : i + 3])) for i in range(len(words) - 2)}
        runs[row] = frozenset(own)
        sketch = ((np.array(sorted(own), np.uint64)[:, None] * factor + shift) >> np.uint64(16)).min(0)
        for band, part in enumerate(np.array_split(sketch, BANDS)):
            drawers[bytes([band]) + part.tobytes()].append(row)
    found = {(a, b) for drawer in drawers.values() for a, b in itertools.pairwise(drawer)}
    return sorted(p for p in found if len(runs[p[0]] & runs[p[1]]) >= ALIKE * len(runs[p[0]] | runs[p[1]]))


def _number(words: str) -> int:
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=4).digest(), "big")
