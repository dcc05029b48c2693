"""The alarm is false as often as was chosen, and is raised when the world has changed."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import unlabeled as ul
from unlabeled.deploy import drift
from unlabeled.deploy.decide import Limits

CLASSES = ("a", "b", "c")


def drawn(n: int, seed: int, move: float = 0.0, lean: float = 0.0, odd: float = 0.05) -> dict[str, np.ndarray]:
    """Synthetic answers whose features, classes or strangers can be moved."""
    random = np.random.default_rng(seed)
    p = np.exp(random.normal(size=(n, 3)) + lean * np.eye(3)[0])
    return {
        "features": (random.normal(size=(n, 8)) + move).astype(np.float32),
        "probabilities": (p / p.sum(1, keepdims=True)).astype(np.float32),
        "strangeness": (random.uniform(size=n) < odd).astype(np.float32),
    }


LIMITS = Limits(CLASSES, 0.9, np.full(3, 0.9), 0.5)


def test_what_cannot_be_compared_is_told_and_never_taken_for_no_drift() -> None:
    few, many, far = drawn(15, 0), drawn(60, 1), drawn(50, 2, move=3.0)
    with pytest.raises(
        ul.UserError, match=r"the model holds 15 reference items .* and 20 are needed; make it again with"
    ):
        drift.compare(few, many, LIMITS)
    with pytest.raises(ul.UserError, match="15 new items can be compared; give 20 or more"):
        drift.compare(many, few, LIMITS)
    assert drift.compare(many, far, LIMITS, permutations=99).alarm
    far["features"][7] = np.nan
    with pytest.raises(ul.UserError, match="the answers on 1 new item are no numbers"):
        drift.compare(many, far, LIMITS, permutations=99)


def test_false_alarms_come_at_the_chosen_rate() -> None:
    found = [
        drift.compare(drawn(60, 2 * s), drawn(50, 2 * s + 1), LIMITS, rate=0.1, permutations=99, seed=s)
        for s in range(300)
    ]
    assert np.mean([f.alarm for f in found]) == pytest.approx(0.1, abs=0.045)  # 2.6 sd of 300 draws
    for name in range(4):
        assert np.mean([f.checks[name].p <= 0.2 for f in found]) < 0.27


@pytest.mark.parametrize("change", [{"move": 0.35}, {"lean": 1.0}, {"odd": 0.3}])
def test_each_kind_of_change_raises_it(change: dict[str, float]) -> None:
    found = drift.compare(drawn(200, 0), drawn(200, 1, **change), LIMITS)
    name = {"move": "features", "lean": "classes", "odd": "strangers"}[next(iter(change))]
    assert found.alarm and min(found.checks, key=lambda c: c.p).name == name
    assert "not like those learnt from" in found.sentence


@pytest.mark.parametrize(("permutations", "rate"), [(199, 0.01), (999, 0.001)])
def test_a_change_of_one_figure_raises_it_at_the_lowest_rates(permutations: int, rate: float) -> None:
    """In 50 spreads of every feature; the other three figures are as they were."""
    found = [
        drift.compare(
            drawn(60, 2 * s), drawn(50, 2 * s + 1, 50.0), LIMITS, rate=rate, permutations=permutations, seed=s
        )
        for s in range(5)
    ]
    assert all(f.alarm for f in found), [f.p for f in found]


def test_the_energy_distance_against_a_loop() -> None:
    a, b = drawn(25, 0)["features"], drawn(30, 1, 0.5)["features"]
    both = drift.scaled(np.concatenate([a, b]), a)

    def mean(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean([[np.linalg.norm(i - j) for j in y] for i in x]))

    slow = 2 * mean(both[:25], both[25:]) - mean(both[:25], both[:25]) - mean(both[25:], both[25:])
    found = drift.compare(drawn(25, 0), drawn(30, 1, 0.5), LIMITS, permutations=19, rate=0.05)
    assert found.checks[0].now == pytest.approx(slow, rel=1e-3)


def test_too_little_is_refused() -> None:
    with pytest.raises(ul.UserError, match="give 20 or more"):
        drift.compare(drawn(60, 0), drawn(10, 1), LIMITS)
    for rate in (1e-4, 1.5):
        with pytest.raises(ul.UserError, match=r"false-alarm rate .* give 0\.001 or more, and less than 1"):
            drift.compare(drawn(60, 0), drawn(60, 1), LIMITS, rate=rate)
    for items in (-5, 0, 19):
        with pytest.raises(ul.UserError, match=f"{items} items were to be compared; give 20 or more"):
            ul.drift("m.ul", "new/", items=items)


def test_the_server_sets_new_items_against_the_reference_of_every_class() -> None:
    """A reference lies in the order of the table: class folders one after the other."""
    pytest.importorskip("fastapi")
    from unlabeled.deploy.engines import Answers
    from unlabeled.deploy.serve.classes import Classes

    def answers(classes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        random, own = np.random.default_rng(seed), np.eye(3)[classes]
        features = (random.normal(size=(len(classes), 8)) + own @ np.eye(3, 8)).astype(np.float32)
        odd = (random.uniform(size=len(classes)) < 0.05).astype(np.float32)
        return {"probabilities": (0.1 + 0.7 * own).astype(np.float32), "features": features, "strangeness": odd}

    kept = {f"drift/{k}": v for k, v in answers(np.repeat(np.arange(3), 600), 0).items()}
    kept |= {"near/features": kept["drift/features"], "near/labels": np.repeat(np.arange(3), 600)}
    facts = {"name": "three", "input": {"modality": "image"}}
    bundle = SimpleNamespace(reference=lambda: kept)
    served = Classes(SimpleNamespace(facts=facts, bundle=bundle, classes=CLASSES, limits=LIMITS))  # type: ignore[arg-type]
    new = answers(np.arange(240) % 3, 1)
    served.last.extend(Answers(**{k: v[i : i + 1] for k, v in new.items()}) for i in range(240))
    found = served._drifted(0.05)
    assert not found["alarm"] and found["sentence"].startswith("No drift"), found["sentence"]


def test_digits_that_are_turned_upside_down_are_noticed(model: Path, digits: Path, tmp_path: Path) -> None:
    for file in (digits / "test").rglob("*.png"):
        target = tmp_path / "turned" / file.name
        target.parent.mkdir(exist_ok=True)
        Image.open(file).transpose(Image.Transpose.ROTATE_90).save(target)
    (tmp_path / "turned" / "broken.png").touch()
    same = ul.drift(str(model), str(digits / "test"), rate=0.01, out=str(tmp_path / "same"))
    assert not same.drift.alarm
    found = ul.drift(str(model), str(tmp_path / "turned"), rate=0.01, out=str(tmp_path / "found"))
    assert found.drift.alarm and found.broken == 1 and found.lines()[0].startswith("ALARM")
    page = found.report.read_text("utf-8")
    assert page.count("<li><img") == 24 and "Strangest items" in page
    assert json.loads((tmp_path / "found" / "drift.json").read_text())["alarm"] is True
    onnx = ul.drift(str(model), str(tmp_path / "turned"), engine="onnx", out=str(tmp_path / "onnx"))
    assert onnx.drift.checks[0].now == pytest.approx(found.drift.checks[0].now, rel=1e-3)
    shutil.rmtree(tmp_path / "turned")
