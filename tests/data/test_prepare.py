"""What a run is given: test items kept apart, sizes that suit the pictures, mirror images judged without labels."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from unlabeled.data.prepare import prepare
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
