"""The plain view of pictures in operations that every runtime has: two matrix products and one scaling.

The same as `modalities.image.Image.plain` (see `views.geometry.weights`), but that an 8-bit picture which is made
smaller is not rounded to whole grey values in between.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled.modalities import Modality
from unlabeled.modalities.image import Image
from unlabeled.views import geometry


class View(nn.Module):
    """Pictures (B, C, S, S), uint8 or uint16, to views (B, C, plain_size, plain_size) float32, normalised.

    Args:
        modality: gives size, mean and standard deviation.
        shape: (C, S, S) of the stored pictures.
        dtype: their type, uint8 or uint16.
    """

    scale: Tensor
    shift: Tensor
    resize: Tensor | None

    def __init__(self, modality: Modality, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__()
        side, top = shape[-1], float(np.iinfo(dtype).max)
        look = cast(Image, modality)
        self.register_buffer("scale", (1 / (top * look.std)).view(-1, 1, 1))
        self.register_buffer("shift", (-look.mean / look.std).view(-1, 1, 1))
        same = look.plain_size == side
        span, upright = torch.tensor([[0, side]]), torch.zeros(1, dtype=torch.bool)
        self.register_buffer("resize", None if same else geometry.weights(span, upright, side, look.plain_size)[0])

    def forward(self, raw: Tensor) -> Tensor:
        """The one deterministic view."""
        x = raw.to(torch.float32)
        if self.resize is not None:
            x = self.resize @ (x @ self.resize.T)
        return x * self.scale + self.shift
