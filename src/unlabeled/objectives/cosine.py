"""Point one vector where another points: the loss of BYOL and SimSiam (Grill et al. 2020, arXiv:2006.07733)."""

from torch import Tensor
from torch.nn import functional


def cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Minus the mean cosine between predictions and targets; the target gets no gradient.

    BYOL writes 2 - 2 cosine, which has the same minimum.

    Args:
        prediction: (B, D), any scale.
        target: (B, D), any scale.

    Returns:
        Scalar, -1 where all point alike, 1 where all are opposite.

    >>> import torch
    >>> round(cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0]])).item(), 4)
    -0.7071
    """
    return -functional.cosine_similarity(prediction.float(), target.detach().float(), dim=1).mean()
