"""Times of tables as seconds: plain numbers, clocks, counts since 1970, and dates with the day or the month first."""

import re
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from unlabeled.formats import Unreadable

FIRST_DATE, LAST_DATE = 3e8, 4.2e9  # seconds since 1970, of 1979 and 2103: times between them are of a calendar
DAY = 86400.0  # seconds
PARTS = (1e3, 1e6, 1e9)  # of a second, in which programs count the time since 1970
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # dates as one number, by its digits
CLOCK = re.compile(r"(\d+)([:.])(\d\d)(?:\2(\d\d(?:[.,]\d+)?))?(?: ?([AaPp])\.?[Mm]\.?)?")
NUMERIC = re.compile(
    r"\d\d?(?P<sign>[./-])\d\d?(?P=sign)(?P<year>\d{4}|\d\d)"
    r"(?:(?P<gap>,? *T?)\d\d?:\d\d(?P<second>:\d\d)?(?P<part>\.\d+)?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:Z|[+-]\d\d:?\d\d))?)?"
)
LOT = 1 << 17  # rows whose cells are in memory together
KINDS = 64  # ways of writing a date that one column may mix
ASSUMED = (
    "its dates can be read with the day or the month first, and the day was taken: write them as 2024-02-13 to be sure"
)


def read(column: "pd.Series") -> tuple[np.ndarray, str]:
    """Times (T,) float64, NaN where there is none, and what was assumed to read them, or "".

    Numbers stay as they are, but those that can only be milli-, micro- or nanoseconds since 1970 become seconds.
    Clocks (`36:15`) count seconds from midnight, dates seconds since 1970 in UTC.

    Raises:
        Unreadable: when some dates can only be read with the day first and others only with the month first.
    """
    if pd.api.types.is_numeric_dtype(column):
        return _numbers(column.to_numpy(np.float64, na_value=np.nan), str(column.name)), ""
    if pd.api.types.is_datetime64_any_dtype(column):
        return _since(column), ""
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds().to_numpy(np.float64), ""
    first: pd.Index[str] = next((cells for _, _, cells in _lots(column)), pd.Index([], dtype="str"))
    if len(first) and not np.isnan(_clocks(first, ":")).any():
        return _laid(column, lambda cells: _clocks(cells, ":")), ""
    if len(first) and np.isfinite(_plain(first)).mean() > 0.5:
        return _numbers(_laid(column, _plain), str(column.name)), ""
    return _dates(column)


def overnight(column: "pd.Series", times: np.ndarray) -> np.ndarray:
    """Times (T,) in the order of their rows, in which the days go on where a clock (`23:50`, `00:10`) begins anew.

    Only times of the day, and only where every turn back is one of more than half a day; else they stay as they are.

    Args:
        column: the cells that they were read from.
        times: what `read` made of them.

    >>> overnight(pd.Series(["23:30", "00:30"]), np.array([84600.0, 1800.0])).tolist()
    [84600.0, 88200.0]
    """
    if pd.api.types.is_numeric_dtype(column) or not len(times) or not (0 <= times.min() <= times.max() < DAY):
        return times
    steps = np.diff(times)
    back = steps < 0
    if not back.any() or (steps[back] > -DAY / 2).any() or np.isnan(_clocks(pd.Index(column.iloc[:1]), ":")).any():
        return times
    return np.asarray(times + DAY * np.cumsum(np.append(False, back)))


def joined(dates: "pd.Series", clocks: "pd.Series") -> tuple[np.ndarray, str] | None:
    """Times (T,) of a column of dates and one of times of the day, and what was assumed; None where they are not such.

    Dates that hold a time of the day themselves are the times alone.

    Raises:
        Unreadable: as `read` does.
    """
    if pd.api.types.is_numeric_dtype(clocks) or pd.api.types.is_datetime64_any_dtype(clocks):
        return None
    of_day = _laid(clocks, lambda cells: _clocks(cells, ":."))
    given = clocks.notna().to_numpy()
    if not given.any() or np.isnan(of_day[given]).any() or of_day[given].max() > DAY:
        return None
    days, note = read(dates)
    there = days[~np.isnan(days)]
    if not len(there) or np.abs(there).max() < DAY * 366:  # numbers or clocks, not dates
        return None
    return (days if (there % DAY != 0).any() else days + of_day), note


def _numbers(x: np.ndarray, name: str) -> np.ndarray:
    """Numbers as they are, in seconds where they can only be finer parts of them since 1970 or dates."""
    there = x[np.isfinite(x)]
    if not len(there):
        return x
    low, high = float(there.min()), float(there.max())
    for parts in PARTS:
        if FIRST_DATE * parts <= low and high < LAST_DATE * parts:
            return x / parts
    digits = len(f"{abs(low):.0f}")
    if digits not in COMPACT or not low // 10 ** (digits - 4) >= 1900 or not high // 10 ** (digits - 4) < 2100:
        return x
    if (digits == 8 and not name.strip().lower().startswith("date")) or (there % 1 != 0).any():
        return x  # steps may well be numbered so high
    cells = pd.Series(there.astype(np.int64)).astype("str")
    found = _since(pd.to_datetime(cells, format=COMPACT[digits], errors="coerce"))
    if np.isnan(found).any():
        return x
    out = x.copy()
    out[np.isfinite(x)] = found
    return out


def _since(dates: "pd.Series") -> np.ndarray:
    """Seconds since 1970 (T,), NaN where there is no date. Counted in microseconds: in nanoseconds the year 2262 is the
    last, and what lies behind it comes round again in 1677.

    >>> _since(pd.Series(np.array(["2262-04-12", "9999-12-31"], "datetime64[s]"))).tolist()
    [9223372800.0, 253402214400.0]
    """
    out = dates.to_numpy("datetime64[us]").astype(np.int64) / 1e6
    out[dates.isna().to_numpy()] = np.nan
    return np.asarray(out)


def _lots(column: "pd.Series") -> Iterator[tuple[slice, np.ndarray, "pd.Index[str]"]]:
    """Where some rows stand, which of the cells each holds, and the different cells; empty ones are -1."""
    for start in range(0, len(column), LOT):
        part = column.iloc[start : start + LOT]
        cells = part.astype("str").str.strip()
        codes, different = pd.factorize(cells.where(cells != ""))
        yield slice(start, start + len(part)), codes, different


def _laid(column: "pd.Series", read_cells: Callable[["pd.Index[str]"], np.ndarray]) -> np.ndarray:
    """What is read of each cell (T,), NaN for empty ones; memory beside that does not grow with the rows."""
    out = np.full(len(column), np.nan)
    for rows, codes, cells in _lots(column):
        out[rows] = _at(read_cells(cells), codes)
    return out


def _at(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.asarray(np.append(values, np.nan)[codes])


def _plain(cells: "pd.Index[str]") -> np.ndarray:
    """Numbers, NaN where a cell is none."""
    return np.asarray(pd.to_numeric(pd.Series(cells), errors="coerce").to_numpy(np.float64))


def _clocks(cells: "pd.Index[str]", signs: str) -> np.ndarray:
    """Seconds of clock times with one of the signs between their parts, NaN where a cell is none."""
    out = np.full(len(cells), np.nan)
    for number, cell in enumerate(cells):
        found = CLOCK.fullmatch(cell)
        if found is None or found[2] not in signs:
            continue
        hours = int(found[1])
        if found[5]:  # twelve at night is the first hour, at noon the thirteenth
            hours = hours % 12 + (12 if found[5] in "pP" else 0)
        out[number] = hours * 3600 + int(found[3]) * 60 + float((found[4] or "0").replace(",", "."))
    return out


def _dates(column: "pd.Series") -> tuple[np.ndarray, str]:
    """Seconds since 1970 (T,) of cells that hold dates, and what was assumed."""
    out, either, points = np.full(len(column), np.nan), None, False
    for rows, codes, found in _lots(column):
        cells = pd.Series(found, dtype="str").str.replace(r" ?(?:UTC|GMT)$", "Z", regex=True)
        out[rows] = _at(_since(pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce")), codes)
        left = np.isnan(out[rows]) & (codes >= 0)
        if not left.any():
            continue
        cells, codes = cells.iloc[np.unique(codes[left])], np.unique(codes[left], return_inverse=True)[1]
        numeric = cells.str.fullmatch(NUMERIC.pattern).to_numpy(bool)
        if either is None:
            either = np.full((2, len(column)), np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of each cell that it has to guess
            named = _since(pd.to_datetime(cells.where(~numeric), format="mixed", utc=True, errors="coerce"))
        for reading, by_day in zip(either, (True, False), strict=True):
            reading[rows][left] = np.where(numeric, _parsed(cells, by_day), named)[codes]
        points |= bool(cells[numeric].str.contains(r"^\d\d?\.", regex=True).any())
    if either is None:
        return out, ""
    by_day, note = _day_first(either[0], either[1], points)
    return np.where(np.isnan(out), either[0 if by_day else 1], out), note


def _parsed(cells: "pd.Series", by_day: bool) -> np.ndarray:
    """Seconds of dates that are written in numbers, read with the day or the month first; NaN for others."""
    out = np.full(len(cells), np.nan)
    forms = cells.str.replace(r"\d{3,}", "9", regex=True).str.replace(r"\d{1,2}", "0", regex=True)
    numbers, different = pd.factorize(forms)
    for number in range(min(len(different), KINDS)):
        mine = numbers == number
        form = _form(str(cells.iloc[int(mine.argmax())]), by_day)
        if form:
            out[mine] = _since(pd.to_datetime(cells[mine], format=form, utc=True, errors="coerce"))
    return out


def _form(cell: str, by_day: bool) -> str:
    """How a date is written, in the letters of `strptime`; "" where it is not one of numbers."""
    found = NUMERIC.fullmatch(cell)
    if found is None:
        return ""
    year = "%Y" if len(found["year"]) == len("2024") else "%y"
    out = found["sign"].join(("%d", "%m", year) if by_day else ("%m", "%d", year))
    if found["gap"] is None:
        return out
    out += found["gap"] + ("%I:%M" if found["half"] else "%H:%M")
    out += (":%S" if found["second"] else "") + (".%f" if found["part"] else "")
    for what, letter in (("half", "%p"), ("zone", "%z")):
        if found[what]:
            out += (" " if found[what][0] == " " else "") + letter
    return out


def _day_first(day: np.ndarray, month: np.ndarray, points: bool) -> tuple[bool, str]:
    """Whether the day stands first in dates, from the times (T,) by either reading and whether there are points between
    their numbers, and what was assumed.

    A number above 12 tells, then points between the numbers; else that reading in which time turns back less often and
    goes in more even steps.
    """
    only_day, only_month = ~np.isnan(day) & np.isnan(month), np.isnan(day) & ~np.isnan(month)
    if only_day.any() and only_month.any():
        raise Unreadable("the day stands first in some of its dates and the month in others: write them as 2024-02-13")
    if only_day.any() or only_month.any():
        return bool(only_day.any()), ""
    if points or np.array_equal(day, month, equal_nan=True):
        return True, ""
    first, second = _unrest(day), _unrest(month)
    return first <= second, ASSUMED if first == second else ""


def _unrest(times: np.ndarray) -> tuple[int, float]:
    """How often times (T,) turn back, and the spread of their steps over the middle one."""
    steps = np.diff(times[~np.isnan(times)])
    steps = steps[steps != 0]
    if not len(steps):
        return 0, 0.0
    turns = min(int((steps < 0).sum()), int((steps > 0).sum()))
    return turns, round(float(steps.std() / abs(np.median(steps))), 6)
