"""Each detector against a slow loop written from its paper, and all of them on digits that they have never seen."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from unlabeled import UserError, catalog
from unlabeled.metrics import detection, separation
from unlabeled.ood import Detector
from unlabeled.protocols.linear import Linear

NAMES = catalog.names("ood")


def load(name: str, **settings: Any) -> Detector:
    found: Detector = catalog.load("ood", name)(**settings)
    return found


@pytest.fixture(scope="module")
def parts() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Digits 0 to 6: to fit on, held out and to test; 7 to 9 are the strangers. Features, labels, logits."""
    x, y = load_digits(return_X_y=True)
    x = x[:, (x.std(0) > 0)]
    known = np.flatnonzero(y < 7)
    fit, held, test = (known[np.arange(len(known)) % 3 == i] for i in range(3))
    probe = Linear(strength=1e-3).fit(x[fit], y[fit])
    rows = {"fit": fit, "held": held, "test": test, "strange": np.flatnonzero(y >= 7)}
    return {k: (x[r], y[r], probe.logits(x[r])) for k, r in rows.items()}


@pytest.mark.parametrize("name", NAMES)
def test_unseen_digits_are_stranger_than_unseen_items_of_known_digits(name: str, parts: Any) -> None:
    found = load(name).fit(*parts["fit"])
    scores = {k: found.score(x, z) for k, (x, _, z) in parts.items()}
    assert scores["test"].shape == (len(parts["test"][0]),) and scores["test"].dtype == np.float64
    figures = separation(scores["test"], scores["strange"])
    assert figures["auroc"] > 0.85, figures
    _, kept, flagged = detection(scores["held"], scores["test"], scores["strange"])
    assert 0.9 < kept.mean() < 0.99 and flagged.mean() > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_detectors_refuse_what_does_not_fit_together(name: str) -> None:
    with pytest.raises(UserError, match="logits"):
        load(name).fit(np.ones((3, 2)), np.zeros(3), np.ones((2, 2)))
    with pytest.raises(UserError, match="not finite"):
        load(name).fit(np.full((3, 2), np.nan), np.zeros(3), np.ones((3, 2)))


def test_energy_and_msp_by_hand() -> None:
    z, x = np.array([[1.0, 2.0], [-3.0, 0.5]]), np.zeros((2, 1))
    for t in (1.0, 2.0):
        by_hand = [-t * math.log(sum(math.exp(v / t) for v in row)) for row in z.tolist()]
        assert np.allclose(load("energy", temperature=t).score(x, z), by_hand)
    by_hand = [1 - max(math.exp(v) for v in row) / sum(math.exp(v) for v in row) for row in z.tolist()]
    assert np.allclose(load("msp").score(x, z), by_hand)
    sure = load("msp").score(x, np.array([[0.0, 50.0], [0.0, 60.0]]))
    assert sure[0] > sure[1] > 0  # no tie by rounding


def test_mahalanobis_is_the_loop(parts: Any) -> None:
    x, y, z = parts["fit"]
    found = load("mahalanobis").fit(x, y, z)
    means = {c: np.mean([v for v, k in zip(x, y, strict=True) if k == c], axis=0) for c in range(7)}
    within = np.array([v - means[k] for v, k in zip(x, y, strict=True)])
    inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(within).covariance_)
    some = parts["strange"][0][:20]
    slow = [min(float((v - m) @ inverse @ (v - m)) for m in means.values()) for v in some]
    assert np.allclose(found.score(some, np.zeros((20, 7))), slow)


def test_knn_is_the_loop(parts: Any) -> None:
    x, y, z = parts["fit"]
    some = parts["strange"][0][:20]
    unit = [v / math.sqrt(float((v * v).sum())) for v in x]
    slow = []
    for v in some:
        v = v / math.sqrt(float((v * v).sum()))
        slow.append(sorted(math.sqrt(float(((v - u) ** 2).sum())) for u in unit)[4])
    assert np.allclose(load("knn", k=5).fit(x, y, z).score(some, np.zeros((20, 7))), slow)


def test_vim_is_the_papers_formula(parts: Any) -> None:
    """With the probe's own weights, which the detector is not given."""
    x, y, z = parts["fit"]
    probe = Linear(strength=1e-3).fit(x, y)
    weights, bias = probe.coefficients()
    origin = -np.linalg.pinv(weights) @ bias
    values, vectors = np.linalg.eig((x - origin).T @ (x - origin) / len(x))
    beyond = vectors.real[:, np.argsort(values.real * -1)[30:]]
    alpha = sum(float(row.max()) for row in z) / sum(float(np.linalg.norm((v - origin) @ beyond)) for v in x)
    some, logits = parts["strange"][0][:20], parts["strange"][2][:20]
    slow = []
    for v, row in zip(some, logits, strict=True):
        virtual = alpha * float(np.linalg.norm(beyond @ beyond.T @ (v - origin)))
        slow.append(math.exp(virtual) / (sum(math.exp(r) for r in row) + math.exp(virtual)))
    fast = load("vim", axes=30).fit(x, y, z).score(some, logits)
    assert np.allclose(1 / (1 + np.exp(-fast)), slow, atol=1e-6)


def test_figures_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        known, strange = random.normal(size=37).round(1), random.normal(0.7, size=23).round(1)  # with ties
        found = separation(known, strange)
        y, s = np.repeat([0, 1], [37, 23]), np.concatenate([known, strange])
        assert found["auroc"] == pytest.approx(roc_auc_score(y, s))
        assert found["aupr_out"] == pytest.approx(average_precision_score(y, s))
        assert found["aupr_in"] == pytest.approx(average_precision_score(1 - y, -s))
        wrong, right, _ = roc_curve(1 - y, -s, drop_intermediate=False)  # known items are the positives
        assert found["fpr95"] == pytest.approx(wrong[np.flatnonzero(right >= 0.95)[0]])
        assert found["base_in"] == pytest.approx(37 / 60) and found["base_out"] == pytest.approx(23 / 60)


def test_fpr95_counts_strangers_not_known_items() -> None:
    """The two conventions differ: of 20 known items one is very strange, of 4 strangers one looks known."""
    known, strange = np.array([*range(19), 100.0]), np.array([10.0, 50.0, 60.0, 70.0])
    assert separation(known, strange)["fpr95"] == 0.25
    assert separation(known, strange)["auroc"] == pytest.approx((9 + 3 * 19 + 0.0 + 1) / 80, abs=0.02)


def test_held_out_items_set_the_threshold() -> None:
    """Over many draws new known items are kept with 95 % or a little more, however few were held out."""
    random = np.random.default_rng(1)
    kept = [detection(random.normal(size=40), random.normal(size=400), np.zeros(1))[1].mean() for _ in range(400)]
    assert 0.945 < np.mean(kept) < 0.965
    with pytest.raises(UserError, match="held-out"):
        detection(np.array([]), np.zeros(1), np.zeros(1))


def test_scores_that_are_no_numbers_give_no_figure() -> None:
    assert math.isnan(separation(np.array([0.0, np.nan]), np.array([1.0]))["auroc"])
