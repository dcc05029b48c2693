"""What a run is given: test items kept apart, sizes that suit the pictures, mirror images judged without labels."""

import shutil
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from unlabeled.data.prepare import as_stored, prepare
from unlabeled.deploy.inputs import table_of
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UNLABELED_QUIET", "1")


def test_digits(digits: Path, tmp_path: Path) -> None:
    ready = prepare(digits)
    assert ready.size == 16 and ready.prep.channels == 1
    assert not set(ready.learning) & set(ready.test)
    assert len(ready.learning) == 1437 and len(ready.test) == 360
    assert dict(ready.mirrors) == {"horizontal_flip": False, "vertical_flip": False}
    part = ready.store.array[np.sort(ready.learning)] / 255
    assert ready.mean[0] == pytest.approx(part.mean(), abs=0.01) and ready.std[0] == pytest.approx(part.std(), abs=0.01)


def test_probes_stand_on_all_labels_and_on_some_of_many_other_items(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = prepare(digits)
    items = ready.table.items.copy()
    hidden = ready.learning[np.arange(len(ready.learning)) % 50 != 7]
    items.loc[hidden, ["label", "split"]] = [None, "unlabeled"]
    few = replace(ready, table=replace(ready.table, items=items))
    assert len(few.labelled) == 29
    np.testing.assert_array_equal(few.pool, few.learning)
    monkeypatch.setattr("unlabeled.data.prepare.READ", 100)
    assert len(few.pool) == 129 and (np.diff(few.pool) > 0).all()
    assert set(few.labelled) <= set(few.pool) <= set(few.learning)
    assert np.diff(few.pool[~np.isin(few.pool, few.labelled)]).max() < 5 * len(few.learning) / 100  # evenly


def test_mirrors_need_no_labels(digits: Path, tmp_path: Path) -> None:
    """The same pictures in one flat folder, so that no label is anywhere, are judged alike."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted((digits / "train").rglob("*.png"))):
        shutil.copy(file, flat / f"{number:04d}.png")
    assert dict(prepare(flat).mirrors) == dict(prepare(digits).mirrors)


def test_views_follow_the_data_unless_told(digits: Path, steel: Path) -> None:
    method, encoder = method_and_encoder("simclr", None)
    chosen = {}
    for name, path in (("digits", digits), ("steel", steel)):
        recipe = compose(prepare(path), method, encoder, Augmentation(), Training(), 1, 0)
        chosen[name] = (recipe.augmentation.horizontal_flip, recipe.augmentation.vertical_flip)
    assert chosen == {"digits": (0.0, 0.0), "steel": (0.5, 0.5)}
    told = compose(prepare(steel), method, encoder, Augmentation(vertical_flip=0.1), Training(), 1, 0)
    assert (told.augmentation.horizontal_flip, told.augmentation.vertical_flip) == (0.5, 0.1)


def recordings(folder: Path, modality: str) -> list[str]:
    """Three files, the second of which cannot be read and the third of which is cut into windows."""
    folder.mkdir()
    if modality == "audio":
        soundfile = pytest.importorskip("soundfile")
        names = ["a.wav", "b.wav", "c.wav"]
        for name, seconds in (("a.wav", 0.5), ("c.wav", 1.2)):
            soundfile.write(folder / name, np.sin(np.arange(int(8000 * seconds)) / 3), 8000)
        (folder / "b.wav").write_text("no sound")
        return names
    if modality == "series":
        names = ["a.csv", "b.csv", "c.csv"]
        for name, steps in (("a.csv", 16), ("c.csv", 32)):
            lines = "".join(f"{i},{i % 5},{i % 3}\n" for i in range(steps))
            (folder / name).write_text(f"time,x,y\n{lines}")
        (folder / "b.csv").write_text("time,x,y\n")
        return names
    names = ["a.txt", "b.txt", "c.txt"]
    for name, text in (("a.txt", "a short one"), ("b.txt", ""), ("c.txt", "a long one. " * 6)):
        (folder / name).write_text(text)
    return names


@pytest.mark.parametrize("modality", ["audio", "series", "text"])
def test_what_cannot_be_read_stays_where_it_was_given(modality: str, tmp_path: Path) -> None:
    """Features and neighbours are told by place."""
    names = recordings(tmp_path / "items", modality)
    if modality == "text":
        prep = prepare(tmp_path / "items", size=12).prep
    else:
        prep = prepare(tmp_path / "items", size=50 if modality == "audio" else 16).prep
    paths = [str(tmp_path / "items" / name) for name in names]
    with table_of([*paths, paths[1], paths[0]], modality) as given:
        found = as_stored(given, prep)
    told = [Path(path).name.partition("@")[0] for path in found.items["path"]]
    assert len(told) > 6 or modality == "text", "the third is several windows"
    assert [name for name, _ in groupby(told)] == [*names, names[1], names[0]]


def test_no_drawn_test_item_has_a_copy_that_may_be_learnt_from(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNLABELED_QUIET")
    for kind in "012":
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number, file in enumerate(sorted((digits / "train" / kind).iterdir())[:20]):
            shutil.copy(file, tmp_path / "photos" / kind)
            if number < 8:  # a copy in the same folder, and one that nobody has labelled
                shutil.copy(file, tmp_path / "photos" / kind / f"again-{file.name}")
                (tmp_path / "more").mkdir(exist_ok=True)
                shutil.copy(file, tmp_path / "more" / f"{kind}-{file.name}")
    drawn = prepare(tmp_path / "photos", unlabeled=str(tmp_path / "more"))
    told = {drawn.store.array[row].tobytes() for row in drawn.learning.tolist()}
    assert 0 < len(drawn.test) < len(drawn.table.rows("test")) and len(drawn.labelled) > 50
    assert not any(drawn.store.array[row].tobytes() in told for row in drawn.test.tolist())
    assert "exact copies of items outside the test split, and not tested on" in capsys.readouterr().err
    whole = shutil.copytree(digits, tmp_path / "own")
    shutil.copy(sorted((digits / "test" / "3").iterdir())[0], whole / "train" / "3" / "copy.png")
    assert len(prepare(whole).test) == len(prepare(digits).test), "a split of the user's own is told of, not changed"


@pytest.mark.parametrize("name", ["table.csv", "latest.csv"])
@pytest.mark.parametrize("split", [True, False])
def test_whose_the_test_items_are_is_not_told_by_names(split: bool, name: str, digits: Path, tmp_path: Path) -> None:
    """A table that brings a split is no class folder, and one called latest.csv brings none by that."""
    rows = ["path,label,split" if split else "path,label"]
    for kind in "01":
        for number, file in enumerate(sorted((digits / "train" / kind).iterdir())[:20]):
            shutil.copy(file, tmp_path)
            rows.append(f"{file.name},{kind}" + (f",{'test' if number < 5 else 'train'}" if split else ""))
    (tmp_path / name).write_text("\n".join(rows) + "\n")
    assert prepare(tmp_path).cleared == prepare(tmp_path / name).cleared == split
