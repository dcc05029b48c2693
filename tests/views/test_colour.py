"""Light and colour against torchvision's own functions, one item at a time."""

import math

import pytest
import torch
import torchvision.transforms.v2.functional as TV
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.views import colour, draw, style


def light(
    tone: float = 0, bright: float = 1, contrast: float = 1, saturation: float = 1, hue: float = 0
) -> colour.Light:
    """One item's light."""
    one = [torch.tensor([v]) for v in (tone, bright, contrast, saturation, hue)]
    return colour.Light(one[0], one[1], one[2], colour.chroma(one[3], one[4]))


@pytest.fixture
def picture() -> Tensor:
    """A picture (1, 3, 12, 12) dark and dull enough that no step leaves 0 to 1."""
    return 0.2 + 0.3 * torch.rand(1, 3, 12, 12, generator=draw.generator(3))


def test_brightness_contrast_and_saturation_are_torchvisions(picture: Tensor) -> None:
    assert torch.allclose(colour.jitter(picture, light(bright=1.3)), TV.adjust_brightness(picture, 1.3), atol=1e-6)
    for factor in (0.6, 1.4):
        got = colour.jitter(picture, light(contrast=factor))
        assert torch.allclose(got, TV.adjust_contrast(picture, factor), atol=1e-3)  # its luma weights have four digits
        got = colour.jitter(picture, light(saturation=factor))
        assert torch.allclose(got, TV.adjust_saturation(picture, factor), atol=2e-3)
    both = TV.adjust_contrast(TV.adjust_brightness(picture, 0.8), 1.2)
    assert torch.allclose(colour.jitter(picture, light(bright=0.8, contrast=1.2)), both, atol=1e-3)


def test_grey_needs_no_colours() -> None:
    x = 0.3 + 0.3 * torch.rand(1, 1, 8, 8, generator=draw.generator(1))
    expected = x.mean() + 1.3 * (x - x.mean())
    assert torch.allclose(colour.jitter(x, light(contrast=1.3, saturation=0.2, hue=1.0)), expected, atol=1e-6)


@given(st.floats(0, 2), st.floats(-math.pi, math.pi))
def test_colours_leave_greys_and_luma_alone(saturation: float, hue: float) -> None:
    matrix = colour.chroma(torch.tensor([saturation]), torch.tensor([hue]))[0]
    assert torch.allclose(matrix.sum(1), torch.ones(3), atol=1e-5)
    luma = torch.tensor(colour.GREY)
    assert torch.allclose(luma @ matrix, luma, atol=2e-3)


def test_a_full_turn_of_hue_comes_back_and_a_third_moves_red_to_green() -> None:
    one, turn = torch.ones(1), torch.tensor([2 * math.pi])
    assert torch.allclose(colour.chroma(one, turn)[0], torch.eye(3), atol=1e-5)
    red = torch.tensor([1.0, 0.0, 0.0])
    moved = {int((colour.chroma(one, s * turn / 3)[0] @ red).argmax()) for s in (-1, 1)}
    assert moved == {1, 2}


@given(st.floats(-1, 1))
def test_bend_is_monotone_and_keeps_black_and_white(by: float) -> None:
    y = colour.bend(torch.linspace(0, 1, 101), torch.tensor(by))
    assert y[0] == 0 and abs(float(y[-1]) - 1) < 1e-6 and (y.diff() >= -1e-6).all()
    assert float(y[50]) == pytest.approx(0.5 + by / 4, abs=1e-6)


def test_lights_change_four_items_in_five_within_the_range() -> None:
    drawn = colour.lights(draw.uniforms(draw.generator(0), 5000, 7), 0.5)
    same = (drawn.tone == 0) & (drawn.bright == 1) & (drawn.contrast == 1)
    assert float(same.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert 0.6 <= drawn.bright.min() < 0.62 and 1.38 < drawn.bright.max() <= 1.4
    lost = (drawn.colour - drawn.colour[:, :1]).abs().amax((1, 2)) < 1e-5  # three equal rows: grey
    assert float(lost.float().mean()) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_style_zero_changes_nothing_and_every_kind_does_its_own(channels: int) -> None:
    x = 0.3 + 0.3 * torch.rand(1, channels, 64, 64, generator=draw.generator(channels))
    names = style.kinds(channels, [k for k in style.KINDS if channels == 3 or k not in style.COLOUR])
    assert torch.allclose(style.restyle(x, torch.zeros(1, len(names)), names, [1]), x, atol=1e-6)
    seen = []
    for name in names:
        v = torch.full((1, 1), 0.5)
        y = style.restyle(x, v, [name], [1])
        back = style.restyle(y, -v, [name], [1])
        assert (y - x).abs().max() > 0.005, name
        assert all((y - other).abs().max() > 0.005 for other in seen), name
        seen.append(y)
        if name in ("gamma", "contrast", "gain", "offset", "warmth", "tint", "hue", "field"):
            assert torch.allclose(back, x, atol=1e-4), name  # undone by its opposite


def test_style_is_equal_for_equal_seeds_and_another_for_others() -> None:
    x = torch.rand(2, 1, 64, 64, generator=draw.generator(0)).expand(2, 1, 64, 64) * 0.5 + 0.25
    v = torch.ones(2, 1)
    for name in ("field", "filter", "grain"):
        y = style.restyle(x, v, [name], [5, 6])
        assert torch.equal(y[:1], style.restyle(x[:1], v[:1], [name], [5]))  # an item depends on itself alone
        assert (y - style.restyle(x, v, [name], [6, 5])).abs().mean() > 0.01


@pytest.mark.parametrize("size", [64, 128, 224])
def test_focus_softens_by_the_same_share_of_any_picture(size: int) -> None:
    x = torch.zeros(1, 1, size, size)
    x[..., size // 2, size // 2] = 1
    line = style.restyle(x, torch.ones(1, 1), ["focus"], [0])[0, 0].sum(0)
    spread = ((torch.arange(size) - size // 2) ** 2 * line / line.sum()).sum().sqrt().item()
    assert spread == pytest.approx(1.2 * size / 64, rel=0.15)


def test_style_draws_are_half_nothing_and_wide() -> None:
    v = style.values(draw.generator(1), 4000, 5)
    assert float((v == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert -1 <= v.min() < -0.99 and 0.99 < v.max() <= 1
    assert torch.corrcoef(v.T).fill_diagonal_(0).abs().max() < 0.06


def test_style_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="no intervention for 1 channels"):
        style.kinds(1, ["warmth"])


def test_style_formulas_by_hand() -> None:
    x = torch.full((1, 1, 1, 2), 0.4)

    def one(name: str, value: float) -> list[float]:
        return [round(n, 4) for n in style.restyle(x, torch.full((1, 1), float(value)), [name], [0])[0, 0, 0].tolist()]

    assert one("gain", 1) == [0.6, 0.6]
    assert one("offset", -1) == [0.25, 0.25]
    assert one("gamma", 1) == [round(0.4**0.5, 4)] * 2
    assert one("slope_x", 1) == [0.32, 0.48]  # places -0.5 and 0.5
    red = torch.tensor([0.8, 0.2, 0.2]).view(1, 3, 1, 1)
    turned = style.restyle(red, torch.full((1, 1), 2 / 3), ["hue"], [0]).flatten()
    assert torch.allclose(turned, torch.tensor([0.2, 0.8, 0.2]), atol=1e-5)  # a third of the circle: green
