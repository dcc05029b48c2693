"""What the answer says where accuracy would mislead, and where an arm was stopped too early to be judged."""

from types import SimpleNamespace
from typing import cast

import pandas as pd

from unlabeled.stats import too_short
from unlabeled.study.answer import answer, uneven
from unlabeled.study.plan import Arm
from unlabeled.study.record import Tables


def summary(rows: list[tuple[str, str, int, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["arm", "protocol", "labels", "metric", "mean"])


def test_where_one_class_holds_most_labels_the_best_by_rank_is_named() -> None:
    rows = [
        ("mae", "linear", 20, "auroc", 0.74),
        ("pca", "linear", 20, "auroc", 0.71),
        ("pca", "linear", 20, "accuracy", 0.99),
        ("mae", "linear", 200, "auroc", 0.80),
        ("mae", "finetune", 200, "auroc", 0.83),
        ("pca", "knn", 200, "auroc", float("nan")),
    ]
    first, few, many = uneven(summary(rows), ("lived", 0.86))
    assert first.startswith('86 % of the training labels are "lived"')
    assert few == "By AUROC mae with a linear probe is best with 20 labels: 0.740."
    assert many == "By AUROC mae with fine-tuning is best with 200 labels: 0.830."


def test_nothing_is_said_where_classes_are_even_or_nothing_can_be_ranked() -> None:
    rows = [("mae", "linear", 20, "auroc", 0.74)]
    assert uneven(summary(rows), ("a", 0.5)) == [] and uneven(summary(rows), None) == []
    assert len(uneven(summary([("mae", "linear", 20, "accuracy", 0.9)]), ("a", 0.9))) == 1


def study_of(fitted: float) -> tuple[Tables, list[Arm]]:
    """Results of a method, its random start and a supervised arm that knows that share of its own items."""
    rows = [
        ("simclr", "linear", 0.1, 10, "accuracy", 0.90),
        ("simclr", "linear", 1.0, 100, "accuracy", 0.95),
        ("random", "linear", 0.1, 10, "accuracy", 0.40),
        ("random", "linear", 1.0, 100, "accuracy", 0.60),
        ("supervised", "finetune", 0.1, 10, "accuracy", 0.20),
        ("supervised", "finetune", 1.0, 100, "accuracy", 0.50),
        ("supervised", "finetune", 0.1, 10, "fitted", 1.0),
        ("supervised", "finetune", 1.0, 100, "fitted", fitted),
    ]
    frame = pd.DataFrame(rows, columns=["arm", "protocol", "share", "labels", "metric", "mean"])
    frame = frame.assign(sd=0.0, low=frame["mean"] - 0.02, high=frame["mean"] + 0.02, n=3)
    names = ["arm_a", "arm_b", "protocol_a", "protocol_b", "labels", "difference", "low", "high"]
    kinds = {"simclr": "method", "random": "random", "supervised": "supervised"}
    return Tables(frame, frame, pd.DataFrame(columns=names)), [
        cast(Arm, SimpleNamespace(name=n, kind=k)) for n, k in kinds.items()
    ]


FACTS = {
    "test": 100,
    "seeds": 3,
    "draws": 3,
    "steps": "100 steps of 64",
    "cleared": True,
    "findings": [],
    "majority": None,
}


def test_supervised_training_that_does_not_know_its_own_items_is_no_measure_of_labels_saved() -> None:
    results, plan = study_of(fitted=0.55)
    assert too_short(results.summary, ("simclr", "linear")) == {("supervised", "finetune"): 0.55}
    found = answer(results, plan, FACTS)
    assert found.sentence.endswith("supervised training was too short to be compared.")
    assert any("supervised 55 %" in d for d in found.details)


def test_supervised_training_that_was_trained_out_is() -> None:
    results, plan = study_of(fitted=0.99)
    found = answer(results, plan, FACTS)
    assert found.sentence.endswith("supervised training does not get there with all 100 labels.")
    assert not any("Too short" in d for d in found.details)


def test_a_method_that_is_not_beyond_chance_ahead_is_not_told_to_be_taken() -> None:
    results, plan = study_of(fitted=0.99)
    rows = [("simclr", "random", "linear", "linear", 10, 0.02, low, 0.05) for low in (-0.01, 0.01)]
    for row, start in zip(rows, ("Nothing is clearly ahead: with 10 labels simclr", "Take simclr with"), strict=True):
        pairs = pd.DataFrame([row], columns=list(results.differences.columns))
        found = answer(Tables(results.table, results.summary, pairs), plan, FACTS)
        assert found.sentence.startswith(start)
        assert ("not beyond chance" in found.sentence) == start.startswith("Nothing")
