"""Metrics against scikit-learn, tables worked by hand, and a loop."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn import metrics as theirs
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from unlabeled.errors import UserError
from unlabeled.metrics import brief, confusion, report, retrieval, weighted

NAMES = [str(i) for i in range(10)]


@pytest.fixture(scope="module")
def predicted() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of 400 digits, by a naive Bayes that errs and is too sure of itself."""
    bunch = load_digits()
    model = GaussianNB(var_smoothing=0.1).fit(bunch.data[:500], bunch.target[:500])
    return model.predict_proba(bunch.data[1000:1400]), bunch.target[1000:1400]


def test_equals_scikit_learn(predicted: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = predicted
    mine, called = report(p, y, NAMES), p.argmax(1)
    sure = p.clip(1e-7)
    assert 0.5 < mine["accuracy"] < 0.99
    expected = {
        "accuracy": theirs.accuracy_score(y, called),
        "macro_f1": theirs.f1_score(y, called, average="macro"),
        "sensitivity": theirs.recall_score(y, called, average="macro"),
        "specificity": np.mean([theirs.recall_score(y == c, called == c, pos_label=False) for c in range(10)]),
        "auroc": theirs.roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "nll": theirs.log_loss(y, sure / sure.sum(1, keepdims=True)),
        "brier": np.mean(np.square(p - np.eye(10)[y]).sum(1)),
    }
    for name, value in expected.items():
        assert mine[name] == pytest.approx(value, abs=1e-5), name
    columns = theirs.precision_recall_fscore_support(y, called)
    for kind, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        assert [mine[f"{kind}/{name}"] for name in NAMES] == pytest.approx(column)
    assert (confusion(p, y, 10) == theirs.confusion_matrix(y, called)).all()


def test_calibration_error_is_that_of_a_loop_over_bins(predicted: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = predicted
    top, right = p.max(1), p.argmax(1) == y
    total = 0.0
    for b in range(15):
        inside = (top > b / 15) & (top <= (b + 1) / 15)
        if inside.any():
            total += inside.sum() / len(y) * abs(top[inside].mean() - right[inside].mean())
    assert report(p, y, NAMES)["ece"] == pytest.approx(total, abs=1e-9) and total > 0.01


def test_worked_by_hand() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    mine = report(p, np.array([0, 0, 1, 2]), ["a", "b", "c"])
    assert mine["accuracy"] == 0.5
    assert (mine["recall/a"], mine["precision/a"], mine["f1/a"], mine["support/a"]) == (0.5, 0.5, 0.5, 2)
    assert (mine["recall/b"], mine["precision/b"], mine["f1/b"]) == (0, 0, 0)
    assert mine["macro_f1"] == pytest.approx(0.5) and mine["sensitivity"] == pytest.approx(0.5)
    assert mine["specificity"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert mine["auroc"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert mine["nll"] == pytest.approx(-(math.log(0.8) + 2 * math.log(0.3) + math.log(0.6)) / 4)
    assert mine["brier"] == pytest.approx((0.06 + 0.86 + 0.86 + 0.24) / 4)


def test_what_is_not_defined_is_nan_and_does_not_count() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    mine = report(p, np.array([0, 1, 1]), ["a", "b", "absent"])
    assert math.isnan(mine["recall/absent"]) and mine["precision/absent"] == 0 and mine["support/absent"] == 0
    assert mine["sensitivity"] == pytest.approx(0.75) and mine["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    alone = report(p, np.array([0, 0, 0]), ["a", "b", "c"])
    assert math.isnan(alone["auroc"]) and math.isnan(alone["specificity"])
    assert alone["accuracy"] == pytest.approx(1 / 3)


def test_a_certain_mistake_costs_what_the_clip_says() -> None:
    assert report(np.array([[1.0, 0.0]]), np.array([1]), ["a", "b"])["nll"] == pytest.approx(-math.log(1e-7))


def test_a_broken_model_is_nan_not_wrong_by_chance() -> None:
    mine = report(np.array([[np.nan, np.nan], [0.1, 0.9]]), np.array([0, 1]), ["a", "b"])
    assert mine.pop("support/a") == mine.pop("support/b") == 1
    assert all(math.isnan(value) for value in mine.values())


@pytest.mark.parametrize("name", ["macro_f1", "sensitivity", "specificity", "auroc", "auprc"])
@pytest.mark.parametrize("classes", [2, 10])
def test_weighted_figures_are_those_of_the_repeated_items(
    name: str, classes: int, predicted: tuple[np.ndarray, np.ndarray]
) -> None:
    p, y = predicted
    if classes == 2:
        some = y < 2
        p, y = p[some][:, :2] / p[some][:, :2].sum(1, keepdims=True), y[some]
    p = p.round(2)  # with ties
    times = np.random.default_rng(0).integers(0, 4, size=(3, len(y)))
    names = [str(c) for c in range(classes)]
    for row, value in zip(times, weighted(name, y, classes)(p, times.astype(float)), strict=True):
        expected = report(np.repeat(p, row, axis=0), np.repeat(y, row), names)[name]
        assert value == pytest.approx(expected)


def test_wrong_input_is_told() -> None:
    with pytest.raises(UserError, match=r"shape \(2, 2\) came with 3 labels"):
        report(np.eye(2), np.array([0, 1, 1]), ["a", "b"])
    with pytest.raises(UserError, match="labels run from 0 to 2, with 2 classes"):
        report(np.eye(2), np.array([0, 2]), ["a", "b"])


def test_average_precision_is_that_of_scikit_learn_with_ties_too() -> None:
    random = np.random.default_rng(5)
    p = random.integers(1, 5, (60, 3)).astype(float)  # few values, so many are equal
    p /= p.sum(1, keepdims=True)
    labels = random.integers(0, 3, 60)
    wanted = np.mean([theirs.average_precision_score(labels == c, p[:, c]) for c in range(3)])
    assert report(p, labels, list("abc"))["auprc"] == pytest.approx(wanted, abs=1e-12)
    figures = report(p, labels, list("abc"))
    assert brief(p, labels) == {k: figures[k] for k in ("accuracy", "macro_f1", "nll", "brier", "ece")}


def test_average_precision_of_two_classes_is_that_of_the_rarer() -> None:
    random = np.random.default_rng(0)
    labels = (random.uniform(size=200) < 0.2).astype(int)
    died = 1 / (1 + np.exp(-(random.normal(size=200) + 2 * labels)))
    found = report(np.stack([1 - died, died], 1), labels, ["lived", "died"])["auprc"]
    order = labels[np.argsort(-died)]
    slow = np.mean([order[: i + 1].mean() for i in np.flatnonzero(order)])
    assert found == pytest.approx(slow)
    three = np.eye(3)[random.integers(0, 3, 50)] * 0.8 + 0.1
    assert report(three / three.sum(1, keepdims=True), three.argmax(1), list("abc"))["auprc"] == 1.0


def test_a_likeness_that_is_no_number_finds_nothing() -> None:
    found = retrieval(np.array([[0.9, 0.1, 0.2], [np.nan] * 3, [0.3, 0.1, 0.8]]))
    assert found["r@1"] == pytest.approx(2 / 3) and found["median rank"] == 1
    assert retrieval(np.full((4, 4), np.nan))["median rank"] == 4


@pytest.mark.parametrize("classes", [2, 4])
def test_the_sure_are_ranked_though_their_probabilities_are_all_one(classes: int) -> None:
    random = np.random.default_rng(classes)
    y = np.arange(200) % classes
    logits = (random.normal(size=(200, classes)) + np.eye(classes)[y]) * 30
    p = np.exp(logits - logsumexp(logits, axis=1, keepdims=True)).astype(np.float32)
    assert (p == 1).mean() > 0.1
    margins = [logits[:, c] - logsumexp(np.delete(logits, c, 1), axis=1) for c in range(classes)]
    auroc = [theirs.roc_auc_score(y == c, margins[c]) for c in range(classes)]
    mine = report(p, y, list("abcd"[:classes]))["auroc"]
    assert mine == pytest.approx(np.mean(auroc), abs=1e-3)
    assert abs(np.mean([theirs.roc_auc_score(y == c, p[:, c]) for c in range(classes)]) - np.mean(auroc)) > 0.004
    assert weighted("auroc", y, classes)(p, np.ones((1, 200)))[0] == pytest.approx(mine)
