"""What methods that look ahead in time share: how many places a view has, which of them lie inside, and a summary."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError


def places(encoder: Encoder, *, method: str, least: int) -> int:
    """How many places a whole view has, found by asking the encoder once.

    Args:
        encoder: gives tokens of series.
        method: name of the method that asks, for the message.
        least: places that it needs.

    Raises:
        UserError: when there are fewer, or the encoder sees no time.
    """
    if encoder.space != 1:
        raise UserError(f"{method} looks ahead in time, and the encoder sees maps or pictures", "take --encoder tcn")
    was = encoder.training
    encoder.eval()
    with torch.no_grad():
        count = encoder.tokens(torch.ones(1, encoder.channels, encoder.size)).shape[1]
    encoder.train(was)
    if count < least:
        raise UserError(
            f"{method} needs {least} places in time, and the encoder makes {count} of {encoder.size} steps",
            'take longer windows (--size), or an encoder with fewer strides: --encoder "tcn(stages=1)"',
        )
    return int(count)


def inside(view: Tensor, count: int) -> Tensor:
    """Which of `count` places hold a step of the recording (B, count), bool, from the first channel of (B, C, T).

    >>> inside(torch.tensor([[[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]]), 3).tolist()
    [[True, True, False]]
    """
    return functional.adaptive_max_pool1d((view[:, :1] > 0.5).float(), count)[:, 0] > 0.5


def room(encoder: Encoder, steps: int) -> int:
    """Steps that a piece of a view must have for the encoder: its own, or all that it was built for."""
    return steps if encoder.any_size else encoder.size


class Summary(nn.Module):
    """A small transformer that reads places through one learnt token, as TS-TCC has it (arXiv:2106.14112).

    Args:
        dim: length of the places' vectors.
        width: of the transformer, and length of the summary; 4 divides it.
        depth: number of blocks.

    >>> Summary(8, 16, 1)(torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)).shape
    torch.Size([2, 16])
    """

    def __init__(self, dim: int, width: int, depth: int) -> None:
        super().__init__()
        if width < 4 or width % 4 or depth < 1:
            raise UserError(
                f"a context of width {width} and depth {depth} was asked for",
                "take a width that 4 divides, and a depth of 1 or more",
            )
        self.enter = nn.Linear(dim, width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        # in the paper's code the hidden layers have 64 numbers at a width of 100, and dropout is 0.1
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, max(1, width * 64 // 100), 0.1, batch_first=True, norm_first=True)
            for _ in range(depth)
        )

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """Places (B, T, dim), and which of them are there (B, T) bool, to a summary (B, width)."""
        token = self.token.to(x.dtype).expand(len(x), -1, -1)
        x = torch.cat([token, self.enter(x)], 1)
        absent = None
        if not bool(known.all()):
            absent = torch.cat([torch.zeros_like(known[:, :1]), ~known], 1)
        for block in self.blocks:
            x = block(x, src_key_padding_mask=absent)
        return x[:, 0]
