"""Training on sounds: every method of the list in every form, killed and resumed bit by bit, and worth its steps."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from unlabeled import catalog
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.encoders import _build
from unlabeled.methods import Batch
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, embed
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import create, learn

TRAINING = Training(batch_size=32, threads=1, precision="fp32", device="cpu")
SMALL = {
    "map": "cnn(width=8,stages=2)",
    "frames": "tcn(width=8,stages=1,blocks=1)",
    "wave": "wave(width=8,strides=(5,4,2))",
}
METHODS = ["simclr", "byol", "vicreg", "autoencoder", "vae", "swav", "c2ssl"]
KILLED = [("simclr", "map"), ("c2ssl", "frames"), ("cpc", "wave")]


@pytest.fixture(scope="module")
def heard(chirps: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(chirps)


def recipe_of(method: str, encoder: str, ready: Prepared, steps: int) -> Recipe:
    views = Augmentation(warp=0.1)
    return compose(ready, catalog.parse("methods", method), _build.spec(encoder), views, TRAINING, steps, 0)


@pytest.mark.parametrize("form", SMALL)
@pytest.mark.parametrize("method", METHODS)
def test_methods_of_pictures_run_on_every_form(method: str, form: str, heard: Prepared) -> None:
    recipe = recipe_of(method, SMALL[form], heard, 2)
    net, looks = recipe.build(), recipe.looks().at(0, 0)
    raw = heard.store.batch(heard.learning[:8])
    found = net(net.views(Batch(raw, torch.arange(8)), looks))
    loss = sum(found.values()) if isinstance(found, dict) else found
    loss.backward()
    assert bool(loss.isfinite()) and looks.form == form  # type: ignore[attr-defined]
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.encoder.parameters())


@pytest.mark.parametrize("encoder", ["vit(width=32,depth=1,heads=2)", "transformer(width=32,depth=1,heads=2)"])
def test_masked_spectrograms_as_squares_and_as_stretches_of_time(encoder: str, heard: Prepared) -> None:
    recipe = recipe_of("mae", encoder, heard, 2)
    net, looks = recipe.build(), recipe.looks().at(0, 0)
    batch = Batch(heard.store.batch(heard.learning[:4]), torch.arange(4))
    assert bool(net(net.views(batch, looks)).isfinite())
    with torch.no_grad():
        original, masked, painted = net.reconstruct(batch, looks)  # type: ignore[operator]
    assert original.shape == masked.shape == painted.shape and looks.show(painted).shape == (4, 96, 96, 3)


@pytest.mark.parametrize(("method", "form"), KILLED)
def test_a_killed_run_ends_with_the_same_weights(method: str, form: str, heard: Prepared, tmp_path: Path) -> None:
    recipe, device = recipe_of(method, SMALL[form], heard, 12), open_device(TRAINING)
    items = Items(heard.store, heard.learning)
    whole = learn(create(tmp_path / "whole", recipe, {"data": "chirps"}), items, device, save_every=0.0)
    broken = create(tmp_path / "broken", recipe, {"data": "chirps"})

    child = os.fork()
    if child == 0:  # only the child ever gets here; it is killed or it exits
        learn(broken, items, device, save_every=0.0)
        os._exit(0)
    deadline = time.monotonic() + 60
    while broken.step < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert 0 < broken.step < recipe.steps
    learn(broken, items, device, save_every=0.0)
    one, two = whole.method().state_dict(), broken.method().state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_simclr_hears_more_than_random_weights(heard: Prepared, tmp_path: Path) -> None:
    """From two labels a class, scored on all other sounds."""
    recipe, device = recipe_of("simclr", "tcn(width=8,stages=2)", heard, 150), open_device(TRAINING)
    run = learn(create(tmp_path / "run", recipe, {"data": "chirps"}), Items(heard.store, heard.learning), device)
    y = heard.table.labels
    few = np.concatenate([heard.labelled[y[heard.labelled] == c][:2] for c in range(6)])
    rest = np.setdiff1d(np.arange(len(y)), few)
    right = []
    for encoder in (recipe.build_encoder(), run.encoder()):
        x, z = (embed(encoder, recipe.looks(), heard.store, rows, device).numpy() for rows in (few, rest))
        right.append(float((Linear().fit(x, y[few], seed=0).predict(z).argmax(1) == y[rest]).mean()))
    assert right[1] > right[0] + 0.05, right
