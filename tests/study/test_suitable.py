"""Which methods serve which data: all of them at once, those that refuse, and those that warn."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from unlabeled import UserError, catalog
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.data.splits import nested_draws
from unlabeled.encoders import _build
from unlabeled.methods import Facts
from unlabeled.report import folder
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.plan import Arm, Cell, arms, cells, check_arms, compose, method_and_encoder, safe, suitable
from unlabeled.training.run import Run
from unlabeled.verbs.compare import compare

SMALL = Training(threads=1)
VIEWS = Augmentation()


@pytest.fixture(scope="module")
def grey(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(digits, size=16)


def test_all_takes_every_method_that_can_serve(grey: Prepared) -> None:
    chosen, left = suitable(grey, ["all"], None, SMALL)
    made_for = {n: catalog.entry("methods", n).facts.get("modalities", ("image",)) for n in catalog.names("methods")}
    assert sorted([*map(str, chosen), "colorization"]) == [n for n, kinds in made_for.items() if "image" in kinds]
    assert len(left) == 1 and "colorization wants colour pictures, these have 1 channel" in left[0]
    assert "take inpainting" in left[0]


def test_a_method_keeps_its_own_encoder_where_the_given_one_does_not_fit(grey: Prepared) -> None:
    chosen, _ = suitable(grey, ["all"], "test_resnet", SMALL)
    own = {method_and_encoder(m, "test_resnet")[0].name: method_and_encoder(m, "test_resnet")[1] for m in chosen}
    assert {name for name, encoder in own.items() if encoder != _build.spec("test_resnet")} == {"mae", "ijepa"}


def test_all_beside_a_method_with_settings_does_not_take_it_twice(grey: Prepared) -> None:
    chosen, _ = suitable(grey, ["simclr(temperature=0.5)", "all"], "test_resnet", SMALL)
    names = [method_and_encoder(m, None)[0].name for m in chosen]
    assert len(names) == len(set(names)) and chosen[0] == "simclr(temperature=0.5)"


def test_rotation_warns_where_the_data_have_no_up(steel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found on the real steel pictures, without labels; digits have an up."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path))
    recipe = compose(prepare(steel, size=32), *method_and_encoder("rotation", None), Augmentation(), SMALL, 1, 0)
    assert "no up" in recipe.kind().judge(recipe.facts)


def test_rotation_is_content_with_digits(grey: Prepared) -> None:
    recipe = compose(grey, *method_and_encoder("rotation", None), Augmentation(), SMALL, 1, 0)
    assert recipe.kind().judge(recipe.facts) == ""


@pytest.mark.parametrize("channels", [1, 4])
def test_colorization_refuses_what_has_no_colours(channels: int) -> None:
    with pytest.raises(UserError, match="colour pictures"):
        catalog.load("methods", "colorization").judge(Facts(items=9, steps=1, channels=channels, size=32))


def test_encoders_of_one_kind_are_told_apart(grey: Prepared) -> None:
    """Each has random weights and a supervised arm of its own, under a name of its own."""
    vits = [f"vit(width={width}, depth=1, heads=2)" for width in (32, 48, 64)]
    given = [{"name": "simclr", "encoder": vit} for vit in vits]
    plan = arms(grey, [*given, {"name": "byol", "encoder": vits[1]}], None, ["linear", "finetune"], VIEWS, SMALL, 0)
    names = [arm.name for arm in plan]
    assert len(names) == len(set(names))
    for kind in ("random", "supervised"):
        own = {str(arm.recipe.encoder): arm.name for arm in plan if arm.kind == kind}
        assert len(own) == 3
        assert all(any(f"width={width}" in name for name in own.values()) for width in (32, 48, 64))
    assert next(arm.name for arm in plan if arm.kind == "method") == "simclr"
    alike = arms(grey, ["simclr", {"name": "byol", "encoder": vits[0]}], "resnet18", ["linear"], VIEWS, SMALL, 0)
    assert [arm.name for arm in alike if arm.kind == "random"] == ["random[resnet18]", "random[vit]"]


@pytest.mark.parametrize(
    ("methods", "protocols", "told"),
    [
        ([], ["linear"], "no method was named"),
        (["simclr"], [], "no protocol was named"),
        (["simclr"], ["linear", "knn", "linear"], "the protocol linear was given twice"),
        (["simclr"], ["linear", "knn(k=0)"], "k is 0"),
        (["simclr"], ["finetune(keep=2)"], "keep=2"),
        (["simclr"], ["finetune(views=strnog)"], '"strnog"; did you mean "strong"'),
        (["simclr", "mae(mask_ratio=2)"], ["linear"], "mae hides 2"),
    ],
)
def test_what_would_be_refused_after_the_training_is_refused_before_it(
    methods: list[str], protocols: list[str], told: str, grey: Prepared
) -> None:
    with pytest.raises(UserError, match=told):
        check_arms(arms(grey, methods, None, protocols, VIEWS, SMALL, 0))


@pytest.mark.parametrize(
    ("each", "shares", "told"),
    [
        (8, [0.01, 0.1, 1.0], [(0.01, 6, 0), (1.0, 48, 0), (0.01, 6, 1)]),
        (8, [6, 0.1, 12], [(6, 6, 0), (12, 12, 0), (6, 6, 1), (12, 12, 1)]),
        (1, [0.1, 1.0, 6], [(1.0, 6, 0)]),
        (8, [12, 48], [(12, 12, 0), (48, 48, 0), (12, 12, 1)]),
        (8, [48], [(48, 48, 0)]),
    ],
)
def test_shares_that_come_to_as_many_labels_are_fitted_and_counted_once(
    each: int, shares: list[float], told: list[tuple[float, int, int]]
) -> None:
    """Of 48 labels in six classes a hundredth and a tenth are both one item a class."""
    drawn = nested_draws(np.repeat(np.arange(6), each), np.arange(6 * each), shares, 2, 0)
    arm = cast(Arm, SimpleNamespace(name="simclr", kind="method", protocols=("linear",)))
    assert [(c.share, c.labels, c.draw) for c in cells([arm], drawn, [0])] == told


def test_a_name_in_files_stays_one_name_and_short_enough_for_them() -> None:
    """A file system takes 255 bytes for a name, and a cell's file holds an arm and a protocol."""
    deep = [f"/home/{'ß' * 150}/{'y' * 90}/{name}.py(width=64)" for name in ("mine", "yours")]
    files = {Cell(arm, 0.1234567, 9, 2**40, 0, "finetune(" + "z" * 300 + ")").file for arm in deep}
    assert len(files) == 2 and all(len(f"{file}.part".encode()) < 256 for file in files)
    assert folder.safe(deep[0]) == safe(deep[0]) != safe(deep[1])
    assert safe("simclr(temperature=0.5)") == "simclr_temperature_0.5_"


def test_a_file_without_a_method_is_refused_in_words(grey: Prepared, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text('class Own:\n    """Is no method."""\n')
    with pytest.raises(UserError, match=r"Own in .*own\.py is no method"):
        check_arms(arms(grey, [str(own)], "resnet18", ["linear"], VIEWS, SMALL, 0))


def test_a_batch_larger_than_the_data_is_not_counted_as_seen(digits: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for i, file in enumerate(sorted((digits / "train").glob("*/*.png"))[::50]):
        place = few / file.parent.name / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    found = compare(
        str(few), methods="simclr", labels=1.0, seeds=1, draws=1, protocols="knn", budget=Budget(steps=2),
        setup=Setup(encoder="cnn(width=4, stages=2)", size=8, out=str(tmp_path / "study")), training=SMALL,
    )  # fmt: skip
    items = Run.open(found.folder / "runs" / "simclr-s0").recipe.items
    assert items < SMALL.batch_size
    [cost] = [c for c in json.loads((found.folder / "costs.json").read_text()) if c["stage"] == "pretrain"]
    assert cost["items_seen"] == 2 * items
