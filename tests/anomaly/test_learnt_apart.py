"""What was learnt from is not judged, and what is judged is an item: other times of a recording, masks, any path."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from turning import recording

from unlabeled.anomaly import _masks
from unlabeled.anomaly._strips import spans
from unlabeled.data.prepare import LEARN
from unlabeled.data.scan import scan
from unlabeled.errors import UserError
from unlabeled.settings import Setup, Training
from unlabeled.verbs._good import ready
from unlabeled.verbs.detect import Detected, detect

CPU = Training(device="cpu", threads=1)
PLANTED = "planted(pictures=20,epochs=1,width=4)"
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A list that names one recording twice: its first 1,500 steps to learn from, the other 500 to test on."""
    rng = np.random.default_rng(0)
    whole = pd.concat([recording(rng) for _ in range(4)], ignore_index=True).drop(columns="label")
    whole.assign(time=np.arange(len(whole))).to_csv(tmp_path / "pump.csv", index=False)
    (tmp_path / "parts.csv").write_text("path,split\npump.csv@0+1500,train\npump.csv@1500+500,test\n")
    return tmp_path / "parts.csv"


def test_times_of_a_recording_that_are_to_be_tested_on_are_not_learnt_from(parts: Path) -> None:
    good = ready(str(parts), None, "items", None, Setup(size=64), CPU, crossed=True)
    rows = np.concatenate([good.fit, good.held])
    assert set(good.table.items["split"].iloc[rows]) <= set(LEARN)
    assert spans(good.table.items["path"].iloc[rows].tolist(), 64)[1].max() <= 1500


def test_other_times_of_the_same_recording_may_be_looked_at(parts: Path, tmp_path: Path) -> None:
    seen = detect(
        str(parts), on=str(parts), detector="stretches(steps=10,batch=8,width=8)", false_alarms=0.2,
        setup=Setup(size=64, out=str(tmp_path / "out")), training=CPU,
    )  # fmt: skip
    assert len(seen.table)
    (tmp_path / "more.csv").write_text("path\npump.csv@1400+600\n")
    with pytest.raises(UserError, match=r"1 of the 1 items .* has learnt from"):
        detect(str(tmp_path / "out"), on=str(tmp_path / "more.csv"), setup=Setup(out=str(tmp_path / "x")), training=CPU)


def found(tiles: Path, on: Path, out: Path, masks: Path | None = None) -> Detected:
    return detect(
        str(tiles / "train" / "good"), on=str(on), detector=PLANTED, false_alarms=0.15, training=CPU,
        masks=str(masks) if masks else None, setup=Setup(size=16, out=str(out)),
    )  # fmt: skip


@pytest.mark.parametrize("told", [True, False])
def test_masks_beside_the_pictures_are_no_items(told: bool, tiles: Path, tmp_path: Path) -> None:
    """Each mask lies beside its picture, of one picture there is none, and no picture is taken for its own mask."""
    on = tmp_path / "test"
    shutil.copytree(tiles / "test", on)
    shutil.copytree(tiles / "ground_truth", on, dirs_exist_ok=True)
    (on / "dent" / "000_mask.png").unlink()
    seen = found(tiles, on, tmp_path / "out", on if told else None)
    assert len(seen.table) == len(list((tiles / "test").rglob("*.*")))
    assert seen.figures["faulty"] == 16 and seen.figures["unmasked"] == int(told)
    table = scan(on)
    rows = table.rows()
    files = _masks.masks(table, rows, _masks.kinds(table, rows), on)
    mine = {p: f for p, f in zip(table.items["path"], files, strict=True) if not p.endswith("_mask.png")}
    assert mine["dent/000.png"] is None and mine["dent/001.png"] == on / "dent" / "001_mask.png"


def test_a_kept_detector_knows_what_it_has_learnt_from_by_any_path(tiles: Path, tmp_path: Path) -> None:
    kept = found(tiles, tiles / "test", tmp_path / "kept").folder
    (tmp_path / "list.csv").write_text(f"path\n{tiles / 'train' / 'good' / '003.png'}\n")
    for on, words in ((tiles / "train", "50 of the 50"), (tmp_path / "list.csv", "1 of the 1")):
        with pytest.raises(UserError, match=words):
            detect(str(kept), on=str(on), setup=Setup(out=str(tmp_path / "again")), training=CPU)
    again = detect(str(kept), on=str(tiles / "test"), setup=Setup(out=str(tmp_path / "again")), training=CPU)
    assert len(again.table) == 28


def test_a_fault_may_be_called_fine_where_another_word_says_good(tmp_path: Path, tiles: Path) -> None:
    for name, here in (("good", "good"), ("fine", "scratch"), ("crack", "dent")):
        shutil.copytree(tiles / "test" / here, tmp_path / "t" / name)
    table = scan(tmp_path / "t")
    assert set(_masks.kinds(table, table.rows())) == {"", "fine", "crack"}
    shutil.rmtree(tmp_path / "t" / "good")
    table = scan(tmp_path / "t")
    assert set(_masks.kinds(table, table.rows())) == {"", "crack"}
