"""Pull the two views of an item together and push all others away: NT-Xent (Chen et al. 2020, arXiv:2002.05709).

What differs: large batches never hold the matrix of all similarities. It is made block by block, once for the loss and
once more for the gradient, half of it only since it is symmetric. Cosines are at most 1, so exp((s - 1) / temperature)
needs no running maximum.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.objectives._product import product
from unlabeled.objectives.gather import enough, gather, ranks

DENSE = 1024  # columns up to which the whole matrix is cheaper than its blocks
BLOCK, BLOCK_ON_GPU = 512, 4096  # rows and columns of a block; on the CPU it stays in the cache
COLDEST = 0.025  # below it exp(-2 / temperature) leaves float32, and the whole matrix with its row maxima is needed


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """NT-Xent over two views: each vector must find its partner among all other vectors of both views.

    Under `torch.distributed` the other vectors come from all processes, with gradients.

    Args:
        a: first view (B, D), any scale; it is L2-normalised here, in float32.
        b: second view (B, D), row by row the same items.
        temperature: of the softmax over cosines, above 0.

    Returns:
        Scalar, the mean over this process's 2 B vectors.

    Raises:
        UserError: when the shapes differ, the temperature is not above 0, or there are fewer than two items over all
            processes.

    >>> views = torch.eye(4)
    >>> round(info_nce(views, views, temperature=0.5).item(), 4)  # log(1 + 6 exp(-2))
    0.5944
    """
    if a.shape != b.shape or a.ndim != 2:
        raise UserError(
            f"the two views have shapes {tuple(a.shape)} and {tuple(b.shape)}", "give the same (B, D) twice"
        )
    if temperature <= 0:
        raise UserError(f"the temperature is {temperature}", "choose one above 0, such as 0.2")
    enough(len(a))
    with torch.autocast(a.device.type, enabled=False):
        x = functional.normalize(torch.cat([a, b]).float(), dim=1)  # (2 B, D)
        others = _of_other_processes(x)
        dense = len(x) + len(others) <= DENSE or temperature < COLDEST
        spread = _dense(x, others, temperature) if dense else _lean(x, others, temperature)
        first, second = x.chunk(2)
        return spread.mean() - (first * second).sum(1).mean() / temperature


def _of_other_processes(x: Tensor) -> Tensor:
    rank, size = ranks()
    if size == 1:
        return x[:0]
    parts = gather(x).chunk(size)
    return torch.cat([*parts[:rank], *parts[rank + 1 :]])


def _dense(x: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Log-sum-exp (N,) over all similarities of each row of x but that with itself."""
    logits = x @ torch.cat([x, others]).T / temperature
    return logits.masked_fill(torch.eye(*logits.shape, dtype=torch.bool, device=x.device), -torch.inf).logsumexp(1)


def _lean(x: Tensor, others: Tensor, temperature: float) -> Tensor:
    """The same in blocks."""
    out: Tensor = _Lean.apply(x, others, temperature)
    return out


class _Lean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, others: Tensor, temperature: float) -> Tensor:
        total = x.new_zeros(len(x))
        for i, j, e in _blocks(x, others, temperature):
            total[i] += e.sum(1)
            if j.start < len(x) and i != j:
                total[j] += e.sum(0)
        ctx.save_for_backward(x, others, total)
        ctx.temperature = temperature
        return total.log() + 1 / temperature

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, others, total = ctx.saved_tensors
        temperature: float = ctx.temperature
        share = grad / (total * temperature)
        columns = torch.cat([x, others])
        out = torch.zeros_like(columns)
        for i, j, e in _blocks(x, others, temperature):
            if j.start < len(x):
                e *= share[i, None] + share[j]
            else:
                e *= share[i, None]
            out[i] += product(e, columns[j].T)
            if i != j:
                out[j] += product(e.T, columns[i].T)
        return out[: len(x)], out[len(x) :], None


def _blocks(x: Tensor, others: Tensor, temperature: float) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks exp((s - 1) / temperature) of the rows of x against themselves and those after them, then against others.

    Blocks left of the diagonal are the transposes of those given; similarities of rows with themselves count 0.
    """
    size = BLOCK if x.device.type == "cpu" else BLOCK_ON_GPU
    scale = 1 / (temperature * math.log(2))  # exp2 is the faster exponential
    scaled, shift = x * scale, x.new_full((size,), -scale)
    for begin in range(0, len(x), size):
        i = slice(begin, min(begin + size, len(x)))
        for first, part in ((0, x), (len(x), others)):
            for start in range(0 if first else begin, len(part), size):
                rows = part[start : start + size]
                j = slice(first + start, first + start + len(rows))
                e = product(scaled[i], rows, shift[: len(rows)]).exp2_()
                yield i, j, e.fill_diagonal_(0) if i == j else e
