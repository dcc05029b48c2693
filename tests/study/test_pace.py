"""Steps of fine-tuning from minutes: what a step costs is what was timed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from unlabeled.catalog import Spec
from unlabeled.methods import Method
from unlabeled.settings import Training
from unlabeled.study import pace
from unlabeled.study.plan import Arm, Cell


@pytest.mark.parametrize(("pretraining", "labels", "own", "steps"), [
    (256, 64, {}, 240), (64, 20, {}, 240), (64, 64, {"batch_size": 16}, 960), (64, 500, {}, 240),
    (64, 64, {"trials": 5}, 171), (64, 64, {"encoder_lr": 1.0}, 600),
])  # fmt: skip
def test_fine_tunings_keep_to_their_minutes(
    pretraining: int, labels: int, own: dict[str, Any], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials, three or as given, with the first of two seeds and a fit with each, in 20 minutes of steps of 1 s."""
    monkeypatch.setattr(pace, "cost_of_fits", lambda *_: pace.Cost(0.0, 1 / min(64, labels), 0.0))
    recipe: Any = SimpleNamespace(encoder="vit", training=Training(batch_size=pretraining))
    protocol = Spec("finetune", own)
    todo = [Cell("supervised", 1.0, labels, seed, 0, str(protocol)) for seed in (0, 1)]
    items: Any = range(min(labels, 256))
    device: Any = None
    arms = [Arm("supervised", "supervised", recipe, (protocol,))]
    assert pace.fits(20, arms, todo, items, np.zeros(len(items)), device) == {"supervised": {"steps": steps}}


def test_trials_that_were_asked_for_are_counted_where_there_is_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five trials and two fits in 4 minutes of steps of 1 s; the usual three, not asked for, give way to none."""
    monkeypatch.setattr(pace, "cost_of_fits", lambda *_: pace.Cost(0.0, 1 / 64, 0.0))
    recipe: Any = SimpleNamespace(encoder="vit", training=Training())
    items: Any = range(64)
    device: Any = None
    for own, steps in (({"trials": 5}, 34), ({}, 120)):
        protocol = Spec("finetune", own)
        todo = [Cell("supervised", 1.0, 64, seed, 0, str(protocol)) for seed in (0, 1)]
        arms = [Arm("supervised", "supervised", recipe, (protocol,))]
        found = pace.fits(4, arms, todo, items, np.zeros(64), device)
        assert found == {"supervised": {"steps": steps, "trials": 1}}


@pytest.mark.parametrize(("kind", "cost", "steps"), [
    ("supervised", pace.Cost(1.0, 0.0, 0.0), 120), ("method", pace.Cost(1.0, 0.0, 0.0), 150),
    ("method", pace.Cost(0.0, 1 / 64, 0.0), 266), ("method", pace.Cost(0.0, 1 / 64, 1.0), 202),
    ("method", pace.Cost(0.0, 1 / 64, 15.0), 106),
])  # fmt: skip
def test_what_few_labels_cost_is_counted(
    kind: str, cost: pace.Cost, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step on 8 labels is no cheaper than one on 64 where a step's own seconds are all, as on a fast device; and
    what a probe takes before each fit of a method is no time for steps."""
    monkeypatch.setattr(pace, "cost_of_fits", lambda *_: cost)
    recipe: Any = SimpleNamespace(encoder="vit", training=Training())
    protocol = Spec("finetune", {})
    todo = [Cell("arm", share, labels, 0, 0, str(protocol)) for share, labels in ((0.1, 8), (1.0, 64))]
    items: Any = range(64)
    device: Any = None
    minutes = 16.0 if kind == "supervised" else 80.0
    arms = [Arm("arm", kind, recipe, (protocol,))]
    found = pace.fits(minutes, arms, todo, items, np.zeros(64), device)
    assert found["arm"]["steps"] == steps


class Grouping(Method):
    """Something to train that does work before each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder: Any = nn.Linear(1, 1)

    def before_epoch(self, embed: Any) -> None:
        """Work whose seconds the test counts itself."""


@pytest.mark.parametrize(("items", "seconds"), [(96, 1.5), (160, 1.3), (32, 2.5), (16, 4.0)])
@pytest.mark.parametrize("first", [0.0, 20.0])
def test_what_is_done_before_each_pass_is_part_of_a_step(
    items: int, seconds: float, first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of 1 s and 3 s before each pass: in batches of 16, a step of 96 items costs 1 + 3 / 6 s; what only the
    first step in a process needs is not counted."""
    clock, per_epoch = [0.0], items // 16
    first *= per_epoch > 1  # else nothing tells it from the others

    def begin(*_: Any) -> None:
        clock[0] += 3.0

    def steps(*_: Any, steps: int, **__: Any) -> Any:
        for number in range(steps):
            if number % per_epoch == 0:
                begin()
            clock[0] += 1.0 + (0 if number else first * 0.1)
            yield SimpleNamespace(number=number, loss=0.0)

    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(pace, "train", steps)
    monkeypatch.setattr(pace, "begin_pass", begin)
    recipe: Any = SimpleNamespace(training=Training(batch_size=16), seed=0, looks=lambda: None)
    recipe.with_steps = lambda _: SimpleNamespace(build=Grouping)
    device: Any = SimpleNamespace(place=lambda method: method, world=1)
    thing: Any = range(items)
    assert pace.seconds_per_step(recipe, thing, device) == pytest.approx(seconds)
