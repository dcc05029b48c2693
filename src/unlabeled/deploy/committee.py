"""Several encoders that answer as one: a deep ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474).

Each member has a head of its own; the ensemble's answer is the mean of their probabilities, and the temperature is
fitted to that mean (Rahaman & Thiery 2021, arXiv:2007.08792: pool, then calibrate).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder


class Committee(Encoder):
    """The features of all members, one behind the other; the places are those of the first.

    Args:
        members: encoders that take the same views.
    """

    def __init__(self, members: Sequence[Encoder]) -> None:
        super().__init__()
        first = members[0]
        self.members = nn.ModuleList(members)
        self.channels, self.size, self.any_size, self.nothing = (
            first.channels,
            first.size,
            first.any_size,
            first.nothing,
        )
        self.dim, self.token_dim = sum(m.dim for m in members), first.token_dim

    def forward(self, x: Tensor) -> Tensor:
        """Items (B, C, ...) to features (B, D) of all members."""
        return torch.cat([member(x) for member in self.members], 1)

    def tokens(self, x: Tensor) -> Tensor:
        """One vector a place (B, T, token_dim), of the first member."""
        return listed(self)[0].tokens(x)


def listed(encoder: Encoder) -> list[Encoder]:
    """The members of a committee, or the encoder alone."""
    return [m for m in encoder.members if isinstance(m, Encoder)] if isinstance(encoder, Committee) else [encoder]


def one_of(members: Sequence[Encoder]) -> Encoder:
    """The encoder alone where there is one, a committee of several."""
    return members[0] if len(members) == 1 else Committee(members)


def heads(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The heads (classes, D) and biases (classes,) of members as one for all features.

    Returns:
        Weights (classes, D) and bias as they are where there is one; else (members, classes, all D) with zeros where
        a member does not look, and (members, classes).

    >>> weight, bias = heads([(np.ones((2, 3)), np.zeros(2)), (np.ones((2, 4)), np.ones(2))])
    >>> weight.shape, bias.shape, weight.sum((1, 2)).tolist()
    ((2, 2, 7), (2, 2), [6.0, 8.0])
    """
    if len(found) == 1:
        return found[0]
    widths = [weight.shape[1] for weight, _ in found]
    out = np.zeros((len(found), found[0][0].shape[0], sum(widths)))
    for number, (weight, end) in enumerate(zip((w for w, _ in found), np.cumsum(widths), strict=True)):
        out[number, :, end - weight.shape[1] : end] = weight
    return out, np.stack([bias for _, bias in found])


def pooled(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Logits (B, classes) of features (B, D): of one head, or the logarithm of the mean probability of several."""
    if weight.ndim == 2:
        return features @ weight.T + bias
    each = torch.stack([features @ w.T + b for w, b in zip(weight, bias, strict=True)])  # (M, B, classes)
    return torch.logsumexp(torch.log_softmax(each, 2), 0) - float(np.log(len(weight)))
