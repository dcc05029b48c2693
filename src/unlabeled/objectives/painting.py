"""How far what was painted is from what is there, where anything is there."""

from torch import Tensor


def squared_error(painted: Tensor, target: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean squared error, a scalar, over the values that `known` marks with 1; over all without it.

    Args:
        painted: of any shape.
        target: of the same shape; what is not known may be any number.
        known: of the same shape, 0 or 1.

    >>> import torch
    >>> one = torch.tensor
    >>> squared_error(one([1.0, 5.0]), one([0.0, 0.0]), one([1.0, 0.0])).item()
    1.0
    """
    off = (painted.float() - target).square()
    return off.mean() if known is None else (off * known).sum() / known.sum().clamp(min=1)
