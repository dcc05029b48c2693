"""Share items out evenly among prototypes (Cuturi 2013, arXiv:1306.0895; SwAV: Caron et al. 2020, arXiv:2006.09882)."""

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.objectives.gather import gather, ranks


@torch.no_grad()
def sinkhorn(scores: Tensor, earlier: Tensor | None = None, *, epsilon: float = 0.05, rounds: int = 3) -> Tensor:
    """Soft codes: each item's sum to 1, and all prototypes are used alike over the batch; computed in logarithms.

    Under `torch.distributed` the batch is that of all processes.

    Args:
        scores: (B, K) similarities of items and prototypes.
        earlier: (Q, K) those of earlier items, the same on all processes, which are shared out with the batch.
        epsilon: softness, above 0; smaller is harder.
        rounds: how often rows and columns are balanced in turn, 1 or more.

    Returns:
        (B, K) float32, without gradient.

    >>> sinkhorn(torch.tensor([[1.0, 0.9], [1.0, 0.0]])).argmax(1).tolist()  # not both to the first
    [1, 0]
    """
    every = gather(scores.float())
    both = every if earlier is None else torch.cat([every, earlier.float()])
    log = both / epsilon
    for _ in range(rounds):
        log = log - log.logsumexp(0, keepdim=True)
        log = log - log.logsumexp(1, keepdim=True)
    rank, size = ranks()
    return log.exp()[: len(every)].chunk(size)[rank]


def swapped(scores: list[Tensor], codes: list[Tensor], temperature: float = 0.1) -> Tensor:
    """Predict the codes of one view from the scores of every other view: SwAV's loss.

    Args:
        scores: (B, K) a view; those that have codes come first.
        codes: (B, K) a view that has codes.
        temperature: of the softmax over prototypes.

    Returns:
        Scalar, the mean over all pairs of a view with codes and another view.
    """
    logs = [functional.log_softmax(s.float() / temperature, dim=1) for s in scores]
    pairs = [-(q * p).sum(1).mean() for i, q in enumerate(codes) for j, p in enumerate(logs) if i != j]
    return torch.stack(pairs).mean()
