"""From features back to a picture or a series: what autoencoders, VAEs, GANs and painters share."""

import itertools
import math

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.settings import within


class Decoder(nn.Module):
    """Nearest-neighbour doublings with a convolution after each, from a vector or a map to a picture.

    Doubling before a convolution leaves no checkerboard, which transposed convolutions do (Odena et al. 2016,
    doi:10.23915/distill.00003).

    Args:
        dim: length D of the vectors that come in.
        channels: channels of what is painted.
        size: its side in pixels, or its steps.
        grid: side of the map that comes in; 1 for a vector.
        width: channels of the last layers; earlier maps have up to eight times as many.
        space: 2 for pictures, 1 for series.

    Raises:
        UserError: when there is nothing to paint from, or with.

    >>> Decoder(32, 3, 24)(torch.zeros(2, 32)).shape, Decoder(32, 1, 64, grid=2)(torch.zeros(2, 4, 32)).shape
    (torch.Size([2, 3, 24, 24]), torch.Size([2, 1, 64, 64]))
    """

    def __init__(self, dim: int, channels: int, size: int, *, grid: int = 1, width: int = 32, space: int = 2) -> None:
        super().__init__()
        within("a decoder", {"dim": dim, "decoder_width": width}, 1)
        self.size, self.grid, self.space = size, grid, space
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if space == 2 else (nn.Conv1d, nn.BatchNorm1d)
        start = 4 if grid == 1 else grid
        doublings = max(0, math.ceil(math.log2(size / start)))
        widths = [width * min(8, 2 ** max(0, doublings - 1 - i)) for i in range(doublings + 1)]
        self.start = start
        self.enter = nn.Linear(dim, widths[0] * (start**space if grid == 1 else 1), bias=grid == 1)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [norm(before), nn.ReLU(inplace=True), nn.Upsample(scale_factor=2)]
            layers += [conv(before, after, 3, 1, 1, bias=False)]
        layers += [norm(widths[-1]), nn.ReLU(inplace=True), conv(widths[-1], channels, 3, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (B, D), or a map as its places row by row (B, grid * grid, D), to items (B, C, size[, size])."""
        x = self.enter(x)
        if self.grid == 1:
            x = x.view(len(x), -1, *[self.start] * self.space)
        else:
            x = x.transpose(1, 2).reshape(len(x), -1, *[self.grid] * self.space)
        out: Tensor = self.layers(x)
        if out.shape[-1] != self.size:
            how = "bilinear" if self.space == 2 else "linear"
            out = nn.functional.interpolate(out, [self.size] * self.space, mode=how, align_corners=False)
        return out


def side_of_map(encoder: Encoder, channels: int, size: int) -> int:
    """Side of an encoder's map of places for views of this size, found by asking it once."""
    was = encoder.training
    encoder.eval()
    with torch.no_grad():
        places = encoder.tokens(torch.zeros(1, channels, size, size)).shape[1]
    encoder.train(was)
    return math.isqrt(int(places))
