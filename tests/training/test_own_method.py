"""A method of one's own, as one writes it at first: its faults are told, and what it has learnt is not lost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import unlabeled as ul
from unlabeled import UserError
from unlabeled.alone import alone
from unlabeled.data.prepare import prepare
from unlabeled.settings import Budget, Setup, Training
from unlabeled.training import checkpoint
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items
from unlabeled.training.run import CHECKPOINT, CONFIG, Run, create, learn
from unlabeled.verbs.pretrain import pretrain

CPU = Training(device="cpu", precision="fp32", threads=1, batch_size=8)
TEXT = """
import torch
from torch import nn
from unlabeled.methods import Method


class Mine(Method):
    \"\"\"Keep the features small.\"\"\"

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.dim, 3)

    def views(self, batch, modality):
        return modality.augment(batch.x)

    def loss(self, views):
        z = self.head(self.encoder(views))
        LOSS

    def watch(self, views):
        return WATCH, ""
"""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixteen random pictures, in the folder that one works in."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i, x in enumerate(np.random.default_rng(0).integers(0, 256, (16, 8, 8), np.uint8)):
        Image.fromarray(x).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


def mine(loss: str, *, steps: int = 2, watch: str = "{}", **more: Any) -> Run:
    """A run of a method with this text in its loss."""
    Path("mine.py").write_text(TEXT.replace("LOSS", loss).replace("WATCH", watch))
    setup = Setup(encoder="cnn(width=2, stages=1)", size=8, out="run", **more)
    return pretrain("photos", method="mine.py", setup=setup, budget=Budget(steps=steps), training=CPU)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("return z.square().mean(1)", r"the loss of Mine has the shape \(8,\); return a scalar, such as its mean"),
        ('return {"a": z.mean(), "b": z}', r'"b" of the loss of Mine has the shape \(8, 3\)'),
        ("self.kept = z", "the loss of Mine is none; return a scalar tensor"),
        ("return z.mean(), z.std()", "the loss of Mine is a tuple"),
        ('return {"a": 0.5}', '"a" of the loss of Mine is a float'),
        ("return {}", "the loss of Mine is an empty dict"),
        ("return z.detach().mean()", "the loss of Mine has no gradient"),
    ],
)
def test_a_loss_that_is_no_scalar_is_one_line(photos: Path, loss: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        mine(loss)


@pytest.mark.parametrize(
    ("loss", "watch"),
    [
        ('return {"rank": z.square().mean(), "other": z.var()}', "{}"),
        ('return {"step": z.square().mean()}', "{}"),
        ('return {"items per second": z.square().mean()}', "{}"),
        ("return z.square().mean()", '{"loss": 1.0}'),
    ],
)
def test_no_number_of_the_method_stands_for_one_of_the_diary(photos: Path, loss: str, watch: str) -> None:
    with pytest.raises(UserError, match="as the diary has; give it another name"):
        mine(loss, watch=watch)


def test_a_part_of_a_loss_may_be_a_constant(photos: Path) -> None:
    """A scalar in brackets is one too."""
    run = mine('return {"small": z.square().mean().reshape(1), "fixed": torch.ones(())}')
    last = run.metrics()[-1]
    assert last["fixed"] == 1.0 and last["loss"] == pytest.approx(last["small"] + 1.0)


@pytest.mark.parametrize("how", ["away", "another head", "elsewhere"])
def test_what_was_learnt_outlives_the_file_of_its_method(
    photos: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, items = mine("return z.square().mean()"), str(photos)
    before = ul.embed(str(run.folder), items).frame.filter(like="f")
    text = Path("mine.py").read_text()
    if how == "away":
        Path("mine.py").unlink()
    elif how == "another head":
        Path("mine.py").write_text(text.replace("encoder.dim, 3", "encoder.dim, 4"))
    else:
        (photos.parent / "other").mkdir()
        monkeypatch.chdir(photos.parent / "other")
    after = ul.embed(str(photos.parent / "run"), items).frame.filter(like="f")
    np.testing.assert_array_equal(before, after)


def test_an_encoder_that_its_method_changed_is_not_read_without_it(photos: Path) -> None:
    run = mine("return z.square().mean()")
    path = run.folder / CHECKPOINT
    weights = checkpoint.weights(path)
    save_file(
        {f"model/{k}": v for k, v in weights.items()} | {"model/encoder.more": next(iter(weights.values())).clone()},
        path, {"header": json.dumps(checkpoint.header(path))},
    )  # fmt: skip
    Path("mine.py").unlink()
    with pytest.raises(UserError, match=r"cannot find mine\.py"):
        run.encoder()


def test_of_two_that_start_a_run_at_once_one_writes_what_it_is_made_of(photos: Path) -> None:
    """The settings in a folder are those under which its weights are learnt."""
    recipe, place = mine("return z.square().mean()").recipe, photos.parent / "new"
    with alone(place), pytest.raises(UserError, match="another process is writing into"):
        create(place, recipe, {})
    assert not (place / CONFIG).exists()
    create(place, recipe, {})
    with alone(place):
        assert create(place, recipe, {}).recipe == recipe
        with pytest.raises(UserError, match="differs in seed"):
            create(place, replace(recipe, seed=1), {})


def test_a_checkpoint_is_written_when_it_is_time_and_not_only_with_a_line_of_the_diary(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line may be a hundred steps, of a large net hours, away; the next one tells of all steps since the last."""
    loss = 'return {"small": z.square().mean(), "wide": z.var()}'
    whole = mine(loss, steps=25)
    items = Items(prepare("photos", size=8).store, np.arange(16))
    broken, save = create(photos.parent / "broken", whole.recipe, {}), checkpoint.save

    def stop(path: Path, *rest: Any) -> None:
        save(path, *rest)
        if checkpoint.header(path)["step"] == 13:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        learn(broken, items, open_device(CPU), save_every=0)
    assert broken.step == 13 and [row["step"] for row in broken.metrics()] == [10]
    monkeypatch.setattr(checkpoint, "save", save)
    learn(broken, items, open_device(CPU))
    exact = ("step", "loss", "small", "wide", "spread", "rank")
    assert [[r[k] for k in exact] for r in whole.metrics()] == [[r[k] for k in exact] for r in broken.metrics()]
    one, two = whole.method().state_dict(), broken.method().state_dict()
    assert all(one[k].equal(two[k]) for k in one)


def test_no_checkpoint_is_written_of_what_is_no_number(photos: Path) -> None:
    with pytest.raises(UserError, match="the loss became nan"):
        mine('return z.square().mean() * float("nan")')
    recipe = Run.open("run").recipe
    with pytest.raises(UserError, match="the loss became nan"):
        items = Items(prepare("photos", size=8).store, np.arange(16))
        learn(create(photos.parent / "new", recipe.with_steps(30), {}), items, open_device(CPU), save_every=0)
    assert not (photos.parent / "new" / CHECKPOINT).exists()


def test_the_step_of_a_run_is_read_while_another_checkpoint_is_put_in_its_place(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch maps it opens by its name once more, and the file may be another one by then."""
    run, mapped = mine("return z.square().mean()"), torch.UntypedStorage.from_file

    def swapped(name: str, *rest: Any) -> Any:
        checkpoint.save(Path(name), torch.nn.Linear(1, 1), None, {"step": 3})
        return mapped(name, *rest)

    monkeypatch.setattr(torch.UntypedStorage, "from_file", swapped)
    assert run.step == 2
