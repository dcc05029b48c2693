"""Which methods serve which data: all of them at once, those that refuse, and those that warn."""

from pathlib import Path

import pytest

from unlabeled import UserError, catalog
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.encoders import _build
from unlabeled.methods import Facts
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder, suitable

SMALL = Training(threads=1)


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
