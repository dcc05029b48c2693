"""Maps as a person can see them, laid over the item: orange speaks for the score, blue against it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

FOR, AGAINST = np.array([255.0, 106.0, 0.0]), np.array([30.0, 110.0, 255.0])


def heat(pictures: np.ndarray, maps: Tensor) -> np.ndarray:
    """Pictures (B, H, W, 3) uint8 with maps (B, ...) laid over them, each map in units of its own strongest places.

    The map of a series (B, T) colours the columns of its picture.
    """
    wide = maps[:, None, :].expand(-1, pictures.shape[1], -1) if maps.ndim == 2 else maps
    fit = functional.interpolate(wide[:, None].float(), pictures.shape[1:3], mode="bilinear")
    near = max(1, min(pictures.shape[1:3]) // 32 | 1)  # single pixels of a fine map could not be seen
    fit = functional.avg_pool2d(fit, near, 1, near // 2, count_include_pad=False)[:, 0].cpu()
    top = torch.quantile(fit.abs().flatten(1), 0.995, dim=1).clamp_min(1e-12)[:, None, None]
    strong = (fit / top).clamp(-1, 1).numpy()[..., None]  # (B, H, W, 1)
    grey = 0.75 * pictures.mean(3, keepdims=True) + 30
    colour = np.where(strong > 0, FOR, AGAINST)
    opaque = 0.8 * np.abs(strong)
    return np.asarray((grey * (1 - opaque) + colour * opaque).round().clip(0, 255), np.uint8)
