"""A residual network of convolutions over time, for series of any length (Wang et al. 2017, arXiv:1611.06455).

Where a recording ends, zeros are kept behind it and the pooling leaves them out.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.encoders._time import inside_of, pooled
from unlabeled.errors import UserError


class Block(nn.Module):
    """Two convolutions over time and a way around them."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(before, after, kernel, stride, kernel // 2, bias=False)
        self.second = nn.Conv1d(after, after, kernel, 1, kernel // 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(after) for _ in range(2))
        straight = before == after and stride == 1
        self.around = nn.Identity() if straight else nn.Conv1d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """(B, before, T), of which what is not `inside` (B, 1, T) is 0, to (B, after, T / stride)."""
        y = functional.relu(self.norms[0](self.first(x)))
        y = y * inside[..., :: -(-inside.shape[2] // y.shape[2])]  # a norm's shift is not 0 behind the end
        return functional.relu(self.norms[1](self.second(y)) + self.around(x))


class TCN(Encoder):
    """A residual network over time with pooling of mean and maximum.

    Args:
        channels: channels C of the views; the first is 1 inside the recording.
        size: their time steps.
        width: channels of the first stage; each further one has twice as many and half the steps.
        stages: how many stages, 1 or more.
        blocks: residual blocks in each, 1 or more.
        kernel: steps that a convolution sees, odd.
        stride: of the first convolution; 0 takes 2 from 96 steps on, else 1.
        parts: of the recording, one after the other, that features keep apart: of a word, how it begins and ends; 1
            pools over all of it.

    Raises:
        UserError: when the kernel is even, or a setting is out of its range.

    >>> import torch
    >>> TCN(4, 50, width=8)(torch.ones(2, 4, 50)).shape
    torch.Size([2, 64])
    """

    space: ClassVar[int] = 1
    any_size = True

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        width: int = 32,
        stages: int = 3,
        blocks: int = 2,
        kernel: int = 5,
        stride: int = 0,
        parts: int = 1,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0 or min(kernel, stages, parts, blocks, width) < 1 or stride < 0:
            given = f"a kernel of {kernel}, {stages} stages of {blocks} blocks, width {width}, stride {stride}"
            raise UserError(f"{given} and {parts} parts were given", "give an odd kernel, and 1 or more of the others")
        stride = stride or (2 if size >= 96 else 1)
        self.stem = nn.Conv1d(channels, width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(width)
        layers: list[nn.Module] = []
        before = width
        for stage in range(stages):
            after = width * 2**stage
            for number in range(blocks):
                layers.append(Block(before, after, kernel, 2 if stage and not number else 1))
                before = after
        self.layers = nn.ModuleList(layers)
        self.parts, self.token_dim, self.dim = parts, before, 2 * before * parts

    def forward(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to features (B, D): mean and maximum over the recording."""
        return self.both(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to one vector a place (B, T', token_dim)."""
        return self._map(x)[0].transpose(1, 2)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and places (B, T', token_dim), in one pass."""
        y, inside = self._map(x)
        return pooled(y, inside, self.parts), y.transpose(1, 2)

    def _map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, inside = functional.relu(self.norm(self.stem(x))), inside_of(x)
        for layer in (None, *self.layers):
            y = y if layer is None else layer(y * inside, inside)
            inside = inside[..., :: -(-inside.shape[2] // y.shape[2])]
        return y * inside, inside
