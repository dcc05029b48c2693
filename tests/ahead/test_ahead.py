"""What comes next and what is missing: windows that keep to their part, maps like scikit-learn's, rules by hand."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge as Known

from unlabeled.ahead import impute as hidden
from unlabeled.ahead import scores, windows
from unlabeled.ahead.forecast import season_of
from unlabeled.ahead.ridge import STRENGTHS, Inputs, Ridge
from unlabeled.ahead.windows import Windows
from unlabeled.data.scan import scan
from unlabeled.data.series import SeriesPrep
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError
from unlabeled.settings import Budget, Setup, Training
from unlabeled.verbs.forecast import forecast
from unlabeled.verbs.impute import impute
from unlabeled.verbs.pretrain import pretrain

TRAINING = Training(threads=1, device="cpu", batch_size=32, precision="fp32")


@pytest.fixture(scope="module")
def tides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of two variables that repeat every 12 steps, and a noisy one that nothing tells."""
    root = tmp_path_factory.mktemp("tides")
    random = np.random.default_rng(0)
    step = np.arange(300.0)
    for name in ("a", "b"):
        wave = np.sin(2 * np.pi * step / 12 + random.uniform(0, 6))
        table = {"time": step, "high": 3 + wave, "low": 1 - 2 * wave, "chance": random.normal(size=300)}
        pd.DataFrame(table).to_csv(root / f"{name}.csv", index=False)
    return root


@pytest.fixture(scope="module")
def run(tides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the tides."""
    home = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(home / "cache"))
        where = Setup(size=24, out=str(home / "run"), encoder="tcn(width=8, stages=1, blocks=1)")
        pretrain(str(tides), method="autoencoder", setup=where, budget=Budget(steps=8), training=TRAINING)
    return home / "run"


def test_the_map_is_scikit_learns_and_its_strength_the_best_on_held_items() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(60, 5)) * [1, 2, 3, 4, 5] + 1
    y = x @ random.normal(size=(5, 2)) + 3 * random.normal(size=(60, 2))
    inputs = Inputs.of(x[:40])
    found = Ridge.fit(inputs, y[:40], x[40:], y[40:])
    standard = (x - x[:40].mean(0)) / x[:40].std(0)
    errors = {}
    for strength in STRENGTHS:
        alpha = strength * inputs.values.mean() * 40
        known = Known(alpha=alpha).fit(standard[:40], y[:40])
        errors[strength] = ((known.predict(standard[40:]) - y[40:]) ** 2).mean()
        if strength == found.strength:
            np.testing.assert_allclose(found.predict(x), known.predict(standard), atol=1e-8)
    assert found.strength == min(errors, key=lambda s: errors[s])


def test_missing_targets_do_not_shrink_the_map() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(24000, 3))
    y = x @ np.array([[1.0], [-2.0], [0.5]])
    y[random.uniform(size=y.shape) < 0.8] = np.nan
    found = Ridge.fit(Inputs.of(x[:20000]), y[:20000], x[20000:], y[20000:])
    np.testing.assert_allclose(found.weights.ravel(), [1, -2, 0.5], atol=0.15)


def test_windows_and_what_follows_keep_to_their_part(tides: Path) -> None:
    prep = SeriesPrep(24, 4, 1.0, ("high", "low", "chance"))
    found = windows.parts(scan(tides), prep, 6)
    spans = {"train": (0, 180), "val": (180, 240), "test": (240, 300)}
    for name, (low, high) in spans.items():
        part = found[name]
        assert part.start.min() == low and part.start.max() + 24 + 6 == high and set(part.recording) == {0, 1}
    one = found["test"]
    whole = pd.read_csv(tides / "a.csv")["high"].to_numpy()
    first = int(one.start[0])
    np.testing.assert_allclose(one.y[0, 0], whole[first + 24 : first + 30], rtol=1e-6)
    with pytest.raises(UserError, match=r"no val part .* has 74 steps"):
        windows.parts(scan(tides), prep, 50)


def test_windows_of_long_recordings_are_counted_and_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they take in memory hangs on how many are kept, and not on how many there are."""
    whole = {f"{i}.csv": np.arange(n * 2, dtype=np.float32).reshape(2, n) for i, n in enumerate((60_000, 40, 30_000))}

    class Known:
        def __init__(self, *_: object) -> None: ...
        def read(self, file: Path, key: str) -> tuple[np.ndarray, None]:
            return whole[file.name], None

    monkeypatch.setattr(windows, "Grids", Known)
    table = Table(Path(), "files", "series", frame(list(whole), ["train", "val", "test"]))
    prep = SeriesPrep(16, 3, 1.0, ("high", "low"))
    tracemalloc.start()
    found = windows.parts(table, prep, 4, most=50)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1e6
    for name, file in zip(("train", "val", "test"), whole, strict=True):
        slow = list(range(0, whole[file].shape[1] - 20 + 1))
        kept = np.unique(np.linspace(0, len(slow) - 1, min(50, len(slow))).astype(int))
        assert found[name].start.tolist() == [slow[i] for i in kept]
        for x, y, start in zip(found[name].x, found[name].y, found[name].start, strict=True):
            np.testing.assert_array_equal(x[1:], whole[file][:, start : start + 16])
            np.testing.assert_array_equal(y, whole[file][:, start + 16 : start + 20])


def test_the_season_is_found_and_noise_has_none() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(40, 2, 96)).astype(np.float32)
    assert season_of(Windows(noise, noise[:, :, :0], np.zeros(40), np.zeros(40)), 1) == 0


def test_what_repeats_is_foretold_and_chance_is_not(tides: Path, run: Path, tmp_path: Path) -> None:
    found = forecast([str(run)], str(tides), horizons=(6,), out=str(tmp_path / "out"), training=TRAINING)
    assert found.season == 12
    errors = found.summary.set_index(["arm", "metric"])["mean"]
    third = 1 / 3  # the variable that is chance: its error is its variance, for the best of rules
    assert errors["linear", "mse"] == pytest.approx(third, abs=0.1)
    assert errors["last season", "mse"] == pytest.approx(2 * third, abs=0.15)  # two draws of chance apart
    assert errors["last value", "mse"] > 2 * errors["linear", "mse"]
    assert {"autoencoder", "random", "linear + autoencoder"} <= set(found.summary["arm"])
    assert found.report.is_file() and "what comes next" in found.report.read_text("utf-8")
    told = found.summary.set_index(["arm", "metric"])
    assert told.loc[("linear", "mse"), "difference"] == 0


def test_hidden_values_are_told_by_the_rules_as_by_hand() -> None:
    nan = np.nan
    x = np.array([[[nan, 1.0, nan, 3.0, nan]]])
    np.testing.assert_array_equal(hidden._last(x), [[[1, 1, 1, 3, 3]]])
    np.testing.assert_array_equal(hidden._line(x), [[[1, 1, 2, 3, 3]]])


def test_what_repeats_is_filled_in_and_nothing_visible_counts(tides: Path, run: Path, tmp_path: Path) -> None:
    for how in ("points", "blocks"):
        found = impute([str(run)], str(tides), shares=(0.25,), hide=how, out=str(tmp_path / how), training=TRAINING)  # type: ignore[arg-type]
        errors = found.summary.set_index(["arm", "metric"])["mean"]
        assert errors["mean", "mse"] == pytest.approx(1.0, abs=0.25)
        assert errors["straight line", "mse"] < errors["last value", "mse"] or how == "blocks"
        assert {"autoencoder", "random"} <= set(found.summary["arm"]) and found.report.is_file()


def test_the_sentence_follows_the_interval() -> None:
    random = np.random.default_rng(0)
    base = random.uniform(1, 2, 40)
    groups = {6: np.arange(40)}
    for gap, words in ((-0.5, "pays"), (0.5, "Take the linear rule")):
        rows = [{"arm": "linear", "horizon": 6, "seed": 0, "mse": base, "mae": base}]
        rows += [{"arm": "mae", "horizon": 6, "seed": s, "mse": base + gap, "mae": base} for s in range(3)]
        table = scores.summary(rows, groups, "horizon", "linear")
        assert words in scores.sentence(table, "horizon", "linear", ["mae"], "{} steps".format)[0]


def test_the_best_of_many_is_not_tested_as_if_it_were_the_only_one() -> None:
    """An interval just below 0 is enough for one arm, and not for the luckiest of six."""
    base = np.random.default_rng(0).uniform(1, 2, 40)
    noise = np.random.default_rng(1).normal(size=40)
    noise = 0.25 * (noise - noise.mean()) / noise.std()
    names = [f"m{i}" for i in range(6)]
    rows = [{"arm": "linear", "horizon": 6, "seed": 0, "mse": base, "mae": base}]
    rows += [{"arm": a, "horizon": 6, "seed": 0, "mse": base + noise - 0.09, "mae": base} for a in names]
    table = scores.summary(rows, {6: np.arange(40)}, "horizon", "linear")
    low = table[(table["arm"] == "m0") & (table["metric"] == "mse")].iloc[0]
    assert low["difference_high"] < 0 < low["difference"] + 1.35 * (low["difference_high"] - low["difference"])
    for arms, pays in ((names[:1], True), (names, False)):
        sentence, [detail] = scores.sentence(table, "horizon", "linear", arms, "{} steps".format)
        assert ("pays" in sentence) == pays and ("the best of 6 arms may have by chance" in detail) != pays


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        ({"mae": -0.5, "random": 0.1}, "What was learnt without labels pays: its features beat the linear rule every"),
        ({"mae": -0.5, "random": -0.6}, "That learning pays is not shown: features beat the linear rule everywhere"),
        ({"mae": 0.1, "last season": 0.2, "linear + mae": 0.1}, "Take the linear rule: no features are shown to beat"),
        ({"mae": 0.1, "last season": -0.2, "linear + mae": 0.1}, "Take last season: it beats the linear rule every"),
        ({"mae": 0.1, "last season": -0.2, "linear + mae": -0.3}, "Take linear + mae: its features add to the linear"),
    ],
)
def test_the_sentence_names_what_the_table_has_first(gaps: dict[str, float], words: str) -> None:
    base = np.random.default_rng(0).uniform(1, 2, 40)
    rows = [
        {"arm": a, "horizon": 6, "seed": 0, "mse": base + g, "mae": base} for a, g in ({"linear": 0.0} | gaps).items()
    ]
    table = scores.summary(rows, {6: np.arange(40)}, "horizon", "linear")
    assert scores.sentence(table, "horizon", "linear", ["mae"], "{} steps".format)[0].startswith(words)


def test_windows_of_one_stretch_have_no_interval_and_no_nan() -> None:
    base = np.random.default_rng(0).uniform(1, 2, 40)
    rows = [{"arm": a, "horizon": 6, "seed": 0, "mse": base + g, "mae": base} for a, g in (("linear", 0), ("mae", 1))]
    table = scores.summary(rows, {6: np.zeros(40, np.int64)}, "horizon", "linear")
    _, [told] = scores.sentence(table, "horizon", "linear", ["mae"], "{} steps".format)
    assert told.endswith("+1.000 (no interval) against linear.")


def test_what_cannot_be_asked_is_refused_in_a_line(tides: Path, run: Path) -> None:
    with pytest.raises(UserError, match="horizons"):
        forecast([str(run)], str(tides), horizons=(0,), training=TRAINING)
    with pytest.raises(UserError, match="hidden"):
        impute([str(run)], str(tides), shares=(1.5,), training=TRAINING)


def test_a_gap_longer_than_the_horizon_is_no_warning_and_no_error(
    tides: Path, run: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Nothing is measured for a while in the test part, and one variable never in what is learnt from."""
    for name in ("a", "b"):
        table = pd.read_csv(tides / f"{name}.csv")
        table.loc[270:285, ["high", "low", "chance"]] = np.nan
        table.loc[:190, "chance"] = np.nan
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    found = forecast([str(run)], str(tmp_path), horizons=(6,), out=str(tmp_path / "next"), training=TRAINING)
    errors = found.summary.set_index(["arm", "metric"])["mean"]
    assert np.isfinite(errors).all()
    filled = impute([str(run)], str(tmp_path), shares=(0.25,), out=str(tmp_path / "gap"), training=TRAINING)
    assert np.isfinite(filled.summary["mean"]).all()
    assert not recwarn.list


def test_a_share_so_small_that_nothing_is_hidden_is_refused_in_a_line() -> None:
    none = {"arm": "straight line", "share": 0.0001, "seed": 0, "mse": np.full(18, np.nan), "mae": np.full(18, np.nan)}
    told = r"at the share 0\.0001 nothing that was measured is to be told in 18 test windows; ask for a larger share"
    with pytest.raises(UserError, match=told):
        scores.summary([none], {0.0001: np.arange(18)}, "share", "straight line")


def test_a_map_without_held_targets_is_held_back_like_others() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert Ridge.fit(Inputs.of(x[:20]), x[:20], x[20:], np.full((20, 3), np.nan)).strength == 1.0


def test_what_is_asked_twice_is_told_once(tides: Path, run: Path, tmp_path: Path) -> None:
    found = forecast([str(run)], str(tides), horizons=(4, 2, 4), out=str(tmp_path / "next"), training=TRAINING)
    assert found.summary["horizon"].unique().tolist() == [4, 2]
    one = forecast([str(run)], str(tides), horizons=(1,), out=str(tmp_path / "one"), training=TRAINING)
    assert one.details[0].startswith("1 step ahead: ")
    filled = impute([str(run)], str(tides), shares=(0.125, 0.125), out=str(tmp_path / "gap"), training=TRAINING)
    assert filled.details[0].startswith("12.5 % hidden: ")
    assert not filled.summary.duplicated(["arm", "metric"]).any()


def test_runs_of_one_method_are_one_arm_only_as_seeds_of_one_encoder(tides: Path, run: Path, tmp_path: Path) -> None:
    """Else the errors of all were averaged, and the paired difference was that of the last."""
    other = Setup(size=24, out=str(tmp_path / "other"), encoder="tcn(width=4, stages=1, blocks=1)")
    pretrain(str(tides), method="autoencoder", setup=other, budget=Budget(steps=2), training=TRAINING)
    runs = [str(run), str(tmp_path / "other")]
    found = forecast(runs, str(tides), horizons=(4,), out=str(tmp_path / "out"), training=TRAINING)
    table = found.summary[found.summary["metric"] == "mse"].set_index("arm")
    mine = [a for a in table.index if a.startswith("autoencoder[")]
    assert len(mine) == 2 and "autoencoder" not in table.index and (table["n"] == 1).all()
    gap = table["mean"] - table.loc["linear", "mean"]
    np.testing.assert_allclose(table["difference"], gap, atol=1e-9)
    with pytest.raises(UserError, match="are both of autoencoder with the seed 0"):
        impute([runs[0], runs[0]], str(tides), shares=(0.25,), out=str(tmp_path / "in"), training=TRAINING)


def test_each_run_sees_the_data_in_units_of_its_own(tides: Path, run: Path, tmp_path: Path) -> None:
    """Seeds that held out other items have measured another mean: their order must not matter."""
    other = Path(shutil.copytree(run, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    config["recipe"] |= {"seed": 1, "mean": [m + 1.5 for m in config["recipe"]["mean"]]}
    (other / "config.json").write_text(json.dumps(config))
    told = []
    for number, runs in enumerate(([str(run), str(other)], [str(other), str(run)])):
        out = [str(tmp_path / f"{verb}{number}") for verb in ("ahead", "gaps")]
        for found in (
            forecast(runs, str(tides), horizons=(4,), out=out[0], training=TRAINING),
            impute(runs, str(tides), shares=(0.25,), out=out[1], training=TRAINING),
        ):
            table = found.summary[found.summary["metric"] == "mse"].set_index("arm")["mean"]
            told.append(table[["autoencoder", "random"]].tolist())
    np.testing.assert_allclose(told[0], told[2], rtol=1e-6)
    np.testing.assert_allclose(told[1], told[3], rtol=1e-6)


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """Two stays of 17 to 20 hours of each of 20 patients, in one table."""
    random = np.random.default_rng(3)
    rows = [
        (p, 100 + 2 * p + s, h, 80 + p + random.normal(), 37 + np.sin(h))
        for p in range(20)
        for s in range(2)
        for h in range(17 + (p + s) % 4)
    ]
    pd.DataFrame(rows, columns=["patient", "stay_id", "time", "hr", "temp"]).to_csv(tmp_path / "ward.csv", index=False)
    return tmp_path / "ward.csv"


@pytest.mark.parametrize("horizon", [0, 4])
def test_short_records_are_parted_by_patient(ward: Path, horizon: int) -> None:
    table = scan(ward)
    size = 24 if horizon == 0 else 12
    found = windows.parts(table, SeriesPrep(size, 3, 1.0, ("hr", "temp")), horizon)
    patients = {name: set(table.items["group"].iloc[part.recording]) for name, part in found.items()}
    assert [len(patients[name]) for name in ("train", "val", "test")] == [12, 4, 4]
    assert len(set.union(*patients.values())) == 20
    for part in found.values():
        inside = part.x[:, 0].sum(1)
        if horizon == 0:  # taken whole, and filled up behind the end
            assert len(part) == len(np.unique(part.recording)) and set(inside) <= {17, 18, 19, 20}
        for x, much in zip(part.x, inside.astype(int), strict=True):
            assert np.isfinite(x[1:, :much]).all() and np.isnan(x[1:, much:]).all()
        groups = windows.together(table, part, size)
        assert len(np.unique(groups)) == table.items["group"].iloc[part.recording].nunique()


def test_named_test_records_stay_and_others_are_kept_apart(ward: Path) -> None:
    table = scan(ward)
    table.items.loc[table.items["group"].isin(["0", "1", "2"]), "split"] = "test"
    found = windows.parts(table, SeriesPrep(24, 3, 1.0, ("hr", "temp")), 0)
    assert set(table.items["group"].iloc[found["test"].recording]) == {"0", "1", "2"}
    parts = [set(table.items["group"].iloc[found[name].recording]) for name in ("train", "val")]
    assert [len(part) for part in parts] == [14, 3] and not parts[0] & parts[1]


def test_windows_of_one_patient_are_drawn_together_and_others_by_their_time() -> None:
    x = np.zeros((6, 2, 8), np.float32)
    part = Windows(x, x[:, :1, :0], np.array([0, 0, 1, 2, 2, 2]), np.array([0, 20, 0, 0, 4, 40]))
    named = Table(Path(), "files", "series", frame(["a", "b", "c"], ["test"] * 3, None, ["p", "p", None]))
    assert windows.together(named, part, 10).tolist() == [0, 0, 0, 1, 1, 1]
    plain = Table(Path(), "files", "series", frame(["a", "b", "c"], ["test"] * 3))
    assert windows.together(plain, part, 10).tolist() == [0, 1, 2, 3, 3, 4]


def test_records_of_patients_are_filled_in(ward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    where = Setup(out=str(tmp_path / "run"), encoder="gru(width=8)")
    pretrain(str(ward), method="autoencoder", setup=where, budget=Budget(steps=4), training=TRAINING)
    found = impute([str(tmp_path / "run")], str(ward), shares=(0.25,), out=str(tmp_path / "filled"), training=TRAINING)
    errors = found.summary.set_index(["arm", "metric"])["mean"]
    assert errors["straight line", "mse"] < errors["mean", "mse"] and np.isfinite(errors).all()


def test_recordings_that_hold_nothing_of_what_was_learnt_are_refused(ward: Path) -> None:
    with pytest.raises(UserError, match=r"nothing of what was learnt from \(pulse\) is in the train part"):
        windows.parts(scan(ward), SeriesPrep(24, 2, 1.0, ("pulse",)), 0)
