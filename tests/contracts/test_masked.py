"""What masked methods hide: a part and not the whole at any share between, or the setting is refused in words."""

from typing import Any

import pytest
import torch
from torch import Tensor

from unlabeled import UserError, catalog
from unlabeled.encoders import _build
from unlabeled.methods import Batch
from unlabeled.modalities.image import Image
from unlabeled.modalities.series import Series
from unlabeled.objectives.info_nce import info_nce

SIDE = 32


def made(name: str, patch: int = 8, **settings: Any) -> Any:
    encoder = _build.build(_build.spec(f"vit(width=32, depth=1, heads=2, patch_size={patch})"), 1, SIDE)
    return catalog.load("methods", name)(encoder, **settings)


def loss(method: Any) -> float:
    raw = torch.randint(0, 256, (3, 1, SIDE, SIDE), dtype=torch.uint8)
    told = method(method.views(Batch(raw, torch.arange(3)), Image(size=SIDE).at(0, 0)))
    return float((told["reconstruction"] if isinstance(told, dict) else told).detach())


@pytest.mark.parametrize("share", [1e-4, 0.03, 0.5, 0.9999])
@pytest.mark.parametrize("name", ["mae", "hybrid"])
def test_something_is_hidden_at_any_share(name: str, share: float) -> None:
    assert 0 < loss(made(name, mask_ratio=share)) < 100


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *((name, {"mask_ratio": share}) for name in ("mae", "hybrid", "tst") for share in (-0.1, 0.0, 1.0)),
        ("mae", {"patch": SIDE}),  # one patch, which cannot be hidden and be seen
        ("inpainting", {"holes": 0}),
        ("inpainting", {"area": 0.0}),
        ("inpainting", {"area": 1.5}),
    ],
)
def test_what_would_hide_nothing_or_all_is_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=name):
        made(name, **wrong)


@pytest.mark.parametrize("painted", [0.01, 0.5, 1.0])
def test_the_hybrid_contrasts_whole_views_and_paints_some(painted: float) -> None:
    """Both parts of its loss by a loop over items, patches and pixels, of an encoder that knows no statistics."""
    method = made("hybrid", painted=painted).eval()
    raw = torch.randint(0, 256, (4, 1, SIDE, SIDE), dtype=torch.uint8)
    first, second, holed, hidden = method.views(Batch(raw, torch.arange(4)), Image(size=SIDE).at(0, 0))
    assert len(holed) == len(hidden) == max(1, round(4 * painted))
    with torch.no_grad():
        told = method.loss((first, second, holed, hidden))
        seen = [method.projector(method.encoder(view)) for view in (first, second)]
        tokens = method.encoder.tokens(holed)
        drawn = method.decoder(tokens)
    assert float(told["contrast"]) == pytest.approx(float(info_nce(*seen, method.temperature)), rel=1e-4)
    errors = []
    for item in range(len(holed)):
        for y in range(SIDE):
            for x in range(SIDE):
                if hidden[item, 0, y, x]:
                    assert holed[item, 0, y, x] == 0
                    errors.append(float(drawn[item, 0, y, x] - second[item, 0, y, x]) ** 2)
                else:
                    assert holed[item, 0, y, x] == second[item, 0, y, x]
    assert float(told["reconstruction"]) == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def ward(items: int = 6, seed: int = 0) -> tuple[Series, Tensor]:
    """Records of four variables of which a quarter is measured, and all their values are different."""
    chance = torch.Generator().manual_seed(seed)
    raw = torch.randn(items, 5, 32, generator=chance)
    raw[:, 0] = 1.0
    raw[:, 1:][torch.rand(items, 4, 32, generator=chance) < 0.75] = float("nan")
    return Series(size=32, channels=5, missing=True), raw


@pytest.mark.parametrize("name", ["tst", "mae"])
def test_no_hidden_value_can_be_read_where_a_gap_holds_it_over(name: str) -> None:
    looks, raw = ward()
    looks = looks.at(0, 0)
    net = _build.build(_build.spec("transformer(width=32, depth=1, heads=2, patch_size=4)"), 1 + 3 * 4, 32, 1)
    method = catalog.load("methods", name)(net, **({"mask_ratio": 0.5} if name == "mae" else {"mask_length": 2.0}))
    told = method.views(Batch(raw, torch.arange(6)), looks)
    if name == "mae":
        seen, order, target, _ = told
        hidden = torch.zeros(6, 8).scatter(1, order[:, method.visible :], 1).repeat_interleave(4, 1)[:, None] > 0
        x = looks.unpatch(target, 4)
        lost = (looks.measured(x)[:, 1:5] > 0.5) & hidden
        shown = seen[:, 1:5].masked_fill(hidden, 0.0)
    else:
        seen, x, hid = told
        lost, shown = hid[:, 1:5] > 0, seen[:, 1:5]
    assert int(lost.sum()) > 20
    for item in range(6):
        for variable in range(4):
            for value in x[item, 1 + variable][lost[item, variable]]:
                assert not (shown[item, variable] == value).any()
    assert (shown != 0).any(), "what was measured elsewhere is seen"
