"""By column: a part that is worse is found, parts that are alike are not accused, and figures are those of a slice."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from scipy.stats import beta

import unlabeled as ul
from unlabeled.confidence import calibration
from unlabeled.confidence.conformal import quantile
from unlabeled.data.prepare import prepare
from unlabeled.data.scan import scan
from unlabeled.deploy import fairness, figures
from unlabeled.deploy.decide import Limits
from unlabeled.deploy.worse import corrupted
from unlabeled.training.recipe import Recipe
from unlabeled.verbs.audit import Audited, _answer, _of_items, column

PROMISES = {"conformal": {"coverage": 0.9, "items": 40}, "strangers": {"keep": 0.95}}
LIMITS = Limits(("a", "b"), 0.9, np.array([0.6, 0.6]), 0.9)


def drawn(n: int, seed: int, harm: float) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Synthetic answers that are wrong more often in part `x` by `harm`."""
    random = np.random.default_rng(seed)
    part = random.choice(["x", "y", "z"], n)
    y = random.integers(0, 2, n)
    right = random.uniform(size=n) < 0.9 - harm * (part == "x")
    sure = random.uniform(0.5, 1, n)
    p = np.stack([sure, 1 - sure], 1)
    p[(y == 1) == right] = p[(y == 1) == right, ::-1]
    return {"probabilities": p, "strangeness": random.uniform(size=n)}, y, part


def test_a_part_that_is_worse_is_found_with_its_size() -> None:
    found, y, part = drawn(1500, 0, 0.25)
    table = fairness.table(found, y, LIMITS, {"site": part})
    row = table[(table["part"] == "x") & (table["metric"] == "accuracy")].iloc[0]
    assert row["differs"] and row["difference"] == pytest.approx(-0.25, abs=0.06)
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0
    mine = part == "x"
    top, right = found["probabilities"].max(1)[mine], (found["probabilities"].argmax(1) == y)[mine]
    assert row["value"] == pytest.approx(right.mean())
    ece = table[(table["part"] == "x") & (table["metric"] == "ece")].iloc[0]
    assert ece["value"] == pytest.approx(calibration.error(top, right))


def test_parts_that_are_alike_are_not_accused() -> None:
    accused = sum(
        fairness.table(*drawn(400, seed, 0.0)[:2], LIMITS, {"site": drawn(400, seed, 0.0)[2]}, resamples=400)[
            "differs"
        ].any()
        for seed in range(40)
    )
    assert accused <= 5  # 0.05 of 40 and two sd


def test_a_small_part_that_is_right_throughout_is_not_marked() -> None:
    found, y, _ = drawn(400, 1, 0.0)
    right = np.flatnonzero(found["probabilities"].argmax(1) == y)
    part = np.full(400, "others", dtype=object)
    part[right[:20]] = "lucky"  # at 90 % a part of 20 is all right in one case of eight
    table = fairness.table(found, y, LIMITS, {"site": part}, resamples=200)
    accuracy = table[(table["part"] == "lucky") & (table["metric"] == "accuracy")].iloc[0]
    assert accuracy["value"] == 1 and not accuracy["differs"]
    assert accuracy["low"] == pytest.approx(beta.ppf(0.025, 20, 1)), "as far as an unseen one may differ"
    assert accuracy["difference_low"] < 0 < accuracy["difference"] < accuracy["difference_high"]


def test_a_calibration_error_lies_within_its_own_interval() -> None:
    """Of an honest classifier with five classes, whatever its chance."""
    limits = Limits(tuple("abcde"), 0.9, np.full(5, 0.9), 0.95)
    for seed in range(8):
        random = np.random.default_rng(seed)
        p = random.dirichlet(np.full(5, 0.5), 200)
        y = (p.cumsum(1) < random.uniform(size=(200, 1))).sum(1).clip(0, 4)
        found = {"probabilities": p, "strangeness": np.zeros(200)}
        whole = figures.figures(found, y, limits)
        for name in ("ece", "ece_mass", "ece_class"):
            assert 0 <= whole[name]["low"] < whole[name]["value"] < whole[name]["high"] < 0.3, name
        parts = fairness.table(found, y, limits, {"site": np.arange(200) % 2}, resamples=200)
        ece = parts[parts["metric"] == "ece"]
        assert (ece["low"] < ece["value"]).all() and (ece["value"] < ece["high"]).all()


def test_the_share_of_right_answers_is_known_by_the_answered_ones_alone() -> None:
    """Three of 200 items are answered, and rightly."""
    y = np.arange(200) % 2
    p = np.full((200, 2), 0.5)
    p[:3] = np.eye(2)[y[:3]]
    found = {"probabilities": p, "strangeness": np.zeros(200)}
    limits = replace(LIMITS, quantile=np.array([0.1, 0.1]))
    told = figures.figures(found, y, limits)["answered_accuracy"]
    assert told["value"] == told["high"] == 1 and told["low"] == pytest.approx(beta.ppf(0.025, 3, 1))
    assert figures.figures(found, y, limits, np.arange(200) // 4)["answered_accuracy"]["low"] is None, "one group"


def test_recordings_that_are_alike_are_not_accused() -> None:
    accused = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        recording = np.repeat(np.arange(12), 40)
        right = random.uniform(size=480) < random.uniform(0.6, 1.0, 12)[recording]  # some recordings are harder
        y, sure = random.integers(0, 2, 480), random.uniform(0.5, 1, 480)
        p = np.stack([sure, 1 - sure], 1)
        p[(y == 1) == right] = p[(y == 1) == right, ::-1]
        found = {"probabilities": p, "strangeness": random.uniform(size=480)}
        site = np.where(recording < 3, "x", "y")
        table = fairness.table(found, y, LIMITS, {"site": site}, groups=recording, resamples=200)
        accused += bool(table["differs"].any())
    assert accused <= 5
    one = fairness.table(found, y, LIMITS, {"site": np.where(recording < 1, "x", "y")}, groups=recording, resamples=200)
    assert not one[one["part"] == "x"]["differs"].any(), "one recording is no part"


def test_a_part_of_one_group_has_no_interval_and_says_so(tmp_path: Path) -> None:
    found, y, _ = drawn(60, 0, 0.0)
    patient = np.repeat(np.arange(4), 15)
    table = fairness.table(found, y, LIMITS, {"site": np.where(patient < 1, "x", "y")}, groups=patient, resamples=50)
    own = table[table["part"] == "x"]
    assert own[["low", "high", "difference_low", "difference_high"]].isna().all(axis=None) and len(own) > 5
    whole = figures.figures(found, y, LIMITS, patient)
    lines = Audited(tmp_path, whole, table, (), None, tmp_path / "audit.html").lines()
    assert any(line.startswith("site x") and "(one group)" in line for line in lines)
    assert "nan" not in " ".join(lines)


def test_a_few_resamples_at_a_time_give_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    found, y, part = drawn(300, 3, 0.2)
    patient = np.random.default_rng(0).integers(0, 40, 300)
    for groups in (None, patient):
        whole = fairness.table(found, y, LIMITS, {"site": part}, groups=groups, resamples=90)
        monkeypatch.setattr(fairness, "TABLE", 2000)
        pd.testing.assert_frame_equal(
            fairness.table(found, y, LIMITS, {"site": part}, groups=groups, resamples=90), whole
        )
        monkeypatch.undo()
    assert fairness.table(found, y, LIMITS, {}).empty


def test_a_split_that_is_none_is_not_taken_for_all_items(model: Path, digits: Path, tmp_path: Path) -> None:
    with pytest.raises(ul.UserError, match='there is no split "tset"; take all, or one of train, val, test'):
        ul.audit(str(model), str(digits), split="tset", out=str(tmp_path / "a"))


def test_small_parts_are_left_out_and_missing_values_are_a_part() -> None:
    found, y, _ = drawn(100, 0, 0.0)
    part = np.array(["few"] * 5 + [None] * 45 + ["many"] * 50, dtype=object)
    table = fairness.table(found, y, LIMITS, {"sex": part}, resamples=50)
    assert set(table["part"]) == {"(missing)", "many"}


def test_ages_are_cut_into_quarters_and_names_are_not() -> None:
    found, y, part = drawn(200, 0, 0.0)
    ages = np.array([*(f"{18 + i % 80}" for i in range(180)), *[None] * 20], dtype=object)
    cut = fairness.banded(ages)
    table = fairness.table(found, y, LIMITS, {"age": cut}, resamples=50)
    sizes = table.drop_duplicates("part").set_index("part")["n"]
    assert len(sizes) == 5 and all(n == "(missing)" or " to " in n for n in sizes.index)
    assert sizes["(missing)"] == 20 and sizes.sum() == 200 and sizes.drop("(missing)").min() >= 30
    assert fairness.banded(part) is part
    whole = np.array(["0", "1"] * 100, dtype=object)
    assert fairness.banded(whole) is whole  # two sexes
    mixed = np.array([*map(str, range(199)), "old"], dtype=object)
    assert fairness.banded(mixed) is mixed


def test_parts_that_are_too_small_are_named(model: Path, digits: Path, tmp_path: Path) -> None:
    files = sorted((digits / "test").rglob("*.png"))[::6]
    rows = [(str(f), f.parent.name, "A" if i > 4 else "B", str(20 + i)) for i, f in enumerate(files)]
    pd.DataFrame(rows, columns=["path", "label", "hospital", "age"]).to_csv(tmp_path / "m.csv", index=False)
    found = ul.audit(str(model), str(tmp_path / "m.csv"), by=["hospital", "age"], out=str(tmp_path / "audit"))
    assert "hospital: 1 part of fewer than 10 items left out: B (5)" in found.lines()
    assert found.table[found.table["column"] == "age"]["part"].nunique() == 4


def test_the_numbers_of_sites_are_names(model: Path, digits: Path, tmp_path: Path) -> None:
    files = sorted((digits / "test").rglob("*.png"))
    sites = [str(i % 3) if i % 2 else str(10 + i) for i in range(len(files))]  # most are rare, as ages are
    rows = [(str(f), f.parent.name, s, s) for f, s in zip(files, sites, strict=True)]
    pd.DataFrame(rows, columns=["path", "label", "hospital", "age"]).to_csv(tmp_path / "m.csv", index=False)
    found = ul.audit(str(model), str(tmp_path / "m.csv"), by=["hospital", "age"], out=str(tmp_path / "audit"))
    parts = {name: set(of["part"]) for name, of in found.table.groupby("column")}
    assert parts["hospital"] == {"0", "1", "2"} and all(" to " in part for part in parts["age"])


def test_a_table_of_recordings_is_no_manifest_and_knows_its_sites(tmp_path: Path) -> None:
    rows = [(p, h, "AB"[p % 2], 80 + h) for p in range(4) for h in range(3)]
    file = tmp_path / "ward.csv"
    pd.DataFrame(rows, columns=["patient", "time", "hospital", "hr"]).to_csv(file, index=False)
    table = scan(file)
    assert column(table, str(file), "hospital").tolist() == column(table, str(file), "domain").tolist() == [*"ABAB"]
    with pytest.raises(ul.UserError, match=r'no column "sex".*only what a manifest'):
        column(table, str(file), "sex")


def test_a_part_is_told_by_the_column_that_was_asked_for_and_by_no_other(tmp_path: Path) -> None:
    rows = [(f"{i}.png", "x", "AB"[i % 2], "GE" if i else "Siemens") for i in range(4)]
    file = tmp_path / "list.csv"
    for number in range(4):
        Image.new("L", (4, 4)).save(tmp_path / f"{number}.png")
    pd.DataFrame(rows, columns=["path", "label", "Site ID", "Manufacturer"]).to_csv(file, index=False)
    table = scan(file)
    for name in ("domain", "Site ID", "site_id"):
        assert column(table, str(file), name).tolist() == [*"ABAB"]
    for name in ("Manufacturer", "manufacturer"):
        assert column(table, str(file), name).tolist() == ["Siemens", "GE", "GE", "GE"]
    with pytest.raises(ul.UserError, match='no column "scanner"'):  # a site is no scanner
        column(table, str(file), "scanner")


def doubted(calibrated: int, test: int, alike: int, seed: int, move: float = 0.0) -> bool:
    """Whether a model is told to flag too many, whose threshold comes from groups of `alike` items with one score."""
    random = np.random.default_rng(seed)
    held, new = random.normal(size=calibrated // alike), random.normal(size=test // alike) + move
    limits = replace(LIMITS, strangeness=quantile(np.repeat(held, alike), 0.95))
    flagged = limits.strange(np.repeat(new, alike)).mean()
    whole = {"n": test, "units": test // alike, "coverage": {"value": 1.0}, "flagged": {"value": flagged}}
    sets = {"coverage": 0.9, "items": calibrated, "units": calibrated // alike}
    return bool(figures.doubts(whole, sets, {"keep": 0.95}))


@pytest.mark.parametrize(("calibrated", "alike"), [(19, 1), (40, 1), (400, 20)])
def test_a_sound_model_is_doubted_in_one_case_of_two_hundred(calibrated: int, alike: int) -> None:
    """However few items or groups its threshold comes from."""
    assert sum(doubted(calibrated, 500, alike, seed) for seed in range(400)) <= 7  # 2 are expected
    assert sum(doubted(calibrated, 500, alike, seed, move=4.0) for seed in range(20)) >= 18


def test_groups_are_counted_for_the_doubts() -> None:
    found, y, _ = drawn(200, 0, 0.0)
    assert figures.figures(found, y, LIMITS)["units"] == 200
    assert figures.figures(found, y, LIMITS, np.arange(200) // 10)["units"] == 20


def test_by_a_column_of_the_manifest(
    model: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for i, file in enumerate(sorted((digits / "test").rglob("*.png"))):
        site = "new camera" if i % 2 else "old camera"
        path = tmp_path / f"{i}.png"
        picture = Image.open(file)
        (picture.filter(ImageFilter.GaussianBlur(1.6)) if i % 2 else picture).save(path)
        rows.append((str(path), file.parent.name, site))
    rows.append((str(tmp_path / "lost.png"), "3", "old camera"))
    Image.new("L", (8, 8)).save(tmp_path / "other.png")
    rows.append((str(tmp_path / "other.png"), "a class of its own", "old camera"))
    pd.DataFrame(rows, columns=["path", "label", "camera_kind"]).to_csv(tmp_path / "m.csv", index=False)
    found = ul.audit(str(model), str(tmp_path / "m.csv"), by=["camera_kind"], out=str(tmp_path / "audit"))
    by = found.table[found.table["metric"] == "accuracy"].set_index("part")
    assert by.at["new camera", "value"] < by.at["old camera", "value"] - 0.1
    assert found.figures["n"] == 360
    assert any("camera_kind new camera: accuracy differs" in line for line in found.lines())
    assert (
        "1 item cannot be read" in found.lines() and "1 item of classes that the model does not know" in found.lines()
    )
    assert len(pd.read_csv(tmp_path / "audit" / "by.csv")) == len(found.table)
    with pytest.raises(ul.UserError, match=r'no column "sex" in .*; it has label, camera_kind'):
        ul.audit(str(model), str(tmp_path / "m.csv"), by=["sex"])


def test_windows_follow_their_recording_and_the_part_of_it_that_a_row_names() -> None:
    frame = pd.DataFrame(
        {
            "path": ["./a.csv", "b.csv", "b.csv", "c.ts"],
            "first": [None, "0", "100", None],
            "end": [None, "100", "300", None],
            "site": ["north", "south", "east", "west"],
        }
    )
    paths = ["a.csv@0+64", "a.csv@640+64", "b.csv@64+64", "b.csv@128+64", "c.ts#7@3+64", "c.ts#8", "lost.csv@0+64"]
    found = _of_items(paths, frame, "site").tolist()
    assert found == ["north", "north", "south", "east", "west", "west", None]
    assert _of_items(["b.csv@0+100", "b.csv@300+64"], frame, "site").tolist() == ["south", None]


def test_what_the_promises_are_worth_when_items_get_worse(model: Path, digits: Path, tmp_path: Path) -> None:
    kinds = ["gaussian_noise", "haze"]
    found = ul.audit(str(model), str(digits), worse=kinds, items=120, out=str(tmp_path / "audit"))
    assert found.worse is not None
    table = found.worse.set_index(["kind", "severity"])
    assert len(table) == 3 * 6 and (table["n"] == 120).all()
    clean = table.loc[("haze", 0)]
    assert (table.loc["haze", "accuracy"] != table.loc["gaussian_noise", "accuracy"]).any()
    whole = table.loc["all kinds"]
    for name in ("accuracy", "coverage", "answered", "misled", "flagged"):
        mean = (table.loc["haze", name] + table.loc["gaussian_noise", name]) / 2
        np.testing.assert_allclose(whole[name], mean)
        assert (whole[f"{name}_low"] <= whole[name] + 1e-9).all() and (
            whole[name] <= whole[f"{name}_high"] + 1e-9
        ).all()
    assert (table["misled"] <= 1 - table["accuracy"] + 1e-9).all()
    assert whole.at[5, "accuracy"] < whole.at[0, "accuracy"] - 0.1
    loaded = ul.load(str(model))  # the same by another way
    files = sorted((digits / "test").rglob("*.png"))
    some = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, 120).astype(int))]
    told = loaded.predict(some)
    right = np.array([row.label == file.parent.name for row, file in zip(told.itertuples(), some, strict=True)])
    assert clean["accuracy"] == pytest.approx(right.mean())
    assert clean["misled"] == pytest.approx((~right & ~told["abstain"].to_numpy()).mean())
    prepared = prepare(digits, size=16, prep=loaded.prep)
    some_rows = prepared.test[np.unique(np.linspace(0, len(prepared.test) - 1, 120).astype(int))]
    raw, y = prepared.store.batch(some_rows).numpy(), prepared.table.labels[some_rows]
    parts = [loaded.answer(corrupted(Recipe.from_json(loaded.facts["recipe"]).looks(), raw, at, "haze", 5))
             for at in range(0, 120, 64)]  # fmt: skip
    guess = np.concatenate([p.probabilities for p in parts]).argmax(1)
    assert table.loc[("haze", 5), "accuracy"] == pytest.approx((guess == y).mean())
    curves = json.loads((found.folder / "audit.json").read_text())["risk_by_severity"]
    assert len(curves) == 6 and curves["5"][-1] == pytest.approx([1.0, 1 - whole.at[5, "accuracy"]])
    page = found.report.read_text("utf-8")
    assert "at severity 3 of 2 kinds" in page.lower() and "answers, and is wrong" in page
    assert any("it answers wrongly on" in line for line in found.lines())
    with pytest.raises(ul.UserError, match=r'no corruption "rust"; take all, or some of gaussian_noise'):
        ul.audit(str(model), str(digits), worse=["rust"])
    with pytest.raises(ul.UserError, match=r"an \.onnx file alone does not know how its items get worse"):
        ul.audit(str(model / "model.onnx"), str(digits), worse=kinds)
    again = ul.audit(str(model), str(digits), by=["label"], out=str(tmp_path / "audit"), split="all")
    assert not (tmp_path / "audit" / "worse.csv").exists() and again.worse is None
    assert any("items that the model has learnt from" in line for line in again.lines())
    with pytest.raises(ul.UserError, match="0 items were to be made worse"):
        ul.audit(str(model), str(digits), worse=kinds, items=0)


def test_a_model_that_never_answers_is_told_so() -> None:
    found, y, _ = drawn(60, 0, 0.0)
    silent = Limits(("a", "b"), 0.9, np.array([np.inf, np.inf]), 0.9)
    whole = figures.figures(found, y, silent)
    told = _answer(
        SimpleNamespace(limits=silent, facts=PROMISES), whole, fairness.table(found, y, silent, {}), None, ()
    )
    assert told["sentence"].endswith("no answer on 100.0 %.")


def test_one_item_alone_is_measured_without_an_interval() -> None:
    found, y, _ = drawn(1, 0, 0.0)
    whole = figures.figures(found, y, LIMITS)
    told = _answer(
        SimpleNamespace(limits=LIMITS, facts=PROMISES), whole, fairness.table(found, y, LIMITS, {}), None, ()
    )
    assert told["sentence"].startswith(("Right on 100.0 % (too few for", "Right on 0.0 % (too few for"))
    assert "nan" not in json.dumps(told) and "None" not in json.dumps(told)
