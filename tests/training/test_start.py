"""Runs on pictures that begin where another ended: with its weights and views of its size, and what it has seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unlabeled import compare, pretrain
from unlabeled.errors import UserError
from unlabeled.settings import Budget, Setup, Training

STILL = Training(batch_size=8, threads=1, device="cpu", lr=0.0, weight_decay=0.0)
MOVING = Training(batch_size=8, threads=1, device="cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four grey pictures of 100 px in two classes, larger than the usual view."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    for i in range(24):
        (folder / f"{i % 2}").mkdir(exist_ok=True)
        values = noise.integers(0, 200, (100, 100)) + 50 * (i % 2)
        Image.fromarray(values.astype(np.uint8)).save(folder / f"{i % 2}" / f"{i}.png")
    return folder


@pytest.mark.parametrize(("method", "encoder"), [
    ("simclr", "cnn(width=8)"), ("mae", "vit(width=32, depth=1, heads=2)"),
])  # fmt: skip
def test_a_run_on_pictures_begins_where_another_ended(
    method: str, encoder: str, pictures: Path, tmp_path: Path
) -> None:
    """With views of the size that the first was shown, not of that at which its pictures are stored."""
    first = pretrain(
        str(pictures), method=method, setup=Setup(out=str(tmp_path / "first"), encoder=encoder),
        budget=Budget(steps=1), training=MOVING,
    )  # fmt: skip
    second = pretrain(
        str(pictures), method=method, setup=Setup(out=str(tmp_path / "second"), start=str(first.folder)),
        budget=Budget(steps=1), training=STILL,
    )  # fmt: skip
    assert second.recipe.size == first.recipe.size == 64 and second.recipe.encoder == first.recipe.encoder
    assert dict(second.recipe.prep) == dict(first.recipe.prep)
    before, after = (dict(run.encoder().named_parameters()) for run in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before)
    if method == "mae":
        with pytest.raises(UserError, match="--size 64"):
            pretrain(
                str(pictures), method=method, setup=Setup(out=str(tmp_path / "x"), start=str(first.folder), size=32),
                budget=Budget(steps=1), training=STILL,
            )  # fmt: skip


def test_what_a_start_settles_is_not_asked_for_again(pictures: Path, tmp_path: Path) -> None:
    first = pretrain(
        str(pictures), method="simclr", setup=Setup(out=str(tmp_path / "first"), encoder="cnn(width=8)"),
        budget=Budget(steps=1), training=MOVING,
    )  # fmt: skip
    with pytest.raises(UserError, match="beside --start"):
        pretrain(str(pictures), method="simclr", setup=Setup(start=str(first.folder), step=2.0))


@pytest.mark.parametrize(("seed", "told"), [(0, False), (1, True)])
def test_a_study_says_where_its_start_may_have_seen_test_items(
    seed: int, told: bool, pictures: Path, tmp_path: Path
) -> None:
    """A run has learnt from what is outside the test split of its own seed, and so from test items of another's."""
    first = pretrain(
        str(pictures), method="simclr", setup=Setup(out=str(tmp_path / "first"), encoder="cnn(width=8)"),
        budget=Budget(steps=1), training=MOVING,
    )  # fmt: skip
    found = compare(
        str(pictures), methods=["simclr"], labels=[1.0], seeds=1, draws=1, protocols=["linear"], folds=1,
        setup=Setup(start=str(first.folder), seed=seed, out=str(tmp_path / "study")),
        budget=Budget(steps=1), training=MOVING,
    )  # fmt: skip
    said = [limit for limit in found.answer.limits if "has seen them without labels" in limit]
    assert bool(said) == told
    assert not told or str(pictures) in said[0]
