"""Intervals that cover what they should, pairing that pays, and tests worked by hand or by scipy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import f1_score

from unlabeled import stats
from unlabeled.errors import UserError
from unlabeled.metrics import weighted
from unlabeled.significance import holm, paired_t
from unlabeled.stats import crossing, interval, paired_difference, rarer, summarise

Cells = list[tuple[int, int, np.ndarray]]


def planted(truth: float, seeds: int, draws: int, items: int, random: np.random.Generator) -> Cells:
    """Cells with known effects of seed, draw and item around a known mean."""
    s, d, i = random.normal(0, 0.05, seeds), random.normal(0, 0.05, draws), random.normal(0, 0.5, items)
    noise = random.normal(0, 0.3, (seeds, draws, items))
    return [(a, b, truth + s[a] + d[b] + i + noise[a, b]) for a in range(seeds) for b in range(draws)]


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_interval_covers_the_planted_truth(seeds: int) -> None:
    random = np.random.default_rng(0)
    hit = 0
    for trial in range(150):
        s = summarise(planted(0.7, seeds, 5, 80, random), resamples=400, seed=trial)
        hit += s.low <= 0.7 <= s.high
    assert hit / 150 >= (0.85 if seeds == 3 else 0.9)


@pytest.mark.parametrize("source", ["seed", "draw", "item", "group"])
def test_the_width_is_that_of_the_one_source_of_chance(source: str) -> None:
    """With one source alone the interval is the mean -+ 1.96 s / sqrt(n) of its units, however many the others are."""
    random = np.random.default_rng(1)
    n = 40
    effect = random.normal(size=n)
    cells: Cells
    groups = None
    if source == "seed":
        cells = [(s, d, np.full(7, effect[s])) for s in range(n) for d in range(3)]
    elif source == "draw":
        cells = [(s, d, np.full(7, effect[d])) for s in range(3) for d in range(n)]
    elif source == "item":
        cells = [(s, d, effect) for s in range(3) for d in range(3)]
    else:
        groups = np.repeat(np.arange(n), 5)
        cells = [(s, d, effect[groups]) for s in range(3) for d in range(3)]
    s = summarise(cells, groups=groups, resamples=4000)
    half = 1.96 * effect.std(ddof=1) / math.sqrt(n)
    assert s.mean == pytest.approx(effect.mean())
    assert s.high - s.low == pytest.approx(2 * half, rel=0.08)


def test_items_that_were_tested_on_in_turns_count_for_fewer() -> None:
    """By 1 + 5 / 4 in the variance that is theirs; what comes from seeds is not theirs."""
    random = np.random.default_rng(6)
    right = random.random(80) < 0.7
    for told in (summarise, lambda cells, turns=1: paired_difference(cells, [(0, 0, np.zeros(80))], turns=turns)):
        once, turns = told([(0, 0, right)]), told([(0, 0, right)], turns=5)
        assert (turns.high - turns.low) / (once.high - once.low) == pytest.approx(1.5, rel=1e-6)
    of_seeds = [(s, 0, np.full(80, v)) for s, v in enumerate(random.random(5))]
    once, turns = summarise(of_seeds), summarise(of_seeds, turns=5)
    assert (turns.low, turns.high) == pytest.approx((once.low, once.high))
    alike = summarise([(0, 0, np.ones(80))], turns=5)
    assert alike.low == pytest.approx(0.025 ** (2.25 / 80))


def test_the_interval_of_turns_covers_the_accuracy_of_their_fits() -> None:
    """Nearest class means from 40 labels: without regard to the turns too few intervals hold the truth."""
    random = np.random.default_rng(7)
    x_all, y_all = random.normal(size=(4000, 12)), random.integers(0, 2, 4000)
    x_all[:, 0] += y_all
    held = {1: 0, 5: 0}
    for _ in range(150):
        x, y = random.normal(size=(40, 12)), np.arange(40) % 2
        x[:, 0] += y
        part, right, truth = np.arange(40) // 2 % 5, np.zeros(40), []
        for turn in range(5):
            learn = part != turn
            low, high = (x[learn & (y == c)].mean(0) for c in (0, 1))
            axis, middle = high - low, (high + low) / 2
            right[~learn] = ((x[~learn] - middle) @ axis > 0) == y[~learn]
            truth.append((((x_all - middle) @ axis > 0) == y_all).mean())
        for turns in held:
            s = summarise([(0, 0, right)], turns=turns, resamples=400)
            held[turns] += bool(s.low <= np.mean(truth) <= s.high)
    assert held[1] / 150 < 0.95 <= held[5] / 150


def test_draws_of_their_own_seed_are_resampled_within_it() -> None:
    random = np.random.default_rng(2)
    effect = random.normal(size=40)
    nested = summarise([(s, 40 * s + d, np.full(5, effect[s])) for s in range(40) for d in range(2)], resamples=4000)
    crossed = summarise([(s, d, np.full(5, effect[s])) for s in range(40) for d in range(2)], resamples=4000)
    assert nested.high - nested.low == pytest.approx(crossed.high - crossed.low, rel=0.08)


def test_mean_spread_and_number_are_those_of_the_cells() -> None:
    cells = planted(0.5, 3, 2, 11, np.random.default_rng(3))
    s = summarise(cells)
    means = [float(v.mean()) for _, _, v in cells]
    assert (s.mean, s.sd, s.n, s.seeds) == (pytest.approx(np.mean(means)), pytest.approx(np.std(means, ddof=1)), 6, 3)
    assert math.isnan(summarise(cells[:1]).sd)
    assert summarise(cells) == s and summarise(cells, seed=1).low != s.low


def test_pairing_takes_out_what_both_share() -> None:
    random = np.random.default_rng(4)
    b = planted(0.7, 5, 3, 60, random)
    a = [(s, d, v + 0.02 + random.normal(0, 0.05, 60)) for s, d, v in b]
    d, sa, sb = paired_difference(a, b), summarise(a), summarise(b)
    assert d.low < 0.02 < d.high and d.low > 0
    assert sa.low < sb.high  # the two bars overlap, and yet the difference is sure
    assert d.probability == 1 and d.p < 0.05 and d.n == 15 and d.caution == ""
    back = paired_difference(b, a)
    assert (back.difference, back.probability) == (pytest.approx(-d.difference), 0) and back.high < 0


def test_only_cells_that_both_have_are_paired_in_whatever_order() -> None:
    one, two = np.array([1.0, 0, 1]), np.array([0.0, 0, 1])
    a = [(0, 0, one), (1, 0, one), (2, 0, two)]
    b = [(2, 0, two), (7, 0, one), (0, 0, two)]
    d = paired_difference(a, b)
    assert d.n == 2 and d.difference == pytest.approx(1 / 6) and d.probability == 0.75
    with pytest.raises(UserError, match="share no pair"):
        paired_difference(a, [(9, 0, one)])


def test_few_seeds_give_a_sentence_and_no_p_value() -> None:
    cells = planted(0.7, 4, 3, 30, np.random.default_rng(5))
    d = paired_difference(cells, [(s, d, v - 1) for s, d, v in cells])
    assert math.isnan(d.p) and d.caution.startswith("not enough seeds (4 of 5)")
    assert summarise(cells).caution == d.caution


@pytest.mark.parametrize(("seeds", "draws"), [(2, 1), (3, 1), (3, 3)])
def test_two_that_are_equal_are_rarely_told_apart_by_few_seeds(seeds: int, draws: int) -> None:
    """Where seeds differ more than test items, 95 % of a normal law would be 78 to 89 %."""
    random = np.random.default_rng(12)
    false = 0
    for trial in range(200):
        pair = []
        for _ in range(2):
            effect = random.normal(0, 0.02, seeds)
            hit = [random.random(2000) < 0.8 + e for e in effect]
            pair.append([(s, d, hit[s].astype(float)) for s in range(seeds) for d in range(draws)])
        told = paired_difference(pair[0], pair[1], resamples=300, seed=trial)
        false += told.low > 0 or told.high < 0
    assert false / 200 <= 0.1


def test_one_item_alone_has_no_interval_and_items_that_are_all_alike_have_one() -> None:
    alone = summarise([(0, 0, np.ones(1)), (1, 0, np.ones(1))])
    assert alone.mean == 1 and math.isnan(alone.low) and math.isnan(alone.high)
    group = summarise([(0, 0, np.ones(9))], groups=np.zeros(9))
    assert math.isnan(group.low)
    all_right = summarise([(0, 0, np.ones(20))])
    exact = scipy_stats.beta.ppf(0.025, 20, 1)
    assert (all_right.low, all_right.high) == (pytest.approx(exact), 1)
    none = summarise([(0, 0, np.zeros(20))])
    assert (none.low, none.high) == (0, pytest.approx(1 - exact))
    same = paired_difference([(0, 0, np.ones(20))], [(0, 0, np.ones(20))])
    assert same.difference == 0 and same.low == pytest.approx(exact - 1) and same.high == pytest.approx(1 - exact)


def test_a_share_stays_a_share() -> None:
    told = summarise([(s, 0, np.r_[np.ones(29), float(s > 0)]) for s in range(2)])
    assert 0 <= told.low < told.mean < told.high <= 1


def test_p_is_the_paired_t_over_seeds() -> None:
    random = np.random.default_rng(6)
    a, b = planted(0.7, 6, 2, 30, random), planted(0.68, 6, 2, 30, random)
    by_seed = [[np.mean([v.mean() for s, _, v in cells if s == seed]) for seed in range(6)] for cells in (a, b)]
    assert paired_difference(a, b).p == pytest.approx(scipy_stats.ttest_rel(*by_seed).pvalue)


def test_a_run_that_broke_shows_in_the_figure() -> None:
    cells = planted(0.7, 3, 1, 10, np.random.default_rng(7))
    cells[1] = (1, 0, np.full(10, np.nan))
    assert math.isnan(summarise(cells).mean) and math.isnan(summarise(cells).low)
    assert math.isnan(paired_difference(cells, cells).probability)


def test_macro_f1_is_resampled_as_a_metric() -> None:
    random = np.random.default_rng(8)
    truth = random.integers(0, 3, 200)
    cells = [(s, 0, np.where(random.random(200) < 0.8, truth, random.integers(0, 3, 200))) for s in range(3)]
    worse = [(s, 0, np.where(random.random(200) < 0.5, v, 0)) for s, _, v in cells]
    metric = weighted("macro_f1", truth, 3)
    named, cells, worse = cells, *([(s, d, np.eye(3)[v]) for s, d, v in some] for some in (cells, worse))
    s = summarise(cells, metric=metric)
    assert s.mean == pytest.approx(np.mean([f1_score(truth, v, average="macro") for _, _, v in named]))
    assert s.low < s.mean < s.high
    d = paired_difference(cells, worse, metric=metric)
    assert d.low > 0 and d.difference == pytest.approx(s.mean - summarise(worse, metric=metric).mean)


@pytest.mark.parametrize(("few", "gap"), [(10, 2.5), (20, 3.0)])
def test_the_interval_of_a_good_ranking_holds_the_truth(few: int, gap: float) -> None:
    """A few items are ill and rank well above the others: quantiles of resamples held it in 81 and 83 % of trials."""
    random, ill = np.random.default_rng(3), np.arange(200 + few) >= 200
    truth, held = scipy_stats.norm.cdf(gap / math.sqrt(2)), 0
    measure = weighted("auroc", ill.astype(int), 2)
    for trial in range(150):
        risk = 1 / (1 + np.exp(-(random.normal(size=len(ill)) + gap * ill)))
        cell = (0, 0, np.stack([1 - risk, risk], 1))
        told = summarise([cell], metric=measure, resamples=300, seed=trial, rare=rarer(ill))
        assert 0 <= told.low <= told.mean <= told.high <= 1
        held += told.low <= truth <= told.high
    assert held / 150 >= 0.9


def test_the_difference_of_two_rankings_of_few_ill_items_holds_the_truth() -> None:
    """Two that rank alike, by three ill items among 200: freedom as that of all items held it in 82 % of trials."""
    random, ill, held = np.random.default_rng(4), np.arange(200) >= 197, 0
    measure = weighted("auroc", ill.astype(int), 2)
    for trial in range(150):
        shared = 1.2 * ill + random.normal(0, 0.5, len(ill))
        risks = [1 / (1 + np.exp(-shared - random.normal(size=len(ill)))) for _ in range(2)]
        a, b = ([(0, 0, np.stack([1 - risk, risk], 1))] for risk in risks)
        told = paired_difference(a, b, metric=measure, resamples=200, seed=trial, rare=rarer(ill))
        held += told.low <= 0 <= told.high
    assert held / 150 >= 0.92


def test_a_metric_that_is_the_mean_gives_the_interval_of_the_mean() -> None:
    """Of a difference the very same; of a figure one as wide, but even in the log-odds."""
    a, b = (planted(m, 3, 3, 50, np.random.default_rng(9)) for m in (0.7, 0.6))

    def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.asarray(weights @ values / weights.sum(1))

    plain, same = summarise(a), summarise(a, metric=mean)
    assert (plain.mean, plain.high - plain.low) == (
        pytest.approx(same.mean),
        pytest.approx(same.high - same.low, rel=0.1),
    )
    odds = [math.log(p / (1 - p)) for p in (same.low, same.mean, same.high)]
    assert odds[1] == pytest.approx((odds[0] + odds[2]) / 2)
    first, second = paired_difference(a, b), paired_difference(a, b, metric=mean)
    assert (first.low, first.high) == (pytest.approx(second.low), pytest.approx(second.high))


def test_pieces_of_the_table_change_nothing_but_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = planted(0.7, 8, 3, 50, np.random.default_rng(10))
    whole = summarise(cells)
    monkeypatch.setattr(stats, "TABLE", 5000)
    pieces = summarise(cells)
    assert pieces.high - pieces.low == pytest.approx(whole.high - whole.low, rel=0.1)


def test_interval_is_students() -> None:
    values = np.array([0.81, 0.84, 0.79, 0.9])
    low, high = interval(values, level=0.9)
    expected = scipy_stats.t.interval(0.9, 3, values.mean(), scipy_stats.sem(values))
    assert (low, high) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    assert all(math.isnan(end) for end in interval(values[:1]))


def test_paired_t_is_scipys_and_corrects_overlapping_splits() -> None:
    d = np.array([0.02, 0.05, 0.01, 0.04, 0.03, -0.01])
    assert paired_t(d) == pytest.approx(scipy_stats.ttest_1samp(d, 0).pvalue)
    t = d.mean() / math.sqrt(d.var(ddof=1) * (1 / 6 + 1 / 9))  # Nadeau and Bengio, 10 % test items
    assert paired_t(d, test_share=1 / 9) == pytest.approx(2 * scipy_stats.t.sf(t, 5)) and paired_t(d) < 0.05
    assert paired_t(np.zeros(5)) == 1 and paired_t(np.full(5, 0.25)) == 0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    out = holm([0.02, float("nan"), 0.03])
    assert math.isnan(out[1]) and out[[0, 2]].tolist() == pytest.approx([0.04, 0.04])


def test_crossing_is_where_the_straight_line_in_log_labels_meets() -> None:
    labels, scores = np.array([1000, 10, 100]), np.array([0.9, 0.5, 0.7])
    assert crossing(labels, scores, 0.6) == pytest.approx(10**1.5)
    assert crossing(labels, scores, 0.7) == pytest.approx(100)
    assert crossing(labels, scores, 0.4) == 10
    assert crossing(labels, scores, 0.95) is None
    assert crossing(np.array([10, 100, 1000]), np.array([0.5, 0.8, 0.7]), 0.75) == pytest.approx(10 ** (1 + 5 / 6))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: summarise([]), "the cells hold"),
        (lambda: summarise([(0, 0, np.ones(3)), (1, 0, np.ones(4))]), r"\[3, 4\] test items"),
        (lambda: summarise([(0, 0, np.ones(3))], groups=np.ones(2)), "2 groups came with 3 test items"),
    ],
)
def test_wrong_input_is_told(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        call()


def test_cells_may_be_uneven() -> None:
    cells = planted(0.7, 3, 3, 20, np.random.default_rng(11))
    s = summarise(cells[:4] + cells[5:])
    assert s.low < s.mean < s.high and s.n == 8
