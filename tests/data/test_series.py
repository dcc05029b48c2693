"""From files to windows: grids, cuts, splits that never share a recording, and real records where they are present."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unlabeled.data import doctor, series
from unlabeled.data.prepare import as_stored, prepare, read_prep
from unlabeled.data.scan import scan
from unlabeled.data.table import Broken
from unlabeled.errors import UserError
from unlabeled.formats import recording
from unlabeled.formats.record import made
from unlabeled.settings import Budget, Setup, Training
from unlabeled.study.plan import method_and_encoder
from unlabeled.verbs.pretrain import pretrain


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def walks(tmp_path: Path) -> Path:
    """Four persons' recordings of 40 steps, standing (0) for the first half and walking (1) for the second."""
    root = tmp_path / "walks"
    (root / "recordings").mkdir(parents=True)
    random = np.random.default_rng(0)
    for person in range(4):
        state = np.repeat([0, 1], 20)
        x = state * random.normal(size=40) + person
        frame = pd.DataFrame({"acc_x": x, "acc_y": -x, "activity": state})
        frame.to_csv(root / "recordings" / f"p{person}.csv", index=False)
    rows = "".join(f"recordings/p{p}.csv,{p},{'test' if p == 3 else 'train'}\n" for p in range(4))
    (root / "split.csv").write_text("file,subject,split\n" + rows)
    (root / "names.csv").write_text("id,name\n0,UNLABELLED\n1,WALKING\n")
    return root


def test_a_grid_takes_the_mean_of_what_falls_into_a_step() -> None:
    times = np.array([0.0, 10.0, 60.0, 185.0])
    found = made(np.array([[1.0, 3.0, np.nan, 7.0]]), ("x",), times, marks=np.array(["a", "b", None, "c"], object))
    values, marks = series.on_grid(found, 60.0)
    np.testing.assert_array_equal(values, np.array([[2, np.nan, np.nan, 7]], np.float32))
    assert marks is not None and marks.tolist() == ["a", None, None, "c"]


def test_short_steps_of_long_counts_stay_rows(tmp_path: Path) -> None:
    count = 20_000  # milliseconds since 1970, a value every three
    frame = pd.DataFrame({"time": 1_700_000_000_000 + 3 * np.arange(count), "x": np.arange(count)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.drop(index=range(5000, 5003)).to_csv(tmp_path / "b.csv", index=False)  # with a gap
    table = scan(tmp_path)
    assert series.suitable_step(table.without((Broken("b.csv", ""),))) == pytest.approx(0.003, rel=1e-8)
    whole, gap = (series.on_grid(series.one(tmp_path / name, ""), 0.003)[0] for name in ("a.csv", "b.csv"))
    np.testing.assert_array_equal(whole[0], np.arange(count))
    assert np.flatnonzero(np.isnan(gap[0])).tolist() == [5000, 5001, 5002]
    np.testing.assert_array_equal(gap[0, 5003:], whole[0, 5003:])


def test_rows_that_tremble_around_their_steps_stay_rows() -> None:
    found = made(np.arange(5.0)[None], ("x",), np.array([0.0, 0.9, 2.1, 2.9, 4.0]))
    np.testing.assert_array_equal(series.on_grid(found, 1.0)[0], found.values)


def test_semicolons_part_cells_and_an_assumed_rule_is_told(tmp_path: Path) -> None:
    rows = "".join(f"05/02/2024;1:{minute:02d}:00 PM;{minute},5;3\n" for minute in range(20))
    (tmp_path / "a.csv").write_text("Date;Time;kW;V\n" + rows)
    table = scan(tmp_path)
    assert table.modality == "series"
    report = doctor.examine(table)
    assert report.facts["variables"] == ["kW", "V"] and report.facts["step"] == 60
    assert any("the day was taken" in f.text and f.severity == "info" for f in report.findings)


def test_large_recordings_are_not_all_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text("time,x\n" + "".join(f"{i},{i}\n" for i in range(10)))
    grids = series.Grids(1.0, ("x",))
    for kept, limit in ((3, 120), (1, 60), (1, 10)):
        monkeypatch.setattr(series, "LARGEST", limit)
        for name in "abc":
            values, _ = grids.read(tmp_path / f"{name}.csv", "")
            assert values is series.one(tmp_path / f"{name}.csv", "").values  # and none is there twice
        assert len(grids.kept) == kept
        grids.kept.clear()


def test_a_grid_that_would_be_endless_is_refused() -> None:
    found = made(np.ones((1, 3)), ("x",), np.array([0.0, 1.0, 1e9]))
    with pytest.raises(series.Unreadable, match="take a larger step"):
        series.on_grid(found, 1.0)


def test_windows_stay_inside_recordings_and_bear_what_nine_in_ten_steps_bear(walks: Path) -> None:
    table, prep = series.ready(scan(walks), 10, 5, 0)
    assert prep.variables == ("acc_x", "acc_y") and prep.shape == (3, 10) and not prep.missing
    own = table.items[table.items["group"] == "0"]
    assert own["path"].str.rpartition("@")[2].tolist() == [f"{s}+10" for s in range(0, 31, 5)]
    assert own["label"].fillna("-").tolist() == ["-", "-", "-", "-", "WALKING", "WALKING", "WALKING"]
    assert set(own["split"]) == {"train", "unlabeled"}
    assert set(table.items["group"][table.items["split"] == "test"]) == {"3"}


def test_what_is_predicted_is_looked_at_to_the_end(tmp_path: Path) -> None:
    for steps in (24, 31, 40):
        pd.DataFrame({"time": np.arange(steps), "x": 1.0, "y": np.arange(steps)}).to_csv(
            tmp_path / f"{steps}.csv", index=False
        )
    _, prep = series.ready(scan(tmp_path), 24, 12, 0)
    found = as_stored(scan(tmp_path), prep).items["path"].tolist()
    assert found == ["24.csv", "31.csv@0+24", "31.csv@7+24", "40.csv@0+24", "40.csv@12+24", "40.csv@16+24"]
    assert len(series.again(scan(tmp_path), prep)) == 4, "windows to learn from stay as far apart as was asked for"


def test_a_window_holds_the_values_of_its_steps(walks: Path) -> None:
    data = prepare(walks, size=10, stride=5)
    row = data.table.items.index[data.table.items["path"] == "recordings/p2.csv@25+10"][0]
    told = pd.read_csv(walks / "recordings" / "p2.csv")[25:35]
    np.testing.assert_allclose(data.store.array[row], [np.ones(10), told["acc_x"], told["acc_y"]], rtol=1e-6)
    learn = data.table.items["split"] != "test"
    expected = data.store.array[np.flatnonzero(learn)][:, 1].mean()
    assert data.mean[1] == pytest.approx(expected, rel=1e-5)  # of what may be learnt from alone


def test_a_second_run_cuts_alike(walks: Path) -> None:
    data = prepare(walks, size=10)
    again = prepare(walks, prep=read_prep("series", data.prep.__dict__))
    assert again.table.items["path"].tolist() == data.table.items["path"].tolist()
    np.testing.assert_array_equal(again.store.array, data.store.array)


def test_short_recordings_are_filled_up_and_missing_values_stay_missing(tmp_path: Path) -> None:
    folder = tmp_path / "ward"
    folder.mkdir()
    (folder / "a.csv").write_text("time,hr,age\n0,80,50\n1,,50\n2,82,50\n")
    (folder / "b.csv").write_text("time,hr,age\n0,90,\n")
    (folder / "empty.csv").write_text("time,hr,age\n0,,\n")
    data = prepare(folder)
    assert [b.path for b in data.table.broken] == ["empty.csv"]
    assert data.prep.shape == (3, 8)
    nan = np.nan
    np.testing.assert_array_equal(data.store.array[0][:, :4], [[1, 1, 1, 0], [80, nan, 82, nan], [50, 50, 50, nan]])
    np.testing.assert_array_equal(data.store.array[1][:, :2], [[1, 0], [90, nan], [nan, nan]])


def test_series_and_pictures_are_told_apart(digits: Path, walks: Path) -> None:
    assert (scan(digits).modality, scan(walks).modality) == ("image", "series")
    prep = prepare(walks, size=10).prep
    with pytest.raises(UserError, match="holds pictures, and recordings were learnt from"):
        prepare(digits, prep=prep)


def test_nothing_readable_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "a.csv").write_text("time,hr\n0,\n")
    with pytest.raises(UserError, match=r"none of the 1 recordings .* all its values are missing"):
        prepare(folder)


def test_the_doctor_tells_copies_over_the_split_and_constant_variables(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(6, 2, 8))
    x[:, 1] = 3
    np.savez(
        tmp_path / "x.npz", series_train=x[:4], series_test=x[3:], labels_train=list("abab"), labels_test=list("bab")
    )
    data = prepare(tmp_path / "x.npz")
    told = {f.kind: f for f in doctor.examine(data.table, store=data.store).findings}
    assert told["leak"].severity == "error" and "(1)" in told["leak"].text
    assert told["constant"].text.startswith("1 of 2 variables")


def test_arrays_keep_their_splits_labels_and_numbers(tmp_path: Path) -> None:
    x = np.arange(5 * 2 * 8.0).reshape(5, 2, 8)
    np.savez(
        tmp_path / "x.npz", series_train=x[:3], series_test=x[3:], labels_train=list("aba"), labels_test=list("ab")
    )
    data = prepare(tmp_path / "x.npz")
    assert data.table.items["label"].tolist() == list("abaab")
    np.testing.assert_array_equal(data.store.array[:, 1:], x.astype(np.float32))


def test_real_activity_is_split_by_person(real: Callable[[str], Path]) -> None:
    table = scan(real("har_smartphone"))
    windows, prep = series.ready(table, 0, 0, 0)
    assert prep.size == 128 and len(prep.variables) == 6
    people = {s: set(windows.items["group"][windows.items["split"] == s]) for s in ("train", "unlabeled", "test")}
    assert people["test"] == {"4", "9", "12", "13", "20"}
    assert not people["test"] & (people["train"] | people["unlabeled"])
    assert "WALKING" in windows.classes and "UNLABELLED" not in windows.classes


def test_real_vowels_of_unequal_length(real: Callable[[str], Path]) -> None:
    data = prepare(real("ts_archive") / "JapaneseVowels")
    assert len(data.table.classes) == 9 and data.prep.shape == (13, 32)
    assert (len(data.labelled), len(data.test)) == (270, 370)
    length = data.store.array[:, 0].sum(1)
    assert (length.min(), length.max()) == (7, 29)


def test_real_rows_of_a_long_recording_are_kept_apart_by_time(real: Callable[[str], Path]) -> None:
    windows, _ = series.ready(scan(real("ett")), 96, 96, 0)
    last = {s: 0 for s in ("unlabeled", "val", "test")}
    for path, split in zip(windows.items["path"], windows.items["split"], strict=True):
        if path.startswith("ETTh1"):
            start = int(path.rpartition("@")[2].partition("+")[0])
            last[split] = max(last[split], start + 96)
    assert last["unlabeled"] <= 8640 < last["val"] <= 11520 < last["test"] <= 14400


def test_a_run_on_records_goes_on_in_another_process(walks: Path, tmp_path: Path) -> None:
    """What a run's folder says of its preparation is what a new start finds: the same run, not another one."""
    how: dict[str, Any] = {"method": "simclr", "budget": Budget(steps=2), "training": Training(threads=1, device="cpu")}
    setup = Setup(size=10, encoder="tcn(width=4)", out=str(tmp_path / "run"))
    first = pretrain(str(walks), setup=setup, **how)
    again = pretrain(str(walks), setup=setup, **how)
    assert again.finished and again.config["recipe"] == first.config["recipe"]


def test_records_with_gaps_get_a_recurrent_network(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, share in (("gaps", 0.4), ("whole", 0.0)):
        x = random.normal(size=(12, 2, 20))
        x[random.uniform(size=x.shape) < share] = np.nan
        np.savez(tmp_path / f"{name}.npz", series=x)
    found = {n: prepare(tmp_path / f"{n}.npz") for n in ("gaps", "whole")}
    named = {n: method_and_encoder("simclr", None, "series", p.usual_encoder)[1].name for n, p in found.items()}
    assert named == {"gaps": "gru", "whole": "tcn"}
    assert method_and_encoder("mae", None, "series", "gru")[1].name == "transformer"  # the method's own comes first


def test_a_given_list_may_name_several_ranges_of_one_file(tmp_path: Path) -> None:
    rows = np.arange(40.0)
    pd.DataFrame({"time": rows, "x": rows, "y": -rows}).to_csv(tmp_path / "a.csv", index=False)
    parts = {"file": ["a.csv"] * 4, "split": ["train", "val", "test", "test"]}
    parts |= {"first_row": [0, 20, 30, 30], "end_row": [20, 30, 40, 40]}
    pd.DataFrame(parts).to_csv(tmp_path / "parts.csv", index=False)
    found = scan(tmp_path / "parts.csv").items
    assert found["path"].tolist() == ["a.csv@0+20", "a.csv@20+10", "a.csv@30+10"]
    assert found["split"].tolist() == ["unlabeled", "val", "test"]


@pytest.mark.parametrize(("mark", "key"), [("01", "01"), ("01", "1"), ("1", "01"), ("1", "1")])
def test_marks_with_noughts_find_their_names(tmp_path: Path, mark: str, key: str) -> None:
    rows = [f"{t},{t % 3},{mark if t < 60 else '10'}" for t in range(120)]
    (tmp_path / "a.csv").write_text("\n".join(["time,x,label", *rows]))
    (tmp_path / "names.csv").write_bytes(f"id,name\n{key},K\xe4se\n10,walk\n".encode("cp1252"))
    windows, _ = series.ready(scan(tmp_path), 20, 20, 1.0)
    assert windows.items["label"].tolist() == ["Käse"] * 3 + ["walk"] * 3
    marks = recording.read(tmp_path / "a.csv")[""].marks
    assert marks is not None and set(marks) == {mark, "10"}


def ward(root: Path, patients: int = 12, **further: Any) -> Path:
    """Two stays of each patient in one table, a row an hour."""
    rows = [
        {"subject_id": f"{p:03d}", "stay_id": 1000 + 2 * p + s, "hour": h, "time": h, "hr": 80 + p + h, "label": p % 2}
        | {k: v(p, s, h) for k, v in further.items()}
        for p in range(patients)
        for s in range(2)
        for h in range(12)
    ]
    pd.DataFrame(rows).drop(columns="hour").to_csv(root / "ward.csv", index=False)
    return root / "ward.csv"


def test_stays_of_a_patient_are_never_parted(tmp_path: Path) -> None:
    ready = prepare(ward(tmp_path))
    items = ready.table.items
    assert len(items) == 24 and items["group"].nunique() == 12
    assert (items.groupby("group")["split"].nunique() == 1).all()
    assert ready.prep.variables == ("hr",)  # type: ignore[union-attr]


def test_a_weight_that_changes_in_some_recordings_is_not_lost_there(tmp_path: Path) -> None:
    table = scan(ward(tmp_path, weight=lambda p, s, h: 70 + p + (h if p % 3 == 0 else 0)))
    windows, prep = series.ready(table, 0, 0, 0.0)
    read = prep.reader(windows)
    assert prep.statics == ("weight",)
    assert [read(row)[2, 0] for row in range(0, 24, 2)] == [70 + p for p in range(12)]


def test_the_label_of_a_long_file_counts(tmp_path: Path) -> None:
    for number in range(4):
        lines = "".join(f"{h:02d}:00,HR,{80 + h},{'ill' if number % 2 else 'well'}\n" for h in range(10))
        (tmp_path / f"{number}.csv").write_text(f"Time,Parameter,Value,label\n{lines}")
    windows, _ = series.ready(scan(tmp_path), 0, 0, 0.0)
    assert windows.items["label"].tolist() == ["well", "ill", "well", "ill"]
    assert set(windows.items["split"]) == {"train"}


def test_whole_recordings_are_taken_where_each_has_one_label(tmp_path: Path) -> None:
    rows = [(p, h, 80 + h % 7, p % 2) for p in range(6) for h in range(200)]
    pd.DataFrame(rows, columns=["patient", "time", "hr", "label"]).to_csv(tmp_path / "ward.csv", index=False)
    windows, prep = series.ready(scan(tmp_path / "ward.csv"), 0, 0, 0.0)
    assert prep.size == 200 and windows.items["path"].tolist() == [f"ward.csv#{p}" for p in range(6)]
    assert scan(tmp_path / "ward.csv").classes == ["0", "1"]


def test_a_patient_of_whom_nothing_was_measured_is_named(tmp_path: Path) -> None:
    (tmp_path / "ward.csv").write_text("patient,time,hr\n1,0,80\n1,1,81\n2,0,\n2,1,\n3,0,82\n3,1,83\n")
    ready = prepare(tmp_path / "ward.csv")
    assert ready.table.broken == (Broken("ward.csv#2", "all its values are missing"),)
    again = series.again(scan(tmp_path / "ward.csv"), ready.prep, keep=True)  # type: ignore[arg-type]
    assert again.items["path"].tolist() == ["ward.csv#1", "ward.csv#2", "ward.csv#3"]  # predict has a row for it


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["hr", "temp"], ""),
        (["hr"], "temp of what was learnt from is in none of the recordings"),
        (["heart_rate", "temp"], "hr of what was learnt from is in none of the recordings, and heart_rate in them was"),
        (["hr", "temp", "spo2"], ""),  # what is not known is left out, and nothing is lacking
    ],
)
def test_variables_that_another_site_calls_otherwise_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], said: str
) -> None:
    def site(name: str, columns: list[str]) -> Path:
        rows = [(p, h, *(80 + p + h for _ in columns)) for p in range(12) for h in range(8)]
        pd.DataFrame(rows, columns=["patient", "time", *columns]).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    here = prepare(site("here.csv", ["hr", "temp"]))
    capsys.readouterr()
    as_stored(scan(site("there.csv", names)), here.prep)
    told = capsys.readouterr().err
    assert said in told and bool(told) == bool(said)


@pytest.mark.parametrize(
    ("learnt", "given", "told"),
    [
        ("2024-01-01 {:02d}:00", "{:d}", "from one row to the next 1 go by, where a step was 3600"),
        ("{:d}", "{:d}0", ""),  # seldom measured
        ("{:d}", "{:d}00", "from one row to the next 100 go by, where a step was 1"),
        ("2024-01-01 {:02d}:00", "2150-06-01 {:02d}:00", ""),
        ("{:d}", "{:d}", ""),
    ],
)
def test_times_of_another_unit_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], learnt: str, given: str, told: str
) -> None:
    for name, form in (("here", learnt), ("there", given)):
        rows = [(p, form.format(h), 80 + p + h % 3) for p in range(6) for h in range(20)]
        pd.DataFrame(rows, columns=["patient", "time", "hr"]).to_csv(tmp_path / f"{name}.csv", index=False)
    here = prepare(tmp_path / "here.csv")
    capsys.readouterr()
    as_stored(scan(tmp_path / "there.csv"), here.prep)
    said = capsys.readouterr().err
    assert told in said and bool(told) == bool(said)
