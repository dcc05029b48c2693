"""Steps of fine-tuning from minutes: what a step costs is what was timed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unlabeled.catalog import Spec
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
