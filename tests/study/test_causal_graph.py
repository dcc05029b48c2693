"""The causal graph of a run is held against what really moves, and stands on the study's page."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from unlabeled.blocks.causal import EDGE
from unlabeled.data.prepare import prepare
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.causal import examine
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs.compare import compare

TRAINING = Training(threads=1, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def study(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Digits, features that light may move: next to no weight on consistency."""
    root = tmp_path_factory.mktemp("causal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(root / "cache"))
        patch.setenv("UNLABELED_QUIET", "1")
        compare(
            str(digits),
            methods=("c2ssl(weight=0.001)", "simclr"),
            labels=(1.0,),
            seeds=1,
            draws=1,
            protocols=("linear",),
            setup=Setup(encoder="test_resnet", size=16, out=str(root / "study")),
            budget=Budget(steps=200),
            training=TRAINING,
            augmentation=Augmentation(
                crop=0.5, horizontal_flip=0.0, jitter=0.1, interventions=("gain", "offset", "slope_x")
            ),
        )
        yield root / "study"


def test_the_graph_knows_what_light_moves_and_claims_no_more(study: Path) -> None:
    [file] = study.glob("causal-*.json")
    found = json.loads(file.read_text("utf-8"))
    assert found["kinds"] == ["gain", "offset", "slope_x"]
    strengths, shift = np.array(found["adjacency"])[:3], np.array(found["shift"])
    assert found["held"] >= 5 and found["missed"] <= 2
    gain = np.corrcoef(strengths[0], shift[0])[0, 1]
    assert gain > 0.5, "the factors that gain moves furthest have the strongest edges"
    assert (strengths > EDGE).sum(1)[2] <= 1  # light from the side, whose mean effect is next to nothing
    told = " ".join(found["words"])
    assert "gain" in told and "of 16 factors" in told


def test_it_changes_nothing_and_repeats(study: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(study.parent / "cache"))
    [place] = (study / "runs").glob("c2ssl*")
    data, device = prepare(digits, size=16), open_device(TRAINING)
    first, again = (examine(Run.open(place), data, device) for _ in range(2))
    assert first == again
    assert examine(Run.open(study / "runs" / "simclr-s0"), data, device) is None


def test_the_page_draws_it(study: Path) -> None:
    page = (study / "report.html").read_text("utf-8")
    [file] = study.glob("causal-*.json")
    found = json.loads(file.read_text("utf-8"))
    edges = (np.array(found["adjacency"]) > EDGE).sum()
    assert 'id="causal"' in page and page.count("<path d=") >= edges > 0
    assert "gain moves factor" in page and "c2ssl(weight=0.001)" in page
