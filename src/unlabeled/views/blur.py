"""Gaussian blur with a width of its own for each item, as two one-dimensional convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian(sigma: Tensor, radius: int) -> Tensor:
    """Kernels (B, 2 * radius + 1) that sum to one, for widths `sigma` (B,) in pixels.

    >>> gaussian(torch.tensor([1e-6]), 1).tolist()
    [[0.0, 1.0, 0.0]]
    """
    at = torch.arange(-radius, radius + 1, dtype=torch.float32, device=sigma.device)
    w = torch.exp(-0.5 * (at / sigma[:, None].clamp(min=1e-3)) ** 2)
    return w / w.sum(1, keepdim=True)


def blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur every item with its own Gaussian.

    Args:
        x: (B, C, H, W) float32.
        sigma: (B,) widths in pixels.
        radius: where the kernels are cut off, in pixels, below H and W; edges are reflected.
    """
    return separable(x, gaussian(sigma, radius))


def separable(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve the rows and columns of every item of x (B, C, H, W) with its own kernel (B, K), K odd."""
    b, c, h, w = x.shape
    radius = kernels.shape[1] // 2
    k = kernels.repeat_interleave(c, 0)[:, None, :, None]  # (B * C, 1, K, 1)
    y = F.pad(x, (radius,) * 4, mode="reflect").reshape(1, b * c, h + 2 * radius, w + 2 * radius)
    y = F.conv2d(F.conv2d(y, k, groups=b * c), k.transpose(2, 3), groups=b * c)
    return y.reshape(b, c, h, w)
