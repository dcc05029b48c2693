"""Directions that features are compared with: prototypes, words, clusters."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Prototypes(nn.Module):
    """Cosines of vectors with K learnt unit directions.

    Args:
        dim: length D of the vectors.
        count: how many directions.

    >>> scores = Prototypes(8, 5)(torch.randn(3, 8))
    >>> scores.shape, bool((scores.abs() <= 1.0001).all())
    (torch.Size([3, 5]), True)
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, dim) / math.sqrt(dim))

    def forward(self, x: Tensor, *, learn: bool = True) -> Tensor:
        """Vectors (B, D) to cosines (B, K) float32; the directions get no gradient where they shall not learn."""
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weight if learn else self.weight.detach() + 0 * self.weight  # still known to DDP
            return functional.normalize(x.float(), dim=1) @ functional.normalize(weight, dim=1).T


def usual_count(items: int) -> int:
    """How many prototypes a set of so many items gets where the user names no number: the root of three times as many.

    A rule of thumb between ten a class in sets of a thousand items and the papers' 3,000 for 1.3 million; nothing was
    tuned: 60 for 1,200, 390 for 50,000, 2,000 for 1.3 million.

    >>> usual_count(1200)
    60
    """
    return max(2, min(4096, round(math.sqrt(3 * max(items, 1)))))
