"""An ensemble: the mean of its members' probabilities, in torch, in the file, and in what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import unlabeled as ul
from unlabeled.data.prepare import prepare
from unlabeled.data.store import Prep
from unlabeled.deploy.net import load
from unlabeled.settings import Budget, Handover, Setup, Training
from unlabeled.training.run import Run
from unlabeled.verbs._handover import learnt, runs_of


@pytest.fixture(scope="module")
def runs(place: Path, run: Path, digits: Path) -> list[Path]:
    """Runs of other seeds beside the first."""
    for seed in (1, 2):
        setup = Setup(encoder="test_resnet", size=16, seed=seed, out=str(place / f"run{seed}"))
        ul.pretrain(str(digits), setup=setup, budget=Budget(steps=12), training=Training(threads=1))
    return [run, place / "run1", place / "run2"]


def test_several_runs_answer_with_the_mean_and_the_file_agrees(runs: list[Path], digits: Path, tmp_path: Path) -> None:
    made = ul.finetune(",".join(map(str, runs)), str(digits), labels=300, out=str(tmp_path / "m.ul"),
                       training=Training(threads=1))  # fmt: skip
    facts, net = made.bundle.facts, load(made.bundle)
    assert facts["members"] == 3 and net.look.dim == 3 * 96 and facts["head"]["start"].endswith("seeds 0, 1, 2")
    assert made.bundle.onnx() is not None, "proved on the test items"
    trained = [Run.open(r) for r in runs]
    prepared = prepare(digits, size=16, prep=Prep(**trained[0].recipe.prep))
    raw = prepared.store.batch(prepared.test[:50])
    weights = made.bundle.weights()
    each = []
    for number, t in enumerate(trained):
        with torch.no_grad():
            x = t.encoder()(t.modality().plain(raw)).numpy()
        z = x @ weights["head/weight"][number][:, number * 96 : (number + 1) * 96].T + weights["head/bias"][number]
        e = np.exp(z - z.max(1, keepdims=True))
        each.append(e / e.sum(1, keepdims=True))
    mean = np.mean(each, 0) ** (1 / facts["temperature"])
    expected = mean / mean.sum(1, keepdims=True)
    for engine in ("torch", "onnx"):
        found = ul.load(str(tmp_path / "m.ul"), engine=engine).answer(raw.numpy()).probabilities
        assert np.abs(found - expected).max() < 1e-4
    assert np.abs(each[0] - each[1]).max() > 0.05, "members differ"
    card = (tmp_path / "m.ul" / "card.md").read_text()
    assert "An ensemble of 3 such models (5 or more are advised)" in card


def test_fine_tuning_makes_members_of_one_run_and_a_frozen_encoder_does_not(
    run: Path, digits: Path, tmp_path: Path
) -> None:
    made = ul.finetune(
        str(run), str(digits), labels=100, out=str(tmp_path / "m.ul"), protocol="finetune(steps=8, trials=1)",
        handover=Handover(members=2, onnx=False), training=Training(threads=1, precision="fp32"),
    )  # fmt: skip
    weights = made.bundle.weights()
    assert weights["head/weight"].shape == (2, 10, 192)
    first = {k: v for k, v in weights.items() if k.startswith("encoder/members.0.") and v.dtype == np.float32}
    assert any(not np.allclose(v, weights[k.replace("members.0", "members.1")]) for k, v in first.items())
    with pytest.raises(ul.UserError, match="2 members were asked for, and there are runs of 1"):
        ul.finetune(str(run), str(digits), out=str(tmp_path / "n.ul"), handover=Handover(members=2))
    with pytest.raises(ul.UserError, match="energy"):
        ul.finetune(
            str(run), str(digits), out=str(tmp_path / "n.ul"), protocol="finetune(steps=2, trials=1)",
            handover=Handover(members=2, detector="energy"),
        )  # fmt: skip


def test_a_study_of_several_methods_is_no_ensemble_and_no_run_is_told(run: Path, digits: Path, tmp_path: Path) -> None:
    """Runs that are named one by one may be of several, and the card says so."""
    setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / "study/runs/moco-s0"))
    ul.pretrain(str(digits), method="moco", setup=setup, budget=Budget(steps=2), training=Training(threads=1))
    shutil.copytree(run, tmp_path / "study/runs/simclr-s0")
    with pytest.raises(ul.UserError, match=r"several methods \(moco, simclr\); give those of one, such as .*moco-s0"):
        ul.finetune(str(tmp_path / "study"), str(digits), out=str(tmp_path / "n.ul"))
    named = runs_of([str(run), str(tmp_path / "study/runs/moco-s0")])
    assert learnt(named) == "simclr, 12 steps, seed 0; moco, 2 steps, seed 0"
    for nothing in ("", ","):
        with pytest.raises(ul.UserError, match="no run was given"):
            ul.finetune(nothing, str(digits), out=str(tmp_path / "n.ul"))
