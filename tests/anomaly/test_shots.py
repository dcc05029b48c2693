"""A few labelled faults: the head learns what the detector is blind to, from masks where there are any, and no more."""

from types import SimpleNamespace

import numpy as np
import pytest

from unlabeled.anomaly import _shots, _words
from unlabeled.anomaly._figures import auroc
from unlabeled.errors import UserError
from unlabeled.report.anomalies import few


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


def test_good_items_of_the_groups_that_were_learnt_from_are_not_tested_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, sizes = np.random.default_rng(4), list[tuple[int, int]]()
    good, test = lot(30, False, rng), _shots.join([lot(20, False, rng), lot(10, True, rng)])
    groups = np.r_[np.arange(20) // 2, np.arange(10)]  # a part has two good items and a faulty one

    def seen(faulty: np.ndarray, fine: np.ndarray) -> float:
        sizes.append((len(faulty), len(fine)))
        return auroc(faulty, fine)

    monkeypatch.setattr(_shots, "auroc", seen)
    _shots.gain(good, test, np.repeat([False, True], [20, 10]), (0, 3), groups=groups, draws=1)
    assert sizes == [(10, 20), (7, 14), (7, 14)]


def test_where_nothing_of_another_group_is_left_that_is_said() -> None:
    rng = np.random.default_rng(5)
    good, test = lot(30, False, rng), _shots.join([lot(10, False, rng), lot(10, True, rng)])
    faulty, groups = np.repeat([False, True], 10), np.r_[np.zeros(10, int), np.repeat([0, 1], 5)]
    rows = _shots.gain(good, test, faulty, (0, 1), groups=groups, draws=20)
    lost = [r for r in rows if np.isnan(r["after"])]
    assert 0 < len(lost) < 20 and all(np.isnan(r["before"]) and r["shots"] for r in lost)
    alarms = {"share": 0.0, "low": 0.0, "high": 0.2, "hits": 0, "n": 10, "beyond": 0}
    told = {"rate": 0.1, "detector": "planted", "folds": 3, "false_alarms": alarms, "shots": rows}
    [said] = _words.told(told, True)[1]
    assert f"left to test on in {len(lost)} of 20 draws" in said and "AUROC" in said and "nan" not in said
    [none] = _words.told(told | {"shots": lost[:1]}, True)[1]
    assert none.endswith("left to test on in 1 of 1 draw") and "AUROC" not in none
    shown = [r | {k: None if np.isnan(r[k]) else r[k] for k in ("before", "after")} for r in rows]  # as JSON has it
    found = few.section(SimpleNamespace(figures={"shots": shown}))  # type: ignore[arg-type]
    assert found is not None and found.facts["rows"][0]["draws"] == f"{20 - len(lost)} of 20"
    none_left = few.section(SimpleNamespace(figures={"shots": [r for r in shown if r["after"] is None]}))  # type: ignore[arg-type]
    assert none_left is not None and none_left.facts["rows"][0]["after"] == "–" and none_left.facts["lacking"]


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
