"""The linear probe against scikit-learn's logistic regression, and with hardly any labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from unlabeled import catalog
from unlabeled.data.splits import inner_folds
from unlabeled.errors import UserError
from unlabeled.protocols import linear
from unlabeled.protocols._logistic import Problems, solve
from unlabeled.protocols.cluster import Cluster
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.propagate import Propagate

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def digits() -> Split:
    """Pixels and classes of 400 digits to learn from and 400 to tell."""
    bunch = load_digits()
    x = bunch.data.astype(np.float32)
    return x[:400], bunch.target[:400], x[1000:1400], bunch.target[1000:1400]


def widened(x: np.ndarray) -> np.ndarray:
    """More features than items: random waves of the pixels."""
    return np.cos(x @ np.random.default_rng(0).normal(size=(x.shape[1], 500)) / 30).astype(np.float32)


def standard(x: np.ndarray) -> np.ndarray:
    spread = x.std(0, dtype=np.float64)
    return np.asarray((x - x.mean(0, dtype=np.float64)) / np.where(spread > 1e-6, spread, 1))


def objective(weights: np.ndarray, bias: np.ndarray, z: np.ndarray, y: np.ndarray, strength: float) -> float:
    """Written out item by item: mean log-loss + strength / 2 * |W|^2 with features over the root of their number."""
    total = 0.0
    for row, label in zip(z, y, strict=True):
        logits = weights @ row + bias
        total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label]
    return float(total / len(y) + strength / 2 * z.shape[1] * np.square(weights).sum())


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("pull", [1e-3, 1e-1, 1e1])
def test_reaches_the_optimum_of_scikit_learn(digits: Split, wide: bool, pull: float) -> None:
    x, y, test, _ = digits
    if wide:
        x, test = widened(x), widened(test)
    strength = pull / len(x)
    mine = Linear(strength=strength).fit(x, y)
    z, scale = standard(x), np.where(x.std(0) > 1e-6, x.std(0), 1)
    theirs = LogisticRegression(C=1 / (strength * z.size), tol=1e-7, max_iter=10_000).fit(z, y)
    best = objective(theirs.coef_, theirs.intercept_, z, y, strength)
    assert objective(mine.weights, mine.bias, z, y, strength) <= best * (1 + 1e-6)
    assert mine.objective == pytest.approx(objective(mine.weights, mine.bias, z, y, strength), rel=1e-9)
    expected = theirs.predict_proba((test - x.mean(0, dtype=np.float64)) / scale)
    np.testing.assert_allclose(mine.predict(test), expected, atol=2e-3)
    assert mine.convergence == ""


def test_two_classes_agree_with_scikit_learn_too(digits: Split) -> None:
    x, y, test, _ = digits
    pair, other = y < 2, np.arange(len(test))[:50]
    mine = Linear(strength=0.1 / pair.sum()).fit(x[pair], y[pair])
    z = standard(x[pair])
    # one logit instead of two that sum to 0: the same penalty is half as strong
    theirs = LogisticRegression(C=2 / (mine.strength * z.size), tol=1e-8, max_iter=10_000).fit(z, y[pair])
    moved = (test[other] - mine.mean) / mine.scale
    np.testing.assert_allclose(mine.predict(test[other]), theirs.predict_proba(moved), atol=2e-3)


def test_many_problems_at_once_are_each_the_problem_alone(digits: Split) -> None:
    x, y, _, _ = digits
    z = torch.cat([torch.from_numpy(standard(x)) / 8, torch.ones(len(x), 1, dtype=torch.float64)], 1)
    labels = torch.from_numpy(y)
    items = torch.zeros(3, len(x), dtype=torch.float64)
    for p, part in enumerate((slice(0, 400), slice(0, 300), slice(100, 400))):
        items[p, part] = 1
        items[p] /= items[p].sum()
    strength = torch.tensor([1e-5, 1e-3, 1e-1], dtype=torch.float64)
    together = solve(Problems.of(z, labels, items, strength), torch.zeros(10, 3, 65, dtype=torch.float64), 1e-10, 500)
    assert together.converged.all()
    for p, part in enumerate((slice(0, 400), slice(0, 300), slice(100, 400))):
        alone = Problems.of(z[part], labels[part], items[p : p + 1, part], strength[p : p + 1])
        found = solve(alone, torch.zeros(10, 1, 65, dtype=torch.float64), 1e-10, 500)
        assert together.objective[p].item() == pytest.approx(found.objective[0].item(), rel=1e-8)
        torch.testing.assert_close(together.logits[:, p, part], found.logits[:, 0], atol=1e-2, rtol=1e-2)


def test_takes_the_strength_of_least_held_out_log_loss(digits: Split) -> None:
    x, y, _, _ = digits
    probe = Linear(strengths=5, folds=3).fit(x, y, seed=4)
    grid = np.geomspace(linear.STRONGEST, linear.WEAKEST, 5) / len(x)
    z = standard(x)
    losses = []
    for strength in grid:
        loss = 0.0
        for learn, check in inner_folds(y, None, 3, 4):
            model = LogisticRegression(C=1 / (strength * len(learn) * 64), max_iter=5000).fit(z[learn], y[learn])
            loss -= np.log(model.predict_proba(z[check])[np.arange(len(check)), y[check]]).sum()
        losses.append(loss)
    assert probe.strength == pytest.approx(grid[int(np.argmin(losses))], rel=1e-6)


def test_memory_bound_changes_nothing(digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, test, _ = digits
    whole = Linear(strengths=4).fit(x, y).predict(test)
    monkeypatch.setattr(linear, "BATCH", 1)
    np.testing.assert_allclose(Linear(strengths=4).fit(x, y).predict(test), whole, atol=1e-4)


def test_same_call_same_numbers(digits: Split) -> None:
    x, y, test, _ = digits
    assert np.array_equal(Linear().fit(x, y, seed=1).predict(test), Linear().fit(x, y, seed=1).predict(test))


@pytest.mark.parametrize("each", [1, 2, 5])
def test_few_labels_still_teach(digits: Split, each: int) -> None:
    x, y, test, truth = digits
    rows = np.concatenate([np.flatnonzero(y == c)[:each] for c in range(10)])
    probe = Linear().fit(x[rows], y[rows], unlabelled=x)
    assert (probe.predict(test).argmax(1) == truth).mean() > {1: 0.4, 2: 0.6, 5: 0.7}[each]
    assert probe.strength * len(rows) == pytest.approx(linear.DEFAULT) or each > 1


def test_unlabelled_features_set_the_scale(digits: Split) -> None:
    x, y, _, _ = digits
    rows = np.concatenate([np.flatnonzero(y == c)[:2] for c in range(10)])
    probe = Linear(strength=1e-3).fit(x[rows], y[rows], unlabelled=x)
    np.testing.assert_allclose(probe.mean, x.mean(0, dtype=np.float64), rtol=1e-6)
    spread = x.std(0, dtype=np.float64)
    np.testing.assert_allclose(probe.scale[spread > 0.01], spread[spread > 0.01], rtol=1e-6)
    assert not np.allclose(Linear(strength=1e-3).fit(x[rows], y[rows]).scale, probe.scale)


def test_a_feature_that_never_varies_does_no_harm(digits: Split) -> None:
    x, y, test, _ = digits
    more, also = (np.concatenate([v, np.full((len(v), 1), 1e4, np.float32)], 1) for v in (x, test))
    probe = Linear(strength=1e-3).fit(more, y)
    assert np.isfinite(probe.predict(also)).all() and np.abs(probe.weights[:, -1]).max() < 1e-9


def test_groups_stay_together_in_the_folds(digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _, _ = digits
    groups = np.arange(400) // 20
    seen = []
    monkeypatch.setattr(linear, "inner_folds", lambda *given: seen.append(given) or inner_folds(*given))
    Linear(strengths=3).fit(x, y, groups=groups)
    assert np.array_equal(seen[0][1], groups)


def test_coefficients_and_state_say_the_same(digits: Split, tmp_path: Path) -> None:
    x, y, test, _ = digits
    names = np.array([3, 5, 7, 8, 11, 12, 13, 20, 21, 30])
    probe = Linear(strength=1e-4).fit(x, names[y])
    assert probe.classes.tolist() == names.tolist()
    weights, bias = probe.coefficients()
    logits = torch.from_numpy(test.astype(np.float64) @ weights.T + bias)
    np.testing.assert_allclose(logits.softmax(1), probe.predict(test), atol=1e-6)
    np.savez(tmp_path / "probe.npz", allow_pickle=False, **probe.state())
    with np.load(tmp_path / "probe.npz") as arrays:
        again = Linear.from_state(arrays)
    assert np.array_equal(again.predict(test), probe.predict(test)) and again.strength == probe.strength


def test_a_search_cut_short_is_told(digits: Split) -> None:
    x, y, _, _ = digits
    assert "not converged after 1 steps" in Linear(strength=1e-8, steps=1).fit(x, y).convergence


def test_axes_that_float32_cannot_part_are_found_in_float64(digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, test, _ = digits
    usual, eigh = Linear(strength=1e-3).fit(x, y), torch.linalg.eigh

    def refuses(matrix: torch.Tensor) -> object:
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", refuses)
    again = Linear(strength=1e-3).fit(x, y)
    np.testing.assert_allclose(again.predict(test), usual.predict(test), atol=1e-4)


def test_the_catalog_loads_the_protocol() -> None:
    assert catalog.load("protocols", "linear") is Linear


def test_wrong_input_is_told(digits: Split) -> None:
    x, y, _, _ = digits
    with pytest.raises(UserError, match="strengths=0"):
        Linear(strengths=0)
    with pytest.raises(UserError, match="came with 399 labels"):
        Linear().fit(x, y[:399])
    with pytest.raises(UserError, match="one class only"):
        Linear().fit(x, np.zeros(400, int))
    broken = x.copy()
    broken[3, 5] = np.inf
    with pytest.raises(UserError, match="features of 1 of 400 items are not finite"):
        Linear().fit(broken, y)


@pytest.mark.parametrize("protocol", [Linear, Propagate, Cluster])
@pytest.mark.parametrize("broken", ["labelled", "unlabelled"])
def test_features_that_are_no_numbers_are_one_line(protocol: type, broken: str) -> None:
    """Of the unlabelled ones too, which standardise, spread labels or make heaps."""
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    y, few = np.arange(10) % 2, x[:10].copy()
    (few if broken == "labelled" else x)[3, 1] = np.nan
    with pytest.raises(UserError, match=r"the features of 1 of \d+ items are not finite"):
        protocol().fit(few, y, unlabelled=x)


def test_an_item_that_counts_twice_stands_there_twice(digits: Split) -> None:
    x, y, test, _ = digits
    counts = np.random.default_rng(0).integers(0, 4, len(x))
    spread = {"unlabelled": x}  # the same mean and spread for both
    weighed = Linear(strength=1e-3).fit(x, y, weights=counts, **spread)
    repeated = Linear(strength=1e-3).fit(np.repeat(x, counts, 0), np.repeat(y, counts), **spread)
    np.testing.assert_allclose(weighed.predict(test), repeated.predict(test), atol=1e-3)


@pytest.mark.parametrize("weights", [np.ones(9), np.r_[-1.0, np.ones(9)], np.zeros(10), np.r_[np.nan, np.ones(9)]])
def test_weights_that_are_none_are_one_line(weights: np.ndarray) -> None:
    with pytest.raises(UserError, match="were given for 10 labelled items"):
        Linear(strength=1.0).fit(np.eye(10, dtype=np.float32), np.arange(10) % 2, weights=weights)
