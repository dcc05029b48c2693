"""How the power of a view spreads over its frequencies: what no encoder has a part in, and no encoder can overlook.

An encoder that learnt from plates has no use for what plates never show. The logarithm of the power in bands, octaves
in a sense, told apart by direction in pictures and by variable in series, is the oldest description of a texture.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

BANDS = 7  # of frequency
TURNS = 4  # of direction
WIDEST = 512  # steps or pixels of an axis; longer ones (waves of sounds) are not transformed
LEAST = 1e-3  # power; less than the steps of an 8-bit picture have, and more than rounding


class Spectrum(nn.Module):
    """Log power in bands of frequency, by products of matrices, which every runtime has.

    Args:
        shape: of a view without the batch: (C, H, W) or (C, T).
    """

    masks: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        sides = shape[1:]
        for number, side in enumerate(sides):
            whole = number == 0 and len(sides) == 2  # of real values half of the plane tells all
            count = side if whole else side // 2 + 1
            angle = 2 * np.pi * np.outer(np.arange(side), np.arange(count)) / side
            bell = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side))[:, None]
            for word, wave in (("cos", np.cos(angle) * bell), ("sin", np.sin(angle) * bell)):
                self.register_buffer(f"{word}{number}", torch.from_numpy(wave.astype(np.float32)))
        found = _rings(sides) if len(sides) == 2 else _octaves(sides[0])
        self.register_buffer("masks", torch.from_numpy(found.astype(np.float32)))

    @staticmethod
    def suits(shape: tuple[int, ...]) -> bool:
        """Whether such views have a spectrum that can be told."""
        return len(shape) in (2, 3) and all(8 <= side <= WIDEST for side in shape[1:])

    def forward(self, view: Tensor, inside: Tensor | None = None) -> Tensor:
        """Views (B, C, H, W) to (B, bands) over all channels; (B, C, T) to (B, C * bands), of the steps where `inside`
        (B, 1, T) is 1, if it is given.
        """
        waves = dict(self.named_buffers())
        if view.ndim == 3:
            if inside is None:
                x, share = view - view.mean(2, keepdim=True), None
            else:
                x = (view - (view * inside).sum(2, keepdim=True) / inside.sum(2, keepdim=True)) * inside
                bell = waves["cos0"][:, :1].square()  # at no frequency the cosine is the bell alone
                share = (inside @ bell / bell.sum()).clamp(min=LEAST)
            power = (x @ waves["cos0"]).square() + (x @ waves["sin0"]).square()
            power = power if share is None else power / share
            return (power @ self.masks).clamp(min=LEAST).log().flatten(1)
        x = view.mean(1)
        x = x - x.mean((1, 2), keepdim=True)
        c, s = waves["cos0"].T @ x, waves["sin0"].T @ x  # (B, H, W), the first axis transformed
        real = c @ waves["cos1"] - s @ waves["sin1"]
        imaginary = c @ waves["sin1"] + s @ waves["cos1"]
        return ((real.square() + imaginary.square()).flatten(1) @ self.masks).clamp(min=LEAST).log()


def _rings(sides: tuple[int, ...]) -> np.ndarray:
    """Means over rings of frequency in each direction, (H * (W // 2 + 1), bands); rings that hold none are left out."""
    down, across = np.meshgrid(np.fft.fftfreq(sides[0]), np.fft.rfftfreq(sides[1]), indexing="ij")
    away = np.hypot(down, across).ravel()
    turn = ((np.arctan2(down, across) + np.pi / (2 * TURNS)) % np.pi // (np.pi / TURNS)).ravel()
    edges = np.geomspace(1 / max(sides), 0.5, BANDS + 1)
    masks = [(away >= low - 1e-9) & (away < high) & (turn == t) for low, high in pairwise(edges) for t in range(TURNS)]
    return np.stack([m / m.sum() for m in masks if m.any()], 1)


def _octaves(side: int) -> np.ndarray:
    """Means over bands of frequency (T // 2 + 1, bands)."""
    away = np.fft.rfftfreq(side)
    edges = np.geomspace(1 / side, 0.5 + 1e-9, BANDS + 1)
    masks = [(away >= low - 1e-9) & (away < high) for low, high in pairwise(edges)]
    return np.stack([m / m.sum() for m in masks if m.any()], 1)
