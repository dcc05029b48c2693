"""Label spreading against the dense formula and against the probe that sees the labels alone."""

import numpy as np
from sklearn.datasets import load_digits

from unlabeled.protocols.linear import Linear
from unlabeled.protocols.propagate import Propagate, spread


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
