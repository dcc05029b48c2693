"""Heaps on real digits, names by the labels, and the measures against scikit-learn's own."""

import itertools

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from unlabeled.metrics import report
from unlabeled.protocols.cluster import Cluster, named


def test_names_fit_the_most_labels() -> None:
    votes = np.random.default_rng(0).integers(0, 9, (5, 5)).astype(float)
    best = max(sum(votes[i, p[i]] for i in range(5)) for p in itertools.permutations(range(5)))
    assert (named(votes) * votes).sum() == best
    assert (named(votes).sum(0) == 1).all()


def test_more_heaps_than_classes_take_their_majority() -> None:
    assert named(np.array([[3.0, 1], [0, 2], [5, 1]])).tolist() == [[1, 0], [0, 1], [1, 0]]


def test_a_heap_without_labels_takes_the_name_of_its_nearest_and_not_of_the_first_class() -> None:
    angle = np.linspace(0.01, np.pi, 400)
    x, y = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32), (angle > np.pi / 2).astype(int)
    few = np.r_[10:14, 386:390]  # the heaps in between have no label
    called = Cluster(heaps=20).fit(x[few], y[few], unlabelled=x).predict(x).argmax(1)
    assert (called == y).mean() > 0.9


def test_digits_fall_into_heaps_and_labels_only_name_them() -> None:
    digits = load_digits()
    x, y = digits.data.astype(np.float32), digits.target
    pool, test = np.arange(1200), np.arange(1200, len(y))
    found = []
    for seed in (0, 1):
        few = np.concatenate([np.flatnonzero(y[pool] == c)[5 * seed : 5 * seed + 5] for c in range(10)])
        found.append(Cluster().fit(x[few], y[few], unlabelled=x[pool]).predict(x[test]).argmax(1))
        assert (found[-1] == y[test]).mean() > 0.6
    assert adjusted_rand_score(*found) == 1.0  # other labels, the same heaps
    figures = report(np.eye(10)[found[0]], y[test], [str(c) for c in range(10)])
    assert figures["nmi"] == normalized_mutual_info_score(y[test], found[0])
    assert figures["ari"] == adjusted_rand_score(y[test], found[0])
