"""Find the partner of each vector among the partners of all (Gao et al. 2021, SimCSE, arXiv:2104.08821, formula 4)."""

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.objectives.gather import enough, gather, ranks

UNASKED = -100  # stands for no partner


def in_batch(a: Tensor, b: Tensor, temperature: float = 0.05, left_out: Tensor | None = None) -> Tensor:
    """Cross-entropy of each vector's partner among all partners; other vectors of its own side are no negatives.

    Under `torch.distributed` the partners come from all processes, with gradients.

    Args:
        a: first view (B, D), any scale; it is L2-normalised here, in float32.
        b: second view (B, D), row by row the same items.
        temperature: of the softmax over cosines, above 0.
        left_out: (B,) bool, rows whose partners are not asked for; to others they are negatives. Not all rows.

    Returns:
        Scalar, the mean over this process's vectors that are asked for.

    Raises:
        UserError: when the temperature is not above 0, or there are fewer than two items over all processes.

    >>> round(in_batch(torch.eye(3), torch.eye(3), temperature=0.5).item(), 4)  # log(1 + 2 exp(-2))
    0.2395
    """
    if temperature <= 0:
        raise UserError(f"the temperature is {temperature}", "choose one above 0, such as 0.05")
    enough(len(a))
    with torch.autocast(a.device.type, enabled=False):
        x, y = functional.normalize(a.float(), dim=1), functional.normalize(b.float(), dim=1)
        rank, size = ranks()
        others = y if size == 1 else gather(y)
        own = torch.arange(len(x), device=x.device) + rank * len(x)
        own = own if left_out is None else own.masked_fill(left_out, UNASKED)
        return functional.cross_entropy(x @ others.T / temperature, own, ignore_index=UNASKED)
