"""Rectangles of patches, as many in each item, so that they make one tensor (I-JEPA, arXiv:2301.08243)."""

import math

import torch
from torch import Tensor


def block(shape: Tensor, places: Tensor, grid: int, area: tuple[float, float], stretch: float) -> Tensor:
    """One rectangle in each item's grid of patches, of the same shape in all, each at its own place.

    Args:
        shape: uniform draws (2,): of the area and of the stretch.
        places: uniform draws (B, 2): down and across.
        grid: patches along a side.
        area: smallest and largest share of the patches, 0 to 1.
        stretch: largest height over width, and width over height, 1 or more.

    Returns:
        (B, grid * grid) bool, the same number of patches in every row.

    >>> block(torch.zeros(2), torch.zeros(1, 2), 4, (0.25, 0.25), 1.0).view(4, 4)[:2, :2].all().item()
    True
    """
    patches = grid**2 * (area[0] + (area[1] - area[0]) * float(shape[0]))
    form = math.exp((2 * float(shape[1]) - 1) * math.log(stretch))
    height = min(grid, max(1, round(math.sqrt(patches * form))))
    width = min(grid, max(1, round(math.sqrt(patches / form))))
    top = (places[:, :1] * (grid - height + 1)).long()
    left = (places[:, 1:] * (grid - width + 1)).long()
    row, column = torch.arange(grid * grid) // grid, torch.arange(grid * grid) % grid
    row, column = row.to(places.device), column.to(places.device)
    return (row >= top) & (row < top + height) & (column >= left) & (column < left + width)


def numbers(inside: Tensor, order: Tensor, count: int) -> Tensor:
    """Numbers of `count` patches of each item (B, count), those inside (B, T) first, in a random order (B, T)."""
    return (inside.float() + order).argsort(1, descending=True)[:, :count]
