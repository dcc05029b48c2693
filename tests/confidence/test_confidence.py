"""What the figures of trust promise, against slow formulas and by simulation where the truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import beta

import unlabeled as ul
from unlabeled.confidence import calibration, conformal, ensemble, selective
from unlabeled.confidence.temperature import temperature
from unlabeled.deploy.decide import Limits
from unlabeled.deploy.figures import figures
from unlabeled.metrics import report


def drawn(n: int, classes: int, heat: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic logits of a model that is exactly calibrated once divided by `heat`."""
    random = np.random.default_rng(seed)
    honest = random.normal(size=(n, classes)) * 2
    p = softmax(honest, 1)
    labels = (p.cumsum(1) < random.uniform(size=(n, 1))).sum(1)
    return honest * heat, labels


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_temperature_finds_the_one_that_was_planted(heat: float) -> None:
    logits, labels = drawn(20_000, 5, heat, 0)
    assert temperature(logits, labels) == pytest.approx(heat, rel=0.05)


def test_temperature_is_bounded_where_every_answer_is_right() -> None:
    assert temperature(np.tile(np.eye(4) / 3, (5000, 1)), np.arange(20_000) % 4) == pytest.approx(0.1, abs=1e-3)
    with pytest.raises(ul.UserError, match="logits of shape"):
        temperature(np.zeros((0, 2)), np.zeros(0, int))


@pytest.mark.parametrize("n", [4, 20, 100])
def test_few_right_answers_do_not_make_a_classifier_certain(n: int) -> None:
    """However large its logits are, and whatever it says of a class that nobody has seen."""
    logits = np.repeat([[9.0, 0.0, -40.0]], n, 0)
    sure = softmax(logits / temperature(logits, np.zeros(n, int)), 1)[0, 0]
    assert sure == pytest.approx(n / (n + 0.5), abs=0.02)


def test_small_calibrations_cost_little_on_new_items() -> None:
    """Of a classifier that is as sure as it may be, and nearly always right."""
    lost, honest = [], []
    for seed in range(60):
        logits, labels = drawn(2_010, 5, 1.0, seed)
        logits, labels = logits * 4, np.where(np.arange(2_010) % 20, logits.argmax(1), labels)
        told = log_softmax(logits[10:] / temperature(logits[:10], labels[:10]), 1)
        lost.append(-told[np.arange(2_000), labels[10:]].mean())
        best = log_softmax(logits[10:] / temperature(logits[10:], labels[10:]), 1)
        honest.append(-best[np.arange(2_000), labels[10:]].mean())
    assert np.mean(lost) < 1.6 * np.mean(honest) and np.max(lost) < 3 * np.mean(honest)


def test_conformal_coverage_is_the_beta_law() -> None:
    covered = []
    for seed in range(400):
        logits, labels = drawn(400 + 49, 4, 1.0, seed)
        p = softmax(logits, 1)
        limit = conformal.quantile(conformal.scores(p[:49], labels[:49]), 0.9)
        covered.append(conformal.report(conformal.sets(p[49:], limit), labels[49:])["coverage"])
    low, high = conformal.expected(49, 0.9)
    inside = np.mean([(low - 0.03 <= c) and (c <= high + 0.03) for c in covered])  # 0.03: two sd of 400 test items
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)  # 45 of 50: exactly the promise
    assert inside > 0.93


def test_conformal_by_class_covers_each_class() -> None:
    logits, labels = drawn(8000, 3, 1.0, 1)
    logits[:, 2] -= 1.5  # a class that the model neglects
    p = softmax(logits, 1)
    half = slice(0, 4000), slice(4000, None)
    held = conformal.scores(p[half[0]], labels[half[0]])
    whole = conformal.sets(p[half[1]], conformal.quantile(held, 0.9))
    own = conformal.sets(p[half[1]], conformal.quantiles(held, labels[half[0]], 3, 0.9))
    assert conformal.report(whole, labels[half[1]])["worst_class"] < 0.8
    assert conformal.report(own, labels[half[1]])["worst_class"] > 0.87


def test_too_few_items_promise_nothing_and_hold_everything() -> None:
    assert conformal.sets(np.array([[0.999, 0.001]]), conformal.quantile(np.zeros(8), 0.9)).all()
    with pytest.raises(ul.UserError, match=r"coverage of 1\.0"):
        conformal.quantile(np.zeros(8), 1.0)


def slow_ece(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    total = 0.0
    for b in range(bins):
        mine = [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins or (b == 0 and c == 0)]
        if mine:
            total += abs(sum(confidence[i] for i in mine) - sum(right[i] for i in mine))
    return total / len(confidence)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_against_a_loop(pairs: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    assert calibration.error(confidence, right, bins=7) == pytest.approx(slow_ece(confidence, right, 7), abs=1e-9)
    table = calibration.table(confidence, right, bins=7)
    assert sum(b.count for b in table) == len(pairs)
    assert sum(b.count * abs(b.confidence - b.accuracy) for b in table) / len(pairs) == pytest.approx(
        calibration.error(confidence, right, bins=7), abs=1e-9
    )


def slow_mass_ece(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """Items of one confidence are one lump, which lies where its middle item does."""
    order, total, gaps = sorted(set(confidence.tolist())), len(confidence), [0.0] * bins
    for value in order:
        below, mine = int((confidence < value).sum()), np.flatnonzero(confidence == value)
        middle = below + (len(mine) - 1) / 2
        gaps[int(middle * bins / total)] += len(mine) * value - right[mine].sum()
    return sum(abs(g) for g in gaps) / total


def test_bins_of_equal_mass_do_not_hang_on_the_order_of_the_items() -> None:
    """Classes stand one after the other, and many answers are equally sure: an honest model is not off by 32 %."""
    confidence, right = np.full(1000, 0.8), np.arange(1000) < 800
    assert calibration.error(confidence, right, mass=True) == pytest.approx(0.0, abs=1e-9)
    random = np.random.default_rng(0)
    confidence = random.choice([0.5, 0.7, 0.9, 0.99, 1.0], 300)
    right = np.sort(random.uniform(size=300) < confidence)
    turned = random.permutation(300)
    found = calibration.error(confidence, right, bins=7, mass=True)
    assert found == pytest.approx(slow_mass_ece(confidence, right, 7), abs=1e-9)
    assert found == pytest.approx(calibration.error(confidence[turned], right[turned], bins=7, mass=True), abs=1e-9)


def test_calibration_error_is_the_one_of_the_study_and_mass_bins_are_even() -> None:
    logits, labels = drawn(500, 3, 2.0, 3)
    p = softmax(logits, 1)
    top, right = p.max(1), p.argmax(1) == labels
    assert calibration.error(top, right) == pytest.approx(report(p, labels, ["a", "b", "c"])["ece"])
    assert set(np.bincount(calibration.numbers(top, 10, mass=True))) == {50}
    low, high = calibration.interval(lambda rows: calibration.error(top[rows], right[rows]), 500, resamples=200)
    assert low < high and high > calibration.error(top, right)
    assert calibration.classwise(p, labels) > 0


def test_bootstrap_resamples_whole_groups() -> None:
    groups = np.repeat(np.arange(10), 50)
    values = np.repeat(np.arange(10) % 2, 50)
    of_items = calibration.interval(lambda r: float(values[r].mean()), 500, resamples=300)
    of_groups = calibration.interval(lambda r: float(values[r].mean()), 500, groups=groups, resamples=300)
    assert of_groups[1] - of_groups[0] > 3 * (of_items[1] - of_items[0])


def test_one_group_has_no_interval_and_items_that_are_all_right_are_not_sure_to_stay_so() -> None:
    one = calibration.interval(lambda rows: 0.72, 50, groups=np.zeros(50), resamples=20)
    assert all(np.isnan(end) for end in one)
    low, high = calibration.interval(lambda rows: 1.0, 20, resamples=20)
    assert low == pytest.approx(beta.ppf(0.025, 20, 1)) and high == 1


def test_risk_and_coverage_against_a_loop() -> None:
    random = np.random.default_rng(0)
    confidence, right = random.permutation(50) / 50, random.uniform(size=50) < 0.7
    order = np.argsort(-confidence)
    slow = np.mean([1 - right[order[: k + 1]].mean() for k in range(50)])
    assert selective.aurc(confidence, right) == pytest.approx(slow)
    assert selective.excess(right + confidence / 10, right) == pytest.approx(0, abs=1e-6)
    assert selective.curve(np.ones(50), right)[0].tolist() == [1.0]


def test_an_ensemble_averages_and_knows_where_it_disagrees() -> None:
    members = np.stack([softmax(np.random.default_rng(s).normal(size=(6, 3)), 1) for s in range(5)])
    assert ensemble.mean(members).sum(1) == pytest.approx(np.ones(6))
    assert (ensemble.disagreement(members) > 0).all()
    assert ensemble.disagreement(np.repeat(members[:1], 5, 0)) == pytest.approx(np.zeros(6), abs=1e-12)
    with pytest.raises(ul.UserError, match="two members"):
        ensemble.mean(members[:1])


def test_what_chance_gives_an_honest_model_is_what_such_models_show() -> None:
    random = np.random.default_rng(5)
    shown = []
    for _ in range(300):
        c = random.uniform(0.4, 1, 400)
        shown.append(calibration.error(c, random.uniform(size=400) < c))
    mean, most = calibration.chance(random.uniform(0.4, 1, 400))
    assert mean == pytest.approx(np.mean(shown), abs=0.004) and mean > 0.03
    assert np.mean(np.array(shown) > most) == pytest.approx(0.05, abs=0.04)
    assert calibration.chance(np.ones(50)) == (0.0, 0.0)


def test_label_sets_of_one_class_each_may_yet_be_larger() -> None:
    """Of 20 items all sets hold one class: one in six may hold all four, or none, and was not among them."""
    p = np.full((20, 4), 0.01) + 0.96 * np.eye(4)[np.arange(20) % 4]
    limits = Limits("abcd", 0.9, np.full(4, 0.5), 1.0)
    size = figures({"probabilities": p, "strangeness": np.zeros(20)}, np.arange(20) % 4, limits)["size"]
    assert size["value"] == 1.0
    assert size["high"] == pytest.approx(1 + 3 * (1 - 0.025 ** (1 / 20)))
    assert size["low"] == pytest.approx(0.025 ** (1 / 20))
