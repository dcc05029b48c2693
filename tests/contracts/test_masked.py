"""What masked methods hide: a part and not the whole at any share between, or the setting is refused in words."""

from typing import Any

import pytest
import torch

from unlabeled import UserError, catalog
from unlabeled.encoders import _build
from unlabeled.methods import Batch
from unlabeled.modalities.image import Image

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
