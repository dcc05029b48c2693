"""Strided convolutions over the waveform itself, as CPC has them (van den Oord et al. 2018, arXiv:1807.03748), and a
GRU over what they give where one is wanted.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.encoders._time import inside_of, pooled
from unlabeled.errors import UserError
from unlabeled.settings import within


class Wave(Encoder):
    """Strided convolutions over the waveform with pooling of mean and maximum.

    Args:
        channels: channels C of the views; the first is 1 inside the sound.
        size: their samples.
        width: channels of each layer; the paper has 512.
        strides: of the layers, each of which sees twice its stride; the paper's are 5, 4, 2, 2, 2: a place for 10 ms at
            16 kHz, 20 ms at 8 kHz.

    Raises:
        UserError: when there is no layer or no channel, or a sound has fewer samples than a place.

    >>> Wave(2, 1600, width=8)(torch.ones(2, 2, 1600)).shape
    torch.Size([2, 16])
    """

    space: ClassVar[int] = 1
    sees: ClassVar[str] = "wave"
    any_size = True

    def __init__(
        self, channels: int, size: int, *, width: int = 128, strides: tuple[int, ...] = (5, 4, 2, 2, 2)
    ) -> None:
        super().__init__()
        self.stride = math.prod(strides)
        if not strides or min(strides) < 1 or size < self.stride:
            raise UserError(f"strides of {strides} on {size} samples", "give strides of 1 or more, and longer sounds")
        within("wave", {"width": width}, 1)
        before, layers, norms = channels, [], []
        for stride in strides:
            layers.append(nn.Conv1d(before, width, 2 * stride, stride, bias=False))
            norms.append(nn.BatchNorm1d(width))
            before = width
        self.layers, self.norms, self.strides = nn.ModuleList(layers), nn.ModuleList(norms), strides
        self.token_dim, self.dim = width, 2 * width

    def forward(self, x: Tensor) -> Tensor:
        """Views (B, C, N) to features (B, D): mean and maximum over the sound."""
        return self.both(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        """Views (B, C, N) to one vector a place (B, N / stride, token_dim), 0 behind the end."""
        return self.both(x)[1]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and places (B, N / stride, token_dim), in one pass."""
        inside = inside_of(x)
        y = x * inside
        for layer, norm, stride in zip(self.layers, self.norms, self.strides, strict=True):
            around = (stride // 2, stride - stride // 2 + (-y.shape[2]) % stride)
            y = torch.relu(norm(layer(nn.functional.pad(y, around))))
            inside = inside[..., ::stride]
            y = y * inside
        return pooled(y, inside), y.transpose(1, 2)
