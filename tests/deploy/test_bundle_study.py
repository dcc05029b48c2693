"""The winner of a study becomes a bundle, and what a bundle cannot hold is said."""

import json
import shutil
from pathlib import Path

import pytest

import unlabeled as ul
from unlabeled.settings import Budget, Handover, Setup, Training

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
