"""What processes that train together tell each other: their batches, with gradients, and what the first one found."""

import torch
from torch import Tensor, distributed

from unlabeled.errors import UserError


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) when training is not distributed.

    >>> ranks()
    (0, 1)
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def enough(items: int) -> None:
    """Refuse a batch of this process in which no item has another to be told from, over all processes.

    Raises:
        UserError: when there are fewer than two.
    """
    if items * ranks()[1] < 2:
        raise UserError(
            f"a micro-batch holds {items} item and none to tell it from",
            "give a larger --batch-size or a smaller --accumulate",
        )


def gather(x: Tensor) -> Tensor:
    """Concatenate the rows of all processes, in rank order.

    The gradient of a row is the sum over all processes, so when DDP averages the parameters' gradients, the result
    is that of one process with the whole batch and the mean of the processes' losses, but for batch norm: each process
    takes the mean and spread of its own rows.

    Args:
        x: (B, ...), of the same shape in every process.

    Returns:
        (processes * B, ...); `x` itself when training is not distributed.

    >>> x = torch.ones(2, 3)
    >>> gather(x) is x
    True
    """
    if ranks()[1] == 1:
        return x
    gathered: Tensor = _Gather.apply(x)
    return gathered


def agree(x: Tensor) -> Tensor:
    """The first process's numbers in every process, written into `x` itself; nothing when training is not distributed.

    >>> agree(torch.ones(2)).tolist()
    [1.0, 1.0]
    """
    if ranks()[1] > 1:
        distributed.broadcast(x, 0)
    return x


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(ranks()[1])]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        rank, size = ranks()
        total = grads[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total.chunk(size)[rank]
