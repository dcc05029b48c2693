"""The single checks of the doctor: each looks at one thing and answers with findings and facts."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unlabeled.data import likeness, order
from unlabeled.data.source import Source
from unlabeled.data.splits import unit_numbers
from unlabeled.data.table import SPLITS, Broken, Table
from unlabeled.formats import picture
from unlabeled.progress import count

SHOWN = 5  # examples with a finding
TURNED = 2_000  # items whose turned copies are compared
LEARN = ("train", "val", "unlabeled")
NOTHING = frozenset(("na", "n/a", "nan", "null", "nil", "none", "unknown", "unk", "missing", "?", "-", "not known"))
NUMBERS = frozenset(("-1", "-9", "-99", "-999", "-9999"))  # which may stand for it beside two classes or more
UNEVEN = 10  # times that the largest class is larger than the smallest before it is told
TELLING = 0.6  # share of the variance of brightness, or of colour, that classes explain before it is told
TELLERS = 20  # labelled items beyond one a class that are asked for before it is told
DAY = re.compile(
    r"(19|20)\d\d([-_. ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])([T_ -].*)?|\d\d?([-_.])\d\d?\6(19|20)\d\d"
)
GIVEN_AWAY = 0.25  # accuracy above chance that picture sizes alone may give before it is told

Facts = dict[str, Any]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing to know about the data.

    Args:
        kind: a word for programs: `broken`, `leak`, `duplicates`, `labels`, `groups`, `classes`, `sizes`, ...
        severity: `error` makes results wrong, `warning` may, `info` is good to know.
        text: a sentence for people, with what to do about it.
        examples: a few files or names.
    """

    kind: str
    severity: Severity
    text: str
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of the items.

    Args:
        rows: row numbers in the table (M,), sorted.
        thumbs: (M, 32, 32, 3) uint8.
        looks: sizes, channels and depth of all of them or of some.
        broken: items that could not be read.
        channels: with which all of them are stored, 1 or 3; 0 where that is not known.
    """

    rows: np.ndarray
    thumbs: np.ndarray
    looks: list[picture.Look]
    broken: tuple[Broken, ...] = ()
    channels: int = 0


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly over their order."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def sample(table: Table, rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly over their order; where few are labelled, those first, up to half of them."""
    known = table.labels[rows] >= 0
    few = spread(rows[known], max(most // 2, most - int((~known).sum())))
    return np.sort(np.concatenate([few, spread(rows[~known], most - len(few))]))


def counts(table: Table) -> Facts:
    """Items a split, a class, a group and a domain."""
    items = table.items
    labelled = items[items["label"].notna()]
    classes: dict[str, dict[str, int]] = {c: {} for c in table.classes}
    pairs = Counter(zip(labelled["label"], labelled["split"], strict=True))
    for label, split in sorted(pairs, key=lambda pair: SPLITS.index(pair[1])):
        classes[label][split] = pairs[label, split]
    return {
        "items": len(table),
        "splits": {s: int(n) for s in SPLITS if (n := (items["split"] == s).sum())},
        "labelled": len(labelled),
        "classes": classes,
        "groups": int(items["group"].nunique()),
        "domains": {str(d): int(n) for d, n in items["domain"].value_counts().items()},
    }


def groups(table: Table) -> list[Finding]:
    """Groups with items on both sides of the test split."""
    items = table.items[table.items["group"].notna()]
    both = (items["split"] == "test").groupby(items["group"]).nunique()
    straddling = [str(g) for g in both.index[both > 1]]
    if not straddling:
        return []
    have = "has" if len(straddling) == 1 else "have"
    text = f"{len(straddling):,} of {count(len(both), 'group')} {have} items inside and outside the test split"
    text += "; split by group"
    return [Finding("groups", "error", text, straddling[:SHOWN])]


def dates(table: Table) -> list[Finding]:
    """Classes that are named like days: folders of when pictures were taken, which say nothing of what they show."""
    named = [c for c in table.classes if DAY.fullmatch(c.strip())]
    if "folder" not in table.form or len(named) < max(2, 0.8 * len(table.classes)):
        return []
    text = (
        f"{len(named):,} of the {len(table.classes):,} classes are named like days; if they only say when items were "
        "made, name the labels that you have in a table (path,label) inside the folder"
    )
    return [Finding("classes", "warning", text, named[:SHOWN])]


def classes(table: Table) -> list[Finding]:
    """Classes that are missing, single or uneven."""
    if len(table) < 2:
        return [Finding("few", "warning", "there is only one item; nothing can be learnt from it")]
    out = []
    items = table.items
    learn = items[items["split"].isin(("train", "val"))]["label"].value_counts()
    test = items[items["split"] == "test"]["label"].value_counts()
    if len(table.classes) == 1:
        text = f'there is only one class ("{table.classes[0]}"); pretraining works, comparing labels does not'
        out.append(Finding("classes", "warning", text))
    lists = {
        "only in the test split; give training items of them": sorted(set(test.index) - set(learn.index)),
        "not in the test split; nothing will be known of them": sorted(set(learn.index) - set(test.index))
        if len(test)
        else [],
        "told by a single labelled item; label some more": sorted(learn.index[learn == 1]),
    }
    for text, names in lists.items():
        if names:
            number = f"{len(names)} classes are" if len(names) > 1 else "one class is"
            out.append(Finding("classes", "warning", f"{number} {text}", [str(n) for n in names[:SHOWN]]))
    called = {c.strip().lower().removesuffix(".0"): c for c in table.classes}
    odd = [c for low, c in called.items() if low in NOTHING or (low in NUMBERS and len(called) > 2)]
    if odd and len(called) > len(odd):
        told = ", ".join(f'"{c}" ({count((items["label"] == c).sum(), "item")})' for c in odd[:SHOWN])
        text = f"a class is called {told}: where that means that no label is known, leave those cells empty"
        out.append(Finding("classes", "warning", text))
    if len(learn) > 1 and learn.max() >= UNEVEN * learn.min():
        most, least = f'"{learn.idxmax()}" has {learn.max():,} items', f'"{learn.idxmin()}" {learn.min():,}'
        text = f"the classes are uneven ({most}, {least}); read macro-F1 rather than accuracy"
        out.append(Finding("balance", "warning", text))
    return out


def shapes(table: Table, seen: Seen) -> tuple[list[Finding], Facts]:
    """Sizes and channels, and pictures that show nothing."""
    out = []
    looks = seen.looks
    sizes = Counter((look.width, look.height) for look in looks)
    channels = Counter(look.channels for look in looks)
    facts = {
        "sizes": {f"{w} x {h}": n for (w, h), n in sizes.most_common(10)},
        "different_sizes": len(sizes),
        "channels": dict(channels),
    }
    if len(sizes) > 1:
        small, large = min(sizes, key=np.prod), max(sizes, key=np.prod)
        text = f"pictures come in {len(sizes):,} sizes, {small[0]} x {small[1]} to {large[0]} x {large[1]} pixels"
        out.append(Finding("sizes", "info", f"{text}; all are brought to one square"))
    long = sum(n for (w, h), n in sizes.items() if max(w, h) >= 2 * min(w, h))
    if looks and long > 0.05 * len(looks):
        text = f"{long / len(looks):.0%} of the pictures are twice as long as wide, and a square distorts them"
        out.append(Finding("sizes", "info", f"{text}; consider to crop or pad them beforehand"))
    if len(channels) > 1:
        grey = seen.channels == 1
        text = f"{count(channels[1], 'grey picture')} among {count(channels[3], 'coloured one')}; all are read as "
        text += "grey, as so few are not: take the coloured ones out" if grey else "coloured"
        out.append(Finding("channels", "warning" if grey else "info", text))
    elif 1 in channels and seen.channels == 3:
        out.append(
            Finding(
                "channels", "info", "the pictures looked at are grey, a few others are not; all are read as coloured"
            )
        )
    elif 1 in channels:
        out.append(Finding("channels", "info", "all pictures are grey; views change no hue"))
    flat = seen.rows[np.ptp(seen.thumbs.reshape(len(seen.thumbs), -1), axis=1) <= 2]
    facts["constant"] = len(flat)
    if len(flat):
        text = count(len(flat), "picture is one plain colour", "pictures are one plain colour")
        text += "; take such out if they mean nothing"
        out.append(Finding("constant", "warning", text, table.items["path"].iloc[flat[:SHOWN]].tolist()))
    out += _given_away(table, seen)
    return out, facts


def _given_away(table: Table, seen: Seen) -> list[Finding]:
    """Whether the size of a picture tells its class, which no model should learn."""
    labels = table.labels[seen.rows]
    known = labels >= 0
    if len(seen.looks) != len(seen.rows) or known.sum() < 50 or len(np.unique(labels[known])) < 2:
        return []
    sizes = np.array([look.width * 100_003 + look.height for look in seen.looks])[known]
    labels = labels[known]
    _, size = np.unique(sizes, return_inverse=True)
    table_of = np.zeros((size.max() + 1, labels.max() + 1))
    np.add.at(table_of, (size, labels), 1)
    without = table_of[size]
    without[np.arange(len(labels)), labels] -= 1  # an item does not vote for itself
    right = float(np.mean((without.argmax(axis=1) == labels) & (without.max(axis=1) > 0)))
    chance = float(np.bincount(labels).max() / len(labels))
    if right < chance + GIVEN_AWAY:
        return []
    text = f"the size of a picture alone tells the class of {right:.0%} of the items (chance {chance:.0%})"
    return [Finding("sizes", "warning", f"{text}; the classes may come from different sources")]


def copies(table: Table, seen: Seen) -> tuple[list[Finding], Facts]:
    """Equal files and nearly equal pictures, across the test split and under two labels first of all."""
    same = _equal(table, seen)
    first = {row: rows[0] for rows in same for row in rows}
    single = np.array([i for i, row in enumerate(seen.rows.tolist()) if first.get(row, row) == row], dtype=np.int64)
    of_test = table.rows("test")
    tests, apart = np.isin(seen.rows, of_test), set(of_test.tolist())
    pixels = likeness.unit(likeness.grey(seen.thumbs))
    near = likeness.near_pairs(pixels, single, single)
    over = likeness.near_pairs(pixels, single[tests[single]], single[~tests[single]])
    near = np.unique(np.sort(np.concatenate([near, over]), axis=1), axis=0)
    near = seen.rows[near]
    exact = np.array([(rows[0], other) for rows in same for other in rows[1:]], dtype=np.int64).reshape(-1, 2)
    crossing = np.array([pair for rows in same for pair in _across(rows, apart)], dtype=np.int64).reshape(-1, 2)
    is_test = (table.items["split"] == "test").to_numpy()
    near_crossing = near[is_test[near[:, 0]] != is_test[near[:, 1]]]
    labels = table.labels
    facts = {
        "duplicates": len(exact),
        "duplicates_across_splits": len(crossing),
        "near_duplicates": len(near),
        "near_duplicates_across_splits": len(near_crossing),
    }
    out = []

    def tell(kind: str, severity: Severity, pairs: np.ndarray, text: str) -> None:
        if len(pairs):
            paths = table.items["path"]
            examples = [f"{paths.iloc[a]} = {paths.iloc[b]}" for a, b in pairs[:SHOWN].tolist()]
            out.append(Finding(kind, severity, f"{text} ({len(pairs):,})", examples))

    tell("leak", "error", crossing, "test pictures are there outside the test split too; take them out of one side")
    tell("labels", "error", _two_labels(exact, labels), "equal pictures have different labels; decide which is right")
    text = "nearly equal pictures lie on both sides of the test split; results may look too good"
    tell("leak", "warning", near_crossing, text)
    tell(
        "labels",
        "warning",
        _two_labels(near, labels),
        "nearly equal pictures have different labels; look at them",
    )
    tell("duplicates", "info", exact, "the same pictures are there more than once")
    tell("duplicates", "info", near, "pictures are nearly equal")
    return out, facts


def _equal(table: Table, seen: Seen) -> list[list[int]]:
    """Rows of equal content, in lists of two and more; files of different length are not read."""
    source = Source(table)
    lengths: defaultdict[Any, list[int]] = defaultdict(list)
    for row in seen.rows.tolist():
        file, inner = source.split(row)
        lengths["array" if inner >= 0 else os.stat(file).st_size].append(row)  # noqa: PTH116
    contents: defaultdict[bytes, list[int]] = defaultdict(list)
    for rows in lengths.values():
        for row in rows if len(rows) > 1 else ():
            file, inner = source.split(row)
            data = source.arrays[file][inner].tobytes() if inner >= 0 else Path(file).read_bytes()
            contents[hashlib.sha256(data).digest()].append(row)
    return [rows for rows in contents.values() if len(rows) > 1]


def _two_labels(pairs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    a, b = labels[pairs[:, 0]], labels[pairs[:, 1]]
    return np.asarray(pairs[(a >= 0) & (b >= 0) & (a != b)])


def _across(rows: list[int], tests: set[int]) -> list[tuple[int, int]]:
    """Each test row of equal rows with one that is not a test row."""
    other = next((row for row in rows if row not in tests), None)
    return [] if other is None else [(row, other) for row in rows if row in tests]


def signs(table: Table, seen: Seen) -> tuple[list[Finding], Facts]:
    """Augmentations that would make one class look like another, or pictures look like none of the data."""
    learn = np.flatnonzero(np.isin(seen.rows, table.rows(*LEARN)))
    some = np.searchsorted(seen.rows, sample(table, seen.rows[learn], TURNED))
    rows = seen.rows[some]
    labels = table.labels[rows]
    if len(some) < 5 * likeness.FEWEST:
        return [], {}
    out: list[Finding] = []
    facts: Facts = {}
    names = table.classes
    for turn in likeness.turned(likeness.grey(seen.thumbs[some]), labels, unit_numbers(table, rows)):
        facts[turn.name] = {"foreign": turn.foreign, "swaps": [(names[a], names[b], s) for a, b, s in turn.swaps]}
        mirror = turn.name == "left-right mirror image"
        for a, b, share in turn.swaps:
            text = f'a {turn.name} makes "{names[a]}" look like "{names[b]}" and back ({share:.0%} of them or more)'
            out.append(Finding("views", "warning" if mirror else "info", f"{text}; {REMEDIES[turn.name]}"))
        if mirror and not turn.swaps and turn.foreign >= likeness.FOREIGN:
            text = f"pictures look foreign to the data as a {turn.name}; {REMEDIES[turn.name]}"
            out.append(Finding("views", "info", text))
        if turn.name == "mirror image upside down" and not turn.swaps and turn.foreign < likeness.NATURAL:
            text = "pictures look at home upside down; --vertical-flip 0.5 gives more variety"
            out.append(Finding("views", "info", text))
    known = labels >= 0
    if 1 < len(np.unique(labels[known])) <= known.sum() - TELLERS:
        pixels = seen.thumbs[some][known].astype(np.float32).mean(axis=(1, 2))
        bright = likeness.explained(pixels.mean(axis=1), labels[known])
        colour = max(
            likeness.explained(pixels[:, a] - pixels[:, b], labels[known]) for a, b in ((0, 1), (1, 2), (0, 2))
        )
        facts |= {"brightness_explained": bright, "colour_explained": colour}
        if bright >= TELLING:
            text = f"the classes explain {bright:.0%} of the brightness of the pictures; strong jitter may hide them"
            out.append(Finding("views", "warning", f"{text}, try --jitter 0.2"))
        if colour >= TELLING:
            text = f"the classes explain {colour:.0%} of the colour of the pictures; strong jitter may hide them"
            out.append(Finding("views", "warning", f"{text}, try --jitter 0.2"))
    return out, {"views": facts}


def neighbours(table: Table, seen: Seen) -> tuple[list[Finding], Facts]:
    """Whether the order of names carries groups, where none is named; no test item is looked at."""
    learn = np.flatnonzero(np.isin(seen.rows, table.rows(*LEARN)))
    looked_at = len(seen.rows) + len(seen.broken)
    if table.items["group"].notna().any() or looked_at < len(table):  # of a sample files do not follow one another
        return [], {}
    pixels = likeness.unit(likeness.grey(seen.thumbs[learn]), 16)
    found = order.look(table.items["path"].iloc[seen.rows[learn]].tolist(), lambda some: pixels[some])
    facts = {"order": {"alike": found.alike, "reach": found.reach}} if found.files else {}
    if not found.carries:
        return [], facts
    text = (
        f"files that follow one another are alike (mean rank {found.alike:.2f} among all of a folder, chance 0.50), "
        "as slices of one patient or frames of one film are; name such groups in a manifest, or all figures flatter, "
        "and say --groups-from order to finetune"
    )
    return [Finding("order", "warning", text)], facts


REMEDIES = {
    "left-right mirror image": "set --horizontal-flip 0",
    "mirror image upside down": "leave --vertical-flip at 0",
    "half turn": "do not flip both ways, and keep --rotation small",
    "quarter turn": "keep --rotation small",
}
