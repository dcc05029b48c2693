"""Rules without learning: against slow loops, and blind to what they promise not to see."""

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from unlabeled import catalog
from unlabeled.arms import Plain
from unlabeled.data.store import Store
from unlabeled.modalities.series import Series


def store(gaps: bool = True) -> Store:
    random = np.random.default_rng(0)
    x = random.normal(size=(12, 3, 40)).cumsum(2).astype(np.float32)
    x[:, 0] = 1
    if gaps:
        x[:, 1:][random.uniform(size=(12, 2, 40)) < 0.3] = np.nan
        x[3, 1] = np.nan
    return Store(x)


def rule(name: str, gaps: bool = True, seed: int = 0) -> tuple[Plain, Store, Series]:
    there = store(gaps)
    look = Series(size=40, channels=3, missing=gaps)
    made: Plain = catalog.load("arms", name)()
    return made.fit(there, np.arange(8), look, seed), there, look


@pytest.mark.parametrize(
    "name", [n for n in catalog.names("arms") if "series" in catalog.entry("arms", n).facts["modalities"]]
)
def test_features_are_finite_and_an_items_own(name: str) -> None:
    made, there, look = rule(name)
    whole = made.features(there, np.arange(12), look)
    assert whole.dtype == np.float32 and np.isfinite(whole).all()
    np.testing.assert_allclose(made.features(there, np.array([5, 3]), look), whole[[5, 3]], rtol=1e-3, atol=1e-4)


def test_statistics_are_those_of_what_was_measured() -> None:
    made, there, look = rule("statistics")
    x = there.array[7, 1]
    known = x[~np.isnan(x)].astype(float)
    mean, spread, low, first, middle, third, high = made.features(there, np.array([7]), look)[0][:7]
    assert [mean, spread, low, high] == pytest.approx([known.mean(), known.std(), known.min(), known.max()], rel=1e-4)
    ordered = np.sort(known)
    expected = [ordered[round(q * (len(known) - 1))] for q in (0.25, 0.5, 0.75)]
    assert [first, middle, third] == pytest.approx(expected, rel=1e-5)
    slope = made.features(there, np.array([7]), look)[0][7]
    assert slope == pytest.approx(scipy_stats.linregress(np.flatnonzero(~np.isnan(x)), known).slope, rel=1e-4)


def test_the_slope_is_that_of_what_was_measured_wherever_it_stands() -> None:
    x = np.full((2, 2, 40), np.nan, np.float32)
    x[:, 0] = 1
    x[0, 1, 20:] = 2 * np.arange(20)  # the second half alone
    x[1, 1, 30:32] = [0, 3]  # two moments
    made, look = catalog.load("arms", "statistics")(), Series(size=40, channels=2, missing=True)
    assert made.features(Store(x), np.arange(2), look)[:, 7].tolist() == pytest.approx([2.0, 3.0])


def test_gaps_never_see_a_value() -> None:
    made, there, look = rule("gaps")
    other = Store(np.where(np.isnan(there.array), np.nan, there.array * 100 + 7).astype(np.float32))
    rows = np.arange(12)
    np.testing.assert_array_equal(made.features(there, rows, look), made.features(other, rows, look))
    assert made.features(there, np.array([3]), look)[0][0] == 0.0  # a variable that was never measured


def test_kernels_are_convolutions() -> None:
    made, there, look = rule("kernels", gaps=False)
    weight, bias, dilation, padded = made.alike[0]  # type: ignore[attr-defined]
    x = look.plain(there.batch(np.array([4])))[0, 1:3].double().numpy()
    pad = (weight.shape[2] - 1) * dilation // 2 if padded else 0
    x = np.pad(x, ((0, 0), (pad, pad)))
    reach = (weight.shape[2] - 1) * dilation
    w = weight[0].double().numpy()
    slow = [bias[0].item() + (w * x[:, t : t + reach + 1 : dilation]).sum() for t in range(x.shape[1] - reach)]
    found = made.features(there, np.array([4]), look)[0]
    assert found[0] == pytest.approx(np.mean(np.array(slow) > 0))
    assert found[len(weight)] == pytest.approx(max(slow), rel=1e-4)


def test_kernels_follow_their_seed() -> None:
    a, b, c = (rule("kernels", seed=s)[0].alike[0][0] for s in (0, 0, 1))  # type: ignore[attr-defined]
    assert torch.equal(a, b) and (a.shape != c.shape or not torch.equal(a, c))
