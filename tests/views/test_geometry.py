"""Crops, mirror images and turns against Pillow and slow loops, one item at a time."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps
from torch import Tensor

from unlabeled.views import draw, geometry


def pictures(items: int, side: int, channels: int = 1) -> Tensor:
    """Smooth random pictures, uint8."""
    coarse = torch.rand(items, channels, 6, 6, generator=draw.generator(side, channels))
    return (F.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def by_pillow(raw: Tensor, box: list[int], mirror: list[bool], size: int) -> Tensor:
    """The same view through Pillow's bilinear resize, which antialiases."""
    planes = []
    for plane in raw.numpy():
        picture = Pillow.fromarray(plane).resize((size, size), Pillow.Resampling.BILINEAR, box=tuple(box))
        picture = ImageOps.mirror(picture) if mirror[0] else picture
        planes.append(np.asarray(ImageOps.flip(picture) if mirror[1] else picture))
    return torch.from_numpy(np.stack(planes)).float()


@pytest.mark.parametrize(("side", "size"), [(40, 32), (64, 32), (24, 32), (96, 32)])
def test_resample_is_pillows_resize(side: int, size: int) -> None:
    raw = pictures(12, side, 3)
    u = draw.uniforms(draw.generator(side), 12, 6)
    boxes, mirror = geometry.crops(u, side, 0.2, 4 / 3), u[:, 4:6] < 0.5
    assert mirror.any(0).all() and not mirror.all(0).any()
    got = geometry.resample(raw, boxes, mirror, size)
    assert got.dtype == torch.uint8 and got.shape == (12, 3, size, size)
    for i in range(12):
        cut = raw[i, :, boxes[i, 1] : boxes[i, 3], boxes[i, 0] : boxes[i, 2]]
        expected = by_pillow(cut, [0, 0, cut.shape[2], cut.shape[1]], mirror[i].tolist(), size)
        assert (got[i].float() - expected).abs().max() <= 1.0  # levels of 256


def test_both_ways_of_resampling_agree() -> None:
    """The kernel for 8 bit on the CPU and the matrices for everything else are one filter."""
    raw = pictures(16, 50)
    u = draw.uniforms(draw.generator(5), 16, 6)
    boxes, mirror = geometry.crops(u, 50, 0.1, 2.0), u[:, 4:6] < 0.5
    kernel = geometry.resample(raw, boxes, mirror, 32).float()
    matrices = geometry.resample(raw.to(torch.uint16), boxes, mirror, 32)
    assert (kernel - matrices).abs().max() <= 1.01  # each pass of the kernel rounds to a level of 256


@settings(max_examples=50, deadline=None)
@given(
    side=st.integers(1, 300),
    smallest=st.floats(0.0, 1.0),
    stretch=st.floats(1.0, 3.0),
    seed=st.integers(0, 1000),
)
def test_crops_stay_inside(side: int, smallest: float, stretch: float, seed: int) -> None:
    boxes = geometry.crops(draw.uniforms(draw.generator(seed), 64, 4), side, smallest, stretch)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= side).all() and (boxes[:, 2:] > boxes[:, :2]).all()


def test_crops_have_the_promised_distribution() -> None:
    boxes = geometry.crops(draw.uniforms(draw.generator(0), 20000, 4), 1000, 0.2, 4 / 3).double()
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    area, shape = width * height / 1e6, torch.log(width / height)
    assert area.min() >= 0.199 and area.max() <= 1.001
    assert math.isclose(area.mean(), 0.6, abs_tol=0.01) and math.isclose(area.var(), 0.8**2 / 12, abs_tol=0.003)
    assert shape.abs().max() <= math.log(4 / 3) + 0.01 and abs(shape.mean()) < 0.01
    left, room = boxes[:, 0], 1000 - width
    assert math.isclose((left / room.clamp(min=1)).mean(), 0.5, abs_tol=0.02)
    assert (room == 0).float().mean() < 0.1


def slow_turn(picture: Tensor, box: list[int], mirror: list[bool], degrees: float, size: int) -> Tensor:
    """One grey picture, cropped, mirrored and turned pixel by pixel; outside the picture NaN."""
    side, out = picture.shape[-1], torch.full((size, size), math.nan)
    x0, y0, x1, y1 = box
    a = math.radians(degrees)
    for row in range(size):
        for column in range(size):
            u, v = (2 * column + 1) / size - 1, (2 * row + 1) / size - 1
            u, v = u * (x1 - x0) / 2 * (-1 if mirror[0] else 1), v * (y1 - y0) / 2 * (-1 if mirror[1] else 1)
            x = (x0 + x1) / 2 + math.cos(a) * u - math.sin(a) * v - 0.5
            y = (y0 + y1) / 2 + math.sin(a) * u + math.cos(a) * v - 0.5
            i, j = math.floor(y), math.floor(x)
            if 0 <= i < side - 1 and 0 <= j < side - 1:
                p, q = y - i, x - j
                top = (1 - q) * picture[i, j] + q * picture[i, j + 1]
                out[row, column] = (1 - p) * top + p * ((1 - q) * picture[i + 1, j] + q * picture[i + 1, j + 1])
    return out


def test_turn_is_the_slow_loop() -> None:
    raw = pictures(4, 30)
    boxes = torch.tensor([[0, 0, 30, 30], [3, 5, 20, 25], [10, 2, 30, 12], [0, 0, 30, 30]])
    mirror = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    degrees = torch.tensor([0.0, 25.0, -40.0, 90.0])
    got = geometry.turn(raw, boxes, mirror, degrees, 24)
    assert not got.isnan().any()
    for i in range(4):
        slow = slow_turn(raw[i, 0].float(), boxes[i].tolist(), mirror[i].tolist(), float(degrees[i]), 24)
        inside = ~slow.isnan()
        assert inside.float().mean() > 0.7
        assert (got[i, 0][inside] - slow[inside]).abs().max() < 0.02


@pytest.mark.parametrize("side", [64, 61])
def test_turn_by_zero_is_a_crop_also_where_it_shrinks(side: int) -> None:
    raw = pictures(6, side)
    boxes, mirror = geometry.whole(6, side), torch.tensor([[True, False]] * 6)
    turned = geometry.turn(raw, boxes, mirror, torch.zeros(6), 32)
    crop = geometry.resample(raw, boxes, mirror, 32).float()
    assert (turned - crop).abs().mean() < 3  # levels of 256: the filters differ
    shifts = [torch.tensor([x, y, x, y]) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    off = [(geometry.turn(raw, boxes + s, mirror, torch.zeros(6), 32) - crop).abs().mean() for s in shifts]
    assert min(off) == off[4]  # no shift fits better than none


def test_shrinking_does_not_alias() -> None:
    """Stripes finer than the view can hold must come out grey, not as other stripes."""
    stripes = (torch.arange(64) % 2 * 255).to(torch.uint8).expand(1, 1, 64, 64)
    upright = torch.zeros(1, 2, dtype=torch.bool)
    for box in ([0, 0, 64, 64], [3, 0, 61, 58], [1, 1, 60, 60]):
        view = geometry.resample(stripes, torch.tensor([box]), upright, 32).float()[..., 2:-2]
        plain = F.interpolate(stripes.float()[..., box[0] : box[2]], size=(64, 32), mode="bilinear")[..., 2:-2]
        assert view.std() < 25
        assert box == [0, 0, 64, 64] or plain.std() > 2 * view.std()
