"""Pull the two views of an item together and push all others away: NT-Xent, InfoNCE on cosines (Chen et al. 2020, arXiv:2002.05709)."""

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.objectives.gather import gather, ranks


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
        UserError: when the shapes differ or the temperature is not above 0.

    >>> views = torch.eye(4)
    >>> round(info_nce(views, views, temperature=0.5).item(), 4)  # log(1 + 6 exp(-2))
    0.5944
    """
    if a.shape != b.shape or a.ndim != 2:
        raise UserError(
            f"the two views have shapes {tuple(a.shape)} and {tuple(b.shape)}",
            "give two tensors of the same shape (B, D)",
        )
    if temperature <= 0:
        raise UserError(f"the temperature is {temperature}", "choose one above 0, such as 0.2")
    with torch.autocast(a.device.type, enabled=False):
        a, b = (functional.normalize(v.float(), dim=1) for v in (a, b))
        rows, columns = torch.cat([a, b]), torch.cat([gather(a), gather(b)])
        rank, size = ranks()
        first = torch.arange(len(a), device=a.device) + rank * len(a)
        second = first + size * len(a)
        logits = rows @ columns.T / temperature  # (2 B, 2 B * processes)
        logits = logits.scatter(1, torch.cat([first, second])[:, None], -torch.inf)
        return functional.cross_entropy(logits, torch.cat([second, first]))
