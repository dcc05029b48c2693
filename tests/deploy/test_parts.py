"""What is kept together: named groups, blocks where neighbours are alike, and never a whole class."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unlabeled.data.table import Table, frame
from unlabeled.deploy.parts import part, units
from unlabeled.errors import UserError


def data(labels: list[str], groups: list[str] | None = None) -> Any:
    """Items 0.png, 1.png ... of one folder, all to learn from, as `Prepared` tells them."""
    names = [f"scans/{i}.png" for i in range(len(labels))]
    table = Table(Path("scans"), "flat folder", "image", frame(names, ["train"] * len(names), labels, groups))
    rows = np.arange(len(names))
    return SimpleNamespace(table=table, learning=rows, labelled=rows, test=np.zeros(0, np.int64))


def alike(items: int, run: int) -> np.ndarray:
    """Synthetic features that `run` neighbours share, and noise."""
    random = np.random.default_rng(0)
    return random.normal(size=(items, 12))[np.arange(items) // run] + 0.5 * random.normal(size=(items, 12))


def test_named_groups_come_first_and_nothing_is_looked_at() -> None:
    prepared = data(["a", "b"] * 60, [f"p{i // 6}" for i in range(120)])

    def never(_: np.ndarray) -> np.ndarray:
        raise AssertionError("the features were asked for")

    found = units(prepared, "auto", never)
    assert found.source == "data" and len(np.unique(found.numbers)) == 20  # type: ignore[arg-type]


def test_neighbours_that_are_alike_are_kept_together() -> None:
    prepared, x = data(["a", "b"] * 120), alike(240, 8)
    found = units(prepared, "auto", lambda rows: x[rows])
    learn, held = part(prepared, prepared.labelled, 0.25, 0, found.of(prepared.labelled))
    assert found.source == "order" and found.numbers is not None
    assert set(found.numbers[learn]).isdisjoint(found.numbers[held]) and 30 <= len(held) <= 90
    assert units(prepared, "data", lambda rows: x[rows]).source == "none"
    mixed = x[np.random.default_rng(1).permutation(240)]
    assert units(prepared, "auto", lambda rows: mixed[rows]).source == "none"
    assert units(prepared, "order", lambda rows: mixed[rows]).source == "order"


def test_files_in_the_order_of_their_classes_are_not_held_for_groups() -> None:
    prepared = data([c for c in "abc" for _ in range(80)])
    random = np.random.default_rng(0)
    x = 3 * np.eye(12)[np.arange(240) // 80] + random.normal(size=(240, 12))
    assert units(prepared, "auto", lambda rows: x[rows]).source == "none"


def test_every_class_lies_in_several_blocks() -> None:
    labels = [c for c in "abcdefghij" for _ in range(40)]
    prepared, x = data(labels), alike(400, 5)
    found = units(prepared, "auto", lambda rows: x[rows])
    assert found.source == "order" and found.numbers is not None
    learn, held = part(prepared, prepared.labelled, 0.25, 0, found.of(prepared.labelled))
    assert {labels[i] for i in held} == {labels[i] for i in learn} == set("abcdefghij")


def test_one_rare_class_does_not_take_half_of_the_labels() -> None:
    prepared = data(["a"] * 500 + ["b"] * 498 + ["c"] * 2)
    learn, held = part(prepared, prepared.labelled, 0.25, 0, None)
    assert len(held) == 250 and (held >= 998).sum() == (learn >= 998).sum() == 1


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5])
def test_the_share_that_was_asked_for_is_kept_back(share: float) -> None:
    prepared = data(["a"] * 300 + ["b"] * 200, [f"p{i // 2}" for i in range(500)])
    learn, held = part(prepared, prepared.labelled, share, 0, np.arange(500) // 2)
    assert len(held) / 500 == pytest.approx(share, abs=0.01) and len(learn) + len(held) == 500
    assert not set(learn // 2) & set(held // 2) and (held < 300).mean() == pytest.approx(0.6, abs=0.05)


def test_of_a_rare_class_some_is_learnt_from_whatever_is_kept_back() -> None:
    prepared = data(["a"] * 60 + ["b"] * 38 + ["c"] * 2)
    learn, held = part(prepared, prepared.labelled, 0.4, 0, None)
    assert len(held) == pytest.approx(40, abs=2) and (learn >= 98).sum() == 1


def test_a_share_of_nothing_and_too_few_labels_are_told() -> None:
    with pytest.raises(UserError, match="--calibrate"):
        part(data(["a", "b"] * 5), np.arange(10), 0.9, 0, None)
    with pytest.raises(UserError, match="too few to keep some back"):
        part(data(["a", "b"]), np.arange(2), 0.25, 0, None)
