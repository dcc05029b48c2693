"""Random numbers that depend on (seed, step, rank) and on an item's place in the batch, never on its neighbours.

Parameters are drawn on the CPU, so that every device gets the same; they are small, and moving them costs nothing.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def generator(*key: int) -> torch.Generator:
    """A generator on the CPU whose state is a hash of the given whole numbers.

    >>> torch.equal(uniforms(generator(1, 2), 3, 4), uniforms(generator(1, 2), 3, 4))
    True
    """
    digest = hashlib.blake2b(",".join(str(int(k)) for k in key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def uniforms(source: torch.Generator, items: int, columns: int) -> Tensor:
    """A table (items, columns) of numbers in [0, 1); a row does not depend on how many rows follow it."""
    return torch.rand(items, columns, generator=source)


def seeds(source: torch.Generator, items: int) -> list[int]:
    """One seed an item, for what needs more than a few numbers."""
    return [int(s) for s in torch.randint(2**62, (items,), generator=source).tolist()]


def normals(items: list[int], shape: Sequence[int]) -> Tensor:
    """Standard normal numbers (items, *shape), each item's from its own seed."""
    return torch.stack([torch.randn(tuple(shape), generator=torch.Generator().manual_seed(s)) for s in items])


def between(u: Tensor, low: float, high: float) -> Tensor:
    """Uniform draws moved from [0, 1) to [low, high)."""
    return low + (high - low) * u
