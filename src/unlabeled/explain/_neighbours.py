"""The training items whose embeddings are nearest."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.objectives._product import product
from unlabeled.protocols.knn import nearest


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of a bank, nearest first.

    Args:
        which: (B, k) their numbers in the bank.
        cosine: (B, k) of their embeddings with the item's.
    """

    which: np.ndarray
    cosine: np.ndarray


def neighbours(items: Tensor, bank: Tensor, k: int, *, but: np.ndarray | None = None) -> Neighbours:
    """Find the nearest of a bank for each item.

    Args:
        items: (B, D) standardised features.
        bank: (N, D) of the training items.
        k: how many; fewer where the bank holds fewer.
        but: (B,) number in the bank that is the item itself, -1 where it is not among them.
    """
    cosine = product(functional.normalize(items.float(), dim=1), functional.normalize(bank.float(), dim=1))
    own = np.full(len(items), -1) if but is None else but
    for row in np.flatnonzero(own >= 0):
        cosine[row, own[row]] = -torch.inf
    found, which = nearest(cosine, min(k, len(bank) - int((own >= 0).any())))
    return Neighbours(which.numpy(), found.numpy())


def share_below(bank: Tensor, cosine: float, *, pairs: int = 20_000, seed: int = 0) -> float:
    """Share of the pairs of a bank's items (N, D) that are less alike than this cosine, from so many random pairs."""
    chance = np.random.default_rng([seed, 71])
    first = chance.integers(0, len(bank), pairs)
    other = (first + chance.integers(1, max(2, len(bank)), pairs)) % len(bank)
    x = functional.normalize(bank.float(), dim=1)
    return float(((x[first] * x[other]).sum(1) < cosine).float().mean())
