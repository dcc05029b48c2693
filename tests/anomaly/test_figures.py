"""Figures of merit and thresholds beside slow loops, scikit-learn, and values worked by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from unlabeled.anomaly import _figures as figures
from unlabeled.anomaly import _threshold as threshold
from unlabeled.data.splits import unit_numbers
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError

scores = st.lists(st.integers(0, 12).map(float), min_size=1, max_size=30).map(np.array)


@given(scores, scores)
@settings(deadline=None, max_examples=60)
def test_areas_agree_with_scikit_learn_also_on_ties(faulty: np.ndarray, good: np.ndarray) -> None:
    y, s = np.repeat([1, 0], [len(faulty), len(good)]), np.concatenate([faulty, good])
    assert figures.auroc(faulty, good) == pytest.approx(roc_auc_score(y, s))
    assert figures.average_precision(faulty, good) == pytest.approx(average_precision_score(y, s))


@given(scores, scores)
@settings(deadline=None, max_examples=60)
def test_the_oracle_is_the_best_of_all_thresholds(faulty: np.ndarray, good: np.ndarray) -> None:
    tried = [figures.f1(faulty, good, t) for t in [-1.0, *faulty, *good]]
    assert figures.f1_oracle(faulty, good) == pytest.approx(max(tried))


def test_f1_by_hand() -> None:
    # above 2: hits 3 and 4, one false alarm (5), one miss: precision 2/3, recall 2/3
    assert figures.f1(np.array([1.0, 3, 4]), np.array([0.0, 2, 5]), 2.0) == pytest.approx(2 / 3)


def pro_by_thresholds(maps: list[np.ndarray], masks: list[np.ndarray], limit: float) -> float:
    """PRO as its authors write it: at every threshold the regions' mean overlap, then trapezoids up to `limit`."""
    good = np.concatenate([m[~k] for m, k in zip(maps, masks, strict=True)])
    regions = []
    for m, k in zip(maps, masks, strict=True):
        labels, count = ndimage.label(k, np.ones((3, 3)))
        regions += [m[labels == i + 1] for i in range(count)]
    steps = np.unique(np.concatenate([*maps]))[::-1]
    fpr = [0.0] + [float((good >= t).mean()) for t in steps]
    pro = [0.0] + [float(np.mean([(r >= t).mean() for r in regions])) for t in steps]
    x = np.unique(np.concatenate([fpr, [limit]]))
    area = 0.0
    for a, b in pairwise(x):
        if b <= limit:  # at an FPR that several thresholds share the curve jumps: enter high, leave low
            high = max(p for f, p in zip(fpr, pro, strict=True) if f <= a)
            at_b = [p for f, p in zip(fpr, pro, strict=True) if f == b]
            after = min((f, p) for f, p in zip(fpr, pro, strict=True) if f >= b)
            before = max((f, p) for f, p in zip(fpr, pro, strict=True) if f <= a)
            low = min(at_b) if at_b else before[1] + (after[1] - before[1]) * (b - before[0]) / (after[0] - before[0])
            area += (b - a) * (high + low) / 2
    return area / limit


@pytest.mark.parametrize("levels", [0, 6])
@pytest.mark.parametrize("limit", [0.3, 1.0])
def test_pro_agrees_with_a_loop_over_thresholds(levels: int, limit: float) -> None:
    rng = np.random.default_rng(levels)
    maps, masks = [], []
    for i in range(5):
        mask = ndimage.binary_dilation(rng.random((14, 11)) < 0.02, iterations=1) if i else np.zeros((14, 11), bool)
        m = rng.random((14, 11)) + 0.5 * mask
        maps.append(np.floor(m * levels) if levels else m)
        masks.append(mask)
    pixels = figures.Pixels()
    for m, k in zip(maps, masks, strict=True):
        pixels.add(m, k, "dent" if k.any() else "")
    regions = pixels.regions["dent"]
    good = np.sort(np.concatenate(pixels.good))
    mine = np.mean([figures.overlap(r, good, limit) for r in regions])
    rounded = [m.astype(np.float32).astype(np.float64) for m in maps]
    assert mine == pytest.approx(pro_by_thresholds(rounded, masks, limit), abs=1e-6)
    if limit == figures.LIMIT:
        assert pixels.figures()["all"]["pro"] == pytest.approx(mine)


def test_pro_counts_a_small_region_as_much_as_a_large_one() -> None:
    """By hand: the large region is found before any false alarm, the small one never: 1/2."""
    map_, mask = np.zeros((8, 8)), np.zeros((8, 8), bool)
    mask[:4, :4], mask[7, 7] = True, True
    map_[:4, :4], map_[7, 7] = 9.0, -1.0
    pixels = figures.Pixels()
    pixels.add(map_, mask, "dent")
    found = pixels.figures()["dent"]
    assert found["pro"] == pytest.approx(0.5)
    assert found["regions"] == 2
    assert found["auroc"] == pytest.approx(16 / 17)
    assert found["share"] == pytest.approx(17 / 64)


def test_good_pixels_of_all_items_count_for_every_kind() -> None:
    pixels = figures.Pixels()
    mask = np.eye(4, dtype=bool)
    pixels.add(np.where(mask, 5.0, 0.0), mask, "dent")
    pixels.add(np.full((4, 4), 7.0), np.zeros((4, 4), bool), "")
    pixels.add(np.where(mask, 8.0, 0.0), mask, "scratch")
    found = pixels.figures()
    assert found["scratch"]["auroc"] == 1.0
    assert found["dent"]["auroc"] == pytest.approx(24 / 40)  # 16 good pixels of another item lie above
    assert found["all"]["regions"] == 2


def test_figures_of_items_by_kind() -> None:
    s = np.array([0.0, 1.0, 2.0, 1.5, 3.0])
    found = figures.images(s, ["", "", "", "dent", "scratch"], 1.75)
    assert found["dent"]["auroc"] == pytest.approx(2 / 3)
    assert found["scratch"]["auroc"] == 1.0
    everything = found["all"]
    assert everything["auroc"] == pytest.approx(5 / 6)
    assert {k: everything[k] for k in ("f1", "f1_oracle", "found", "n")} == {
        "f1": 0.5, "f1_oracle": 0.8, "found": 0.5, "n": 2,
    }  # fmt: skip
    assert everything["auroc_low"] < 5 / 6 < everything["auroc_high"] <= 1
    assert (everything["found_low"], everything["found_high"]) == pytest.approx((0.0126, 0.9874), abs=1e-4)
    assert np.isnan([found["dent"]["auroc_low"], found["dent"]["auroc_high"]]).all()  # a dent alone


def test_the_interval_of_an_auroc_holds_the_truth_and_regards_groups() -> None:
    """Normal scores one apart have an AUROC of 0.76; eight pictures of a part that is odd are not eight parts."""
    random = np.random.default_rng(3)
    ill, part = np.repeat([False, True], 40), np.repeat(np.arange(10), 8)
    held = {True: 0, False: 0}
    for _ in range(100):
        scores = random.normal(size=80) + random.normal(size=10)[part] + ill * np.sqrt(2)
        for known in held:
            low, high = figures.between(scores, ill, part if known else np.arange(80))
            held[known] += low <= 0.7602 <= high
    assert held[True] >= 90 > held[False]
    assert figures.between(np.arange(80.0), ~ill, part) == (0.0, pytest.approx(1 - 0.025 ** (1 / 5)))
    assert np.isnan(figures.between(np.arange(80.0), ill, np.where(ill, 0, part + 1))).all()


@given(scores, st.sampled_from([0.05, 0.1, 0.25, 0.5]))
@settings(deadline=None, max_examples=60)
def test_threshold_and_p_values_flag_the_same(good: np.ndarray, rate: float) -> None:
    tried = np.arange(-1.0, 14.0, 0.5)
    p = [(1 + sum(g >= s for g in good)) / (len(good) + 1) for s in tried]
    assert threshold.p_values(tried, good) == pytest.approx(p)
    flags = threshold.flagged(threshold.p_values(tried, good), rate)
    if rate * (len(good) + 1) < 1:
        assert not flags.any()
        with pytest.raises(UserError, match="cannot vouch"):
            threshold.threshold(good, rate)
    else:
        assert (flags == (tried > threshold.threshold(good, rate))).all()


def test_false_alarms_keep_to_the_rate_in_the_mean() -> None:
    """Good items of any distribution: over many draws the share that is flagged is at most the rate, and near it."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        x = np.exp(rng.standard_normal(59 + 50))
        rates.append(threshold.flagged(threshold.p_values(x[59:], x[:59]), 0.1).mean())
    assert 0.085 < np.mean(rates) < 0.108


@pytest.mark.parametrize(("kept", "rate"), [(19, 0.05), (59, 0.1), (300, 0.05)])
def test_a_threshold_that_few_items_set_scatters_and_that_is_no_sign_of_other_items(kept: int, rate: float) -> None:
    """Items all alike: of many searches one in twenty at most is told that its test items differ."""
    rng = np.random.default_rng(1)
    said, exact = [], []
    for _ in range(400):
        x = rng.standard_normal(kept + 500)
        hits = int(threshold.flagged(threshold.p_values(x[kept:], x[:kept]), rate).sum())
        said.append(threshold.beyond(hits, 500, kept, rate))
        exact.append(figures.share_with_interval(hits, 500)["low"] > rate)
    assert np.mean(np.abs(said)) < 0.07
    assert np.mean(exact) > 0.1 or kept > 100  # what the interval of the share alone would have said
    assert threshold.beyond(300, 500, kept, rate) == 1


def test_no_group_sets_the_threshold_and_is_learnt_from() -> None:
    groups = [f"g{i // 3}" for i in range(60)] + [None] * 10
    table = Table(None, "", "image", frame([f"{i}.png" for i in range(70)], ["unlabeled"] * 70, group=groups))  # type: ignore[arg-type]
    fit, held = threshold.apart(table, table.rows(), 0.3, seed=1)
    assert sorted([*fit, *held]) == list(range(70))
    assert 15 <= len(held) <= 22
    assert not {groups[i] for i in fit if groups[i]} & {groups[i] for i in held if groups[i]}
    with pytest.raises(UserError, match="cannot be parted"):
        one = Table(None, "", "image", frame(["a", "b"], ["unlabeled"] * 2, group=["g", "g"]))  # type: ignore[arg-type]
        threshold.apart(one, one.rows(), 0.3, seed=0)


def test_folds_hold_every_item_once_and_whole_groups() -> None:
    groups = [f"g{i // 3}" for i in range(60)] + ["large"] * 40
    table = Table(None, "", "image", frame([f"{i}.png" for i in range(100)], ["unlabeled"] * 100, group=groups))  # type: ignore[arg-type]
    folds = threshold.folds(table, table.rows(), 3, seed=0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(100))
    assert sorted(map(len, folds)) == [30, 30, 40]
    for i, fold in enumerate(folds):
        others = {groups[row] for other in folds[:i] + folds[i + 1 :] for row in other}
        assert not others & {groups[row] for row in fold}
    other = threshold.folds(table, table.rows(), 3, seed=1)
    assert {tuple(f) for f in folds} != {tuple(f) for f in other}
    one = Table(None, "", "image", frame(["a", "b"], ["unlabeled"] * 2, group=["g", "g"]))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="cannot be parted"):
        threshold.folds(one, one.rows(), 3, seed=0)


def test_every_group_counts_for_one_where_there_are_enough() -> None:
    groups = ["large"] * 30 + [f"g{i // 2}" for i in range(60)]
    table = Table(None, "", "image", frame([f"{i}.png" for i in range(90)], ["unlabeled"] * 90, group=groups))  # type: ignore[arg-type]
    weight = threshold.weights(unit_numbers(table, table.rows()), len(table), 0.1)
    assert weight.sum() == pytest.approx(31)
    assert weight[:30].sum() == pytest.approx(1)
    assert (threshold.weights(unit_numbers(table, table.rows()), len(table), 0.01) == 1).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        good, tried = rng.integers(0, 40, 90).astype(float), rng.integers(0, 40, 200).astype(float)
        slow = [(1 + sum(w for g, w in zip(good, weight, strict=True) if g >= t)) / (31 + 1) for t in tried]
        p = threshold.p_values(tried, good, weight)
        np.testing.assert_allclose(p, slow)
        assert (threshold.flagged(p, 0.1) == (tried > threshold.threshold(good, 0.1, weight))).all()


def test_a_kind_that_is_called_all_does_not_hide_the_others() -> None:
    scores = np.array([0.1, 0.2, 0.9, 0.15, 0.8, 0.9])
    kinds = ["", "", "all", "all", "crack", "crack"]
    told, same = (figures.images(scores, names, 0.5) for names in (kinds, [k.replace("all", "dent") for k in kinds]))
    assert told["all"] == same["all"] and told["all (a kind)"] == same["dent"]
    pixels = figures.Pixels()
    for kind in ("", "all", "crack"):
        mask = np.zeros((4, 4), bool)
        mask[0, : len(kind)] = True
        pixels.add(np.arange(16.0).reshape(4, 4) * (kind == "all"), mask, kind)
    assert pixels.figures()["all"]["regions"] == 2 and pixels.figures()["all (a kind)"]["regions"] == 1
