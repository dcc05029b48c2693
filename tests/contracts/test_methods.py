"""One battery for every method in the catalog: a new file in `methods/` is tested because it exists."""

import os
import shlex
import signal
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from unlabeled import UserError, catalog
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.encoders import _build
from unlabeled.methods import Batch
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose
from unlabeled.training import checkpoint
from unlabeled.training.devices import Device, open_device
from unlabeled.training.loop import Items, embed
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import CHECKPOINT, METRICS, Run, create, learn

METHODS = [*catalog.names("methods"), *shlex.split(os.environ.get("UNLABELED_METHODS", ""))]  # and paths of own files
KINDS = ("image", "series", "audio", "text")
CASES = [(n, k) for n in METHODS for k in KINDS if k in catalog.entry("methods", n).facts.get("modalities", KINDS[:1])]
SMALL = "vit(width=64, depth=2, heads=2, patch_size=4)"
SMALL_OF = {  # by the usual encoder
    "tcn": "tcn(width=16, stages=1, blocks=1, kernel=3)",
    "transformer": "transformer(width=32, depth=1, heads=2, patch_size=1)",
    "gru": "gru(width=16)",
    "cnn": "cnn(width=8, stages=2, grid=2)",
    "wave": "wave(width=16, strides=(5, 4, 2))",
    "bert": "bert(width=32, depth=1, heads=2)",
    "gpt": "gpt(width=32, depth=1, heads=2)",
}
TRAINING = Training(batch_size=64, threads=1, precision="fp32", device="cpu")
# what a digit is survives no mirror and no strong crop
VIEWS = Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0)
VIEWS_OF_SERIES = Augmentation(crop=0.8, warp=0.0)
LENGTHS = (160, 500)  # steps of a run that is to learn something: most methods need no more than the first
VIEWS_OF_TEXT = Augmentation(crop=0.5, cutout=0.5)  # a topic shows in any part of a text


def choices(name: str) -> list[str]:
    """The method with each other choice of a setting that has some: other words, a switch, a 0 with a meaning."""
    found: list[tuple[str, object]] = []
    for p in catalog.entry("methods", name).parameters:
        if p.annotation.startswith("Literal"):
            found += [
                (p.name, word) for word in get_args(eval(p.annotation, {"Literal": Literal})) if word != p.default
            ]
        elif p.annotation == "bool":
            found.append((p.name, not p.default))
        elif p.annotation in ("float", "int") and "0 leaves" in p.help and p.default:
            found.append((p.name, 0))
    return [f"{name}({setting}={value})" for setting, value in found]


CHOICES = [(c, k) for n in catalog.names("methods") for c in choices(n) for k in [next(k for m, k in CASES if m == n)]]
each_method = pytest.mark.parametrize(("name", "kind"), list({n: (n, k) for n, k in reversed(CASES)}.values())[::-1])
each_case = pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{n}-{k}" for n, k in CASES])


@pytest.fixture(scope="module")
def coloured(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The digits in colours that say where in the picture the ink lies: the lower, the redder; the more right, the
    greener.
    """
    root = tmp_path_factory.mktemp("coloured")
    down, right = np.mgrid[0:8, 0:8] / 7
    for file in digits.glob("*/*/*.png"):
        ink = np.asarray(Image.open(file), np.float32)
        low, aside = ((ink * at).sum() / ink.sum() for at in (down, right))
        tint = np.clip([4 * (low - 0.25), 4 * (aside - 0.25), 0.5], 0.1, 1)
        place = root / file.relative_to(digits)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((ink[..., None] * tint).astype(np.uint8)).save(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(root, size=16)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The digits read row by row: series of 8 variables (the columns) and 8 steps, every fifth a test item."""
    bunch = load_digits()
    test = np.arange(len(bunch.target)) % 5 == 0
    file = tmp_path_factory.mktemp("rows") / "digits.npz"
    parts = {"train": ~test, "test": test}
    series = {f"series_{k}": bunch.images[part].swapaxes(1, 2).astype(np.float32) for k, part in parts.items()}
    np.savez(file, **series, **{f"labels_{k}": bunch.target[part] for k, part in parts.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(file)


@pytest.fixture(scope="module")
def heard(chirps: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Small sounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(chirps)


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Made-up texts of twenty topics with ten words each, so that a hundred labels show little of a topic."""
    random = np.random.default_rng(0)
    sounds = ("bdfgk", "aeiou", "lmnr", "aeiou", "stz")
    words = list(dict.fromkeys("".join(random.choice(list(part)) for part in sounds) for _ in range(400)))
    topic = np.array(words[:200]).reshape(20, 10)
    folder = tmp_path_factory.mktemp("topics")
    for split, count in (("train", 1200), ("test", 200)):
        lines = ["text,label"]
        for i in range(count):
            halves = [" ".join(random.choice(topic[i % 20], 4)) for _ in range(2)]
            lines.append(f"{halves[0]}. {halves[1]}.,{i % 20}")
        (folder / f"{split}.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(folder)


@pytest.fixture
def ready(name: str, kind: str, small_digits: Prepared, coloured: Prepared, request: pytest.FixtureRequest) -> Prepared:
    """Grey digits, or coloured ones for a method that refuses grey, or digits as series, or sounds, or texts."""
    if kind != "image":
        return request.getfixturevalue({"series": "rows", "audio": "heard", "text": "topics"}[kind])
    recipe = recipe_of(name, small_digits, 1)
    try:
        recipe.kind().judge(recipe.facts)
    except UserError:
        return coloured
    return small_digits


@pytest.fixture(scope="module")
def device() -> Device:
    return open_device(TRAINING)


def recipe_of(name: str, ready: Prepared, steps: int, seed: int = 0) -> Recipe:
    kind = ready.table.modality
    usual = catalog.entry("methods", catalog.parse("methods", name).name).encoder_for(kind)
    encoder = _build.spec(SMALL if kind == "image" else SMALL_OF.get(catalog.read_spec(usual).name, usual))
    views = {"image": VIEWS, "text": VIEWS_OF_TEXT}.get(kind, VIEWS_OF_SERIES)
    training = replace(TRAINING, lr=5e-3) if kind == "text" else TRAINING  # so narrow a net wants a larger rate
    return compose(ready, catalog.parse("methods", name), encoder, views, training, steps, seed)


def accuracy(recipe: Recipe, encoder: torch.nn.Module, ready: Prepared, device: Device) -> float:
    """Linear probe on 100 training digits, scored on the other training digits: no test item is needed here."""
    rows = ready.labelled
    x = StandardScaler().fit_transform(embed(encoder, recipe.looks(), ready.store, rows, device).numpy())
    y = ready.table.labels[rows]
    few = np.random.default_rng(0).permutation(len(rows))[:100]
    rest = np.setdiff1d(np.arange(len(rows)), few)
    return float(LogisticRegression(C=0.1, max_iter=2000).fit(x[few], y[few]).score(x[rest], y[rest]))


@each_method
def test_learns(name: str, kind: str, ready: Prepared, device: Device, tmp_path: Path) -> None:
    """The loss falls and the frozen features beat the same weights before training, after a short run or a longer."""
    margin = 0.02 if kind == "series" else 0.03  # eight rows of pooled convolutions leave less to learn
    found = []
    for steps in LENGTHS:
        recipe = recipe_of(name, ready, steps=steps)
        place = create(tmp_path / str(steps), recipe, {"data": "digits"})
        run = learn(place, Items(ready.store, ready.learning), device)
        losses = [row["loss"] for row in run.metrics()]
        before = accuracy(recipe, recipe.build_encoder(), ready, device)
        after = accuracy(recipe, run.encoder(), ready, device)
        found.append(f"{before:.3f} before, {after:.3f} after {steps} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}")
        if losses[-1] < losses[0] and after > before + margin:
            return
    pytest.fail(f"{name}: {'; '.join(found)}")


@each_method
def test_resumes_bit_equal_after_sigkill(name: str, ready: Prepared, device: Device, tmp_path: Path) -> None:
    """Killed in the middle and started again, a run ends with the very bytes of the run that was left alone."""
    recipe = recipe_of(name, ready, steps=60)
    items = Items(ready.store, ready.learning)
    whole = learn(create(tmp_path / "whole", recipe, {"data": "digits"}), items, device, save_every=0.0)
    broken = create(tmp_path / "broken", recipe, {"data": "digits"})
    child = os.fork()
    if child == 0:  # only the child ever gets here; it is killed or it exits
        learn(broken, items, device, save_every=0.0)
        os._exit(0)
    deadline = time.monotonic() + 60
    while broken.step < 20 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert 0 < broken.step < recipe.steps, "the kill came too early or too late to prove anything"
    learn(broken, items, device, save_every=0.0)
    one, two = whole.method().state_dict(), broken.method().state_dict()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)
    exact = ("step", "epoch", "loss", "lr", "spread", "rank")
    assert [[r[k] for k in exact] for r in whole.metrics()] == [[r[k] for k in exact] for r in broken.metrics()]


@each_case
@pytest.mark.parametrize("count", [1, 5, 70])
def test_any_number_of_items(name: str, count: int, ready: Prepared, device: Device, tmp_path: Path) -> None:
    """Fewer items than a batch, and a rest that fills none, train as well; one item alone is trained or refused in
    words.
    """
    recipe = replace(recipe_of(name, ready, steps=3), items=count)
    run = create(tmp_path / "run", recipe, {"data": "digits"})
    try:
        learn(run, Items(ready.store, ready.learning[:count]), device)
    except UserError as error:
        assert count == 1 and "item" in str(error)
    else:
        assert run.finished


@pytest.mark.parametrize(("name", "kind"), CHOICES, ids=[c for c, _ in CHOICES])
def test_every_choice_is_one_that_trains(name: str, ready: Prepared, device: Device, tmp_path: Path) -> None:
    """It ends and leaves its diary; one that takes turns tells of both."""
    place = create(tmp_path / "run", recipe_of(name, ready, steps=20), {"data": "digits"})
    run = learn(place, Items(ready.store, ready.learning), device)
    assert run.finished and all(np.isfinite(row["loss"]) for row in run.metrics())
    if run.recipe.method.settings.get("mode") == "alternate":
        assert {"contrast", "inconsistency"} <= set(run.metrics()[-1])


@each_method
def test_gradients_reach_everything_that_learns(name: str, ready: Prepared, device: Device) -> None:
    """No parameter is dead weight: each one moves in two steps."""
    recipe = recipe_of(name, ready, steps=2)
    method = recipe.build()
    start = {k: v.clone() for k, v in method.named_parameters() if v.requires_grad}
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    from unlabeled.training.loop import train

    for _ in train(
        method,
        optimizer,
        Items(ready.store, ready.learning),
        recipe.looks(),
        steps=2,
        training=TRAINING,
        device=device,
        seed=0,
    ):
        pass
    still = [k for k, v in method.named_parameters() if v.requires_grad and torch.equal(v, start[k])]
    assert not still


@each_method
def test_state_is_registered(name: str, ready: Prepared) -> None:
    """Every tensor is a parameter or a buffer, so checkpoint, resume and device moves see it."""
    method = recipe_of(name, ready, steps=1).build()
    for path, module in method.named_modules():
        loose = [k for k, v in vars(module).items() if isinstance(v, torch.Tensor)]
        assert not loose, f"{path}: {loose}"
    if torch.cuda.is_available():
        moved = method.to("cuda")
        assert {p.device.type for p in [*moved.parameters(), *moved.buffers()]} == {"cuda"}


@each_method
def test_checkpoint_holds_no_pickle_and_loads(name: str, ready: Prepared, device: Device, tmp_path: Path) -> None:
    recipe = recipe_of(name, ready, steps=2)
    run = learn(create(tmp_path / "run", recipe, {"data": "digits"}), Items(ready.store, ready.learning), device)
    raw = (run.folder / CHECKPOINT).read_bytes()
    assert raw[8:9] == b"{" and b"__reduce__" not in raw  # safetensors: eight bytes of length, then JSON
    again = Run.open(tmp_path / "run")
    assert again.recipe == recipe and again.finished
    x = recipe.looks().plain(ready.store.batch(ready.test[:4]))
    assert torch.equal(again.encoder()(x), run.encoder()(x))
    (run.folder / CHECKPOINT).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match="cannot read"):
        again.encoder()


@each_method
def test_refuses_what_it_cannot_serve(name: str, ready: Prepared) -> None:
    wrong = replace(recipe_of(name, ready, steps=1), modality="smell")
    with pytest.raises(UserError, match="smell"):
        wrong.build()


def test_a_batch_has_no_label() -> None:
    assert {f.name for f in fields(Batch)} == {"x", "index", "domain"}


@each_method
def test_another_run_is_never_overwritten(name: str, ready: Prepared, device: Device, tmp_path: Path) -> None:
    run = learn(
        create(tmp_path / "run", recipe_of(name, ready, steps=2), {"data": "digits"}),
        Items(ready.store, ready.learning),
        device,
    )
    before = (run.folder / METRICS).read_bytes()
    with pytest.raises(UserError, match="differs in seed"):
        create(tmp_path / "run", recipe_of(name, ready, steps=2, seed=1), {"data": "digits"})
    assert (run.folder / METRICS).read_bytes() == before
    with pytest.raises(UserError, match="does not fit"):
        checkpoint.load(run.folder / CHECKPOINT, recipe_of(name, ready, 2).build_encoder())
