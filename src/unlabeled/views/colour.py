"""Light and colour: a bend of the midtones, then brightness, contrast, saturation and hue as one affine map per item.

Brightness and contrast follow torchvision's ColorJitter; saturation and hue act on the YIQ plane, where a turn of
hue is linear, so that all of it and the normalisation are one matrix and one offset.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # luma weights of ITU-R BT.601
YIQ = (GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def bend(x: Tensor, by: Tensor) -> Tensor:
    """Brighten (by > 0) or darken the midtones of x in 0 to 1, black and white untouched; monotone for |by| <= 1.

    It is x + by * x * (1 - x), the second-order form of a gamma curve, at a fraction of the cost of a power.
    """
    return x * (1 + by - by * x)


class Light(NamedTuple):
    """What a jitter does to each item: bend of the midtones, brightness, contrast (B,), and colours (B, 3, 3)."""

    tone: Tensor
    bright: Tensor
    contrast: Tensor
    colour: Tensor

    def part(self, items: slice, device: torch.device) -> "Light":
        """The same for some of the items, on a device."""
        return Light(*(t[items].to(device) for t in self))


def lights(u: Tensor, strength: float) -> Light:
    """Random changes of brightness, contrast, midtones, saturation and hue for four items in five, none for the fifth.

    Args:
        u: uniform draws (B, 7).
        strength: 0 to 1; 0.5 gives factors 0.6 to 1.4 and hues within 36 degrees, as SimCLR has it on small pictures.
            A share of 0.4 * strength of the items loses its colours.
    """
    on = (u[:, :1] < 0.8).float() * strength
    swing = (2 * u[:, 1:6] - 1) * on  # (B, 5)
    bright, contrast, saturation = (1 + 0.8 * swing[:, :3]).unbind(1)
    saturation = torch.where(u[:, 6] < 0.4 * strength, 0.0, saturation)
    return Light(swing[:, 3], bright, contrast, chroma(saturation, 0.4 * math.pi * swing[:, 4]))


def jitter(x: Tensor, light: Light) -> Tensor:
    """Apply light to pictures x (B, C, H, W) in 0 to 1, clipped to it; colours only in three channels."""
    scale = light.bright * light.contrast
    offset = (light.bright - scale) * bend(_luma(x.mean((2, 3))), light.tone)
    x = torch.mul(x, _column(-light.tone)).add_(_column(1 + light.tone)).mul_(x)  # bend
    if x.shape[1] != 3:
        return x.mul_(_column(scale)).add_(_column(offset)).clamp_(0, 1)
    mixed = torch.baddbmm(offset[:, None, None], scale[:, None, None] * light.colour, x.flatten(2))
    return mixed.view_as(x).clamp_(0, 1)


def chroma(saturation: Tensor, hue: Tensor) -> Tensor:
    """Matrices (B, 3, 3) on RGB that scale saturation (B,) and turn the hue (B,) in radians; greys stay as they are.

    >>> m = chroma(torch.tensor([0.0]), torch.tensor([0.0]))
    >>> [round(v, 3) for v in m[0, 0].tolist()]
    [0.299, 0.587, 0.114]
    """
    there = torch.tensor(YIQ, dtype=torch.float64)
    mid = torch.zeros(len(hue), 3, 3, dtype=torch.float64)
    c, s = (saturation * torch.cos(hue)).double(), (saturation * torch.sin(hue)).double()
    mid[:, 0, 0] = 1
    mid[:, 1, 1], mid[:, 1, 2] = c, -s
    mid[:, 2, 1], mid[:, 2, 2] = s, c
    back: Tensor = torch.linalg.inv(there)
    return (back @ mid @ there).float()


def _luma(mean: Tensor) -> Tensor:
    """Channel means (B, C) to one brightness (B,)."""
    weights = mean.new_tensor(GREY) if mean.shape[1] == 3 else mean.new_full((mean.shape[1],), 1 / mean.shape[1])
    return torch.mv(mean, weights)


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
