"""Light and colour: a bend of the midtones, then brightness, contrast, saturation and hue as one affine map per item.

Brightness and contrast follow torchvision's ColorJitter; saturation and hue act on the YIQ plane, where a turn of
hue is linear, so that all of it and the normalisation are one matrix and one offset.
"""

import math

import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # luma weights of ITU-R BT.601
YIQ = (GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def bend(x: Tensor, by: Tensor) -> Tensor:
    """Brighten (by > 0) or darken the midtones of x in 0 to 1, black and white untouched; monotone for |by| <= 1.

    It is x + by * x * (1 - x), the second-order form of a gamma curve, at a fraction of the cost of a power.
    """
    return x * (1 + by - by * x)


def jitter(x: Tensor, u: Tensor, strength: float) -> Tensor:
    """Random brightness, contrast, midtones and, in three channels, saturation and hue; four items in five are changed.

    Args:
        x: (B, C, H, W) float32 in 0 to 1; it is overwritten.
        u: uniform draws (B, 7) on the CPU.
        strength: 0 to 1; 0.5 gives factors 0.6 to 1.4 and hues within 36 degrees, as SimCLR has it on small pictures.
            Of coloured items a share of 0.4 * strength turns grey.
    """
    on = (u[:, 0] < 0.8).float() * strength
    swing = (2 * u[:, 1:6] - 1) * on[:, None]  # (B, 5)
    bright, contrast, colourful = (1 + 0.8 * swing[:, :3]).unbind(1)
    tone, scale = swing[:, 3], bright * contrast
    pivot = _luma(x.mean((2, 3)))
    tone, scale, shift = (t.to(x.device) for t in (tone, scale, bright - scale))
    offset = shift * bend(pivot, tone)
    x = torch.mul(x, _column(-tone)).add_(_column(1 + tone)).mul_(x)
    if x.shape[1] != 3:
        return x.mul_(_column(scale)).add_(_column(offset)).clamp_(0, 1)
    colourful = torch.where(u[:, 6] < 0.4 * strength, 0.0, colourful)
    matrix = scale[:, None, None] * chroma(colourful, swing[:, 4] * (0.4 * math.pi)).to(x.device)
    mixed = torch.baddbmm(offset[:, None, None], matrix, x.flatten(2))
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
    return (torch.linalg.inv(there) @ mid @ there).float()


def _luma(mean: Tensor) -> Tensor:
    """Channel means (B, C) to one brightness (B,)."""
    return torch.mv(mean, mean.new_tensor(GREY)) if mean.shape[1] == 3 else mean.mean(1)


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
