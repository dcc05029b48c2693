"""A gated recurrent network that reads a record from its beginning to its end (Cho et al. 2014, arXiv:1406.1078).

Records are packed by length, so that no step behind an end is computed.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.encoders._gru import read
from unlabeled.encoders._time import inside_of, pooled
from unlabeled.errors import UserError


class GRU(Encoder):
    """A GRU whose features are mean and maximum over all its states, and the last one.

    Args:
        channels: channels C of the views; the first is 1 inside the recording.
        size: their time steps.
        width: numbers in a state, 1 or more.
        layers: GRUs on top of each other, 1 or more.
        both_ways: read from the end to the beginning as well.
        dropout: between layers, 0 to 1.

    >>> GRU(4, 50, width=8)(torch.ones(2, 4, 50)).shape
    torch.Size([2, 24])
    """

    space: ClassVar[int] = 1
    any_size = True

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        width: int = 128,
        layers: int = 1,
        both_ways: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(channels, width), nn.ReLU())
        self.net = nn.GRU(width, width, layers, batch_first=True, dropout=dropout, bidirectional=both_ways)
        self.token_dim = width * (2 if both_ways else 1)
        self.dim = 3 * self.token_dim

    def forward(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to features (B, D)."""
        return self.both(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        """Views (B, C, T) to one state a step (B, T, token_dim), 0 behind the end."""
        return self._read(x)[0]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and states (B, T, token_dim), in one pass."""
        states, last, inside = self._read(x)
        return torch.cat([pooled(states.transpose(1, 2), inside), last], 1), states

    def _read(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inside = inside_of(x).float()
        if torch.compiler.is_exporting():
            return self._unpacked(x, inside)
        length = inside.sum(2)[:, 0].long().cpu()
        with torch.autocast(x.device.type, enabled=False):  # bf16 has no packed GRU on CPUs
            states, end = read(self.net, self.enter(x.float().transpose(1, 2)), length)
        return states, end[-1], inside

    def _unpacked(self, x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same without packing, which no exported program has: what lies behind the end is computed and dropped."""
        if self.net.bidirectional:
            raise UserError("a gru that reads both ways cannot be exported", "take both_ways=false, or the tcn")
        states, _ = self.net(self.enter(x.float().transpose(1, 2)))
        states = states * inside.transpose(1, 2)
        end = (inside.sum(2, keepdim=True).long() - 1).expand(-1, 1, states.shape[2])
        return states, states.gather(1, end)[:, 0], inside
