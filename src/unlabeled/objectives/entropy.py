"""How evenly a thing is used: the exponential of an entropy, a number of things rather than of nats."""

import torch
from torch import Tensor


def in_use(shares: Tensor) -> float:
    """How many of K things are in use, 1 to K, from their shares (K,), which need not sum to 1.

    >>> round(in_use(torch.tensor([1.0, 1.0, 0.0])), 6)
    2.0
    """
    p = shares.double() / shares.double().sum().clamp_min(1e-12)
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-12))).sum()))
