"""A small residual network of convolutions for pictures and for maps of sounds, where a ResNet-18 is too much for the
machine or the data (after He et al. 2015, arXiv:1512.03385).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for _ in range(2))
        straight = before == after and stride == 1
        self.around = nn.Identity() if straight else nn.Conv2d(before, after, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H / stride, W / stride)."""
        y = functional.relu(self.norms[0](self.first(x)))
        # the stride is taken outside of the convolution: with 2 to 7 channels, last in memory, torch's own way back
        # writes behind its buffer on CPUs that have AVX2 alone (seen with torch 2.15), and the process dies
        return functional.relu(self.norms[1](self.second(y)) + self.around(x[..., :: self.stride, :: self.stride]))


class CNN(Encoder):
    """A small residual network with pooling of mean and maximum.

    Args:
        channels: channels C of the pictures.
        size: side of the views in pixels.
        width: channels of the first stage; each further one has twice as many and half the side.
        stages: how many stages, 1 or more.
        blocks: residual blocks in each.
        stride: of the first convolution; 0 takes 2 from 48 pixels on, else 1.
        side: of the first map, about, in places, from which the stride follows; 0 takes the stride as given.
        grid: columns of the coarse grid that features keep: of a map of sound, what comes early and late; 1 pools over
            all places.
        rows: of that grid: of a map of sound, what lies high and low; 0 takes as many as columns.

    Raises:
        UserError: when there is no stage, or nothing is left of a view for the grid.

    >>> CNN(1, 64, width=4)(torch.zeros(2, 1, 64, 64)).shape
    torch.Size([2, 64])
    """

    space: ClassVar[int] = 2
    any_size = True

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        width: int = 16,
        stages: int = 4,
        blocks: int = 1,
        stride: int = 0,
        side: int = 0,
        grid: int = 1,
        rows: int = 0,
    ) -> None:
        super().__init__()
        rows, stride = rows or grid, max(1, size // side) if side > 0 else stride
        if min(stages, blocks, width, grid, rows) < 1 or stride < 0:
            given = f"a cnn of {stages} stages, {blocks} blocks, width {width}, stride {stride}, grid {grid}"
            raise UserError(given, "give 1 or more of each")
        self.stem = nn.Conv2d(channels, width, 5, stride or (2 if size >= 48 else 1), 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        if -(-size // (self.stem.stride[0] * 2 ** (stages - 1))) < max(grid, rows):
            raise UserError(f"{stages} stages leave no grid of {rows} x {grid} of {size} px", "take fewer stages")
        before = width
        for stage in range(stages):
            after = width * 2**stage
            for number in range(blocks):
                layers.append(Block(before, after, 2 if stage and not number else 1))
                before = after
        self.layers = nn.Sequential(*layers)
        self.grid, self.rows = grid, rows
        self.token_dim, self.dim = before, 2 * before * grid * rows

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to features (B, D): mean and maximum over the places of each part of the grid."""
        return self.both(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to one vector a place of the last map (B, T, token_dim), row by row."""
        return self.both(x)[1]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and places (B, T, token_dim), in one pass."""
        y: Tensor = self.stem(x)
        if not torch.compiler.is_exporting():
            y = y.contiguous(memory_format=torch.channels_last)  # a third faster on CPUs
        y = self.layers(functional.relu(self.norm(y)))
        parts = [p.flatten(2) for row in _split(y, self.rows, 2) for p in _split(row, self.grid, 3)]
        features = torch.cat([told for p in parts for told in (p.mean(2), p.amax(2))], 1)
        return features, y.flatten(2).transpose(1, 2)


def _split(y: Tensor, parts: int, dim: int) -> list[Tensor]:
    """Parts of a map along one side; of a smaller view, which has fewer places than parts, some are given twice."""
    size = y.shape[dim]
    if size >= parts:
        return list(y.tensor_split(parts, dim))
    return [y.narrow(dim, part * size // parts, 1) for part in range(parts)]
