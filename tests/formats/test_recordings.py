"""Readers of recordings: what stands in the file comes out, what is missing stays missing, bad files tell why."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unlabeled.formats import Unreadable, recording
from unlabeled.formats.recording import Recording, read

HEAD = "@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n"


def one(path: Path) -> Recording:
    [found] = read(path).values()
    return found


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_ts_lines_are_recordings_of_their_own_lengths(tmp_path: Path) -> None:
    file = written(tmp_path / "x.ts", f"# told\n{HEAD}1,2,?:4,5,6:a\n7,8:9,10:b\n")
    found = read(file)
    assert [found[k].label for k in ("0", "1")] == ["a", "b"]
    assert found["0"].variables == ("v0", "v1")
    np.testing.assert_array_equal(found["0"].values, np.array([[1, 2, np.nan], [4, 5, 6]], np.float32))
    assert found["1"].values.shape == (2, 2)


def test_an_index_without_a_name_is_the_time_or_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    frame.to_csv(tmp_path / "numbered.csv")
    assert one(tmp_path / "numbered.csv").variables == ("x",)
    frame.index = pd.DatetimeIndex(["2024-02-01", "2024-02-02", "2024-02-05"])
    frame.to_csv(tmp_path / "dated.csv")
    frame.to_parquet(tmp_path / "dated.parquet")
    for name in ("dated.csv", "dated.parquet"):
        found = one(tmp_path / name)
        assert found.variables == ("x",)
        assert found.times is not None and np.diff(found.times).tolist() == [86400, 3 * 86400]
    frame.index = pd.Index(["first", "second", "third"])
    frame.to_csv(tmp_path / "called.csv")
    assert one(tmp_path / "called.csv").times is None


def test_dates_beside_the_time_are_no_measurements(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": [0.0, 1.0], "x": [1.0, 2.0]})
    frame["admitted"] = pd.to_datetime(["2024-02-01", None])
    frame["stay"] = pd.to_timedelta([90, None], "s")
    frame.to_parquet(tmp_path / "t.parquet")
    found = one(tmp_path / "t.parquet")
    assert found.variables == ("x", "stay")
    np.testing.assert_array_equal(found.values, np.array([[1, 2], [90, np.nan]], np.float32))


def test_an_index_of_several_columns_is_kept(tmp_path: Path) -> None:
    index = pd.MultiIndex.from_tuples([("a", 0), ("a", 5), ("b", 0)], names=["patient", "time"])
    pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index).to_parquet(tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert {k: r.times.tolist() if r.times is not None else None for k, r in found.items()} == {"a": [0, 5], "b": [0]}


@pytest.mark.parametrize(
    "text, reason",
    [
        (f"{HEAD}1,2,x:a\n", "line 5"),
        (HEAD, "no data after its header"),
        ("1,2,3:a\n", "before @data"),
        (f"{HEAD}?,?:a\n", "line 5: all its values are missing"),
        ("@timeStamps true\n@data\n(0,1),(1,2)\n", "time stamps"),
    ],
)
def test_a_bad_ts_file_tells_which_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(written(tmp_path / "x.ts", text))


def test_a_wide_table_has_a_row_a_step(tmp_path: Path) -> None:
    file = written(tmp_path / "w.csv", "x,y,word,activity\n1,10,up,0\n2,,up,5\n3,30,up,5\n")
    found = one(file)
    assert found.variables == ("x", "y")  # words are no numbers, and the label is no variable
    np.testing.assert_array_equal(found.values, np.array([[1, 2, 3], [10, np.nan, 30]], np.float32))
    assert found.marks is not None and found.marks.tolist() == ["0", "5", "5"]
    assert found.times is None


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_long_table_is_laid_out_by_variable(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "Time": ["00:00", "00:00", "00:30", "00:30", "36:15"],
            "Parameter": ["Age", "HR", "HR", "Temp", "HR"],
            "Value": [-1, 80, 90, 37.5, 100],
        }
    )
    file = tmp_path / f"p{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(file)
    else:
        frame.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    found = one(file)
    assert found.variables == ("HR", "Temp")
    assert found.times is not None and found.times.tolist() == [0, 1800, 36 * 3600 + 900]
    np.testing.assert_array_equal(found.values, np.array([[80, 90, 100], [np.nan, 37.5, np.nan]], np.float32))
    assert list(found.static) == ["Age"] and np.isnan(found.static["Age"])  # -1 stands for unknown


def test_rows_of_a_long_table_without_a_name_or_a_time_are_left_out_and_told(tmp_path: Path) -> None:
    lines = "time,itemid,value,label\n0,220045,80,1\n1,,999,\n2,220210,20,\n,220210,7,\n"
    found = one(written(tmp_path / "t.csv", lines))
    assert found.variables == ("220045", "220210") and found.label == "1"
    np.testing.assert_array_equal(found.values, np.array([[80, np.nan], [np.nan, 20]], np.float32))
    assert found.notes == ("2 rows without a time or a variable were left out",)


def test_a_table_with_ids_holds_several_recordings(tmp_path: Path) -> None:
    file = written(tmp_path / "all.csv", "id,time,value\n7,0,1\n7,1,2\n9,0,3\n")
    assert {k: r.values.tolist() for k, r in read(file).items()} == {"7": [[1, 2]], "9": [[3]]}


def test_ids_are_words_and_keep_their_zeros(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.csv", "id,time,x\n10,0,1\n007,0,2\n7,0,3\n007,1,4\n"))
    assert {k: r.values.tolist() for k, r in found.items()} == {"007": [[2, 4]], "7": [[3]], "10": [[1]]}
    large = read(written(tmp_path / "b.csv", "id,time,x\n9007199254740993,0,1\n9007199254740992,0,2\n,0,3\n"))
    assert list(large) == ["9007199254740992", "9007199254740993"]
    assert large["9007199254740993"].notes == ("1 rows of its file have no id and were left out",)
    pd.DataFrame({"id": [17, None, 3], "x": [1.0, 2.0, 3.0]}).to_parquet(tmp_path / "c.parquet")
    assert list(read(tmp_path / "c.parquet")) == ["3", "17"]
    with pytest.raises(Unreadable, match="none of its rows has an id"):
        read(written(tmp_path / "d.csv", "id,x\n,1\n,2\n"))


def test_times_out_of_order_are_sorted_and_told(tmp_path: Path) -> None:
    found = one(written(tmp_path / "t.csv", "date,x\n2020-01-01 02:00,3\n2020-01-01 00:00,1\n2020-01-01 01:00,2\n"))
    assert found.values.tolist() == [[1, 2, 3]]
    assert found.times is not None and np.diff(found.times).tolist() == [3600, 3600]
    assert found.notes == ("its times were out of order and have been sorted",)


def at(path: Path, cells: list[str], head: str = "time") -> tuple[list[float], tuple[str, ...]]:
    """Times of a table in which these cells are the times, and its notes."""
    lines = [f'"{cell}",{number}' for number, cell in enumerate(cells)]
    found = one(written(path, "\n".join([f"{head},x", *lines]) + "\n"))
    assert found.times is not None
    return found.times.tolist(), found.notes


def utc(*dates: str) -> list[float]:
    return [datetime.fromisoformat(d).replace(tzinfo=UTC).timestamp() for d in dates]


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_counts_since_1970_become_seconds_in_any_unit(tmp_path: Path, unit: int, form: str) -> None:
    counts = [1_700_000_000 * unit + step * unit for step in (0, 2, 3)]
    frame = pd.DataFrame({"time": counts, "x": [1, 2, 3]})
    file = tmp_path / f"t.{form}"
    frame.to_parquet(file) if form == "parquet" else frame.to_csv(file, index=False)
    found = one(file).times
    assert found is not None and found.tolist() == [1_700_000_000, 1_700_000_002, 1_700_000_003]


@pytest.mark.parametrize(
    "numbers", [[0, 1, 5], [0.5, 0.75, 1e9], [86400, 172800], [1_000_000_000_000, 7e12], [0, 17e11]]
)
def test_numbers_that_may_count_anything_stay_as_they_are(tmp_path: Path, numbers: list[float]) -> None:
    assert at(tmp_path / "t.csv", [str(n) for n in numbers])[0] == numbers


DAYS = "2024-02-05 14:00", "2024-02-13 14:00"


@pytest.mark.parametrize(
    "cells, wanted",
    [
        (["05/02/2024 14:00", "13/02/2024 14:00"], DAYS),  # a first number above 12
        (["02/05/2024 14:00", "02/13/2024 14:00"], DAYS),  # a second number above 12
        (["5/2/24 2:00 PM", "13/2/24 02:00 pm"], DAYS),
        (["05-02-2024 14:00:00.000", "13-02-2024 14:00:00"], DAYS),
        (["05.02.2024", "06.02.2024"], ("2024-02-05", "2024-02-06")),
        (["05.02.2024", "05.02.2024 06:30"], ("2024-02-05", "2024-02-05 06:30")),  # midnight without a clock
        (["01/02/2024", "02/02/2024", "03/02/2024"], ("2024-02-01", "2024-02-02", "2024-02-03")),  # even steps
        (["02/01/2024", "02/02/2024", "02/03/2024"], ("2024-02-01", "2024-02-02", "2024-02-03")),
        (["12/31/2023 23:00", "01/01/2024 00:00"], ("2023-12-31 23:00", "2024-01-01 00:00")),
        (["2024-02-05 14:00", "2024-02-13T14:00"], DAYS),
        (["2024/02/05 14:00", "2024/02/13 14:00"], DAYS),
        (["05-Feb-2024 14:00", "13-Feb-2024 14:00"], DAYS),
        (["2024-02-05T14:00:00Z", "2024-02-13T16:00:00+02:00"], DAYS),
        (["2024-02-05 14:00:00 UTC", "2024-02-13 14:00:00 UTC"], DAYS),
        (["05/02/2024 15:00 +01:00", "13/02/2024 16:00 +0200"], DAYS),
    ],
)  # fmt: skip
def test_dates_are_read_by_one_rule_a_file(tmp_path: Path, cells: list[str], wanted: tuple[str, ...]) -> None:
    assert at(tmp_path / "t.csv", cells) == (utc(*wanted), ())


def test_order_decides_between_day_and_month(tmp_path: Path) -> None:
    rising = [f"0{day}/0{month}/2024 12:00" for month, day in ((1, 8), (1, 9), (2, 1), (2, 2))]  # day first
    assert at(tmp_path / "t.csv", rising)[0] == utc(*(f"2024-{m}T12:00" for m in ("01-08", "01-09", "02-01", "02-02")))


def test_a_rule_that_was_assumed_is_told(tmp_path: Path) -> None:
    times, notes = at(tmp_path / "t.csv", ["05/02/2024 14:00", "05/02/2024 15:00"])
    assert times == utc("2024-02-05T14:00", "2024-02-05T15:00")
    assert len(notes) == 1 and "the day was taken" in notes[0] and "\n" not in notes[0]


def test_dates_by_two_rules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="the day stands first in some of its dates and the month in others"):
        at(tmp_path / "t.csv", ["13/02/2024", "02/14/2024"])
    with pytest.raises(Unreadable, match="1 of its times cannot be read"):
        at(tmp_path / "t.csv", ["13/02/2024", "31/02/2024"])


def test_all_recordings_of_a_file_are_read_by_the_same_rule(tmp_path: Path) -> None:
    file = written(tmp_path / "t.csv", "id,date,x\na,05/02/2024,1\na,06/02/2024,2\nb,13/02/2024,3\n")
    found = read(file)["a"].times
    assert found is not None and found.tolist() == utc("2024-02-05", "2024-02-06")


@pytest.mark.parametrize(
    "text",
    [
        "Date;Time;power;amp\n16/12/2006;17:24:00;4.216;?\n16/12/2006;17:25:00;5.36;23\n",
        "date,x,time,amp\n16.12.2006,4.216,17:24,\n16.12.2006,5.36,17:25,23\n",
        "Date\tTime\tpower\tamp\n2006-12-16\t5:24:00 PM\t4,216\t\n2006-12-16\t5:25:00 PM\t5,36\t23,0\n",
        "Date;Time;power;amp;;\n16/12/2006;17.24.00;4,216;;;\n16/12/2006;17.25.00;5,36;23;;\n;;;;;\n",
        "Date;Time;power;amp\n20061216;17:24;4,216;n/a\n20061216;17:25;5,36;23,0\n",
    ],
)
def test_a_column_of_dates_and_one_of_clocks_are_the_time_together(tmp_path: Path, text: str) -> None:
    found = one(written(tmp_path / "t.csv", text))
    assert found.times is not None and found.times.tolist() == utc("2006-12-16T17:24", "2006-12-16T17:25")
    assert len(found.variables) == 2 and not {"date", "time"} & {v.lower() for v in found.variables}
    np.testing.assert_array_equal(found.values, np.array([[4.216, 5.36], [np.nan, 23]], np.float32))


def test_dates_with_a_clock_of_their_own_are_the_time_alone(tmp_path: Path) -> None:
    text = "date,time,x\n2024-02-05 14:00,14:00,1\n2024-02-05 15:00,15:00,2\n"
    found = one(written(tmp_path / "t.csv", text))
    assert found.times is not None and found.times.tolist() == utc("2024-02-05T14:00", "2024-02-05T15:00")
    assert found.variables == ("x",)


def test_a_time_that_counts_beside_a_date_stays_the_time(tmp_path: Path) -> None:
    found = one(written(tmp_path / "t.csv", "date,time,x\n2024-02-05,0,1\n2024-02-05,10,2\n"))
    assert found.times is not None and found.times.tolist() == [0, 10] and found.variables == ("x",)


@pytest.mark.parametrize(
    "cells, wanted",
    [
        (["05/02/2024", "06/02/2024", "13/02/2024"], ["2024-02-05", "2024-02-06", "2024-02-13"]),
        (["1:00", "1:30", "", "2:30"], None),
        (["2024-02-05", "2024-02-06", "07-Feb-2024"], ["2024-02-05", "2024-02-06", "2024-02-07"]),
    ],
)  # fmt: skip
def test_times_are_read_some_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[str], wanted: list[str] | None
) -> None:
    monkeypatch.setattr("unlabeled.formats.times.LOT", 2)
    if wanted is None:
        with pytest.raises(Unreadable, match="1 of its times cannot be read"):
            at(tmp_path / "t.csv", cells)
    else:
        assert at(tmp_path / "t.csv", cells)[0] == utc(*wanted)


def test_times_follow_their_rows_where_lines_are_longer_than_their_head(tmp_path: Path) -> None:
    found = read(written(tmp_path / "t.csv", "id,time,x\n5,a,0,1\n6,b,0,2\n7,b,1,3\n"))
    assert {k: (r.times.tolist() if r.times is not None else None) for k, r in found.items()} == {"a": [0], "b": [0, 1]}


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_separator_at_the_end_of_each_line_shifts_no_value(tmp_path: Path, sign: str) -> None:
    found = one(written(tmp_path / "t.csv", "time,a,b\n0,1,2,\n5,3,4,\n".replace(",", sign)))
    assert found.variables == ("a", "b") and found.values.tolist() == [[1, 3], [2, 4]]
    assert found.times is not None and found.times.tolist() == [0, 5]


def test_a_space_behind_the_separator_makes_no_other_variable(tmp_path: Path) -> None:
    assert one(written(tmp_path / "t.csv", "time, HR , RR\n0, 1, 2\n")).variables == ("HR", "RR")


def test_a_decimal_comma_may_come_late(tmp_path: Path) -> None:
    lines = "".join(f"{second};37;ward 1\n" for second in range(40))
    found = one(written(tmp_path / "t.csv", f"time;heat;place\n{lines}40;36,5;ward 1\n"))
    assert found.values[0, -1] == 36.5 and found.notes == ("columns without a number were left out: place",)
    found = one(written(tmp_path / "u.csv", f"time;heat;flow\n{lines.replace('ward 1', '0.5')}40;36,5;0.5\n"))
    assert np.isnan(found.values[0, -1]) and found.notes == ("1 cells that hold no number count as missing",)


def test_words_among_numbers_are_missing_and_told(tmp_path: Path) -> None:
    for text in ("time,x\n0,1\n1,<0.5\n2,3\n", "time,variable,value\n0,x,1\n1,x,<0.5\n2,x,3\n"):
        assert one(written(tmp_path / "t.csv", text)).notes == ("1 cells that hold no number count as missing",)


def test_names_of_columns_may_hold_separators(tmp_path: Path) -> None:
    found = one(written(tmp_path / "t.csv", 'time,"Flow, max","Heat; max","Heat, max"\n0,1,2,3\n1,3,4,5\n'))
    assert found.variables == ("Flow, max", "Heat; max", "Heat, max")


def test_what_is_remembered_does_not_grow_with_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = recording.Remembered()
    monkeypatch.setattr(recording, "LARGEST", 50)
    for number in range(3):
        file = written(tmp_path / f"{number}.csv", "time,x,label\n0,1,good\n1,2,good\n2,3,bad\n")
        found = last.read(str(file), 0)
        assert last.read(str(file), 0) is found
    assert [path for path, _ in last.kept] == [str(file)] and last.bytes() == 3 * (4 + 8 + 8)
    marks = found[""].marks
    assert marks is not None and marks[0] is marks[1] is not marks[2]  # a word is kept once, whoever bears it


def test_an_index_of_times_is_the_time(tmp_path: Path) -> None:
    index = pd.DatetimeIndex(["2024-02-05T14:00+01:00", "2024-02-05T15:00+01:00"], name="time")
    pd.DataFrame({"x": [1.0, 2.0]}, index).to_parquet(tmp_path / "t.parquet")
    found = one(tmp_path / "t.parquet").times
    assert found is not None and found.tolist() == utc("2024-02-05T13:00", "2024-02-05T14:00")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("a,b,A\n1,2,3\n", 'two of its columns are called "a"'),
        ("time,value\n0,\n1,\n", "all its values are missing"),
        ("time,word\n0,a\n1,b\n", "none of its columns holds numbers"),
        ("Time,Parameter,Value\n00:00,HR,\n", "all its values are missing"),
        ("", "No columns"),
    ],
)
def test_a_bad_table_tells_why(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(written(tmp_path / "x.csv", text))


def test_an_endless_line_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LONGEST_LINE", 1 << 12)
    with pytest.raises(Unreadable, match="it has a line of more than"):
        read(written(tmp_path / "x.csv", "1," * 10_000))


def test_infinite_values_count_as_missing(tmp_path: Path) -> None:
    found = one(written(tmp_path / "x.csv", "time,x\n0,1\n1,inf\n"))
    assert np.isnan(found.values[0, 1]) and found.notes == ("1 infinite values count as missing",)


def test_arrays_are_numbered_through_their_splits(tmp_path: Path) -> None:
    first, second = np.zeros((2, 3, 5)), np.ones((1, 3, 5))
    first[1] = np.nan
    np.savez(tmp_path / "x.npz", series_train=first, series_test=second)
    found = read(tmp_path / "x.npz")
    assert sorted(found) == ["0", "2"]  # a row without a value is no recording
    assert found["2"].values.tolist() == second[0].tolist()


def test_a_file_that_is_no_text_tells_so(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(b"time,x\n0,\xff\xfe\n" * 3)
    with pytest.raises(Unreadable):
        read(file)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (["01", "02", ""], ["01", "02", None]),
        (["1.0", "2", ""], ["1", "2", None]),
        (["0.5", "1", "NA"], ["0.5", "1.0", None]),
        (["TRUE", "False", "true"], ["True", "False", "True"]),
        (["a", "1", ""], ["a", "1", None]),
    ],
)
def test_marks_are_words(tmp_path: Path, told: list[str], wanted: list[str | None]) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["time,x,label", *(f"{i},1,{mark}" for i, mark in enumerate(told))]))
    marks = read(tmp_path / "a.csv")[""].marks
    assert marks is not None and marks.tolist() == wanted


@pytest.mark.parametrize(
    ("clocks", "wanted"),
    [
        (["22:00", "23:00", "00:00", "01:00"], [22, 23, 24, 25]),
        (["11:00 PM", "12:00 AM", "1:00 AM"], [23, 24, 25]),
        (["22:00", "06:00", "22:00", "06:00"], [22, 30, 46, 54]),  # two nights
        (["03:00", "02:00", "01:00"], [1, 2, 3]),  # the latest first
        (["46:00", "01:00"], [1, 46]),  # hours since the admission
    ],
)
def test_clocks_go_on_after_midnight(tmp_path: Path, clocks: list[str], wanted: list[int]) -> None:
    lines = "".join(f"{clock},{i}\n" for i, clock in enumerate(clocks))
    times = one(written(tmp_path / "night.csv", f"time,hr\n{lines}")).times
    assert times is not None and (times / 3600).tolist() == wanted
