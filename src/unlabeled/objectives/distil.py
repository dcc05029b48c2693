"""Say what a slow teacher says of another view (DINO: Caron et al. 2021, arXiv:2104.14294)."""

import torch
from torch import Tensor
from torch.nn import functional


def distil(
    students: list[Tensor], teachers: list[Tensor], centre: Tensor, *, warm: float = 0.1, cold: float = 0.04
) -> Tensor:
    """Cross-entropy of the student's softmax with the teacher's centred and sharpened one, over all pairs of views.

    Args:
        students: (B, K) a view; the first ones are the teacher's views.
        teachers: (B, K) a view; without gradient.
        centre: (K,) running mean of what the teacher says.
        warm: temperature of the student.
        cold: temperature of the teacher, below that of the student.

    Returns:
        Scalar, the mean over the pairs of different views.
    """
    says = [functional.softmax((t.detach().float() - centre) / cold, dim=1) for t in teachers]
    hears = [functional.log_softmax(s.float() / warm, dim=1) for s in students]
    pairs = [-(t * s).sum(1).mean() for i, t in enumerate(says) for j, s in enumerate(hears) if i != j]
    return torch.stack(pairs).mean()
