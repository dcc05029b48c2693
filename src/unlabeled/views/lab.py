"""Between sRGB and CIE L*a*b* under the D65 light, where equal distances look about equally different."""

import torch
from torch import Tensor

XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)
KNEE, SLOPE = 216 / 24389, 24389 / 27  # CIE's epsilon and kappa


def to_lab(rgb: Tensor) -> Tensor:
    """sRGB (B, 3, H, W) in 0 to 1 to lightness 0 to 100 and the colours a and b, about -110 to 110.

    >>> to_lab(torch.ones(1, 3, 1, 1)).flatten().round().abs().tolist()
    [100.0, 0.0, 0.0]
    """
    rgb = rgb.clamp(0, 1)
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(XYZ, device=rgb.device) / torch.tensor(WHITE, device=rgb.device)[:, None]
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    f = torch.where(xyz > KNEE, xyz.clamp_min(KNEE) ** (1 / 3), (SLOPE * xyz + 16) / 116)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def to_rgb(lab: Tensor) -> Tensor:
    """The inverse of `to_lab`, clipped to what a screen can show."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], 1)
    xyz = torch.where(f**3 > KNEE, f**3, (116 * f - 16) / SLOPE)
    back = torch.linalg.inv(torch.tensor(XYZ, dtype=torch.float64)).float().to(lab.device)
    linear = torch.einsum("ij,bjhw->bihw", back * torch.tensor(WHITE, device=lab.device), xyz).clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(1e-6) ** (1 / 2.4) - 0.055)


def in_gamut(step: int) -> Tensor:
    """The squares of the a-b plane, of side `step`, that hold colours which a screen can show: centres (Q, 2).

    >>> len(in_gamut(10)) > 250
    True
    """
    ramp = torch.linspace(0, 1, 24)
    every = torch.cartesian_prod(ramp, ramp, ramp).T[None, :, :, None]  # (1, 3, 24^3, 1)
    squares = (to_lab(every)[0, 1:, :, 0].T / step).round()
    found: Tensor = torch.unique(squares, dim=0)
    return found * step
