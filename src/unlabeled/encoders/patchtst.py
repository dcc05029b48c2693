"""A transformer over patches of time that reads one variable at a time (PatchTST: Nie et al. 2022, arXiv:2211.14730),
each window in units of its own (RevIN: Kim et al. 2022, openreview.net/forum?id=cGDAkQo1C0p).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders._time import inside_of
from unlabeled.encoders.transformer import Transformer, mean_of
from unlabeled.encoders.vit import initialise

FLOOR = 0.01  # least spread that a channel is divided by: a constant one stays 0


class Join(nn.Module):
    """Tokens of single channels become tokens of items, and are told the units of their channel."""

    def __init__(self, each: int, width: int) -> None:
        super().__init__()
        self.each, self.told = each, nn.Linear(2, width)
        initialise(self.told)

    def forward(self, tokens: Tensor, unit: Tensor) -> Tensor:
        """Tokens (B * each, T, W) and units (B * each, 2) to (B, T, each * W)."""
        told: Tensor = tokens + self.told(unit)[:, None]
        return told.view(-1, self.each, *told.shape[1:]).transpose(1, 2).flatten(2)


class PatchTST(Transformer):
    """A transformer that reads each variable by itself, in units of its own.

    Every channel but the first goes through the same network, less its mean and over its spread; both are told to
    every token at the end, so that how tokens differ between places hangs on the shape alone. A token holds the
    channels' vectors side by side, C - 1 times the width; the feature is the mean of those inside the recording.

    Args:
        channels: channels C of the views; the first is 1 inside the recording.
        size: their time steps.
        patch_size: steps of a patch; 0 takes the sixteenth part of the size, rounded to what divides it.
        width: length of the vector that a token holds of each channel.
        depth: number of blocks.
        heads: attention heads; divides the width.

    Raises:
        UserError: when the patches do not fit the size or the heads do not fit the width.

    >>> PatchTST(4, 64, width=16, depth=1, heads=2)(torch.ones(2, 4, 64)).shape
    torch.Size([2, 48])
    """

    space: ClassVar[int] = 1
    apart: ClassVar[bool] = True

    def __init__(
        self, channels: int, size: int, *, patch_size: int = 0, width: int = 64, depth: int = 3, heads: int = 4
    ) -> None:
        super().__init__(2, size, patch_size=patch_size, width=width, depth=depth, heads=heads)
        self.each = channels - 1
        self.patch_values, self.dim = self.patch_size * channels, self.each * width
        self.token_dim = self.dim
        self.join = Join(self.each, width)

    def tokens(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to patch tokens (B, T / patch_size, D), the channels' vectors side by side."""
        own, unit = self._own(x, inside_of(x))
        joined: Tensor = self.join(super().tokens(own), unit)
        return joined

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and patch tokens, in one pass."""
        tokens = self.tokens(x)
        return mean_of(tokens, self._inside(x)), tokens

    def _visible(self, x: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        shown = torch.zeros(len(x), self.places, device=x.device).scatter(1, keep, 1.0)
        seen = inside_of(x) * shown.repeat_interleave(self.patch_size, 1)[:, None]
        own, unit = self._own(x, seen)
        tokens, inside = super()._visible(own, keep.repeat_interleave(self.each, 0))
        return self.join(tokens, unit), inside[:: self.each]

    def _own(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Each channel as an item (B * (C - 1), 2, T) in units of what is `seen` (B, 1, T) of it, and what these are:
        mean and logarithm of the spread (B * (C - 1), 2).
        """
        values, weight = x[:, 1:], seen / seen.sum(2, keepdim=True).clamp(min=1)
        mean = (values * weight).sum(2, keepdim=True)
        spread = ((values - mean).square() * weight).sum(2, keepdim=True).clamp(min=FLOOR**2).sqrt()
        inside = inside_of(x)
        own = torch.stack([inside.expand_as(values), (values - mean) / spread * inside], 2)
        return own.flatten(0, 1), torch.cat([mean, spread.log()], 2).flatten(0, 1)
