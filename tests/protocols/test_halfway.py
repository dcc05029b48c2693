"""A fit that is stopped goes on to the numbers of the one that was never stopped, and makes no step twice."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from unlabeled import catalog
from unlabeled.adaptation.dann import Dann
from unlabeled.data.prepare import Prepared
from unlabeled.data.store import Store
from unlabeled.protocols.finetune import Classifier, Finetune, Start
from unlabeled.study.fits import Bench, fit
from unlabeled.study.plan import Arm, cells
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items
from unlabeled.training.recipe import Recipe


class Stopped(Exception):
    """As a kill between two steps."""


def fitted(
    rule: Finetune,
    ready: Prepared,
    recipe: Recipe,
    device: Device,
    path: Path | None = None,
    stop: int = -1,
    seed: int = 0,
    every: float = 0.0,
) -> tuple[Classifier, list[int], Halfway]:
    """The result, and what was told of the steps; stopped after so many of them where `stop` is not below 0."""
    rows, told = ready.labelled[::12], list[int]()
    y = ready.table.labels[rows]
    if isinstance(rule, Dann):
        more = ready.labelled[1::24]
        rows, y = np.concatenate([rows, more]), np.concatenate([y, np.full(len(more), -1)])

    def each(n: int) -> None:
        told.append(n)
        if len(told) == stop:
            raise Stopped

    torch.manual_seed(3)
    encoder, items = recipe.build_encoder(), Items(ready.store, rows)
    torch.manual_seed(stop)  # nothing hangs on what was drawn before
    halfway = Halfway(path, each, every)
    model = rule.fit(encoder, items, y, recipe.looks(), device, seed=seed, fresh=True, halfway=halfway)
    return model, told, halfway


def same(one: Classifier, other: Classifier) -> bool:
    pairs = [(one.encoder, other.encoder), (one.head, other.head)]
    states = [(a.state_dict(), b.state_dict()) for a, b in pairs]
    return one.rate == other.rate and all(torch.equal(a[k], b[k]) for a, b in states for k in a)


@pytest.mark.parametrize("stop", [3, 7, 13], ids=["in the first trial", "in the second", "in the last training"])
@pytest.mark.parametrize("kind", [Finetune, Dann])
def test_a_fit_that_is_stopped_ends_as_one_that_is_not(
    kind: type[Finetune], stop: int, ready: Prepared, recipe: Recipe, device: Device, tmp_path: Path
) -> None:
    rule = kind(steps=5, trials=2, batch_size=32)
    whole, *_ = fitted(rule, ready, recipe, device)
    path = tmp_path / "half"
    with pytest.raises(Stopped):
        fitted(rule, ready, recipe, device, path, stop)
    assert path.is_file()
    model, told, halfway = fitted(rule, ready, recipe, device, path)
    assert same(model, whole)
    assert sum(told) == 15 and len(told) <= 15 - stop + 3 and halfway.spent > 0
    again, told, _ = fitted(rule, ready, recipe, device, path)
    assert same(again, whole) and told == [5, 5, 5]
    halfway.done()
    assert not list(tmp_path.iterdir())


def test_what_another_fit_left_is_not_taken_up(ready: Prepared, recipe: Recipe, device: Device, tmp_path: Path) -> None:
    path, rule = tmp_path / "half", Finetune(steps=4, trials=1, batch_size=32)
    with pytest.raises(Stopped):
        fitted(rule, ready, recipe, device, path, 3)
    other = Finetune(steps=4, trials=1, batch_size=32, smoothing=0.0)
    for kind, seed in ((rule, 1), (other, 0)):
        whole, *_ = fitted(kind, ready, recipe, device, seed=seed)
        found, told, _ = fitted(kind, ready, recipe, device, path, seed=seed, every=1e9)
        assert same(found, whole) and told == [1, 1, 1, 1]
    path.write_bytes(b"not a checkpoint")
    _, told, _ = fitted(rule, ready, recipe, device, path)
    assert told == [1, 1, 1, 1]


def test_a_fit_knows_its_items_by_what_they_show(ready: Prepared, recipe: Recipe, device: Device) -> None:
    rows, rule = ready.labelled[::12], Finetune()
    y, start = ready.table.labels[rows], Start(recipe.build_encoder(), 10, recipe.looks(), device, 0, True, Halfway())
    other = Store(255 - np.array(ready.store.array))
    codes = [rule._code(start, Items(store, rows), y) for store in (ready.store, ready.store, other)]
    assert codes[0] == codes[1] != codes[2]


def test_a_cell_of_a_study_goes_on_where_it_was_stopped(
    ready: Prepared, recipe: Recipe, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlabeled.study.fits.Halfway", partial(Halfway, every=0.0))
    arm = Arm("supervised", "supervised", recipe, (catalog.Spec("finetune", {"steps": 4, "trials": 1}),))
    rows = ready.labelled[::12]
    cell = cells([arm], [{0.1: rows, 1.0: rows}], [0])[0]
    told: list[int] = []

    def each(n: int) -> None:
        told.append(n)
        if len(told) == 3:
            raise Stopped

    bench = Bench(tmp_path, ready, device, {}, {})
    with pytest.raises(Stopped):
        fit(bench, arm, cell, [rows], each=each)
    kept = list((tmp_path / "halfway").iterdir())
    facts = fit(bench, arm, cell, [rows], each=each)
    assert len(kept) == 1 and not kept[0].exists()
    assert told == [1, 1, 1, 3, 1] and facts["steps"] == 4
