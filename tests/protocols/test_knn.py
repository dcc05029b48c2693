"""Nearest neighbours against a slow loop, scikit-learn and lightly."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from unlabeled import catalog
from unlabeled.errors import UserError
from unlabeled.protocols import knn
from unlabeled.protocols.knn import Knn, nearest


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels and classes of 1,000 digits to learn from and 200 to tell."""
    bunch = load_digits()
    x = bunch.data.astype(np.float32)
    return x[:1000], bunch.target[:1000], x[1000:1200], bunch.target[1000:1200]


def slow(bank: np.ndarray, labels: np.ndarray, query: np.ndarray, k: int, temperature: float) -> list[float]:
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b) / math.sqrt(float(a @ a)) / math.sqrt(float(b @ b))

    near = sorted(((cosine(row, query), label) for row, label in zip(bank, labels, strict=True)), reverse=True)[:k]
    votes = [0.0] * (labels.max() + 1)
    for similarity, label in near:
        votes[label] += math.exp(similarity / temperature)
    return [vote / sum(votes) for vote in votes]


def test_equals_a_slow_loop(digits: tuple[np.ndarray, ...]) -> None:
    x, y, test, _ = digits
    mine = Knn(k=7, temperature=0.1).fit(x[:300], y[:300]).predict(test[:10])
    wide = x.astype(np.float64)
    for row, query in zip(mine, test[:10].astype(np.float64), strict=True):
        np.testing.assert_allclose(row, slow(wide[:300], y[:300], query, 7, 0.1), atol=1e-5)


def test_tells_digits(digits: tuple[np.ndarray, ...]) -> None:
    x, y, test, truth = digits
    probabilities = Knn().fit(x, y).predict(test)
    assert probabilities.shape == (200, 10) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (probabilities.argmax(1) == truth).mean() > 0.95


def test_equals_lightly(digits: tuple[np.ndarray, ...]) -> None:
    theirs = pytest.importorskip("lightly.utils.benchmarking.knn").knn_predict
    x, y, test, _ = digits
    bank, queries = (torch.nn.functional.normalize(torch.from_numpy(v), dim=1) for v in (x, test))
    first = theirs(queries, bank.T, torch.from_numpy(y), 10, knn_k=20, knn_t=0.1)[:, 0]
    assert (Knn(k=20, temperature=0.1).fit(x, y).predict(test).argmax(1) == first.numpy()).all()


@pytest.mark.parametrize(
    ("labels", "classes", "votes"), [(6, 6, 1), (12, 6, 2), (50, 10, 5), (1000, 10, 20), (3, 2, 2)]
)
def test_as_many_neighbours_as_labels_a_class(labels: int, classes: int, votes: int) -> None:
    x = np.random.default_rng(0).normal(size=(labels, 3))
    assert Knn().fit(x, np.arange(labels) % classes).neighbours == votes


def test_never_more_neighbours_than_labels() -> None:
    probe = Knn(k=200).fit(np.eye(3), np.array([0, 1, 2]))
    assert probe.neighbours == 3
    assert probe.predict(np.eye(3)).argmax(1).tolist() == [0, 1, 2]


def test_columns_are_the_classes_seen() -> None:
    probe = Knn(k=1).fit(np.eye(3), np.array([5, 2, 9]))
    assert probe.classes.tolist() == [2, 5, 9]
    assert probe.predict(np.eye(3)).argmax(1).tolist() == [1, 0, 2]
    assert probe.predict(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("items", [639, 640, 1000, 1023])
def test_heaps_find_the_largest(items: int) -> None:
    similarity = torch.randn(9, items, generator=torch.Generator().manual_seed(items))
    similarity[:, -1] = 9  # the largest stands in the rest that fills no heap, or in the last heap
    values, places = nearest(similarity, 5)
    expected = similarity.topk(5)
    assert torch.equal(values, expected.values) and torch.equal(places, expected.indices)


def test_batches_change_nothing(digits: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, test, _ = digits
    probe = Knn().fit(x, y)
    whole = probe.predict(test)
    monkeypatch.setattr(knn, "HELD", 7000)
    np.testing.assert_allclose(probe.predict(test), whole, rtol=1e-4, atol=1e-6)


def test_the_catalog_loads_the_protocol() -> None:
    assert catalog.load("protocols", "knn") is Knn


def test_wrong_input_is_told() -> None:
    with pytest.raises(UserError, match="k is 0"):
        Knn(k=0)
    with pytest.raises(UserError, match="temperature is 0"):
        Knn(temperature=0)
    with pytest.raises(UserError, match=r"shape \(3, 3\) came with 2 labels"):
        Knn().fit(np.eye(3), np.array([0, 1]))
    with pytest.raises(UserError, match="features of 1 of 2 items are not finite"):
        Knn().fit(np.array([[1.0, np.nan], [1, 2]]), np.array([0, 1]))
