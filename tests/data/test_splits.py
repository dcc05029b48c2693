"""Splits are stratified, nested and drawn by seed, and no group is ever on both sides."""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlabeled.data import splits
from unlabeled.data.scan import scan
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError


def made(labels: list[str | None], groups: list[str | None] | None = None) -> Table:
    names = [f"{i}.png" for i in range(len(labels))]
    parts = ["train" if label else "unlabeled" for label in labels]
    return Table(Path("made"), "made", "image", frame(names, parts, labels, groups))


def test_holdout_takes_a_share_of_every_class() -> None:
    table = splits.holdout(made([*"a" * 50, *"b" * 20, *"c" * 2, "d", None]), share=0.2)
    tests = table.items.iloc[table.rows("test")]["label"].value_counts().to_dict()
    assert tests == {"a": 10, "b": 4, "c": 1}  # a class with one item keeps it for training
    assert len(table.rows("unlabeled")) == 1


def test_holdout_differs_by_seed_only() -> None:
    table = made([*"a" * 30, *"b" * 30])
    draws = [splits.holdout(table, seed=seed).rows("test").tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_holdout_leaves_a_test_split_alone(steel: Path) -> None:
    table = scan(steel)
    assert splits.holdout(table) is table


def test_holdout_never_parts_a_group() -> None:
    random = np.random.default_rng(0)
    groups = [f"g{g}" for g in random.integers(0, 40, 400)]
    labels: list[str | None] = [None if i % 10 == 0 else "ab"[int(g[1:]) % 2] for i, g in enumerate(groups)]
    table = splits.holdout(made(labels, list(groups)))
    inside = set(table.items["group"].iloc[table.rows("test")])
    assert inside.isdisjoint(table.items["group"].iloc[table.rows("train", "unlabeled")])
    assert 0.1 < len(table.rows("test")) / 400 < 0.3
    assert set(table.items["label"].iloc[table.rows("test")].dropna()) == {"a", "b"}


def test_holdout_by_group_tests_every_class_that_has_two_groups() -> None:
    sizes = [7, 5, 9, 3, 8] * 8 + [6, 4, 5, 7]
    kinds = "ab" * 20 + "ccdd"  # two groups alone are of class c, and of d
    labels: list[str | None] = [kind for kind, size in zip(kinds, sizes, strict=True) for _ in range(size)]
    groups: list[str | None] = [f"g{g}" for g, size in enumerate(sizes) for _ in range(size)]
    for seed in range(10):
        table = splits.holdout(made(labels, groups), seed=seed)
        parts = [set(table.items["label"].iloc[table.rows(part)]) for part in ("test", "train")]
        assert parts == [{"a", "b", "c", "d"}] * 2


def test_holdout_refuses_what_cannot_be_parted() -> None:
    with pytest.raises(UserError, match=r"nothing .* is labelled"):
        splits.holdout(made([None, None]))
    with pytest.raises(UserError, match="one group"):
        splits.holdout(made(["a", "b"], ["g", "g"]))
    with pytest.raises(UserError, match=r"share of test items is 1\.5"):
        splits.holdout(made(["a", "b"]), share=1.5)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    shares=st.lists(st.floats(0.01, 1), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_draws_are_nested_stratified_and_complete(sizes: list[int], shares: list[float], seed: int) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(y)) + 3
    labels = np.concatenate([[-1, -1, -1], y])
    for draw in splits.nested_draws(labels, rows, [*shares, 1], 2, seed):
        ordered = [draw[share] for share in sorted({*shares, 1.0})]
        for small, large in pairwise(ordered):
            assert set(small) <= set(large)
        assert np.array_equal(draw[1], rows)
        for share, chosen in draw.items():
            have = np.bincount(labels[chosen], minlength=len(sizes))
            assert (have >= 1).all()
            assert len(chosen) == max(len(sizes), round(share * len(rows)))
            fair = len(chosen) * np.array(sizes) / len(rows)
            assert np.abs(have - fair).max() <= len(sizes)


def test_draws_of_steel_are_even(steel: Path) -> None:
    table = scan(steel)
    draws = splits.nested_draws(table.labels, table.rows("train"), [0.01, 0.1, 30], 3, 0)
    for draw in draws:
        assert np.bincount(table.labels[draw[0.01]]).tolist() == [2] * 6
        assert np.bincount(table.labels[draw[0.1]]).tolist() == [20] * 6
        assert np.bincount(table.labels[draw[30]]).tolist() == [5] * 6
    assert not np.array_equal(draws[0][0.1], draws[1][0.1])


def test_draws_take_whole_groups() -> None:
    groups = np.repeat(np.arange(20), 5)
    labels = groups % 2
    for draw in splits.nested_draws(labels, np.arange(100), [0.2, 0.5], 5, 0, groups=groups):
        assert len(draw[0.2]) == 20
        assert set(draw[0.2]) <= set(draw[0.5])
        for chosen in draw.values():
            assert all(np.isin(np.flatnonzero(groups == g), chosen).all() for g in set(groups[chosen]))


def test_draws_of_many_groups_do_not_look_at_all_for_each() -> None:
    """A class that most groups have and one is of: that one was looked for again at each of the others."""
    groups = np.repeat(np.arange(40_000), 3)
    labels = np.tile([0, 0, 0, 0, 0, 1], 20_000)
    labels[:3] = 1
    began = time.process_time()
    for seed in range(3):
        [taken] = splits.nested_draws(labels, np.arange(len(labels)), [0.1], 1, seed, groups)
        assert set(labels[taken[0.1]]) == {0, 1}
    assert time.process_time() - began < 5


def test_draws_refuse_more_labels_than_there_are() -> None:
    with pytest.raises(UserError, match="cannot draw 11 of 10 labels"):
        splits.nested_draws(np.zeros(10, dtype=int), np.arange(10), [11], 1, 0)
    with pytest.raises(UserError, match="2 of the 4 items"):
        splits.nested_draws(np.array([0, -1, 1, -1]), np.arange(4), [1], 1, 0)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=2, max_size=5), k=st.integers(2, 6), grouped=st.booleans())
def test_inner_folds_partition_without_leaks(sizes: list[int], k: int, grouped: bool) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.arange(len(y)) // 2 if grouped else None
    folds = splits.inner_folds(y, groups, k, 0)
    checked = np.concatenate([check for _, check in folds]) if folds else np.empty(0, dtype=int)
    assert len(set(checked)) == len(checked)
    for learn, check in folds:
        assert set(np.concatenate([learn, check])) == set(range(len(y)))
        assert set(y[learn]) == set(y)
        if groups is not None:
            assert set(groups[learn]).isdisjoint(groups[check])
    if groups is None:
        several = [n for n in sizes if n > 1]
        assert len(folds) == (min(k, max(sizes)) if several else 0)
        assert len(checked) == sum(several)
        assert not several or set(y[folds[0][1]]) == {c for c, n in enumerate(sizes) if n > 1}


def test_inner_folds_are_even() -> None:
    y = np.repeat([0, 1, 2], [50, 25, 10])
    for _, check in splits.inner_folds(y, None, 5, 0):
        assert np.bincount(y[check]).tolist() == [10, 5, 2]


def test_a_rare_class_leaves_the_others_in_as_many_folds() -> None:
    y = np.repeat([0, 1, 2], [500, 498, 2])
    folds = splits.inner_folds(y, None, 4, 0)
    assert [len(check) for _, check in folds] == [250] * 4
    assert [int((y[check] == 2).sum()) for _, check in folds] == [1, 1, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_rare_classes_of_few_groups_are_checked_first_and_no_more_is_kept_back_for_that(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = np.repeat([0, 1, 2, 3, 4], [15, 15, 15, 2, 3])  # of each group
    groups = np.repeat(np.arange(50), random.integers(3, 20, 50))
    y = kinds[groups]
    folds = splits.inner_folds(y, groups, 4, seed)
    learn, check = folds[0]
    assert len(folds) == 4 and set(y[check]) == set(y[learn]) == set(range(5))
    assert 0.2 < len(check) / len(y) < 0.3
