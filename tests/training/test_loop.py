"""The loop: every item once an epoch, the schedule's shape, micro-batches, ranks, and what the watch says."""

import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unlabeled import UserError, catalog
from unlabeled.blocks.causal import Equations
from unlabeled.data.store import Store
from unlabeled.encoders import _build
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.modalities.image import Image
from unlabeled.settings import Augmentation, Budget, Handover, Serving, Setup, Training
from unlabeled.training import checkpoint, optim
from unlabeled.training.devices import Device, open_device
from unlabeled.training.health import Health, effective_rank, spread
from unlabeled.training.loop import Items, order, train
from unlabeled.training.run import CONFIG, METRICS, Run
from unlabeled.verbs.pretrain import pretrain


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 5))
def test_an_epoch_sees_each_item_at_most_once(count: int, batch: int, seed: int) -> None:
    per_epoch = count // min(batch, count)
    seen = np.concatenate([order(count, batch, seed, s) for s in range(per_epoch)])
    assert len(seen) == len(set(seen.tolist())) == per_epoch * min(batch, count)
    assert seen.min() >= 0 and seen.max() < count


def test_epochs_differ_and_repeat_from_the_seed() -> None:
    assert order(100, 10, 0, 3).tolist() == order(100, 10, 0, 3).tolist()
    assert order(100, 100, 0, 0).tolist() != order(100, 100, 0, 1).tolist()
    assert order(100, 100, 0, 0).tolist() != order(100, 100, 1, 0).tolist()


def test_schedule_by_hand() -> None:
    """Ten steps of which the first two rise: 1/2, 1, then 1/2 (1 + cos(pi k / 8))."""
    found = [optim.factor(s, 10, 0.2, "cosine") for s in range(10)]
    assert found[:2] == [0.5, 1.0]
    assert found[2:] == pytest.approx([0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)])
    assert optim.factor(9, 10, 0.2, "constant") == 1.0


class Mean(Method):
    """A loss that is the mean over items, so that micro-batches must change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _build.build(_build.spec("cnn(width=2, stages=1)"), 1, 8).eval()
        self.weight = nn.Parameter(torch.ones(()))

    def views(self, batch: Batch, modality: Modality) -> torch.Tensor:
        return modality.plain(batch.x).mean((1, 2, 3))

    def loss(self, views: torch.Tensor) -> torch.Tensor:
        return (self.weight * views).square().mean()


@pytest.mark.parametrize("accumulate", [2, 3, 4, 5])
def test_micro_batches_of_unequal_length_weigh_each_item_alike(accumulate: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), np.uint8)
    pictures[0] = 255  # one that shows which weight it had
    found = []
    for pieces in (1, accumulate):
        training = Training(batch_size=5, accumulate=pieces, device="cpu", precision="fp32", threads=1)
        method, device = Mean(), Device(torch.device("cpu"), torch.float32, 1)
        optimizer = torch.optim.SGD([method.weight], lr=1.0)
        items, looks = Items(Store(pictures), np.arange(5)), Image(size=8)
        [step] = train(method, optimizer, items, looks, steps=1, training=training, device=device, seed=0)
        assert method.weight.grad is not None
        found.append((float(step.loss), float(method.weight.grad)))
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize(("batch", "accumulate"), [(1, 1), (3, 2)])
@pytest.mark.parametrize("name", ["moco", "patch_position"])
def test_too_few_items_for_a_batch_norm_are_one_line(name: str, batch: int, accumulate: int) -> None:
    """Three items in two micro-batches are two and one."""
    method = catalog.load("methods", name)(_build.build(_build.spec("cnn(width=2, stages=1)"), 1, 16))
    training = Training(batch_size=batch, accumulate=accumulate, device="cpu", precision="fp32", threads=1)
    items = Items(Store(np.random.default_rng(0).integers(0, 256, (8, 1, 16, 16), np.uint8)), np.arange(8))
    device, optimizer = Device(torch.device("cpu"), torch.float32, 1), torch.optim.SGD(method.parameters(), lr=0.1)
    steps = train(method, optimizer, items, Image(size=16), steps=1, training=training, device=device, seed=0)
    with pytest.raises(UserError, match=r"micro-batch holds 1 item.*larger --batch-size or a smaller --accumulate"):
        list(steps)


def test_features_that_are_no_numbers_are_one_line() -> None:
    """A method that clusters them before each pass meets them before the diary sees the loss."""
    method = catalog.load("methods", "deepcluster")(_build.build(_build.spec("cnn(width=2, stages=1)"), 1, 8))
    method.fit_to(Facts(4, 2, 1, 8))
    training = Training(batch_size=4, device="cpu", precision="fp32", threads=1)
    items = Items(Store(np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), np.uint8)), np.arange(4))
    device, optimizer = Device(torch.device("cpu"), torch.float32, 1), torch.optim.SGD(method.parameters(), lr=0.1)
    steps = train(method, optimizer, items, Image(size=8), steps=2, training=training, device=device, seed=0)
    next(steps)
    with torch.no_grad():
        method.encoder.stem.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"features are no numbers any more.*lower --lr"):
        next(steps)


def test_lars_by_hand() -> None:
    """One step of LARS on a matrix with decay and a bias without, computed with plain numbers."""
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))  # norm 5
        layer.bias.fill_(1.0)
    layer.weight.grad, layer.bias.grad = torch.tensor([[0.0, 1.0]]), torch.tensor([2.0])
    optimizer = optim.LARS(optim.groups(layer, 0.5), lr=0.1)
    optimizer.step()
    update = np.array([0.0, 1.0]) + 0.5 * np.array([3.0, 4.0])  # gradient + decay
    step = 0.1 * 0.001 * 5.0 / np.linalg.norm(update) * update
    assert layer.weight.detach().numpy()[0] == pytest.approx(np.array([3.0, 4.0]) - step)
    assert layer.bias.item() == pytest.approx(1.0 - 0.1 * 2.0)


def test_lars_adapts_without_decay_too() -> None:
    """A step of 0.1 * 0.001 of the matrix's own length, however long the slope; a bias goes where its slope does."""
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))  # norm 5
        layer.bias.fill_(1.0)
    layer.weight.grad, layer.bias.grad = torch.tensor([[0.0, 70.0]]), torch.tensor([2.0])
    optim.LARS(optim.groups(layer, 0.0), lr=0.1).step()
    assert layer.weight.detach().numpy()[0] == pytest.approx(np.array([3.0, 4.0 - 0.1 * 0.001 * 5.0]))
    assert layer.bias.item() == pytest.approx(1.0 - 0.1 * 2.0)


def test_decay_spares_biases_and_norms() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with_decay, without = optim.groups(net, 0.1)
    assert [tuple(p.shape) for p in with_decay["params"]] == [(3, 3)]  # type: ignore[attr-defined]
    assert without["weight_decay"] == 0.0 and len(without["params"]) == 3  # type: ignore[arg-type]
    model = Equations(2, 3)
    with_decay, without = optim.groups(model, 0.1)
    assert [p is model.shift for p in without["params"]] == [True]  # one bias a factor and hidden unit
    assert len(with_decay["params"]) == 2


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd", "lars"])
def test_optimizer_state_survives_the_disk(kind: str, tmp_path: Path) -> None:
    """Two steps in a row equal one step, a save, a load into fresh objects, and another step."""

    def step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        net(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net, optim.build(optim.groups(net, 0.1), Training(optimizer=kind), 0.01)  # type: ignore[arg-type]

    one, straight = fresh()
    step(one, straight, 1)
    checkpoint.save(tmp_path / "c.safetensors", one, straight, {"step": 1})
    step(one, straight, 2)
    two, resumed = fresh()
    assert checkpoint.load(tmp_path / "c.safetensors", two, resumed) == {"step": 1}
    step(two, resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_diary_whose_last_line_was_torn_by_a_kill_is_read_without_it(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text('{"recipe": {}}')
    (tmp_path / METRICS).write_text('{"step": 10, "loss": 1.0}\n{"step": 20, "lo')
    assert Run.open(tmp_path).metrics() == [{"step": 10, "loss": 1.0}]


@pytest.mark.parametrize(
    ("group", "wrong", "words"),
    [
        (Training, {"accumulate": 0}, "accumulate is 0"),
        (Training, {"batch_size": -4}, "batch_size is -4"),
        (Training, {"lr": -1.0}, "lr is -1"),
        (Training, {"weight_decay": -0.1}, "weight_decay is -0.1"),
        (Training, {"warmup": 5.0}, "warmup is 5"),
        (Training, {"threads": -2}, "threads is -2"),
        (Augmentation, {"crop": -1.0}, "crop is -1; give a number from 0 to 1"),
        (Augmentation, {"ratio": 0.0}, "ratio is 0; give 1 or more"),
        (Augmentation, {"vertical_flip": 5.0}, "vertical_flip is 5"),
        (Augmentation, {"permute": -3}, "permute is -3"),
        (Setup, {"seed": -1}, "seed is -1"),
        (Serving, {"batch": 0}, "batch is 0; give 1 or more"),
        (Serving, {"queue": -1}, "queue is -1"),
        (Serving, {"timeout": 0.0}, "timeout is 0"),
        (Setup, {"size": -1}, "size is -1; give 0 or more"),
        (Augmentation, {"ratio": math.inf}, "ratio is inf; give 1 or more"),
        (Training, {"optimizer": "adamx"}, 'optimizer got "adamx"; did you mean "adam"'),
        (Training, {"precision": "fp16"}, 'precision got "fp16"'),
        (Training, {"batch_size": 2.5}, "batch_size got 2.5; give a whole number"),
        (Budget, {"steps": "many"}, "steps got 'many'; give a whole number"),
        (Handover, {"sets_by": "site"}, 'sets_by got "site"; take one of all, class, domain'),
    ],
)
def test_settings_out_of_their_range_are_one_line(group: type, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        group(**wrong)


def test_settings_in_python_are_read_as_flags_are() -> None:
    given: Any = {"batch_size": np.int64(32), "lr": "1e-3", "optimizer": "sgd"}
    assert Training(**given) == Training(batch_size=32, lr=1e-3, optimizer="sgd")
    place: Any = {"out": Path("a b")}
    assert Setup(**place).out == "a b"
    words: Any = {"interventions": "gain,hue"}
    assert Augmentation(**words).interventions == ("gain", "hue")


@pytest.mark.parametrize("name", ["gpu", "cpu:x", "mps", "meta"])
def test_a_device_that_there_is_not_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=f'device "{name}"'):
        open_device(Training(device=name, threads=1))


def test_another_default_type_is_one_line() -> None:
    """As a notebook sets it: weights would be float64 and views float32."""
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(UserError, match=r"set_default_dtype\(torch.float32\)"):
            open_device(Training(threads=1))
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_gpu_beyond_the_last_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match='no device "cuda:3", torch sees 1'):
        open_device(Training(device="cuda:3", threads=1))


def test_a_failed_save_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Linear(2, 2)
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, net, None, {"step": 1})
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, net, None, {"step": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_health_sees_collapse_waiting_and_standstill() -> None:
    torch.manual_seed(0)
    good = torch.randn(64, 16)
    watch = Health(100)
    assert watch.observe(10, 5.0, good, 0.0)[2] == "healthy"
    assert "collapsed" in watch.observe(20, 4.0, torch.ones(64, 16) + 1e-4 * good, 0.0)[2]
    assert "waiting for data" in watch.observe(30, 3.0, good, 0.6)[2]
    assert "no gain since step 30" in [watch.observe(s, 5.0, good, 0.0)[2] for s in (50, 70)][-1]
    assert watch.observe(75, 5.0, good, 0.5, "two of ten are in use")[2] == "two of ten are in use"
    assert "collapsed" in watch.observe(76, 5.0, torch.ones(8, 512), 0.5, "two of ten are in use")[2]
    with pytest.raises(UserError, match="became nan at step 71"):
        watch.check_loss(71, float("nan"), 1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_few_healthy_items_are_not_called_collapsed(count: int) -> None:
    """Two centred items have one direction and one item has no spread, whatever the encoder says of them."""
    good = torch.randn(count, 512).relu()
    assert Health(100).observe(10, 5.0, good, 0.0)[2] == "healthy"
    alike = Health(100).observe(10, 5.0, torch.ones(count, 512) + 1e-4 * good, 0.0)[2]
    assert ("collapsed" in alike) == (count > 1)


@pytest.mark.parametrize(("name", "count"), [("swav", 8), ("swav", 30), ("dino", 1), ("dino", 2), ("dino", 3)])
def test_few_items_with_an_answer_each_alarm_no_one(name: str, count: int) -> None:
    """No more things can be in use than there are items to name them; one thing for all is told of as before."""
    method = catalog.load("methods", name)(_build.build(_build.spec("cnn(width=4, stages=2)"), 1, 16))
    method.fit_to(Facts(50_000, 100, 1, 16))
    things = len(method.prototypes.weight) if name == "swav" else len(method.centre)
    for part in ("encoder", "projector", "prototypes", "teacher"):
        setattr(method, part, nn.Identity())  # what is looked at is what is said
    assert method.watch([10 * torch.eye(things)[:count]])[1] == ""
    assert method.watch([10 * torch.eye(things)[:1].expand(64, -1)])[1] != ""


@pytest.mark.parametrize("common", [0.0, 0.2], ids=["even", "uneven"])
@pytest.mark.parametrize(("sure", "ill"), [(0.0, True), (0.01, True), (1.0, False)])
def test_swav_is_told_of_when_it_tells_no_item_from_another(sure: float, ill: bool, common: float) -> None:
    """Most prototypes are in use then, each by all items alike, be it evenly or not."""
    method = catalog.load("methods", "swav")(_build.build(_build.spec("cnn(width=4, stages=2)"), 1, 16))
    method.fit_to(Facts(50_000, 100, 1, 16))
    for part in ("encoder", "projector", "prototypes"):
        setattr(method, part, nn.Identity())
    scores = sure * torch.eye(90) + common * torch.linspace(0, 1, 90)
    figures, words = method.watch([scores])
    assert ("lower epsilon" in words) == ill and bool(words) == ill
    assert method.watch([scores[:1]])[1] == ""  # one item alone says nothing
    p = (scores.double() / 0.1).softmax(1).numpy()
    told = sum(q * math.log(q / m) for row in p for q, m in zip(row, p.mean(0), strict=True)) / 90
    assert figures["kinds told apart"] == pytest.approx(math.exp(told), rel=1e-4)


def test_spread_and_rank_by_hand() -> None:
    """Four unit vectors along +-x and +-y: mean 0, standard deviation 1/sqrt(2) each way, two equal singular values."""
    cross = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert spread(cross) == pytest.approx(1.0)
    assert effective_rank(cross) == pytest.approx(2.0)
    assert effective_rank(torch.ones(4, 2)) == 1.0


def test_two_ranks_make_one_run(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun with two gloo processes trains one run; MAE has no batch statistics, so its loss must be near that of
    one process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "UNLABELED_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", "UNLABELED_QUIET": "1"}
    encoder = "vit(width=32, depth=1, heads=2, patch_size=4)"
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    one = pretrain(
        str(digits),
        method="mae",
        setup=Setup(encoder=encoder, size=16, out=str(tmp_path / "one")),
        budget=Budget(steps=60),
        training=Training(device="cpu", precision="fp32", threads=1),
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    command += ["-m", "unlabeled", "pretrain", str(digits), "--method", "mae", "--encoder", encoder, "--size", "16"]
    command += ["--steps", "60", "--device", "cpu", "--precision", "fp32", "-o", str(tmp_path / "two")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    two = Run.open(tmp_path / "two")
    assert two.finished and len(two.metrics()) == len(one.metrics())
    assert two.metrics()[-1]["loss"] == pytest.approx(one.metrics()[-1]["loss"], rel=0.05)
    assert two.metrics()[-1]["loss"] < two.metrics()[0]["loss"]


def test_what_comes_next_can_be_done_with_what_is_there(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without labels nothing can be evaluated."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    tiny = "cnn(width=2, stages=1)"
    for data, verb in ((digits / "train" / "3", "embed"), (digits, "evaluate")):
        setup = Setup(size=16, out=str(tmp_path / verb), encoder=tiny)
        run = pretrain(str(data), method="simclr", setup=setup, budget=Budget(steps=1), training=Training(threads=1))
        assert run.lines()[-1].startswith(f"next: unlabeled {verb} {tmp_path / verb} {data}")
