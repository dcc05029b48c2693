"""A few labelled faults: the head learns what the detector is blind to, from masks where there are any, and no more."""

import numpy as np
import pytest

from unlabeled.anomaly import _shots
from unlabeled.errors import UserError


def lot(count: int, faulty: bool, rng: np.random.Generator, marked: bool = True) -> _shots.Places:
    """Items of 8 x 8 places; a fault is two places that differ in one direction to which the detector is blind."""
    vectors = rng.standard_normal((count, 64, 12)).astype(np.float16)
    marks = np.zeros((count, 64), bool)
    if faulty:
        for i in range(count):
            marks[i, rng.choice(64, 2, replace=False)] = True
        vectors[marks, 0] += 8
    return _shots.Places(vectors, rng.random((count, 64)).astype("f4"), rng.random(count).astype("f4"), marks & marked)


def test_more_labelled_faults_help_on_faults_that_were_not_learnt_from() -> None:
    rng = np.random.default_rng(0)
    good = lot(60, False, rng)
    test = _shots.join([lot(40, False, rng), lot(40, True, rng)])
    faulty = np.repeat([False, True], 40)
    rows = _shots.gain(good, test, faulty, (0, 1, 5, 10), seed=0)
    mean = {k: np.mean([r["after"] for r in rows if r["shots"] == k]) for k in (0, 1, 5, 10)}
    assert mean[0] < 0.65  # the detector knows nothing
    assert mean[10] > 0.95 and mean[10] >= mean[5] >= mean[1] > mean[0]
    assert [r["tested"] for r in rows if r["shots"] == 5] == [35] * 5


def test_faults_of_one_item_are_not_tested_on_its_twins() -> None:
    rng = np.random.default_rng(1)
    good, test = lot(30, False, rng), _shots.join([lot(10, False, rng), lot(10, True, rng)])
    groups = np.r_[np.arange(10), 100 + np.arange(10) // 2]  # faulty items come in pairs
    rows = _shots.gain(good, test, np.repeat([False, True], 10), (1,), groups=groups)
    assert [r["tested"] for r in rows] == [8] * 5


def test_without_masks_the_most_unusual_places_are_taken() -> None:
    rng = np.random.default_rng(2)
    good, faulty = lot(60, False, rng), lot(20, True, rng)
    faulty.unusual[faulty.marked] += 5  # the detector sees the faults
    blind = _shots.Places(faulty.vectors, faulty.unusual, faulty.scores, np.zeros_like(faulty.marked))
    head = _shots.Head().fit(good, blind[np.arange(10)])
    others, fine = head.score(faulty[np.arange(10, 20)]), head.score(lot(30, False, rng))
    assert np.mean(others[:, None] > fine[None]) > 0.9


def test_a_mask_becomes_the_places_that_it_touches() -> None:
    mask = np.zeros((160, 80), bool)
    mask[0, 79] = True
    assert np.flatnonzero(_shots.mark(mask)).tolist() == [15]


def test_too_many_shots_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(UserError, match="5 of 5 faulty"):
        _shots.gain(lot(4, False, rng), lot(5, True, rng), np.ones(5, bool), (5,))
