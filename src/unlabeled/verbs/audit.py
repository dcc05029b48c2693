"""How good is a model on labelled items, and for whom is it worse?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.data.prepare import as_stored
from unlabeled.data.scan import scan
from unlabeled.data.source import file_of
from unlabeled.data.splits import unit_numbers
from unlabeled.data.table import Table
from unlabeled.deploy import fairness, figures
from unlabeled.deploy.engines import gathered
from unlabeled.deploy.model import Model, load_model, worth
from unlabeled.errors import UserError
from unlabeled.formats import manifest
from unlabeled.study.plan import folder_name
from unlabeled.study.record import write_csv, write_json

WINDOW = re.compile(r"@\d+\+\d+$")
SHOWN = ("accuracy", "ece", "coverage", "abstained")


@dataclass(frozen=True, eq=False)
class Audited:
    """What was found.

    Args:
        folder: where `audit.json` and `by.csv` lie.
        figures: over all items, as on the card.
        table: by part: column, part, n, metric, value, low, high, difference and its interval, differs.
        left: items that were left out, and why.
    """

    folder: Path
    figures: dict[str, Any]
    table: pd.DataFrame
    left: tuple[str, ...]

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
                for r in self.table[self.table["differs"] & (self.table["metric"] != "size")].to_dict("records")
            ]
            out += ["", *(told or ["no part differs beyond what chance gives among so many"])]
        return [*out, *self.left, f"tables: {self.folder}"]


def audit(
    model: str,
    data: str,
    *,
    by: Sequence[str] = (),
    split: str = "test",
    out: str | None = None,
    engine: Literal["auto", "torch", "onnx"] = "auto",
) -> Audited:
    """Measure a model on labelled items: accuracy, calibration, label sets and abstention, by any column.

    Args:
        model: a .ul folder, or an .onnx file.
        data: labelled items; a manifest brings the columns.
        by: columns such as site,sex; domain, group and label are always there.
        split: items of this split, where the data are split; all takes every labelled item.
        out: folder for the results; named after the data when not given.
        engine: torch, or onnx, which needs no torch; auto takes torch for a folder.

    Raises:
        UserError: when nothing is labelled with the model's classes, or a column is not there.

    Example:
        unlabeled audit brain.ul scans.csv --by site,sex
    """
    loaded = load_model(model, engine=engine)
    table = as_stored(scan(data), loaded.prep)
    columns = {name: column(table, data, name) for name in by}
    rows = table.rows(labelled=True) if split == "all" else table.rows(split, labelled=True)
    rows = rows if len(rows) else table.rows(labelled=True)
    known = table.items["label"].isin(loaded.classes).to_numpy()
    left: tuple[str, ...] = ()
    if not known[rows].all():
        left = (f"{(~known[rows]).sum()} items of classes that the model does not know",)
    rows = rows[known[rows]]
    if not len(rows):
        raise UserError(
            f"nothing in {data} is labelled with a class of the model", f"it knows {', '.join(loaded.classes)}"
        )
    found, read = _answers(loaded, table, rows)
    code = {c: i for i, c in enumerate(loaded.classes)}
    y = np.array([code[label] for label in table.items["label"].iloc[read]])
    units = unit_numbers(table, read)
    whole = figures.figures(found, y, loaded.limits, units)
    parts = fairness.table(found, y, loaded.limits, {k: v[read] for k, v in columns.items()}, groups=units)
    left += (f"{len(rows) - len(read)} items cannot be read",) if len(read) < len(rows) else ()
    folder = Path(out) if out else folder_name(data, "audit")
    write_json(folder / "audit.json", {"model": model, "data": data, "figures": whole, "left": left})
    write_csv(folder / "by.csv", parts)
    return Audited(folder, whole, parts, left)


def _span(row: dict[Any, Any], what: str) -> str:
    return f"{100 * row[f'{what}low']:.1f} to {100 * row[f'{what}high']:.1f}"


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
    if file.suffix.lower() in manifest.SUFFIXES:
        frame = manifest.read(file)
        there = [str(c) for c in frame.columns if c not in ("path", "split")]
        name = name if name in there else next((k for k, words in manifest.WORDS.items() if name in words), name)
        if name in there:
            return _of_items(table.items["path"].tolist(), frame, name)
    shown = ", ".join(there) or "only what a manifest (.csv, .parquet) names"
    raise UserError(f'there is no column "{name}" in {data}', f"it has {shown}")


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
