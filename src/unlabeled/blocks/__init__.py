"""Pieces that several methods are made of: modules and buffers, so that checkpoints and devices find them."""

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


def frozen(module: nn.Module, *inputs: Any) -> Tensor:
    """Call a module whose parameters get no gradient while its inputs do: the opponent's view of a game.

    >>> import torch
    >>> layer, x = nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    >>> frozen(layer, x).sum().backward()
    >>> layer.weight.grad is None, x.grad is None
    (True, False)
    """
    still = {name: value.detach() for name, value in module.named_parameters()}
    out: Tensor = functional_call(module, still, inputs)
    return out
