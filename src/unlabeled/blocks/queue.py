"""The vectors of the last batches, first in, first out."""

import torch
from torch import Tensor, nn

from unlabeled.errors import UserError
from unlabeled.objectives.gather import gather


class Queue(nn.Module):
    """A ring of unit vectors, random ones at first; the oldest are overwritten.

    Args:
        size: how many vectors it holds at most; shortened by `fit_to`.
        dim: their length.

    Raises:
        UserError: when it shall hold none.
    """

    rows: Tensor
    place: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise UserError(f"a queue of {size} was asked for", "give 1 or more")
        self.register_buffer("rows", nn.functional.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def fit_to(self, items: int) -> None:
        """Keep it below half the data: an item must not meet itself of the last epoch as a negative.

        >>> queue = Queue(4096, 8)
        >>> queue.fit_to(1000)
        >>> len(queue.rows)
        499
        """
        if items:
            self.rows = self.rows[: max(1, min(len(self.rows), (items - 1) // 2))].clone()

    @torch.no_grad()
    def push(self, x: Tensor) -> None:
        """Add vectors (B, D); under `torch.distributed` those of all processes, so that all queues stay equal."""
        new = gather(x.detach().to(self.rows.dtype))[-len(self.rows) :]
        where = (torch.arange(len(new), device=x.device) + self.place) % len(self.rows)
        self.rows[where] = new
        self.place.copy_((self.place + len(new)) % len(self.rows))
