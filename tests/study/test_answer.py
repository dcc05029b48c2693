"""What the answer says where accuracy would mislead."""

import pandas as pd

from unlabeled.study.answer import uneven


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
