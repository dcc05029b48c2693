"""Pictures drawn from a run, and what says that they are synthetic."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unlabeled as ul
from unlabeled import UserError
from unlabeled.settings import Budget, Setup, Training

QUICK = {"training": Training(threads=1, batch_size=32), "budget": Budget(steps=3)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("method", ["vae", "gan"])
def test_every_picture_says_that_it_is_synthetic(method: str, digits: Path, tmp_path: Path) -> None:
    setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / "run"))
    run = ul.pretrain(str(digits), method=method, setup=setup, **QUICK)
    drawn = ul.sample(str(run.folder), count=70, out=str(tmp_path / "drawn"))
    assert len(drawn.files) == len(list((tmp_path / "drawn").iterdir())) == 70
    for file in drawn.files[::23]:
        assert file.name.startswith("synthetic-")
        with Image.open(file) as picture:
            assert picture.size == (16, 16) and picture.mode == "L"
            assert picture.info["Synthetic"] == "yes" and method in picture.info["Source"]
    first = [np.asarray(Image.open(f)) for f in drawn.files[:3]]
    again = ul.sample(str(run.folder), count=3, out=str(tmp_path / "again"))
    assert all((np.asarray(Image.open(f)) == x).all() for f, x in zip(again.files, first, strict=True))
    assert (first[0] != first[1]).any()


def test_a_method_that_cannot_draw_says_so(digits: Path, tmp_path: Path) -> None:
    setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / "run"))
    run = ul.pretrain(str(digits), method="simclr", setup=setup, **QUICK)
    with pytest.raises(UserError, match="simclr learns but cannot draw"):
        ul.sample(str(run.folder))
