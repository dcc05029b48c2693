"""The head that foretells tokens from states, with the encoder's own vectors of tokens as its last layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Foretold(nn.Module):
    """A layer, a norm, and the products with the vectors of all tokens (Devlin et al. 2018; tied as in Press and Wolf
    2017, arXiv:1608.05859).

    Args:
        width: of states and token vectors.
        vocabulary: number of tokens.
        layer: whether there is a layer before the products, as in BERT; GPT has none.
    """

    def __init__(self, width: int, vocabulary: int, *, layer: bool = True) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width)) if layer else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """States (N, D) and token vectors (V, D) to scores of the tokens (N, V)."""
        return functional.linear(self.enter(states), table, self.bias.to(states.dtype))

    def loss(self, states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of the true tokens (N,), a scalar; 0 where there is none."""
        if not len(states):
            return states.sum()
        return functional.cross_entropy(self(states, table).float(), targets)
