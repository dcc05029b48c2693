"""Times of tables as seconds: plain numbers, clocks, counts since 1970, and dates with the day or the month first."""

import re
import warnings

import numpy as np
import pandas as pd

from unlabeled.formats import Unreadable

FIRST, LAST = 3e8, 4.2e9  # seconds since 1970 between which times are those of a calendar: the years 1979 and 2103
DAY = 86400.0  # seconds
PARTS = (1e3, 1e6, 1e9)  # of a second, in which programs count the time since 1970
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # dates as one number, by its digits
CLOCK = re.compile(r"(\d+)([:.])(\d\d)(?:\2(\d\d(?:[.,]\d+)?))?(?: ?([AaPp])\.?[Mm]\.?)?")
NUMERIC = re.compile(
    r"\d\d?(?P<sign>[./-])\d\d?(?P=sign)(?P<year>\d{4}|\d\d)"
    r"(?:(?P<gap>,? *T?)\d\d?:\d\d(?P<second>:\d\d)?(?P<part>\.\d+)?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:Z|[+-]\d\d:?\d\d))?)?"
)
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
    codes, cells = pd.factorize(column.astype("str").fillna("").str.strip())
    clocks = _clocks(cells, ":")
    if clocks is not None:
        return clocks[codes], ""
    numbers = pd.to_numeric(pd.Series(cells), errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers[codes]).mean() > 0.5:
        return _numbers(numbers[codes], str(column.name)), ""
    return _dates(pd.Series(cells, dtype="str"), codes)


def joined(dates: "pd.Series", clocks: "pd.Series") -> tuple[np.ndarray, str] | None:
    """Times (T,) of a column of dates and one of times of the day, and what was assumed; None where they are not such.

    Dates that hold a time of the day themselves are the times alone.

    Raises:
        Unreadable: as `read` does.
    """
    if pd.api.types.is_numeric_dtype(clocks) or pd.api.types.is_datetime64_any_dtype(clocks):
        return None
    codes, cells = pd.factorize(clocks.astype("str").fillna("").str.strip())
    known = cells != ""
    of_day = np.full(len(cells), np.nan)
    found = _clocks(cells[known], ":.")
    if found is None or not len(found) or found.max() > DAY:
        return None
    of_day[known] = found
    days, note = read(dates)
    there = days[~np.isnan(days)]
    if not len(there) or np.abs(there).max() < DAY * 366:  # numbers or clocks, not dates
        return None
    return (days if (there % DAY != 0).any() else days + of_day[codes]), note


def _numbers(x: np.ndarray, name: str) -> np.ndarray:
    """Numbers as they are, in seconds where they can only be finer parts of them since 1970 or dates."""
    there = x[np.isfinite(x)]
    if not len(there):
        return x
    low, high = float(there.min()), float(there.max())
    for parts in PARTS:
        if FIRST * parts <= low and high < LAST * parts:
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
    """Seconds since 1970 (T,), NaN where there is no date."""
    out = dates.to_numpy("datetime64[ns]").astype(np.int64) / 1e9
    out[dates.isna().to_numpy()] = np.nan
    return np.asarray(out)


def _clocks(cells: "pd.Index[str]", signs: str) -> np.ndarray | None:
    """Seconds of clock times with one of the signs between their parts; None where a cell is none."""
    out = np.empty(len(cells))
    for number, cell in enumerate(cells):
        found = CLOCK.fullmatch(cell)
        if found is None or found[2] not in signs:
            return None
        hours = int(found[1])
        if found[5]:  # twelve at night is the first hour, at noon the thirteenth
            hours = hours % 12 + (12 if found[5] in "pP" else 0)
        out[number] = hours * 3600 + int(found[3]) * 60 + float((found[4] or "0").replace(",", "."))
    return out


def _dates(cells: "pd.Series", codes: np.ndarray) -> tuple[np.ndarray, str]:
    """Seconds of the dates in different cells, laid out as the codes (T,) tell, and what was assumed."""
    cells = cells.str.replace(r" ?(?:UTC|GMT)$", "Z", regex=True)
    out = _since(pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce"))
    left = np.isnan(out)
    note = ""
    if left.any():
        day, month = _parsed(cells[left], True), _parsed(cells[left], False)
        either = [out.copy(), out.copy()]
        either[0][left], either[1][left] = day, month
        by_day, note = _day_first(either[0][codes], either[1][codes], cells[left])
        out = either[0] if by_day else either[1]
    left = np.isnan(out) & (cells != "").to_numpy()
    if left.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of each cell that it has to guess
            named = pd.to_datetime(cells[left], format="mixed", utc=True, errors="coerce")
        numeric = cells[left].str.fullmatch(NUMERIC.pattern).to_numpy(bool)
        out[left] = np.where(numeric, np.nan, _since(named))  # what the rule cannot read is not guessed
    return out[codes], note


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


def _day_first(day: np.ndarray, month: np.ndarray, cells: "pd.Series") -> tuple[bool, str]:
    """Whether the day stands first in dates, from the times (T,) by either reading, and what was assumed.

    A number above 12 tells, then points between the numbers; else that reading in which time turns back less often and
    goes in more even steps.
    """
    only_day, only_month = ~np.isnan(day) & np.isnan(month), np.isnan(day) & ~np.isnan(month)
    if only_day.any() and only_month.any():
        raise Unreadable("the day stands first in some of its dates and the month in others: write them as 2024-02-13")
    if only_day.any() or only_month.any():
        return bool(only_day.any()), ""
    if cells.str.contains(r"^\d\d?\.\d\d?\.", regex=True).any() or np.array_equal(day, month, equal_nan=True):
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
