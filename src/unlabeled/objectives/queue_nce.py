"""Find the partner among vectors of earlier batches: MoCo's loss (He et al. 2019, arXiv:1911.05722)."""

import torch
from torch import Tensor
from torch.nn import functional


def queue_nce(
    query: Tensor, key: Tensor, negatives: Tensor, temperature: float = 0.2, own: Tensor | None = None
) -> Tensor:
    """InfoNCE of each query with its own key against a queue of other keys.

    Args:
        query: (B, D), any scale; L2-normalised here, in float32.
        key: (B, D), row by row the queries' partners; gets no gradient.
        negatives: (K, D) unit vectors, the same for all queries.
        temperature: of the softmax over cosines, above 0.
        own: (B, K) bool, which negatives are of the query's own item and do not count.

    Returns:
        Scalar.

    >>> x = torch.eye(2)
    >>> round(queue_nce(x[:1], x[:1], x[1:], temperature=1.0).item(), 4)  # log(1 + exp(-1))
    0.3133
    """
    with torch.autocast(query.device.type, enabled=False):
        q = functional.normalize(query.float(), dim=1)
        k = functional.normalize(key.detach().float(), dim=1)
        wrong = q @ negatives.float().T
        wrong = wrong if own is None else wrong.masked_fill(own, -torch.inf)
        scores = torch.cat([(q * k).sum(1, keepdim=True), wrong], 1) / temperature
        return (scores.logsumexp(1) - scores[:, 0]).mean()
