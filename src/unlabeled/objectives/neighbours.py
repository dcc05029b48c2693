"""Tell a moment's neighbours from moments that may, by chance, be of its kind (TNC: Tonekaboni et al. 2021,
arXiv:2106.00750, equation 1).
"""

from torch import Tensor
from torch.nn import functional


def neighbours(near: Tensor, far: Tensor, weight: float = 0.05) -> Tensor:
    """Cross-entropy of neighbour or not, where some of the others count as neighbours.

    What lies far is not known to be unlike, so it is unlabelled rather than negative: each such pair counts as a
    neighbour with the weight and as none with the rest (Elkan and Noto 2008, doi:10.1145/1401890.1401920).

    Args:
        near: (N,) logits of pairs that are neighbours.
        far: (M,) logits of pairs that lie far from each other.
        weight: how probable it is that what lies far is of the same kind, 0 to 1.

    Returns:
        Scalar, half the sum of the two means.

    >>> import torch
    >>> round(neighbours(torch.zeros(3), torch.zeros(5)).item(), 4)  # log 2
    0.6931
    """
    unlike = (1 - weight) * functional.softplus(far.float()) + weight * functional.softplus(-far.float())
    return (functional.softplus(-near.float()).mean() + unlike.mean()) / 2
