"""The vectors of the last batches, first in, first out."""

from typing import Any

import torch
from torch import Tensor, nn

from unlabeled.errors import UserError
from unlabeled.objectives.gather import gather


class Queue(nn.Module):
    """A ring of unit vectors, random ones at first; the oldest are overwritten.

    Args:
        size: how many vectors it holds at most; shortened by `fit_to`.
        dim: their length.

    Attributes:
        rows: (size, dim) the vectors.
        of: (size,) int64, the number of each one's item, -1 where it is not known.

    Raises:
        UserError: when it shall hold none.
    """

    rows: Tensor
    of: Tensor
    place: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise UserError(f"a queue of {size} was asked for", "give 1 or more")
        self.register_buffer("rows", nn.functional.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("of", torch.full((size,), -1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def fit_to(self, items: int) -> None:
        """Keep it below half the data, most of which is of other items than a batch's. Items are drawn anew each pass,
        so some meet themselves of the last one all the same: `of` says which.

        >>> queue = Queue(4096, 8)
        >>> queue.fit_to(1000)
        >>> len(queue.rows)
        499
        """
        if items:
            most = max(1, min(len(self.rows), (items - 1) // 2))
            self.rows, self.of = self.rows[:most].clone(), self.of[:most].clone()

    @torch.no_grad()
    def push(self, x: Tensor, items: Tensor | None = None) -> None:
        """Add vectors (B, D), and the numbers (B,) of their items; under `torch.distributed` those of all processes, so
        that all queues stay equal.
        """
        items = torch.full((len(x),), -1, device=x.device) if items is None else items
        new, of = (gather(v)[-len(self.rows) :] for v in (x.detach().to(self.rows.dtype), items))
        where = (torch.arange(len(new), device=x.device) + self.place) % len(self.rows)
        self.rows[where], self.of[where] = new, of
        self.place.copy_((self.place + len(new)) % len(self.rows))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A checkpoint of before the items were known is taken up without."""
        state.setdefault(f"{prefix}of", torch.full((len(self.rows),), -1))
        super()._load_from_state_dict(state, prefix, *rest)
