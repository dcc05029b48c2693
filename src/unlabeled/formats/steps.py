"""Tables over time: wide ones with a row a time step, and long ones with a row a measurement (id, time, variable,
value); CSV, TSV or Parquet, one recording a file or many with an id.
"""

from collections.abc import Container, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from unlabeled.formats import Unreadable, times
from unlabeled.formats.belonging import IDS, SITES, Belonging, belonging, constant, named
from unlabeled.formats.belonging import first as _first
from unlabeled.formats.cells import NOTE, commas, encoding, layout, table
from unlabeled.formats.record import Recording, lost, made

WORDS = {
    "time": ("time", "timestamp", "date", "datetime", "charttime", "t", "step", "seconds"),
    "id": IDS,
    "variable": ("variable", "parameter", "channel", "feature", "name", "itemid", "measurement"),
    "value": ("value", "val", "valuenum", "measurement_value"),
    "label": ("label", "class", "activity", "is_anomaly", "anomaly", "is_fault", "fault", "faulty", "outlier"),
}  # fmt: skip
PAIR = ("date", "time")  # which together are the time where one holds days and the other times of the day
STATIC = ("age", "gender", "sex", "height", "weight", "icutype", "bmi", "site", "unit")  # descriptors of a record
SEXES = {"f": 0.0, "female": 0.0, "m": 1.0, "male": 1.0}  # where they are told in words
UNKNOWN = (-1.0, -9.0, -99.0, -999.0, -9999.0)  # no descriptor is negative: with these tables say "not known"
OUTCOMES = ("label", "class")  # which may be of whole recordings; activities and faults are of their steps
NAMELESS = ("RecordID",)  # a long table may tell its own number as if it had been measured


def read(path: Path) -> Mapping[str, Recording]:
    """All recordings of a table by their id, or the only one by "".

    Raises:
        Unreadable: when it is no table of numbers over time.
    """
    frame = _frame(path).rename(columns=lambda c: str(c).strip())
    lower: dict[str, str] = {}
    for column in frame.columns:
        name = column.lower()
        if name in lower:
            raise Unreadable(f'two of its columns are called "{name}"')
        lower[name] = column
    found = {what: lower[w] if (w := _first(words, lower)) else None for what, words in WORDS.items()}
    whose = belonging(frame, timed=bool(found["time"]))
    found["id"] = whose.recording or None
    at, taken, note = _times(frame, lower, found["time"])  # of the whole file, so that one rule reads its dates
    parts: list[tuple[str, pd.DataFrame, np.ndarray | None]] = [("", frame, at)]
    notes = [note] if note else []
    notes += (
        [f"its file {NOTE}"] if path.suffix.lower() not in (".parquet", ".pq") and encoding(path) == "cp1252" else []
    )
    if found["id"]:
        groups = _by_id(frame, found["id"])
        parts = [(key, part, None if at is None else at[part.index.to_numpy()]) for key, part in groups]
        if lacking := len(frame) - sum(len(part) for _, part in groups):
            notes.append(f"{lacking:,} rows of its file have no id and were left out")
    long = found["variable"] and found["value"]
    of_whole = found["label"] or ""
    if not (whose.recording and of_whole.lower() in OUTCOMES and constant(frame[whose.recording], frame[of_whole])):
        of_whole = ""
    out, faults = {}, []
    for key, part, own in parts:
        if not long and found["time"] and own is not None:  # a night on a ward
            own = times.overnight(part[found["time"]], own)
        try:
            one = (
                _long(part, found, own) if long and own is not None else _wide(part, found, own, taken | whose.columns)
            )
            if of_whole and one.marks is not None:
                one = replace(one, label=one.marks[0], marks=None if one.marks[0] is None else one.marks)
            out[key] = _told(replace(one, notes=(*one.notes, *notes)), part, whose)
        except Unreadable as fault:
            faults.append(f"{key}: {fault}" if key else str(fault))
            out[key] = lost(str(fault))  # whose it is, is known, and it is told as broken by its id
    if len(faults) == len(out):
        raise Unreadable(faults[0] if faults else "none of its rows has an id")
    return out


def _told(one: Recording, rows: pd.DataFrame, whose: Belonging) -> Recording:
    """A recording with whose it is and where it was made."""

    def word(column: str) -> str | None:
        cells = _words(rows[column].dropna().iloc[:1]).tolist() if column else []
        return cells[0] or None if cells else None

    return replace(one, group=word(whose.person), domain=word(whose.site))


def columns(path: Path) -> list[str]:
    """The names of a table's columns, lower case, from its first line alone; nothing where it cannot be read."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            import pyarrow.parquet as pq

            return [str(n).strip().lower() for n in pq.read_schema(path).names]
        return [cell.lower() for cell in layout(path).head]
    except (OSError, ValueError):
        return []


def _frame(path: Path) -> pd.DataFrame:
    if path.suffix.lower() in (".parquet", ".pq"):
        frame = pd.read_parquet(path)
        if any(name is not None for name in frame.index.names):
            return frame.reset_index()
        rest = frame.reset_index(drop=True)
        return _dated(rest, frame.index.to_series().reset_index(drop=True), rest)
    how = layout(path)
    names = [cell.lower() for cell in how.head if cell]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise Unreadable(f'two of its columns are called "{twice}"')
    numbers = pd.to_numeric(pd.Series(how.head, dtype=object), errors="coerce")
    if len(numbers) > 1 and numbers.notna().all() and not numbers.is_monotonic_increasing:  # as numbered columns are
        raise Unreadable("its first line holds numbers and no names: write a name over each column")
    mine = {w for w in (_first(WORDS["label"], names), _variable(names)) if w}
    whose = named(IDS, how.raw)
    whose += named(SITES, how.raw) if whose else []
    words: dict[Hashable, str] = {c: "str" for c in how.raw if c in whose or c.strip().lower() in mine}  # 007 is no 7
    frame = table(path, how, words)
    if how.between != "," and how.decimal == "." and commas(frame.drop(columns=list(words))):  # below the first lines
        frame = table(path, replace(how, decimal=","), words)
    empty = [c for c in frame.columns if str(c).startswith("Unnamed: ") and frame[c].isna().all()]
    if empty:  # spreadsheets end their lines with separators, and their tables with lines of them
        frame = frame.drop(columns=empty).dropna(how="all")
    if how.head and not how.head[0] and str(frame.columns[0]).startswith("Unnamed: "):  # pandas' own numbers or dates
        frame = _dated(frame, frame.iloc[:, 0], frame.iloc[:, 1:])
    return frame.reset_index(drop=True)  # where lines are longer than their head, pandas takes their first cells away


def _dated(frame: pd.DataFrame, index: "pd.Series", rest: pd.DataFrame) -> pd.DataFrame:
    """A table whose rows have an index without a name: dates in it are the times where no column tells them, numbers
    of rows are nothing, and other numbers stay.
    """
    if pd.api.types.is_integer_dtype(index):
        return rest
    named = {str(c).strip().lower() for c in rest.columns}
    if pd.api.types.is_numeric_dtype(index) or named & {*WORDS["time"]}:
        return frame
    try:
        known = not np.isnan(times.read(index)[0]).any()
    except Unreadable:
        known = False
    return rest.assign(time=index) if known else frame


def _variable(names: Container[str]) -> str:
    """The column that names the variables of a long table, or ""."""
    return _first(WORDS["variable"], names) if _first(WORDS["value"], names) else ""


def _words(cells: "pd.Series") -> "pd.Series":
    """Cells as text, whole numbers without a point; missing ones stay missing."""
    if pd.api.types.is_float_dtype(cells) and (cells.dropna() % 1 == 0).all():
        cells = cells.astype("Int64")
    return cells.astype("str").str.strip()


def _by_id(frame: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each id, in the order of the numbers where all ids are such; rows without an id are left out."""
    parts = [(str(key), part) for key, part in frame.groupby(_words(frame[column]), sort=False)]
    numbers = pd.to_numeric(pd.Series([key for key, _ in parts], dtype="str"), errors="coerce").tolist()
    known = not np.isnan(numbers).any()
    return [parts[i] for i in sorted(range(len(parts)), key=lambda i: (numbers[i] if known else 0, parts[i][0]))]


def _times(
    frame: pd.DataFrame, lower: Mapping[str, str], time: str | None
) -> tuple[np.ndarray | None, set[str | None], str]:
    """Times of all rows in seconds or as they count, the columns that tell them, and what was assumed."""
    if set(PAIR) <= lower.keys():
        date, clock = (lower[name] for name in PAIR)
        both = times.joined(frame[date], frame[clock])
        if both is not None:
            return both[0], {date, clock}, both[1]
    if time is None:
        return None, {None}, ""
    found, note = times.read(frame[time])
    return found, {time}, note


def _wide(
    frame: pd.DataFrame, found: Mapping[str, str | None], at: np.ndarray | None, timed: set[str | None]
) -> Recording:
    taken = {*timed, found["id"], found["label"]}
    names: list[str] = []
    static: dict[str, float] = {}
    columns = [str(c) for c in frame.columns if c not in taken]
    values, odd, left = np.empty((len(columns), len(frame)), np.float32), 0, list[str]()
    for column in columns:
        cells = frame[column]
        if pd.api.types.is_datetime64_any_dtype(cells):
            left.append(column)  # dates, not numbers
            continue
        spans = pd.api.types.is_timedelta64_dtype(cells)
        numbers = cells.dt.total_seconds() if spans else _numbers(cells, column)
        if numbers.isna().all() and cells.notna().any():
            left.append(column)  # words, not numbers
            continue
        odd += int((numbers.isna() & cells.notna()).sum())
        if column.lower() in STATIC and numbers.nunique() <= 1:
            told = float(numbers.dropna().iloc[0]) if numbers.notna().any() else np.nan
            static[column] = np.nan if told in UNKNOWN else told
            continue
        values[len(names)] = numbers.to_numpy(np.float32, na_value=np.nan)
        names.append(column)
    if not names:
        raise Unreadable("none of its columns holds numbers" + (f" ({', '.join(left)})" if left else ""))
    marks = _marks(frame[found["label"]]) if found["label"] else None
    out = made(values[: len(names)], tuple(names), at, marks=marks, static=static)
    notes = [f"{odd:,} cells that hold no number count as missing"] if odd else []
    notes += [f"columns without a number were left out: {', '.join(left)}"] if left else []
    return replace(out, notes=(*out.notes, *notes))


def _numbers(cells: "pd.Series", variable: str) -> "pd.Series":
    """Cells as numbers, what is none as missing; sexes that are told in words become 0 (female) and 1 (male)."""
    numbers: pd.Series = pd.to_numeric(cells, errors="coerce")
    if variable.lower() in ("sex", "gender") and numbers.isna().all():
        return cells.astype("str").str.strip().str.lower().map(SEXES).astype("float64")
    return numbers


def _marks(cells: "pd.Series") -> np.ndarray:
    """Labels (T,) as text, None where there is none; each word is there once, however many steps bear it."""
    codes, found = pd.factorize(cells)
    words = pd.Series(found)
    if not pd.api.types.is_numeric_dtype(words):
        words = words.astype("str")
        numbers = pd.to_numeric(words, errors="coerce")
        if words.str.lower().isin(("true", "false")).all():
            words = words.str.capitalize()
        elif numbers.notna().all() and not words.str.match(r"\s*[+-]?0\d").any():  # 01 is a name, 1.0 a number
            words = numbers
    if pd.api.types.is_float_dtype(words) and (words % 1 == 0).all():
        words = words.astype(np.int64)
    return np.array([*map(str, words.tolist()), None], dtype=object)[codes]


def _long(frame: pd.DataFrame, found: Mapping[str, str | None], at: np.ndarray) -> Recording:
    variable, value = (str(found[k]) for k in ("variable", "value"))
    x = pd.to_numeric(frame[value], errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)
    codes, words = pd.factorize(_words(frame[variable]))
    for code in np.flatnonzero([w.lower() in ("sex", "gender") for w in words]):
        mine = codes == code
        x[mine] = _numbers(frame.loc[mine, value], "sex").to_numpy(np.float64, na_value=np.nan)
    odd = int((np.isnan(x) & frame[value].notna().to_numpy()).sum())
    usable = ~np.isnan(at) & (codes >= 0) & np.array([*(w not in NAMELESS for w in words), False])[codes]
    told_once = np.array([*(w.lower() in STATIC for w in words), False])[codes] & (at == np.nanmin(at, initial=np.inf))
    static: dict[str, float] = {}
    for i in np.flatnonzero(usable & told_once):
        static.setdefault(str(words[codes[i]]), float(x[i]) if x[i] >= 0 else np.nan)  # -1 is "unknown" there
    rest = usable & ~told_once & ~np.isnan(x)
    if not rest.any():
        raise Unreadable("all its values are missing")
    steps, row = np.unique(at[rest], return_inverse=True)
    known, column = np.unique(codes[rest], return_inverse=True)
    total, count = np.zeros((len(known), len(steps))), np.zeros((len(known), len(steps)))
    np.add.at(total, (column, row), x[rest])
    np.add.at(count, (column, row), 1)
    with np.errstate(invalid="ignore"):
        values = total / count
    cells = set(_marks(frame[found["label"]])) - {None} if found["label"] else set()
    label = cells.pop() if len(cells) == 1 else None
    out = made(values, tuple(str(words[k]) for k in known), steps, label, static=static)
    lost = int((np.isnan(at) | (codes < 0)).sum())
    notes = [f"{lost:,} rows without a time or a variable were left out"] if lost else []
    notes += [f"{odd:,} cells that hold no number count as missing"] if odd else []
    return replace(out, notes=(*out.notes, *notes))
