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
])  # fmt: skip
def test_fine_tunings_keep_to_their_minutes(
    pretraining: int, labels: int, own: dict[str, Any], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three trials with the first of two seeds and a fit with each: five trainings, in 20 minutes of steps of 1 s."""
    monkeypatch.setattr(pace, "seconds_per_fit_step", lambda *_: 1.0)
    recipe: Any = SimpleNamespace(encoder="vit", training=Training(batch_size=pretraining))
    protocol = Spec("finetune", own)
    todo = [Cell("supervised", 1.0, labels, seed, 0, str(protocol)) for seed in (0, 1)]
    items: Any = range(min(labels, 256))
    device: Any = None
    arms = [Arm("supervised", "supervised", recipe, (protocol,))]
    assert pace.fits(20, arms, todo, items, np.zeros(len(items)), device) == {"supervised": {"steps": steps}}
