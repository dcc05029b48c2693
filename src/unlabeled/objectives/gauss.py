"""How far a bell curve is from the standard one (Kingma and Welling 2013, arXiv:1312.6114, App. B)."""

from torch import Tensor


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1) in nats, number by number.

    Args:
        mean: any shape.
        log_variance: the same shape.

    >>> import torch
    >>> divergence(torch.tensor([0.0, 1.0]), torch.zeros(2)).tolist()
    [0.0, 0.5]
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
