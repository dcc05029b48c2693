"""Tables of a study from predictions alone: which intervals they have, whole groups, and fits that diverged."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from unlabeled.data.prepare import Prepared
from unlabeled.errors import UserError
from unlabeled.shift.strangers import places
from unlabeled.study import record
from unlabeled.study.claim import claim
from unlabeled.study.fits import groups, write_arrays
from unlabeled.study.plan import Arm, Cell, folder_name
from unlabeled.study.record import Tables
from unlabeled.verbs import _handover

CELLS = [Cell(arm, 1.0, 40, seed, 0, "linear") for arm in ("simclr", "random") for seed in range(3)]


def prepared(y: np.ndarray, group: list[str | None], paths: list[str] | None = None) -> Prepared:
    """A data set of these test items, of which the tables read labels, classes and groups alone."""
    items = pd.DataFrame({"path": paths or [str(i) for i in range(len(y))], "group": group, "label": y.astype(str)})
    table = SimpleNamespace(labels=y, classes=["0", "1"], items=items)
    rows = np.arange(len(y))
    return cast(Prepared, SimpleNamespace(table=table, test=rows, labelled=rows[:0], learning=rows[:0], turns=None))


def scored(folder: Path, data: Prepared, answers: dict[Cell, np.ndarray]) -> Tables:
    for cell, p in answers.items():
        facts = {"probabilities": p.astype(np.float32), "facts": np.array(json.dumps({}))}
        write_arrays(folder / "predictions" / cell.file, facts)
    plan = [cast(Arm, SimpleNamespace(name=n, kind=record.PLAIN)) for n in ("simclr", "random")]
    return record.tables(folder, data, plan, list(answers))


def answers(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Probabilities that are right for about that share of the items."""
    chance = np.random.default_rng(seed)
    sure = chance.uniform(0.55, 0.95, len(y))
    right = chance.random(len(y)) < share
    of_truth = np.where(right, sure, 1 - sure)
    return np.stack([np.where(y == c, of_truth, 1 - of_truth) for c in (0, 1)], 1)


def row(tables: Tables, metric: str, arm: str = "simclr") -> Any:
    own = tables.summary[(tables.summary["arm"] == arm) & (tables.summary["metric"] == metric)]
    return own.iloc[0]


def test_every_figure_of_items_has_an_interval_over_them(tmp_path: Path) -> None:
    """Seeds that agree say nothing of how few the items are."""
    y = np.random.default_rng(0).integers(0, 2, 60)
    same = answers(y, 0.8, 0)
    found = scored(tmp_path, prepared(y, [None] * 60), {c: same for c in CELLS})
    for metric in ("accuracy", "macro_f1", "sensitivity", "specificity", "auroc", "auprc", "nll", "brier"):
        one = row(found, metric)
        assert one["low"] < one["mean"] < one["high"], metric
        if metric not in ("nll", "brier", "auroc", "auprc"):
            assert 0.12 < one["high"] - one["low"] < 0.35, metric  # 60 items at 0.8: about 0.20
    assert row(found, "ece")[["low", "high"]].isna().all()


def test_items_of_a_group_are_one(tmp_path: Path) -> None:
    """Six patients of ten items that are all right or all wrong are six, not sixty."""
    y = np.zeros(60, np.int64)
    y[::2] = 1
    good = np.repeat([1, 1, 1, 1, 0, 0], 10) > 0
    p = np.stack([np.where((y == c) == good, 0.9, 0.1) for c in (0, 1)], 1)
    own = scored(tmp_path / "a", prepared(y, [None] * 60), {c: p for c in CELLS})
    by_patient = scored(tmp_path / "b", prepared(y, [f"p{i // 10}" for i in range(60)]), {c: p for c in CELLS})
    wide = [row(t, "accuracy")["high"] - row(t, "accuracy")["low"] for t in (own, by_patient)]
    assert wide[1] > 2 * wide[0]
    assert by_patient.differences["low"].iloc[0] <= own.differences["low"].iloc[0]


def test_items_that_were_tested_on_in_turns_say_less(tmp_path: Path) -> None:
    """Every figure of items and every difference is half as wide again; a ranking without a fault is less sure, too."""
    y = np.random.default_rng(0).integers(0, 2, 60)
    said = {c: answers(y, 0.8 if c.arm == "simclr" else 0.7, 0) for c in CELLS}
    at_once = prepared(y, [None] * 60)
    turns = cast(Prepared, SimpleNamespace(**vars(at_once) | {"turns": np.arange(60) % 5}))
    once, five = scored(tmp_path / "a", at_once, said), scored(tmp_path / "b", turns, said)
    for metric in ("accuracy", "nll", "brier", "macro_f1", "sensitivity", "specificity", "auroc", "auprc"):
        narrow, wide = (row(t, metric)["high"] - row(t, metric)["low"] for t in (once, five))
        assert wide > 1.2 * narrow, metric
    apart = [t.differences["high"].iloc[0] - t.differences["low"].iloc[0] for t in (once, five)]
    assert apart[1] / apart[0] == pytest.approx(1.5)
    sure = {c: np.stack([1 - 0.9 * y, 0.9 * y], 1) for c in CELLS}
    once, five = scored(tmp_path / "c", at_once, sure), scored(tmp_path / "d", turns, sure)
    few = int(min(y.sum(), (1 - y).sum()))
    for n, one in ((1.0, once), (2.25, five)):
        assert row(one, "auroc")["low"] == pytest.approx(0.025 ** (n / few))


def test_an_item_without_a_group_stands_for_itself() -> None:
    data = prepared(np.zeros(5, np.int64), ["a", "a", None, None, "b"])
    found = groups(data, data.test)
    assert found is not None and len(np.unique(found)) == 4 and found[0] == found[1]


def test_a_fit_that_diverged_is_wrong_and_named(tmp_path: Path) -> None:
    y = np.zeros(30, np.int64)
    y[10:] = 1
    given = {c: np.full((30, 2), np.nan) if c.arm == "simclr" else answers(y, 0.9, c.seed) for c in CELLS}
    found = scored(tmp_path, prepared(y, [None] * 30), given)
    assert row(found, "accuracy")["mean"] == 0 and np.isnan(row(found, "macro_f1")["mean"])
    assert found.diverged == ("simclr (linear, 40 labels)",)
    assert row(found, "accuracy", "random")["mean"] > 0.7


def test_results_on_other_items_or_labels_are_not_taken_for_these(tmp_path: Path) -> None:
    def data(labels: list[int], paths: list[str], value: int = 0) -> Prepared:
        one = prepared(np.array(labels), [None] * 4, paths)
        full = {"learning": np.arange(2), "labelled": np.arange(2), "test": np.arange(2, 4)}
        held = np.full((4, 1, 2, 2), value, np.uint8)
        store = type(
            "Held", (), {"__len__": lambda self: 4, "batch": lambda self, rows: torch.from_numpy(held[rows])}
        )()
        table = type("Named", (), {"__len__": lambda self: 4, "items": one.table.items})()
        return cast(Prepared, SimpleNamespace(table=table, store=store, turns=None, **full))

    first = data([0, 1, 0, 1], ["a", "b", "c", "d"])
    claim(tmp_path, first)
    claim(tmp_path, first)
    for other, word in (
        (data([1, 0, 0, 1], ["a", "b", "c", "d"]), "labels"),
        (data([0, 1, 0, 1], ["a", "b", "c", "e"]), "test items"),
        (data([0, 1, 0, 1], ["a", "x", "c", "d"]), "training items"),
        (data([0, 1, 0, 1], ["a", "b", "c", "d"], 1), "contents"),
    ):
        with pytest.raises(UserError, match=f"other {word}"):
            claim(tmp_path, other)


@pytest.mark.parametrize(("ill", "patients", "low"), [(3, 3, 0.29), (20, 20, 0.83), (20, 4, 0.40), (3, 1, None)])
def test_a_ranking_without_a_fault_hangs_on_the_rarer_class(
    tmp_path: Path, ill: int, patients: int, low: float | None
) -> None:
    """All who died stand above all others: of how few they were is told, however many lived."""
    y = np.array([1] * ill + [0] * 200)
    group: list[str | None] = [f"ill {i % patients}" for i in range(ill)] + [None] * 200
    risk = np.where(y == 1, 0.8, 0.2) + np.random.default_rng(0).uniform(-0.1, 0.1, len(y))
    found = scored(tmp_path, prepared(y, group), {c: np.stack([1 - risk, risk], 1) for c in CELLS})
    for metric in ("auroc", "auprc"):
        one = row(found, metric)
        assert one["mean"] == 1
        if low is None:
            assert np.isnan(one["low"]) and np.isnan(one["high"])
        else:
            assert one["low"] == pytest.approx(low, abs=0.005) and one["high"] == 1
    assert row(found, "accuracy")["low"] > 0.98  # of all items


def test_folders_of_two_versions_have_results_of_their_own(tmp_path: Path) -> None:
    for name in ("scans-1.1", "scans-1.2"):
        (tmp_path / name).mkdir()
        assert folder_name(str(tmp_path / name), "simclr") == Path(f"unlabeled-{name}-simclr")
        assert _handover.place(None, str(tmp_path / name)) == Path(f"unlabeled-{name}-model.ul")
        assert set(places([str(tmp_path / name)])) == {name}
    (tmp_path / "v1.2.ul").mkdir()
    assert folder_name(str(tmp_path / "v1.2.ul"), "drift") == Path("unlabeled-v1.2-drift")
    assert folder_name(str(tmp_path / "wards.csv"), "audit") == Path("unlabeled-wards-audit")
