"""A transformer over patches of time that can look at some of them alone (Nie et al. 2022, arXiv:2211.14730), with all
variables of a patch in one token, as TST has it (Zerveas et al. 2020, arXiv:2010.02803).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders import Maskable
from unlabeled.encoders._time import inside_of
from unlabeled.encoders.vit import attention, check_blocks, initialise
from unlabeled.errors import UserError


def sine_codes(places: int, width: int) -> Tensor:
    """Fixed codes (1, places, width) of places in a row: half sines, half cosines."""
    steps = torch.arange(places, dtype=torch.float32)
    frequencies = 1.0 / 10_000 ** (torch.arange(width // 2, dtype=torch.float32) / (width // 2))
    angles = steps[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)[None]


def mean_of(tokens: Tensor, inside: Tensor) -> Tensor:
    """Mean (B, D) of the tokens (B, T, D) that lie inside (B, T)."""
    weight = inside.to(tokens.dtype)[..., None]
    return (tokens * weight).sum(1) / weight.sum(1)


class Transformer(Maskable):
    """A transformer over patches of time; the feature is the mean of the tokens inside the recording.

    Args:
        channels: channels C of the views; the first is 1 inside the recording.
        size: their time steps.
        patch_size: steps of a patch; 0 takes the sixteenth part of the size, rounded to what divides it.
        width: length of the token vectors.
        depth: number of blocks, 0 or more.
        heads: attention heads; divides the width.

    Raises:
        UserError: when the patches do not fit the size or the heads do not fit the width.

    >>> Transformer(4, 64, width=16, depth=1, heads=2)(torch.ones(2, 4, 64)).shape
    torch.Size([2, 16])
    """

    space: ClassVar[int] = 1

    def __init__(
        self, channels: int, size: int, *, patch_size: int = 0, width: int = 128, depth: int = 4, heads: int = 4
    ) -> None:
        super().__init__()
        patch = patch_size or max((p for p in range(1, max(1, size // 16) + 1) if size % p == 0), default=1)
        if patch < 1 or size % patch:
            raise UserError(f"patches of {patch} steps do not fit {size}", "take a patch_size that divides the size")
        check_blocks(width, depth, heads, by=2)
        self.patch_size, self.places, self.patch_values = patch, size // patch, patch * channels
        self.dim = self.token_dim = width
        self.project = nn.Conv1d(channels, width, patch, patch)
        self.positions: Tensor
        self.register_buffer("positions", self.codes(width), persistent=False)
        self.blocks = nn.ModuleList(attention(width, depth, heads, by=2))
        self.norm = nn.LayerNorm(width)
        initialise(self)
        nn.init.xavier_uniform_(self.project.weight.view(width, -1))

    def forward(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to features (B, D)."""
        return self.both(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to patch tokens (B, T / patch_size, D)."""
        return self._blocks(self._embed(x), self._inside(x))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and patch tokens, in one pass."""
        inside = self._inside(x)
        tokens = self._blocks(self._embed(x), inside)
        return mean_of(tokens, inside), tokens

    def visible(self, x: Tensor, keep: Tensor) -> Tensor:
        """Tokens (B, V, D) of the patches whose numbers `keep` (B, V) names; the others are never computed."""
        return self._visible(x, keep)[0]

    def glimpse(self, x: Tensor, keep: Tensor) -> Tensor:
        """Features (B, D) from these patches alone, those behind a recording's end left out."""
        return mean_of(*self._visible(x, keep))

    def _visible(self, x: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self._embed(x)
        inside = self._inside(x).gather(1, keep)
        inside[:, 0] = True  # of a short recording none may be left
        return self._blocks(tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[-1])), inside), inside

    def codes(self, width: int) -> Tensor:
        """Fixed codes (1, places, width) of the patches' places in time."""
        return sine_codes(self.places, width)

    def _inside(self, x: Tensor) -> Tensor:
        """Which patches hold a step of the recording (B, T / patch_size), bool."""
        return inside_of(x).view(x.shape[0], -1, self.patch_size).amax(2) > 0

    def _embed(self, x: Tensor) -> Tensor:
        patches: Tensor = self.project(x)
        return patches.transpose(1, 2) + self.positions

    def _blocks(self, tokens: Tensor, inside: Tensor) -> Tensor:
        whole = not torch.compiler.is_exporting() and bool(inside.all())  # a program for any item cannot ask that
        mask = None if whole else inside[:, None, None, :]
        for block in self.blocks:
            tokens = block(tokens, attn_mask=mask)
        normed: Tensor = self.norm(tokens)
        return normed
