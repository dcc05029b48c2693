"""How good is a model on labelled items, for whom is it worse, and what if its items get worse?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.data import listed
from unlabeled.data.prepare import as_stored
from unlabeled.data.scan import scan
from unlabeled.data.source import file_of
from unlabeled.data.splits import unit_numbers
from unlabeled.data.stream import stream
from unlabeled.data.table import SPLIT_WORDS, SPLITS, Table
from unlabeled.deploy import fairness, figures
from unlabeled.deploy.card import show
from unlabeled.deploy.engines import gathered
from unlabeled.deploy.figures import doubts
from unlabeled.deploy.model import Model, load_model, worth
from unlabeled.deploy.worse import ALL, SEVERITIES, known, measure
from unlabeled.errors import UserError
from unlabeled.formats import manifest, steps
from unlabeled.progress import count
from unlabeled.report.audit.page import Found, write
from unlabeled.report.audit.parts import SHOWN as SHOWN_PARTS
from unlabeled.report.audit.worse import SHOWN as STRENGTH
from unlabeled.study.plan import folder_name
from unlabeled.study.record import write_csv, write_json

WINDOW = re.compile(r"@\d+\+\d+$")
SEEN = "items that the model has learnt from may be among these, which flatters it"
SHOWN = ("accuracy", "ece", "coverage", "abstained")
SOME = 6  # parts that are named
NUMBERED = ("group", "domain", "label")  # whose numbers are names, as of hospitals


@dataclass(frozen=True, eq=False)
class Audited:
    """What was found.

    Args:
        folder: where `audit.json`, `by.csv` and `worse.csv` lie.
        figures: over all items, as on the card.
        table: by part: column, part, n, metric, value, low, high, difference and its interval, differs.
        left: items that were left out, and why.
        worse: by kind and severity of corruption, of `deploy.worse`; None where nothing was made worse.
        report: the page to open.
    """

    folder: Path
    figures: dict[str, Any]
    table: pd.DataFrame
    left: tuple[str, ...]
    worse: pd.DataFrame | None
    report: Path

    def lines(self) -> list[str]:
        """All items, then each part, then what differs."""
        out = [worth(self.figures).replace("test items", "items")]
        if len(self.table):
            out += ["", f"{'':<28}{'items':>6}" + "".join(f"{m:>24}" for m in SHOWN)]
            for (name, part, n), rows in self.table.groupby(["column", "part", "n"], sort=False):
                by = {str(r["metric"]): r for r in rows.to_dict("records")}
                cells = [f"{100 * by[m]['value']:.1f} ({_span(by[m], '')})" for m in SHOWN]
                out.append(f"{f'{name} {part}':<28.27}{n:>6}" + "".join(f"{c:>24}" for c in cells))
            told = [
                f"{r['column']} {r['part']}: {r['metric']} differs from all others by "
                f"{100 * r['difference']:+.1f} points ({_span(r, 'difference_')})"
                for r in _marked(self.table).to_dict("records")
            ]
            out += ["", *(told or ["no part differs beyond what chance gives among so many"])]
        out += [] if self.worse is None else ["", *_worse_lines(self.worse)]
        return [*out, *self.left, f"tables: {self.folder}", f"open {self.report}"]


def audit(
    model: str,
    data: str,
    *,
    by: Sequence[str] = (),
    worse: Sequence[str] = (),
    items: int = 300,
    split: str = "test",
    out: str | None = None,
    engine: Literal["auto", "torch", "onnx"] = "auto",
) -> Audited:
    """Measure a model on labelled items: accuracy, calibration, label sets and abstention, by any column.

    With `worse` it also looks at the items under corruption of five severities: how often it is right, how often it
    still answers, and how often it answers wrongly where it should have held back.

    Args:
        model: a .ul folder, or an .onnx file.
        data: labelled items; a manifest brings the columns.
        by: columns such as site,sex; domain, group and label are always there; ages and the like are cut in quarters.
        worse: kinds of corruption, or all.
        items: most items that are made worse, evenly taken.
        split: items of this split, where the data are split; all takes every labelled item.
        out: folder for the results; named after the data when not given.
        engine: torch, or onnx, which needs no torch; auto takes torch for a folder.

    Raises:
        UserError: when nothing is labelled with the model's classes, or a column or a corruption is not there.

    Example:
        unlabeled audit brain.ul scans.csv --by site,sex --worse all
    """
    part = SPLIT_WORDS.get(split.lower(), split)
    if part not in (*SPLITS, "all"):
        raise UserError(f'there is no split "{split}"', f"take all, or one of {', '.join(SPLITS)}")
    loaded = load_model(model, engine=engine)
    kinds = known(loaded, worse) if worse else []
    if items < 1:
        raise UserError(f"{items} items were to be made worse", "give one or more")
    table = as_stored(scan(data), loaded.prep)
    columns = {name: column(table, data, name) for name in by}
    rows = table.rows(labelled=True) if part == "all" else table.rows(part, labelled=True)
    left: tuple[str, ...] = ()
    if part == "all" or not len(rows):
        rows, left = table.rows(labelled=True), (SEEN,)
    ours = table.items["label"].isin(loaded.classes).to_numpy()
    if not ours[rows].all():
        left += (f"{count((~ours[rows]).sum(), 'item')} of classes that the model does not know",)
    rows = rows[ours[rows]]
    if not len(rows):
        raise UserError(
            f"nothing in {data} is labelled with a class of the model", f"it knows {', '.join(loaded.classes)}"
        )
    found, read = _answers(loaded, table, rows)
    code = {c: i for i, c in enumerate(loaded.classes)}
    y = np.array([code[label] for label in table.items["label"].iloc[read]])
    units = unit_numbers(table, read)
    whole = figures.figures(found, y, loaded.limits, units)
    told = {k: v[read] if known_as(k) in NUMBERED else fairness.banded(v[read]) for k, v in columns.items()}
    parts = fairness.table(found, y, loaded.limits, told, groups=units)
    left += tuple(f"{k}: {few}" for k, v in told.items() if (few := _few(v)))
    left += (f"{count(len(rows) - len(read), 'item')} cannot be read",) if len(read) < len(rows) else ()
    folder = Path(out) if out else folder_name(data, "audit")
    harm: pd.DataFrame | None = None
    curves: dict[int, list[list[float]]] = {}
    if kinds:
        some = np.unique(np.linspace(0, len(read) - 1, min(len(read), items)).astype(np.int64))
        raw = _raw(loaded, table, read[some])
        with progress.bar("make worse and predict", 1 + SEVERITIES * len(kinds)) as bar:
            harm, curves = measure(
                loaded, raw, y[some], kinds, groups=None if units is None else units[some], each=bar.advance
            )
        write_csv(folder / "worse.csv", harm)
    else:
        (folder / "worse.csv").unlink(missing_ok=True)  # of an earlier audit in the same place
    facts = {"model": model, "data": data, "figures": whole, "left": left, "risk_by_severity": curves}
    write_json(folder / "audit.json", facts)
    write_csv(folder / "by.csv", parts)
    promised, kept = loaded.limits.coverage, float(loaded.facts["strangers"]["keep"])
    page = Found(_answer(loaded, whole, parts, harm, left), whole, promised, kept, parts, by, harm, curves)
    report = write(page, folder / "audit.html", str(loaded.facts["name"]))
    return Audited(folder, whole, parts, left, harm, report)


def _answer(
    model: Model, whole: dict[str, Any], parts: pd.DataFrame, harm: pd.DataFrame | None, left: tuple[str, ...]
) -> dict[str, Any]:
    """The page's first sentence, what else was found, and what it does not show."""
    n, right, said = whole["n"], whole["accuracy"], whole["answered_accuracy"]
    sentence = f"Right on {_percent(right)} of {count(n, 'item')}"
    silent = whole["abstained"]["value"]
    sentence += f"; no answer on {progress.in_percent(silent)} %" if silent else ""
    sentence += f", and where it answers right on {_percent(said)}" if silent and said["value"] is not None else ""
    details = [
        f"Label sets hold the truth in {_percent(whole['coverage'])}; {100 * model.limits.coverage:g} % were promised.",
        f"Confidence is off by {_percent(whole['ece'])} on average; an honest model would show "
        f"{100 * whole['ece_chance']['mean']:.1f} % on so many items by chance.",
        *(f"{line[0].upper()}{line[1:]}." for line in _worse_lines(harm)),
    ]
    for (column, part), mine in _marked(parts).groupby(["column", "part"], sort=False):
        details.append(f"{column} {part} differs from all others: {', '.join(SHOWN_PARTS[m] for m in mine['metric'])}.")
    details += doubts(whole, model.facts["conformal"], model.facts["strangers"])
    limits = ["The labels of these items are taken for the truth.", *(f"{text[0].upper()}{text[1:]}." for text in left)]
    if harm is not None:
        limits.append("Corruptions are drawn, not taken where the model will run: they rank weaknesses, no more.")
    return {"sentence": f"{sentence}.", "details": details, "limits": limits}


def _worse_lines(table: pd.DataFrame | None) -> list[str]:
    """What becomes of the promises, a sentence each, without its full stop."""
    if table is None:
        return []
    whole = table[table["kind"] == ALL].set_index("severity")
    kinds = table[(table["kind"] != ALL) & (table["severity"] == STRENGTH)]
    clean, bad = whole.loc[0], whole.loc[STRENGTH]
    name = str(kinds["kind"].iloc[int(kinds["misled"].argmax())]).replace("_", " ")

    def change(what: str) -> str:
        return f"{100 * bad[what]:.1f} % (as they are {100 * clean[what]:.1f} %)"

    most = f", most under {name}, {100 * kinds['misled'].max():.1f} %" if len(kinds) > 1 and bad["misled"] else ""
    return [
        f"at severity {STRENGTH} of {count(len(kinds), 'kind')} of corruption it is right on {change('accuracy')}, "
        f"answers {change('answered')} and label sets hold the truth in {change('coverage')}",
        f"it answers wrongly on {change('misled')} of them{most}",
    ]


def _marked(parts: pd.DataFrame) -> pd.DataFrame:
    """The figures of parts that differ from all others and are shown."""
    return parts[parts["differs"] & parts["metric"].isin(SHOWN_PARTS)] if len(parts) else parts


def _percent(figure: dict[str, Any]) -> str:
    value, ends = show(figure, True)
    return f"{value} ({ends or 'too few for an interval'})"


def _raw(model: Model, table: Table, rows: np.ndarray) -> np.ndarray:
    """Raw items (N, ...) of rows that can be read."""
    some = replace(table, items=table.items.iloc[rows].reset_index(drop=True))
    return np.concatenate([chunk.raw for chunk in stream(some, model.prep) if len(chunk.rows)])


def _span(row: dict[Any, Any], what: str) -> str:
    low, high = row[f"{what}low"], row[f"{what}high"]
    return f"{100 * low:.1f} to {100 * high:.1f}" if low == low else "one group"


def column(table: Table, data: str, name: str) -> np.ndarray:
    """A column of the table, or of the manifest behind it, (N,).

    Raises:
        UserError: when there is none of that name.
    """
    if name in table.items.columns and (table.items[name].notna().any() or name == "label"):
        return table.items[name].to_numpy(dtype=object)
    file = Path(data)
    if file.is_dir() and table.form.startswith("manifest "):
        file = file / table.form.removeprefix("manifest ")
    there: list[str] = []
    if file.suffix.lower() in manifest.SUFFIXES and table.form.startswith("manifest"):  # not a table of recordings
        frame = listed.below(manifest.read(file), table.folder) if file.parent == Path(data) else manifest.read(file)
        there = [str(c) for c in frame.columns if c not in ("path", "split")]
        heads = {manifest.folded(c): c for c in (*reversed(there), "label", "group", "domain")}
        known = {manifest.folded(c) for c in steps.columns(file)}  # what the file itself calls them
        name = heads.get(manifest.folded(name), known_as(name) if manifest.folded(name) in known else name)
        if name in there:
            return _of_items(table.items["path"].tolist(), frame, name)
    if (own := known_as(name)) not in there and own in table.items.columns and table.items[own].notna().any():
        return table.items[own].to_numpy(dtype=object)  # that the recordings tell themselves
    shown = ", ".join(there) or "only what a manifest (.csv, .parquet) names"
    raise UserError(f'there is no column "{name}" in {data}', f"it has {shown}")


def known_as(name: str) -> str:
    """The column of a table of items that a word stands for, else the word itself.

    >>> known_as("hospital"), known_as("age")
    ('domain', 'age')
    """
    own = manifest.folded(name)
    return next((k for k, words in manifest.WORDS.items() if own in map(manifest.folded, words)), name)


def _few(values: np.ndarray) -> str:
    """What is said of parts that hold too few items."""
    small = fairness.small(values)
    some = ", ".join(small[:SOME]) + (f" and {len(small) - SOME} more" if len(small) > SOME else "")
    parts = count(len(small), "part")
    return f"{parts} of fewer than {fairness.FEWEST} items left out: {some}" if small else ""


def _of_items(paths: list[str], frame: pd.DataFrame, name: str) -> np.ndarray:
    """The value of each item (N,): of the row that names it, or the recording (a part of one) it is a window of."""
    tidy = frame["path"].str.replace("\\", "/").str.removeprefix("./").tolist()
    ends = [frame[end].tolist() if end in frame else [None] * len(frame) for end in ("first", "end")]
    rows: dict[str, list[tuple[float, float, Any]]] = {}
    for path, first, end, value in zip(tidy, *ends, frame[name], strict=True):
        span = (0.0, np.inf) if pd.isna(first) or pd.isna(end) else (float(first), float(end))
        rows.setdefault(path, []).append((*span, value))
    out = np.full(len(paths), None, dtype=object)
    for number, path in enumerate(paths):
        whole, _, window = path.rpartition("@") if WINDOW.search(path) else (path, "", "0")
        at = float(window.partition("+")[0])
        mine = next((rows[p] for p in (path, whole, file_of(path)) if p in rows), [])
        out[number] = next((value for first, end, value in mine if first <= at < end or path in rows), None)
    return out


def _answers(model: Model, table: Table, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Probabilities and strangeness, and the rows that could be read."""
    some = replace(table, items=table.items.iloc[rows].reset_index(drop=True))
    parts, read = [], []
    with progress.bar("predict", len(some)) as bar:
        for chunk, found in model.stream(some):
            bar.advance(len(chunk.rows) + len(chunk.broken))
            if found is not None:
                parts.append(found)
                read.append(rows[chunk.rows])
    if not parts:
        raise UserError(f"nothing in {table.root} can be read", "give items like those that the model is for")
    whole = gathered(parts)
    return {"probabilities": whole.probabilities, "strangeness": whole.strangeness}, np.concatenate(read)
