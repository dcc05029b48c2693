"""Few labels among many items: each labelled item is tested on once, by what had not learnt from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unlabeled.catalog import Spec
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.data.scan import scan
from unlabeled.errors import UserError
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.shift.subjects import data_for, find
from unlabeled.study import fits
from unlabeled.study.pace import pretraining, share
from unlabeled.study.plan import Arm, Cell
from unlabeled.study.turns import as_given, draws, in_turns
from unlabeled.verbs._handover import saw
from unlabeled.verbs.compare import Comparison, compare
from unlabeled.verbs.pretrain import pretrain

NET = "vit(width=32, depth=1, heads=2, patch_size=4)"


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def few(digits: Path, tmp_path: Path) -> Path:
    """Threes, fours and fives: 8 of each labelled, 300 are not; one labelled file lies among these once more, and two
    labelled ones are the same.
    """
    for label in "345":
        files = sorted((digits / "train" / label).glob("*.png"))
        for number, file in enumerate(files[:108]):
            to = tmp_path / "few" / (label if number < 8 else "") / f"{label}-{number}.png"
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
    shutil.copy(tmp_path / "few/3/3-0.png", tmp_path / "few/again.png")
    shutil.copy(tmp_path / "few/4/4-1.png", tmp_path / "few/4/4-2.png")
    return tmp_path / "few"


def names(ready: Prepared, rows: np.ndarray) -> set[str]:
    return set(ready.table.items["path"].iloc[rows])


def test_all_labelled_items_are_tested_on_and_none_is_learnt_from(few: Path) -> None:
    drawn = prepare(few)
    assert drawn.given is not None and drawn.turns is None and len(drawn.test) < 8
    ready = in_turns(drawn, 0, 0)
    assert ready.turns is not None
    assert len(ready.test) == len(ready.turns) == 24 and set(ready.turns) == set(range(5))
    np.testing.assert_array_equal(ready.labelled, ready.test)
    assert not names(ready, ready.learning) & ({"again.png"} | names(ready, ready.test))
    assert len(ready.learning) == 300
    turn = dict(zip(ready.table.items["path"].iloc[ready.test], ready.turns, strict=True))
    assert turn["4/4-1.png"] == turn["4/4-2.png"]
    y = ready.table.labels[ready.test]
    assert max(np.bincount(y[ready.turns == t], minlength=3).max() for t in range(5)) <= 3
    given = as_given(ready)
    assert (given.items["split"].value_counts().to_dict()) == {"unlabeled": 301, "train": 24}
    np.testing.assert_array_equal(in_turns(drawn, 0, 0).turns, ready.turns)
    assert (in_turns(drawn, 0, 1).turns != ready.turns).any()


def test_each_turn_draws_from_the_labels_of_the_others(few: Path) -> None:
    ready = in_turns(prepare(few), 4, 0)
    parts = draws(ready, [0.5, 1.0], 2)
    assert len(parts) == 4 and all(len(part) == 2 for part in parts)
    for turn, part in enumerate(parts):
        away = set(ready.test[ready.turns == turn])
        for draw in part:
            assert set(draw[0.5]) < set(draw[1.0]) == set(ready.test) - away
            assert set(ready.table.labels[draw[0.5]]) == {0, 1, 2}
    plain = prepare(few)
    [one] = draws(plain, [1.0], 1)
    np.testing.assert_array_equal(one[0][1.0], plain.labelled)


def test_groups_are_in_one_turn_and_their_other_items_are_not_learnt_from(few: Path) -> None:
    table = scan(few)
    items = table.items.copy()
    number = items["path"].str.extract(r"(\d+)\.png")[0].fillna("0").astype(int)
    items["group"] = ("plate " + (number // 2).astype(str)).where(number < 12)
    ready = in_turns(prepare(replace(table, items=items)), 3, 0)
    groups = ready.table.items["group"].iloc[ready.test]
    assert groups.groupby(groups).size().min() > 1
    assert (ready.turns is not None) and all(len(set(ready.turns[groups == g])) == 1 for g in groups.unique())
    assert not set(ready.table.items["group"].iloc[ready.learning].dropna()) & set(groups)


def test_copies_are_in_one_turn_though_they_are_of_two_groups(few: Path) -> None:
    table = scan(few)
    plates = table.items["path"].map({"4/4-1.png": "a", "4/4-3.png": "a", "4/4-2.png": "b", "4/4-5.png": "b"})
    drawn = prepare(replace(table, items=table.items.assign(group=plates)))
    for seed in range(5):
        ready = in_turns(drawn, 4, seed)
        assert ready.turns is not None
        turn = dict(zip(ready.table.items["path"].iloc[ready.test], ready.turns, strict=True))
        assert len({turn[f"4/4-{number}.png"] for number in (1, 2, 3, 5)}) == 1


@pytest.mark.parametrize(("folds", "fault"), [(30, r"--folds is 30, and 23 items .* take 2 to 23"), (-1, "take 2 to")])
def test_turns_that_cannot_be_had_are_refused(few: Path, folds: int, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        in_turns(prepare(few), folds, 0)


def test_few_patients_or_a_class_of_one_item_leave_a_fifth_held_out(few: Path) -> None:
    """What nobody asked for is not done where it cannot be, and ends no study."""
    table = scan(few)
    items = table.items.copy()
    items["group"] = items["label"].map({"3": "anna", "4": "bert", "5": "carl"})
    ready = prepare(replace(table, items=items))
    assert in_turns(ready, 0, 0) is ready
    with pytest.raises(UserError, match="take 2 to 3"):
        in_turns(ready, 5, 0)
    lone = table.items.copy()
    lone.loc[lone["label"].eq("4") | (lone["label"].eq("5") & (np.arange(len(lone)) % 2 > 0)), "label"] = None
    only = lone.index[lone["label"].eq("5")]
    lone.loc[only[1:], "label"] = None
    lone.loc[lone["label"].isna(), "split"] = "unlabeled"
    three = lone.index[lone["label"].eq("3")]
    assert (len(three), lone["label"].eq("5").sum()) == (8, 1)
    ready = prepare(replace(table, items=lone))
    assert in_turns(ready, 0, 0) is ready
    with pytest.raises(UserError, match="only one class is learnt from"):
        in_turns(ready, 3, 0)


def test_data_with_a_test_split_or_with_enough_labels_are_left_alone(digits: Path, few: Path) -> None:
    own = prepare(digits)
    assert in_turns(own, 0, 0) is own and own.given is None
    with pytest.raises(UserError, match="test items of its own"):
        in_turns(own, 5, 0)
    for file in sorted(few.glob("*.png"))[100:]:
        file.unlink()
    ready = prepare(few)
    assert in_turns(ready, 0, 0) is ready and in_turns(ready, 1, 0) is ready
    assert in_turns(ready, 3, 0).turns is not None
    shutil.rmtree(few / "3")
    for file in few.glob("*.png"):
        file.unlink()
    with pytest.raises(UserError, match=r"every item .* is labelled"):
        in_turns(prepare(few), 3, 0)


def study(data: Path, out: Path) -> Comparison:
    return compare(
        str(data),
        methods=("simclr",),
        labels=(1.0,),
        seeds=2,
        draws=1,
        protocols=("linear", "propagate", "finetune(steps=4, trials=1)"),
        setup=Setup(encoder=NET, size=16, out=str(out)),
        budget=Budget(steps=5),
        training=Training(threads=1, precision="fp32", device="cpu"),
        augmentation=Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0),
    )


def test_a_study_in_turns(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in its third turn it ends the same; a probe is that of the other turns' labels; the page tells it."""
    whole = study(few, tmp_path / "whole")
    real, calls = fits._fitted, list[int]()

    def stopped(*args: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    other = pretrain(
        str(few), setup=Setup(encoder=NET, size=16, out=str(tmp_path / "run")), budget=Budget(steps=1)
    ).folder
    monkeypatch.setattr(fits, "_fitted", stopped)
    with pytest.raises(KeyboardInterrupt):
        study(few, tmp_path / "halves")
    assert len(list((tmp_path / "halves/halfway").glob("*.npz"))) == 2
    halves = study(few, tmp_path / "halves")
    again = len(calls) - 3
    assert again == 5 * len(list((tmp_path / "halves/predictions").iterdir())) - 2
    assert halves.summary.equals(whole.summary) and not list((tmp_path / "halves/halfway").iterdir())
    ready = in_turns(prepare(few, size=16), 0, 0)
    assert ready.turns is not None
    cell = whole.folder / "predictions" / Cell("simclr", 1.0, len(ready.test) - 5, 0, 0, "linear").file
    with np.load(cell) as arrays, np.load(whole.folder / "features/simclr-s0.npz") as read:
        found, pool, test = arrays["probabilities"], read["learn"], read["test"]
    y = ready.table.labels[ready.test]
    for turn in range(5):
        here = ready.turns == turn
        probe = Linear().fit(test[~here], y[~here], seed=0, unlabelled=pool)
        np.testing.assert_allclose(found[here], probe.predict(test[here]), atol=1e-5)
    assert "labelled items was tested on once, in 5 turns" in whole.report.read_text("utf-8")
    runs = [s for s in find([str(whole.folder)]) if s.folder is not None]
    alone, notes = data_for(str(few), runs)
    assert len(runs) == 2 and notes == []  # they have seen none of the items that are tested on
    assert "saw no labelled item" in saw(alone, runs)
    assert "saw the calibration items" in saw(alone, [*runs, replace(runs[0], folder=other)])
    assert "24 test items" in whole.report.read_text("utf-8")


def test_the_minutes_hold_all_turns() -> None:
    few: list[Arm] = []
    for name, kind in (("simclr", "method"), ("mae", "method"), ("supervised", "supervised")):
        few.append(Arm(name, kind, None, (Spec("finetune", {}),)))  # type: ignore[arg-type]
    for turns in (1, 5):
        part = share(60, few, turns)
        pretrained, fitted = pretraining(60, few, 1, turns).minutes, turns * 0.25 * part
        assert pretrained is not None
        assert 2 * (pretrained + fitted) + turns * part == pytest.approx(60)
