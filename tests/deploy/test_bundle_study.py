"""The winner of a study becomes a bundle, and what a bundle cannot hold is said."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

import unlabeled as ul
from unlabeled import catalog
from unlabeled.deploy.eye import Eye
from unlabeled.deploy.head import probed
from unlabeled.deploy.levels import Levels
from unlabeled.deploy.net import portable, view_of
from unlabeled.deploy.parts import units
from unlabeled.protocols.propagate import Propagate
from unlabeled.protocols.styled import Styled
from unlabeled.settings import Budget, Handover, Setup, Training
from unlabeled.shift.subjects import data_for, find
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items

QUICK = Handover(onnx=False, coverage=0.8)


@pytest.fixture(scope="module")
def some(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("some") / "photos"
    for split, count in (("train", 14), ("test", 5)):
        for folder in sorted((digits / split).iterdir()):
            (root / split / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir())[:count]:
                shutil.copy(file, root / split / folder.name)
    return root


@pytest.fixture(scope="module")
def study(some: Path, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "s"
    ul.compare(
        str(some), methods=["simclr"], labels=[1.0], seeds=2, draws=1,
        protocols=["linear", "knn", "finetune(steps=4,trials=1)"],
        setup=Setup(encoder="test_resnet", size=16, out=str(folder)),
        budget=Budget(steps=3), training=Training(threads=1),
    )  # fmt: skip
    return folder


def edited(study: Path, to: Path, arm: str, protocol: str) -> Path:
    """A copy of the study with another contender in front."""
    import pandas as pd

    shutil.copytree(study, to)
    summary = pd.read_csv(to / "summary.csv", keep_default_na=False)
    mine = (summary["arm"] == arm) & (summary["protocol"] == protocol) & (summary["metric"] == "accuracy")
    assert mine.any(), summary[["arm", "protocol"]].drop_duplicates()
    summary.loc[mine, "mean"] = 2.0
    summary.to_csv(to / "summary.csv", index=False)
    answer = json.loads((to / "answer.json").read_text())
    (to / "answer.json").write_text(json.dumps(answer | {"winner": arm, "protocol": protocol}))
    return to


def test_the_winner_is_taken_with_the_first_seed(study: Path, some: Path, tmp_path: Path) -> None:
    made = ul.bundle(str(edited(study, tmp_path / "s", "simclr", "linear")), out=str(tmp_path / "m.ul"), handover=QUICK)
    head = made.bundle.facts["head"]
    assert head["start"] == "simclr, seed 0, 3 steps" and head["protocol"] == "linear"
    assert not any("winner" in note for note in made.bundle.facts["notes"])
    flattered = [note for note in made.bundle.facts["notes"] if "contenders by the study's test items" in note]
    assert len(flattered) == 1 and flattered[0] in " ".join((tmp_path / "m.ul" / "card.md").read_text().split())
    assert len(ul.load(str(tmp_path / "m.ul")).predict(some / "test" / "1")) == 5
    with pytest.raises(ul.UserError, match="was not trained with seed 9; take one of 0, 1"):
        ul.bundle(str(tmp_path / "s"), seed=9, out=str(tmp_path / "n.ul"), handover=QUICK)


def test_a_winner_that_no_bundle_holds_is_replaced_and_named(study: Path, tmp_path: Path) -> None:
    made = ul.bundle(str(edited(study, tmp_path / "s", "simclr", "knn")), out=str(tmp_path / "m.ul"), handover=QUICK)
    assert any(note.startswith("The study's winner is simclr with knn, which") for note in made.bundle.facts["notes"])


@pytest.mark.parametrize("protocol", ["propagate", "styled"])
def test_a_winner_that_ends_in_one_matrix_is_held(study: Path, some: Path, tmp_path: Path, protocol: str) -> None:
    won = edited(study, tmp_path / "s", "simclr", "linear")
    for file in ("summary.csv", "answer.json"):
        (won / file).write_text((won / file).read_text().replace("linear", protocol))
    made = ul.bundle(str(won), out=str(tmp_path / "m.ul"), labels=60, handover=QUICK, training=Training(threads=1))
    assert made.bundle.facts["head"]["protocol"] == protocol
    assert not any("winner" in note for note in made.bundle.facts["notes"])
    assert len(ul.load(str(tmp_path / "m.ul")).predict(some / "test" / "1")) == 5


@pytest.mark.parametrize("protocol", [Propagate(), Styled(copies=2)])
def test_its_matrix_answers_as_the_protocol_does(study: Path, some: Path, protocol: Propagate | Styled) -> None:
    [subject, *_] = [s for s in find([str(study)]) if s.folder]
    prepared, _ = data_for(str(some), [subject])
    recipe, device = portable(subject.recipe), open_device(Training(device="cpu", precision="fp32"))
    encoder = subject.encoder().eval()
    eye = Eye(view_of(recipe, prepared.store.shape, prepared.store.dtype), Levels(encoder, "features"), prepared.store)
    learn, held = np.sort(prepared.labelled[::4]), np.sort(prepared.labelled[1::4])
    kept, y = units(prepared, "auto", eye.features), prepared.table.labels[learn]
    spec = catalog.parse("protocols", "propagate" if isinstance(protocol, Propagate) else "styled(copies=2)")
    [(weight, bias)] = probed(eye, recipe, prepared, (learn, held), spec, 3, kept)
    logits = eye.features(prepared.test) @ weight.T + bias
    own: dict[str, Any] = {"groups": kept.of(learn), "seed": 3}
    if isinstance(protocol, Propagate):
        pool = eye.features(np.setdiff1d(prepared.learning, held))  # what calibrates is not there
        expected = protocol.fit(eye.features(learn), y, unlabelled=pool, **own).predict(eye.features(prepared.test))
    else:
        model = protocol.fit(encoder, Items(prepared.store, learn), y, recipe.looks(), device, **own)
        expected = model.predict(Items(prepared.store, prepared.test), recipe.looks(), device)
    np.testing.assert_allclose(softmax(logits, 1), expected, atol=1e-4)


def test_of_equal_contenders_the_one_that_the_study_names_is_taken(study: Path, tmp_path: Path) -> None:
    import pandas as pd

    for number, (arm, protocol) in enumerate([("simclr", "linear"), ("random", "linear")]):
        copy = edited(study, tmp_path / f"s{number}", arm, protocol)
        summary = pd.read_csv(copy / "summary.csv", keep_default_na=False)
        summary.loc[(summary["protocol"] == "linear") & (summary["metric"] == "accuracy"), "mean"] = 1.0
        summary.to_csv(copy / "summary.csv", index=False)
        made = ul.bundle(str(copy), out=str(tmp_path / f"m{number}.ul"), handover=QUICK, training=Training(threads=1))
        assert made.bundle.facts["head"]["start"].startswith(arm), "the winner"
        assert not any("winner" in note for note in made.bundle.facts["notes"])


def test_the_supervised_arm_is_trained_from_random_weights(study: Path, tmp_path: Path) -> None:
    summary = (study / "summary.csv").read_text()
    protocol = next(w for w in ("finetune(steps=4, trials=1)", "finetune") if w in summary)
    winner = edited(study, tmp_path / "s", "supervised", protocol)
    made = ul.bundle(str(winner), out=str(tmp_path / "m.ul"), handover=QUICK, training=Training(threads=1))
    assert made.bundle.facts["head"]["start"] == "supervised, seed 0, from random weights"
    assert made.bundle.facts["head"]["protocol"].startswith("finetune(")


def test_no_study_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ul.UserError, match="holds no finished study"):
        ul.bundle(str(tmp_path))
