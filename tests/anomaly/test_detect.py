"""The verb: the answer first, files that hold together, and one line for whatever cannot be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from unlabeled.alone import alone
from unlabeled.anomaly import _masks
from unlabeled.data.scan import scan
from unlabeled.deploy.inspector import Inspector
from unlabeled.errors import UserError
from unlabeled.report.anomalies import ORDER, Inspected
from unlabeled.report.page import publish
from unlabeled.settings import Budget, Setup, Training
from unlabeled.verbs.detect import Detected, detect
from unlabeled.verbs.load import load
from unlabeled.verbs.pretrain import pretrain

CPU = Training(device="cpu", threads=1)


def found(tiles: Path, out: Path, **more: object) -> Detected:
    given: dict = {"detector": "density(channels=20)", "budget": Budget(steps=2), "false_alarms": 0.15} | more
    on = given.pop("on", str(tiles / "test"))
    return detect(str(tiles / "train" / "good"), on=on, setup=Setup(size=16, out=str(out)), training=CPU, **given)


@pytest.fixture(scope="module")
def result(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Detected:
    place = tmp_path_factory.mktemp("detect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(place / "cache"))
        return found(tiles, place / "out", shots=(0, 1, 3))


def test_the_answer_comes_first_and_the_files_agree(result: Detected) -> None:
    assert result.lines()[0].startswith("density finds ")
    figures = json.loads((result.folder / "figures.json").read_text())
    frame = pd.read_csv(result.folder / "scores.csv")
    faulty = frame["label"] != "good"
    assert figures["images"]["all"]["auroc"] == pytest.approx(roc_auc_score(faulty, frame["score"]))
    assert (frame["flagged"] == (frame["p_value"] <= 0.15)).all()
    assert (frame["flagged"] == (frame["score"] > figures["threshold"])).all()
    assert figures["false_alarms"]["hits"] == int(frame["flagged"][~faulty].sum())
    every = figures["images"]["all"]
    assert every["auroc"] > 0.9
    assert f"AUROC {every['auroc']:.3f} ({every['auroc_low']:.3f} to {every['auroc_high']:.3f})" in figures["sentence"]
    assert figures["pixels"]["all"]["auroc"] > 0.8
    assert set(figures["pixels"]) == {"all", "dent", "scratch"}
    assert figures["learnt_from"] + figures["kept_apart"] == 50
    assert all((result.folder / m).is_file() for m in frame["map"])
    assert not list(result.folder.rglob("*.part"))


def test_shots_are_tested_on_other_faults_than_they_learnt_from(result: Detected) -> None:
    shots = result.figures["shots"]
    assert {s["shots"]: s["tested"] for s in shots} == {0: 16, 1: 15, 3: 13}
    assert shots[0]["after"] == pytest.approx(result.figures["images"]["all"]["auroc"])
    assert sum(s["shots"] == 3 for s in shots) == 5


def test_the_page_tells_how_sure_and_an_older_folder_has_a_page_too(result: Detected, tmp_path: Path) -> None:
    every, kept = result.figures["images"]["all"], json.loads((result.folder / "figures.json").read_text("utf-8"))
    sure = f"{every['auroc_low']:.3f} to {every['auroc_high']:.3f}"
    assert result.report.read_text("utf-8").count(sure) == 3  # in the sentence, beside the figure, in the table
    shutil.copytree(result.folder, tmp_path / "old")
    for one in kept["images"].values():
        for name in [n for n in one if n.endswith(("_low", "_high"))]:
            del one[name]
    kept["sentence"] = "as it was"
    (tmp_path / "old/figures.json").write_text(json.dumps(kept), "utf-8")
    target = tmp_path / "page.html"
    page = publish(Inspected(tmp_path / "old"), ORDER, target, name="old", title="faults").read_text("utf-8")
    assert sure not in page and f"{every['auroc']:.3f}" in page and "Not shown" not in page


def test_the_page_stands_alone_and_shows_every_part(result: Detected) -> None:
    page = result.report.read_text("utf-8")
    for part in ("answer", "kinds", "scores", "heat", "few"):
        assert f'<section id="{part}"' in page
    assert "Not shown" not in page
    assert page.count('alt="mask of the fault"') == 10
    assert "http://" not in page.partition("<script")[0].replace("http://www.w3.org", "")


@pytest.mark.parametrize("detector", ["planted(pictures=30,epochs=1,width=8)", "patches(most=200)", "reconstruction"])
def test_what_was_learnt_looks_again_without_the_good_items(
    detector: str, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    first = found(
        tiles, tmp_path / "out", detector=detector, budget=Budget(steps=2) if "planted" not in detector else Budget()
    )
    kept = tmp_path / "kept"
    kept.mkdir()
    (first.folder / "detector.safetensors").rename(kept / "detector.safetensors")
    shutil.rmtree(first.folder)
    setup = Setup(out=str(tmp_path / "day"))
    again = detect(str(kept), on=str(tiles / "test"), setup=setup, training=CPU)
    assert again.figures["rate"] == 0.15, "the rate is kept with the detector"
    np.testing.assert_allclose(again.table["score"], first.table["score"], rtol=1e-4, atol=1e-5)
    one_by_one = load(str(kept), threads=1)
    assert isinstance(one_by_one, Inspector)
    at_once = one_by_one.predict(str(tiles / "test"))
    np.testing.assert_allclose(at_once["score"], first.table["score"], rtol=2e-3)
    assert at_once["flagged"].tolist() == again.table["flagged"].tolist()
    assert again.figures["threshold"] == pytest.approx(first.figures["threshold"])
    assert str(kept) in again.figures["command"] and "--detector" not in again.figures["command"]


def test_what_cannot_be_said_to_a_kept_detector_is_one_line(
    result: Detected, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    test, setup = str(tiles / "test"), Setup(out=str(tmp_path / "out"))
    with pytest.raises(UserError, match="leave that away"):
        detect(str(result.folder), on=test, detector="planted", setup=setup, training=CPU)
    with pytest.raises(UserError, match="take another --out"):
        detect(str(result.folder), on=test, setup=Setup(out=str(result.folder)), training=CPU)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "detector.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="let detect learn"):
        detect(str(broken), on=test, setup=setup, training=CPU)
    for head in ("[1]", '{"format": "new"}', '{"format": 1, "recipe": [], "detector": "planted"}'):
        save_file({}, broken / "detector.safetensors", {"header": head})  # whole, and not of ours
        with pytest.raises(
            UserError, match=r"cannot read .*detector.safetensors|recipe in .*safetensors cannot be read"
        ):
            detect(str(broken), on=test, setup=setup, training=CPU)


def test_a_second_call_opens_the_same_run_and_says_the_same(
    result: Detected, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    copy = Path(shutil.copytree(result.folder, tmp_path / "out"))
    before = (copy / "run" / "checkpoint.safetensors").stat().st_mtime_ns
    again = found(tiles, copy, shots=(0, 1, 3))
    assert (copy / "run" / "checkpoint.safetensors").stat().st_mtime_ns == before
    np.testing.assert_allclose(again.table["score"], result.table["score"], rtol=1e-4)


def test_a_flat_folder_gives_scores_and_flags_alone(tiles: Path, cache: Path) -> None:
    shutil.copytree(tiles / "test" / "dent", cache / "new")
    seen = found(tiles, cache / "out", on=str(cache / "new"), detector="planted(pictures=20,epochs=1,width=4)")
    assert "of 8 items are flagged" in seen.lines()[0]
    assert not {"images", "pixels", "false_alarms"} & seen.figures.keys()
    assert seen.table["label"].isna().all()
    assert not (cache / "out" / "run").exists()  # this detector needs no encoder
    assert '<section id="kinds"' not in seen.report.read_text("utf-8")


def test_a_given_run_is_looked_through_and_what_it_saw_is_said(
    tiles: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(cache / "run")
    pretrain(str(tiles / "train" / "good"), setup=Setup(size=16, out=folder), budget=Budget(steps=2), training=CPU)
    said: list[str] = []
    monkeypatch.setattr("unlabeled.progress.say", said.append)
    seen = found(tiles, cache / "out", run=folder, method="mae")
    assert seen.figures["run"] == folder and seen.figures["method"] == "simclr"
    assert any("--method and the budget are not used" in line for line in said)
    assert any("may have learnt from the items that set the threshold" in line for line in seen.lines())


def test_reconstruction_brings_a_method_that_paints(tiles: Path, cache: Path) -> None:
    seen = found(tiles, cache / "out", detector="reconstruction(draws=2)")
    assert seen.figures["method"] == "autoencoder"
    assert seen.figures["view"] == 16


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"detector": "patchs"}, 'did you mean "patches"'),
        ({"false_alarms": 0.01}, "cannot vouch for 1.0% false alarms"),
        ({"shots": (20,)}, "20 shots were asked for"),
        ({"shots": (-1,)}, "give numbers of 0 or more"),
        ({"masks": "nowhere"}, "there is no folder nowhere"),
        ({"run": "nowhere"}, "is not the folder of a run"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(more: dict, words: str, tiles: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=words):
        found(tiles, cache / "out", **more)


def test_items_that_were_learnt_from_are_not_tested_on(tiles: Path, cache: Path) -> None:
    with pytest.raises(UserError, match="50 of the 50 items"):
        found(tiles, cache / "out", on=str(tiles / "train" / "good"))


def test_one_folder_brings_what_is_learnt_from_and_what_is_looked_at(tiles: Path, cache: Path) -> None:
    """Its test items are never learnt from, and so they may be looked at."""
    setup = Setup(size=16, out=str(cache / "out"))
    seen = detect(
        str(tiles), on=str(tiles), detector="planted(pictures=20,epochs=1,width=4)", false_alarms=0.15, setup=setup,
        training=CPU,
    )  # fmt: skip
    assert seen.figures["learnt_from"] == 50 and seen.table["path"].str.startswith("test/").all()
    assert seen.figures["faulty"] == 16


def test_masks_are_found_by_name_and_read_as_they_are(tiles: Path, tmp_path: Path) -> None:
    table = scan(tiles / "test")
    kinds = _masks.kinds(table, table.rows())
    files = _masks.masks(table, table.rows(), kinds, _masks.folder(table, None))
    assert [bool(f) for f in files] == [bool(k) for k in kinds]
    assert _masks.read(files[kinds.index("dent")]).shape == (48, 40)  # type: ignore[arg-type]
    wide = np.zeros((600, 1200), np.uint8)
    wide[300:, :] = 1  # masks of 0 and 1, wider than what counts
    Image.fromarray(wide).save(tmp_path / "m.png")
    read = _masks.read(tmp_path / "m.png")
    assert read.shape == (256, 512) and read.mean() == pytest.approx(0.5)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="cannot read the mask"):
        _masks.read(tmp_path / "broken.png")


def test_labels_without_a_word_for_good_say_nothing(digits: Path) -> None:
    table = scan(digits / "test")
    assert set(_masks.kinds(table, table.rows())) == {None}


def test_masks_in_the_test_folder_are_no_items(tiles: Path, cache: Path) -> None:
    shutil.copytree(tiles / "test", cache / "here")
    shutil.copytree(tiles / "ground_truth", cache / "here" / "ground_truth")
    seen = found(tiles, cache / "out", on=str(cache / "here"), detector="planted(pictures=20,epochs=1,width=4)")
    kinds = {path.name for path in (tiles / "test").iterdir()}
    assert set(seen.table["label"]) == kinds and len(seen.table) == len(list((tiles / "test").rglob("*.*")))
    assert "pixels" in seen.figures


def test_two_calls_do_not_write_into_one_folder(tiles: Path, cache: Path) -> None:
    with alone(cache / "out"), pytest.raises(UserError, match="another process is writing into"):
        found(tiles, cache / "out", detector="planted(pictures=20,epochs=1,width=4)")
