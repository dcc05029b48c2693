"""What encoders of series share: where the recording is, and pooling over it alone."""

import torch
from torch import Tensor


def inside_of(x: Tensor) -> Tensor:
    """1 inside the recording, 0 behind its end (B, 1, T), from the first channel of views (B, C, T); never all 0."""
    inside = (x[:, :1] > 0.5).to(x.dtype)
    first = torch.zeros_like(inside)
    first[..., 0] = 1
    return torch.maximum(inside, first)


def pooled(y: Tensor, inside: Tensor) -> Tensor:
    """Mean and maximum (B, 2 C) of (B, C, T) over the steps where `inside` (B, 1, T) is 1.

    >>> pooled(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])).tolist()
    [[2.0, 3.0]]
    """
    mean = (y * inside).sum(2) / inside.sum(2)
    return torch.cat([mean, y.masked_fill(inside == 0, float("-inf")).amax(2)], 1)
