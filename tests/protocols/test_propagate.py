"""Label spreading against the dense formula and against the probe that sees the labels alone."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from unlabeled.errors import UserError
from unlabeled.protocols.cluster import Cluster
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.propagate import Propagate, certainty, spread
from unlabeled.study.plan import protocols_of


def test_spread_is_the_dense_formula() -> None:
    """F from the definition with dense matrices and an explicit inverse, neighbours found by a slow loop."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5))
    codes = np.array([0, 1, 2, 0])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    w = np.zeros((40, 40))
    for i in range(40):
        order = [j for j in np.argsort(-(unit @ unit[i]), kind="stable") if j != i]
        for j in order[:3]:
            w[i, j] = w[j, i] = 1.0
    d = np.diag(w.sum(1) ** -0.5)
    y = np.zeros((40, 3))
    y[np.arange(4), codes] = 1.0
    f = np.linalg.inv(np.eye(40) - 0.8 * d @ w @ d) @ y
    f /= f.sum(0)
    f /= f.sum(1, keepdims=True)
    np.testing.assert_allclose(spread(x, codes, 3, 0.8), f, atol=1e-6)


def test_certainty_is_what_entropy_leaves() -> None:
    shares = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.7, 0.2, 0.1], [0.5, 0.5, 0.0]])
    slow = [1 + sum(p * np.log(p) for p in row if p > 0) / np.log(3) for row in shares]
    np.testing.assert_allclose(certainty(shares), slow, atol=1e-12)


def test_a_rare_class_is_neither_lost_nor_everywhere() -> None:
    """Pairs of digits, one in eighteen the rarer, 40 labels as they come: all found labels alike gave 0.81."""
    digits = load_digits()
    x = digits.data.astype(np.float32)
    right: dict[type, list[list[float]]] = {Linear: [], Propagate: []}
    for rare, usual in ((3, 8), (9, 4), (1, 7)):
        y = (digits.target == rare).astype(int)
        for seed in range(4):
            random = np.random.default_rng(seed)
            many = random.permutation(np.flatnonzero(digits.target == usual))
            few = random.permutation(np.flatnonzero(digits.target == rare))[: len(many) // 17]
            pool, test = np.concatenate([many[::2], few[::2]]), np.concatenate([many[1::2], few[1::2]])
            labelled = np.concatenate([many[::2][:38], few[::2][:2]])
            for protocol, figures in right.items():
                fitted = protocol().fit(x[labelled], y[labelled], seed=seed, unlabelled=x[pool])
                hit = fitted.predict(x[test]).argmax(1) == y[test]
                figures.append([hit.mean(), np.mean([hit[y[test] == c].mean() for c in (0, 1)])])
    accuracy, balanced = np.mean(right[Propagate], 0)
    assert accuracy > 0.9
    assert balanced > np.mean(right[Linear], 0)[1] + 0.05


@pytest.mark.parametrize(
    "text", ["propagate(strength=-1)", "propagate(most=0)", "propagate(k=0)", "styled(folds=1)", "styled(copies=0)"]
)
def test_settings_that_cannot_be_are_refused_before_anything_is_trained(text: str) -> None:
    with pytest.raises(UserError):
        protocols_of([text])


def test_unlabelled_items_help_where_labels_are_few() -> None:
    """Digits, two labels a class: mean over ten draws, scored on items that took no part."""
    digits = load_digits()
    x, y = digits.data.astype(np.float32), digits.target
    pool, test = np.arange(1200), np.arange(1200, len(y))
    alone, together = [], []
    for seed in range(10):
        random = np.random.default_rng(seed)
        few = np.concatenate([random.permutation(np.flatnonzero(y[pool] == c))[:2] for c in range(10)])
        for scores, protocol in ((alone, Linear()), (together, Propagate())):
            protocol.fit(x[few], y[few], seed=seed, unlabelled=x[pool])
            scores.append(float((protocol.predict(x[test]).argmax(1) == y[test]).mean()))
    assert np.mean(together) > np.mean(alone) + 0.05


def test_without_unlabelled_items_it_is_the_linear_probe() -> None:
    digits = load_digits()
    x, y = digits.data[:200].astype(np.float32), digits.target[:200]
    mine, probe = Propagate().fit(x, y, unlabelled=x), Linear().fit(x, y, unlabelled=x)
    np.testing.assert_array_equal(mine.predict(x), probe.predict(x))


def test_fewer_unlabelled_items_than_labelled_ones_count_as_well() -> None:
    """As in turns, where the pool holds no labelled item; what a batch of another size rounds otherwise is no other."""
    digits = load_digits()
    x, y = digits.data.astype(np.float32), digits.target
    some, rest, test = np.arange(60), np.arange(1000, 1050), x[1100:]
    probe = Linear().fit(x[some], y[some], unlabelled=x[rest]).predict(test)
    assert not np.array_equal(Propagate().fit(x[some], y[some], unlabelled=x[rest]).predict(test), probe)
    near = x[some[:50]] * np.float32(1 + 1e-7)
    linear = Linear().fit(x[some], y[some], unlabelled=near).predict(test)
    np.testing.assert_array_equal(Propagate().fit(x[some], y[some], unlabelled=near).predict(test), linear)
    centres = [Cluster().fit(x[some], y[some], unlabelled=u).means.cluster_centers_ for u in (None, x[rest])]
    assert not np.array_equal(*centres), "heaps are of all items"
