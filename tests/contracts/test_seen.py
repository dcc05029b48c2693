"""What a transformer is shown: patches of a usual size, and in I-JEPA some that are not asked for."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unlabeled import UserError
from unlabeled.encoders import _build
from unlabeled.encoders.vit import ViT
from unlabeled.methods import Batch
from unlabeled.methods.ijepa import IJEPA


@pytest.mark.parametrize(("blocks", "area"), [(1, 0.4), (4, 0.4), (4, 0.8), (1, 0.8), (4, 0.2)])
def test_ijepa_sees_what_it_is_not_asked_for(blocks: int, area: float) -> None:
    """However many and large its blocks are, four of 64 patches are seen at least, none of them a target."""
    method = IJEPA(ViT(1, 32, patch_size=4, width=16, depth=1, heads=2), blocks=blocks, area=area, predictor_heads=2)
    x = torch.zeros(16, 1, 32, 32)
    for seed in range(25):
        source = torch.Generator().manual_seed(seed)

        def uniforms(rows: int, columns: int, _: Any, source: torch.Generator = source) -> torch.Tensor:
            return torch.rand(rows, columns, generator=source)

        look: Any = SimpleNamespace(augment=lambda raw, _: raw, uniforms=uniforms)
        batch: Any = Batch(x, torch.arange(16), None)
        _, seen, asked = method.views(batch, look)
        assert seen.shape[1] >= 4 and asked.shape[:2] == (blocks, 16)
        for item in range(16):
            assert not set(seen[item].tolist()) & set(asked[:, item].flatten().tolist())


@pytest.mark.parametrize(("size", "grid"), [(64, 8), (60, 10), (17, 17), (48, 8), (70, 10), (28, 14), (224, 8)])
def test_usual_patches(size: int, grid: int) -> None:
    assert ViT(1, size, width=16, depth=1, heads=2).grid == grid


@pytest.mark.parametrize("size", [61, 62, 97, 127, 31])
def test_patches_of_a_pixel_or_two_have_to_be_asked_for(size: int) -> None:
    with pytest.raises(UserError, match="take a --size that 8 divides"):
        _build.build(_build.spec("vit(width=16, depth=1, heads=2)"), 1, size)
    asked = _build.build(_build.spec(f"vit(width=16, depth=1, heads=2, patch_size={size})"), 1, size)
    assert asked(torch.zeros(1, 1, size, size)).shape == (1, 16)
