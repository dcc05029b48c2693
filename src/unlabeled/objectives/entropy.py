"""How evenly a thing is used: the exponential of an entropy, a number of things rather than of nats."""

import math

import torch
from torch import Tensor


def in_use(shares: Tensor) -> float:
    """How many of K things are in use, 1 to K, from their shares (K,), which need not sum to 1.

    >>> round(in_use(torch.tensor([1.0, 1.0, 0.0])), 6)
    2.0
    """
    p = shares.double() / shares.double().sum().clamp_min(1e-12)
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-12))).sum()))


def told_apart(shares: Tensor) -> float:
    """How many kinds of items K things tell apart, 1 to K, from each item's shares (B, K): the exponential of what a
    thing says of its item in nats (mutual information). All items alike make 1.

    >>> round(told_apart(torch.eye(3)), 6), round(told_apart(torch.tensor([[0.9, 0.1], [0.9, 0.1]])), 6)
    (3.0, 1.0)
    """
    each = [math.log(in_use(item)) for item in shares]
    return in_use(shares.mean(0)) / math.exp(sum(each) / len(each))
