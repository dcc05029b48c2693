"""Folders that do not fit: masks of another shape, parts with many pictures, results of an earlier look."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unlabeled.anomaly import _masks, _words
from unlabeled.anomaly._figures import share_with_interval
from unlabeled.anomaly._threshold import beyond
from unlabeled.data.scan import scan
from unlabeled.errors import UserError
from unlabeled.report.anomalies import heat
from unlabeled.report.anomalies.inspected import Inspected
from unlabeled.settings import Setup, Training
from unlabeled.verbs.detect import Detected, detect

pytestmark = pytest.mark.usefixtures("cache")


def found(good: str | Path, on: Path, out: Path, rate: float = 0.2) -> Detected:
    how = None if (Path(good) / "detector.safetensors").is_file() else "planted(pictures=12,epochs=1,width=4)"
    training, setup = Training(device="cpu", threads=1), Setup(size=16 if how else 0, out=str(out))
    return detect(str(good), on=str(on), detector=how, false_alarms=rate, setup=setup, training=training)


@pytest.fixture
def parts(tiles: Path, tmp_path: Path) -> Path:
    """Good items in a manifest: 36 pictures of three parts; and 24 to look at, of which half are of one part."""
    root = tmp_path / "parts"
    shutil.copytree(tiles / "train" / "good", root)
    rows = [(f"{i:03d}.png", f"part {i % 3}") for i in range(36)]
    pd.DataFrame(rows, columns=["path", "group"]).to_csv(root / "good.csv", index=False)
    new = tmp_path / "new"
    shutil.copytree(tiles / "test" / "good", new)
    for i in range(12):
        shutil.copy(new / "000.png", new / f"{12 + i:03d}.png")
    shutil.copytree(tiles / "test" / "dent", new / "dent")
    rows = [(f"{i:03d}.png", "good", f"p{i}" if i < 12 else "one") for i in range(24)]
    rows += [(f"dent/{i:03d}.png", "dent", f"d{i}") for i in range(4)]
    pd.DataFrame(rows, columns=["path", "label", "group"]).to_csv(new / "items.csv", index=False)
    return tmp_path


def test_pictures_of_one_part_are_one_for_the_interval_and_few_parts_are_said(parts: Path) -> None:
    seen = found(parts / "parts" / "good.csv", parts / "new" / "items.csv", parts / "out")
    alarms = seen.figures["false_alarms"]
    assert alarms["n"] == 24
    assert alarms.pop("beyond") == beyond(alarms["hits"] * 13 / 24, 13, 3, 0.2)
    assert alarms == share_with_interval(alarms["hits"], 24, 13 / 24)  # twelve parts, and one with twelve pictures
    assert any("are of 3 groups, too few to vouch for 20.0% in a new one" in line for line in seen.lines())
    seen.figures["false_alarms"]["beyond"] = 0
    assert not any("too few to vouch" in line for line in _words.told({**seen.figures, "groups": 0}, True)[2])


@pytest.mark.parametrize(("sign", "words"), [(1, "items differ"), (0, "the chance that lies in 12 good"), (-1, "less")])
def test_more_alarms_than_were_allowed_are_no_proof_where_few_items_set_the_threshold(sign: int, words: str) -> None:
    alarms = share_with_interval(4 if sign >= 0 else 0, 12) | {"beyond": sign}
    figures = {"rate": 0.05, "detector": "density", "kept_apart": 12, "folds": 0, "false_alarms": alarms}
    assert sum(words in line for line in _words.told(figures, True)[2]) == 1


@pytest.mark.parametrize("wrong", ["turned", "broken"])
def test_a_mask_that_cannot_fit_is_told_before_anything_is_learnt(wrong: str, tiles: Path, tmp_path: Path) -> None:
    shutil.copytree(tiles / "test", tmp_path / "test")
    shutil.copytree(tiles / "ground_truth", tmp_path / "ground_truth")
    mask = tmp_path / "ground_truth" / "dent" / "003_mask.png"
    if wrong == "turned":
        Image.open(mask).rotate(90, expand=True).save(mask)
    else:
        mask.write_bytes(b"no picture")
    words = "is 48 x 40 pixels, and its picture 40 x 48" if wrong == "turned" else "cannot read the mask"
    with pytest.raises(UserError, match=words):
        found(tiles / "train" / "good", tmp_path / "test", tmp_path / "out")
    assert not (tmp_path / "out" / "detector.safetensors").exists()


@pytest.mark.parametrize("size", [(40, 48), (80, 96), (13, 16), (397, 480)])
def test_masks_of_the_same_shape_may_have_any_size(size: tuple[int, int], tiles: Path, tmp_path: Path) -> None:
    Image.new("L", size).save(tmp_path / "m.png")
    table = scan(tiles / "test")
    _masks.check(table, [tmp_path / "m.png"] * len(table))


def test_heat_maps_of_an_earlier_look_at_more_items_go(tiles: Path, tmp_path: Path) -> None:
    first = found(tiles / "train" / "good", tiles / "test", tmp_path / "kept")
    found(first.folder, tiles / "test", tmp_path / "day")
    assert len(list((tmp_path / "day" / "maps").glob("*.png"))) == 28
    again = found(first.folder, tiles / "test" / "dent", tmp_path / "day")
    assert sorted(f"maps/{p.name}" for p in (tmp_path / "day" / "maps").iterdir()) == again.table["map"].tolist()


def test_a_kind_of_fault_may_be_called_as_a_missing_value(tmp_path: Path) -> None:
    """The page and the table name the kinds alike."""
    rows = [("a.png", 1.5, 0.1, True, "None"), ("b.png", 0.5, 0.6, False, "good"), ("c.png", 0.4, 0.6, False, None)]
    frame = pd.DataFrame(rows, columns=["path", "score", "p_value", "flagged", "label"])
    frame.assign(map="maps/0.png").to_csv(tmp_path / "scores.csv", index=False)
    (tmp_path / "figures.json").write_text('{"sentence": "", "modality": "image"}', "utf-8")
    tiny = np.zeros((3, 4, 4, 3), np.uint8)
    np.savez(
        tmp_path / "shown.npz", rows=np.arange(3), pictures=tiny, heats=tiny, masks=tiny[..., 0] > 0, drawn=[False] * 3
    )
    shown = heat.section(Inspected(tmp_path))
    assert shown is not None and list(shown.facts["groups"]) == ["None", "good", "not labelled"]
    assert Inspected(tmp_path).scores["label"].notna().tolist() == [True, True, False]
