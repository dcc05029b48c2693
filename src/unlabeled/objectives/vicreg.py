"""Keep views alike, every dimension alive and no two dimensions the same (Bardes et al. 2021, arXiv:2105.04906)."""

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.objectives.gather import gather

EPSILON = 1e-4


def vicreg(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms of VICReg, unweighted.

    Under `torch.distributed` variance and covariance are those of the batches of all processes.

    Args:
        a: first view (B, D), B at least 2.
        b: second view (B, D), row by row the same items.

    Returns:
        Invariance: mean squared difference. Variance: how far the standard deviations fall short of 1, mean over
        dimensions and views. Covariance: sum of squares off the diagonal over D, summed over the views.

    Raises:
        UserError: when the shapes differ or there is one item only.

    >>> a = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> [round(t.item(), 3) for t in vicreg(a, a)]  # the second dimension is dead
    [0.0, 0.495, 0.0]
    """
    if a.shape != b.shape or a.ndim != 2:
        raise UserError(
            f"the two views have shapes {tuple(a.shape)} and {tuple(b.shape)}", "give the same (B, D) twice"
        )
    if len(a) < 2:
        what = f"a micro-batch holds {len(a)} item, and one varies from no other"
        raise UserError(what, "give two items or more: a larger --batch-size or a smaller --accumulate")
    with torch.autocast(a.device.type, enabled=False):
        a, b = a.float(), b.float()
        invariance = functional.mse_loss(a, b)
        every = [gather(x) for x in (a, b)]
        variance = torch.stack([functional.relu(1 - (x.var(0) + EPSILON).sqrt()).mean() for x in every]).mean()
        return invariance, variance, torch.stack([_covariance(x) for x in every]).sum()


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    matrix = centred.T @ centred / (len(x) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / x.shape[1]
