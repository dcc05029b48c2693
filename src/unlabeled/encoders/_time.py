"""What encoders of series share: where the recording is, and pooling over it alone."""

import torch
from torch import Tensor


def inside_of(x: Tensor) -> Tensor:
    """1 inside the recording, 0 behind its end (B, 1, T), from the first channel of views (B, C, T); never all 0."""
    inside = (x[:, :1] > 0.5).to(x.dtype)
    first = torch.zeros_like(inside)
    first[..., 0] = 1
    return torch.maximum(inside, first)


def pooled(y: Tensor, inside: Tensor, parts: int = 1) -> Tensor:
    """Mean and maximum (B, 2 C * parts) of (B, C, T) over the steps where `inside` (B, 1, T) is 1, for each of so many
    parts of equal length that follow each other.

    >>> pooled(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])).tolist()
    [[2.0, 3.0]]
    >>> pooled(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]]), 2).tolist()
    [[1.0, 1.0, 3.0, 3.0]]
    """
    out = []
    for part in range(parts):
        here = inside
        if parts > 1:
            length, step = inside.sum(2, keepdim=True), torch.arange(y.shape[2], device=y.device)
            first, last = (length * part / parts).floor(), (length * (part + 1) / parts).ceil()
            here = ((step >= first) & (step < last)).to(y.dtype)
        mean = (y * here).sum(2) / here.sum(2)
        out += [mean, y.masked_fill(here == 0, float("-inf")).amax(2)]
    return torch.cat(out, 1)
