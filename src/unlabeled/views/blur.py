"""Gaussian blur with a width of its own for each item.

The taps are added one by one, mirrored pairs together. A grouped convolution is as fast when it is called again with
the same number of items, but here that number is random, and oneDNN compiles a kernel for every new shape.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian(sigma: Tensor, radius: int) -> Tensor:
    """Half kernels (B, radius + 1), from the middle outwards, for widths `sigma` (B,) in pixels.

    >>> gaussian(torch.tensor([1e-6]), 1).tolist()
    [[1.0, 0.0]]
    """
    at = torch.arange(radius + 1, device=sigma.device)
    w = torch.exp(-0.5 * (at / sigma[:, None].clamp(min=1e-3)) ** 2)
    return w / (2 * w.sum(1, keepdim=True) - w[:, :1])


def blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur every item with its own Gaussian.

    Args:
        x: (B, C, H, W) float32.
        sigma: (B,) widths in pixels.
        radius: where the kernels are cut off, in pixels, below H and W; edges are reflected.
    """
    taps = gaussian(sigma, radius)[:, :, None, None, None].unbind(1)  # each (B, 1, 1, 1)
    for axis, pad in ((2, (0, 0, radius, radius)), (3, (radius, radius, 0, 0))):
        side = x.shape[axis]
        wide = F.pad(x, pad, mode="reflect")
        x = wide.narrow(axis, radius, side) * taps[0]
        for step, tap in enumerate(taps[1:], 1):
            x.addcmul_(wide.narrow(axis, radius - step, side), tap).addcmul_(
                wide.narrow(axis, radius + step, side), tap
            )
    return x


def some(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur, in place, the items of x (B, C, H, W) whose sigma (B,), on the CPU, is above 0; the others cost nothing."""
    chosen = sigma.nonzero()[:, 0]
    if len(chosen):
        rows = chosen.to(x.device)
        x[rows] = blur(x[rows], sigma[chosen].to(x.device), radius)
    return x
