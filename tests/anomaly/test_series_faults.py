"""Faults in recordings: drawn ones are found, where and when they are, and nothing of a recording is passed over."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from turning import LENGTH, recording

from unlabeled.anomaly._strips import Strip, spans, stem
from unlabeled.errors import UserError
from unlabeled.settings import Budget, Setup, Training
from unlabeled.verbs.detect import Detected, detect
from unlabeled.verbs.load import load
from unlabeled.verbs.pretrain import pretrain
from unlabeled.verbs.serve import serve

CPU = Training(device="cpu", threads=1, batch_size=16)
QUICK = "stretches(steps=120,batch=16,width=24)"
BRIEF = "stretches(steps=30,batch=16,width=24)"


def found(machine: Path, out: Path, detector: str = QUICK, **more: object) -> Detected:
    given: dict = {"false_alarms": 0.1, "budget": Budget(), "on": str(machine / "test")} | more
    good = given.pop("good", str(machine / "good"))
    return detect(good, detector=detector, setup=Setup(out=str(out), size=64), training=CPU, **given)


@pytest.fixture(scope="module")
def result(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Detected:
    place = tmp_path_factory.mktemp("detect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(place / "cache"))
        return found(machine, place / "out")


def test_it_finds_the_faults_and_when_they_are(result: Detected) -> None:
    assert result.lines()[0].startswith("stretches finds 3 of 3 faulty stretches of time: ")
    figures = json.loads((result.folder / "figures.json").read_text())
    assert figures["images"]["all"]["auroc"] > 0.9
    assert figures["pixels"]["all"]["auroc"] > 0.9
    assert set(figures["pixels"]) == {"all", "spike", "stuck"}
    events = pd.read_csv(result.folder / "events.csv")
    assert {"spike", "stuck"} <= set(events["truth"])
    spike = events[events["truth"] == "spike"].iloc[0]
    assert spike["recording"] == "0.csv" and 92 <= spike["first_step"] <= 103 and 100 <= spike["peak"] <= 104
    assert not list(result.folder.rglob("*.part"))


def test_every_step_of_every_recording_has_a_score(result: Detected) -> None:
    steps = pd.read_parquet(result.folder / "steps.parquet")
    assert steps.groupby("recording").size().to_dict() == {"0.csv": LENGTH, "1.csv": LENGTH, "2.csv": LENGTH}
    assert (steps["score"] != 0).all()
    _, end = spans(result.table["path"].tolist(), 64)
    assert {stem(p) for p, e in zip(result.table["path"], end, strict=True) if e == LENGTH} == set(steps["recording"])
    own = steps[(steps["recording"] == "0.csv") & (steps["step"].between(100, 103))]
    assert own["truth"].eq("spike").all()


def test_windows_are_flagged_as_their_p_values_say(result: Detected) -> None:
    frame = pd.read_csv(result.folder / "scores.csv")
    assert (frame["flagged"] == (frame["p_value"] <= 0.1 + 1e-9)).all()
    assert (frame["flagged"] == (frame["score"] > result.figures["threshold"])).all()
    assert result.figures["folds"] == 3 and result.figures["learnt_from"] == result.figures["kept_apart"]


def test_what_was_learnt_looks_again_without_learning(
    result: Detected, machine: Path, cache: Path, tmp_path: Path
) -> None:
    out = detect(
        str(result.folder),
        on=str(machine / "test"),
        false_alarms=0.1,
        setup=Setup(out=str(tmp_path / "day")),
        training=CPU,
    )
    np.testing.assert_allclose(out.table["score"], result.table["score"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out.table["p_value"], result.table["p_value"])
    assert out.figures["learnt_from"] == result.figures["learnt_from"]
    assert not (tmp_path / "day" / "detector.safetensors").exists()


def test_the_page_shows_the_course(result: Detected) -> None:
    page = result.report.read_text("utf-8")
    for part in ("answer", "course", "kinds", "scores"):
        assert f'<section id="{part}"' in page
    assert '<section id="heat"' not in page and "Not shown" not in page


def test_stretches_are_shown_in_the_variables_that_made_their_score(result: Detected) -> None:
    told = json.loads((result.folder / "course.json").read_text())
    shown = {(e["event"]["truth"], next(iter(e["curves"]))) for e in told["close"] if e["event"]["truth"] != "good"}
    assert shown == {("spike", "a"), ("stuck", "b")}  # what is stuck lies nowhere far off
    assert "the variables that add most to their score" in result.report.read_text("utf-8")


def test_work_does_not_grow_with_recordings_times_stretches(
    result: Detected, machine: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    whole = Strip.course.fget
    monkeypatch.setattr(Strip, "course", property(lambda strip: made.append(len(strip.words)) or whole(strip)))  # type: ignore
    look(result.folder, machine / "test")
    assert 0 < len(made) <= 4 * 3 + 6  # a few times for each recording, and once for each stretch that is drawn


def test_long_stretches_are_drawn_around_their_highest_step(
    result: Detected, machine: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlabeled.anomaly._course.LARGE", 50)
    out = look(result.folder, machine / "test")
    steps = pd.read_parquet(out.folder / "steps.parquet")
    close = json.loads((out.folder / "course.json").read_text())["close"]
    assert close
    for each in close:
        event, first = each["event"], each["first"]
        own = steps[steps["recording"] == event["recording"]]["score"].to_numpy()
        peak = event["first_step"] + int(own[event["first_step"] : event["last_step"] + 1].argmax())
        assert first <= peak < first + 50
        assert {len(curve) for curve in each["curves"].values()} == {50} == {len(each["found"])}


@pytest.mark.parametrize(("detector", "method"), [("patches(most=300)", "tst"), ("reconstruction(draws=2)", "tst")])
def test_other_detectors_look_through_an_encoder(
    machine: Path, cache: Path, detector: str, method: str, tmp_path: Path
) -> None:
    out = found(machine, tmp_path / "out", detector, method=method, budget=Budget(steps=100))
    assert np.isfinite(out.table["score"]).all()
    assert out.figures["images"]["all"]["auroc"] > 0.6
    assert ("cannot tell which did" in out.report.read_text("utf-8")) == detector.startswith("patches")
    again = found(machine, tmp_path / "out", detector, method=method, budget=Budget(steps=100))
    np.testing.assert_allclose(again.table["score"], out.table["score"], rtol=1e-4)


def test_a_run_brings_its_own_windows(machine: Path, cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    where = Setup(out=str(run), size=32, encoder="transformer(width=32,depth=1)")
    pretrain(str(machine / "good"), method="tst", setup=where, budget=Budget(steps=5), training=CPU)
    out = found(machine, tmp_path / "out", "patches(most=100)", run=str(run))
    assert out.table["path"].str.endswith("+32").all()


def test_without_marks_nothing_is_measured(machine: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    table = pd.read_csv(machine / "test" / "0.csv").drop(columns="label")
    table["time"] = pd.date_range("2026-01-01", periods=LENGTH, freq="min")
    table.to_csv(tmp_path / "new" / "pump.csv", index=False)
    good = tmp_path / "good"
    good.mkdir()
    for file in sorted((machine / "good").glob("*.csv")):
        own = pd.read_csv(file)
        own["time"] = pd.date_range("2025-06-01", periods=LENGTH, freq="min")
        own.to_csv(good / file.name, index=False)
    out = found(machine, tmp_path / "out", BRIEF, good=str(good), on=str(tmp_path / "new"))
    assert "of time stand" in out.lines()[0]
    assert "images" not in out.figures and out.figures["events"].keys() == {"found", "steps", "recordings"}
    events = pd.read_csv(out.folder / "events.csv")
    assert events["start"].iloc[0].startswith("2026-01-01 0")


def test_marked_faults_among_the_good_are_left_out(
    machine: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for number in range(5):
        recording(np.random.default_rng(number), ("stuck",) if number == 0 else ()).to_csv(
            good / f"{number}.csv", index=False
        )
    found(machine, tmp_path / "out", BRIEF, good=str(good), false_alarms=0.2)
    said = capsys.readouterr()
    whole = f"6 windows of {good} hold marked faults and are left out"  # those that touch the steps 100 to 139
    assert whole in said.out + said.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detector": "planted"}, "take --detector stretches"),
        ({"detector": "density"}, "take --detector stretches"),
        ({"shots": (1,)}, "leave --shots away"),
        ({"false_alarms": 0.001}, "cannot vouch for 0.1% false alarms"),
    ],
)
def test_what_does_not_fit_is_one_line(machine: Path, cache: Path, tmp_path: Path, change: dict, words: str) -> None:
    with pytest.raises(UserError) as error:
        found(machine, tmp_path / "out", **change)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_recordings_that_were_learnt_from_are_not_judged(machine: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="take others to look at"):
        detect(str(machine / "good"), on=str(machine / "good"), detector=QUICK, setup=Setup(out=str(tmp_path), size=64))


def test_a_variable_that_is_missing_is_told(
    machine: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new").mkdir()
    pd.read_csv(machine / "test" / "0.csv").drop(columns="b").to_csv(tmp_path / "new" / "0.csv", index=False)
    found(machine, tmp_path / "out", "stretches(steps=5)", on=str(tmp_path / "new"), false_alarms=0.2)
    said = capsys.readouterr()
    assert "lack b, which counts as missing" in said.out + said.err


@pytest.fixture
def quick(machine: Path, cache: Path, tmp_path: Path) -> Path:
    """A detector that has learnt next to nothing."""
    return found(machine, tmp_path / "quick", "stretches(steps=5)", false_alarms=0.2).folder


def test_a_detector_of_recordings_is_not_loaded_or_served(quick: Path) -> None:
    for way in (load, serve):
        with pytest.raises(UserError, match="in recordings, and only detectors of faults in pictures"):
            way(str(quick))


def look(kept: Path, on: Path, **more: object) -> Detected:
    setup = Setup(out=str(kept.parent / "day"))
    return detect(str(kept), on=str(on), false_alarms=0.2, training=CPU, **{"setup": setup, **more})  # type: ignore[arg-type]


def test_good_items_alone_give_a_rate_of_false_alarms(quick: Path, tmp_path: Path) -> None:
    (tmp_path / "fine").mkdir()
    recording(np.random.default_rng(5)).to_csv(tmp_path / "fine" / "a.csv", index=False)
    out = look(quick, tmp_path / "fine")
    assert "none is marked as faulty" in out.lines()[0] and "nan" not in " ".join(out.lines())
    assert out.report.is_file() and out.figures["false_alarms"]["n"] == len(out.table)


def test_what_cannot_be_judged_is_told(quick: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    table = recording(np.random.default_rng(5)).drop(columns="label")
    table.to_csv(new / "a.csv", index=False)
    table.iloc[:40].to_csv(new / "short.csv", index=False)
    (new / "empty.csv").write_text("time,a,b,load\n")
    told = " ".join(look(quick, new).lines())
    assert "2 items could not be judged" in told
    (new / "empty.csv").unlink()
    (new / "a.csv").unlink()
    with pytest.raises(UserError, match="shorter than the windows of 64 steps"):
        look(quick, new)


def test_other_units_rates_and_gaps_are_told(quick: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    table = recording(np.random.default_rng(5)).drop(columns="label")
    table["b"] = table["b"] * 9 / 5 + 32
    table["time"] *= 10
    table.loc[100:150, "a"] = np.nan
    table.to_csv(new / "a.csv", index=False)
    out = look(quick, new)
    told = " ".join(out.lines())
    assert "b is 1" in told and "perhaps other units" in told
    assert "There is a value every 10, where every 1 was learnt" in told
    assert "of a is missing" in told
    steps = pd.read_parquet(out.folder / "steps.parquet")
    assert (steps["found"] & steps["score"].isna()).sum() == 0
    table.rename(columns={"a": "x", "b": "y", "load": "z"}).to_csv(new / "a.csv", index=False)
    with pytest.raises(UserError, match=r"a\.csv.*none of the variables a, b, load; it has x, y, z"):
        look(quick, new)
    recording(np.random.default_rng(6)).drop(columns="label").to_csv(new / "b.csv", index=False)
    assert "could not be judged" in " ".join(look(quick, new).lines())


def test_a_kept_detector_takes_no_settings_of_learning(quick: Path, machine: Path) -> None:
    out = str(quick.parent / "day")
    with pytest.raises(UserError, match="--size, --seed tells how to learn"):
        look(quick, machine / "test", setup=Setup(out=out, size=32, seed=3))
    with pytest.raises(UserError, match="has learnt from"):
        look(quick, machine / "good")
    with pytest.raises(UserError, match="cannot vouch"):
        detect(str(quick), on=str(machine / "test"), false_alarms=0.0001, setup=Setup(out=out), training=CPU)
    assert (quick / "detector.safetensors").stat().st_mode & 0o777 == 0o644
    file = look(quick / "detector.safetensors", machine / "test", setup=Setup(out=out, stride=32))
    assert file.figures["learnt_from"] > 0


def test_only_the_steps_that_a_manifest_names_are_judged(quick: Path, machine: Path) -> None:
    listed = machine / "test" / "part.csv"
    listed.write_text("path,first,end\n0.csv,0,150\n")
    try:
        out = look(quick, listed)
    finally:
        listed.unlink()
    first, end = spans(out.table["path"].tolist(), 64)
    assert end.max() == 150 and first.min() == 0
    steps = pd.read_parquet(out.folder / "steps.parquet")
    assert steps["score"].notna().sum() == 150 and out.figures["events"]["steps"] == 150


def test_sounds_and_texts_are_refused(machine: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one line of words here\n" * 30)
    with pytest.raises(UserError, match="pictures and recordings"):
        detect(str(machine / "good"), on=str(tmp_path), setup=Setup(out=str(tmp_path / "out")))
