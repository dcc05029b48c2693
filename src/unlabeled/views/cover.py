"""Rectangles that hide a part of the picture."""

import torch
from torch import Tensor


def rectangles(u: Tensor, smallest: float, largest: float) -> Tensor:
    """Random boxes (B, 4) as shares of the sides: left, top, right, bottom; sides up to 2 to 1.

    Args:
        u: uniform draws (B, 4).
        smallest: smallest share of the area, 0 to 1.
        largest: largest share of the area, 0 to 1.
    """
    area = smallest + (largest - smallest) * u[:, 0]
    stretch = torch.exp2(2 * u[:, 1] - 1).clamp(area, 1 / area.clamp(min=1e-9))
    size = torch.stack((torch.sqrt(area * stretch), torch.sqrt(area / stretch)), 1).clamp(max=1)
    low = u[:, 2:4] * (1 - size)
    return torch.cat((low, low + size), 1)


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Which pixels' centres lie in each item's box: (B, 1, height, width) bool."""
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    y = (torch.arange(height, device=boxes.device) + 0.5) / height
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    across, down = (x >= left) & (x < right), (y >= top) & (y < bottom)
    return (down[:, :, None] & across[:, None, :])[:, None]
