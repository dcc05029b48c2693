"""What a structural causal model is held to: no cycles, few edges, and noise that an intervention leaves alone.

The causes are interventions s, which nothing causes, and factors u. An adjacency is (S + K, K): row i, column j says
how strongly cause i (first the S interventions, then the K factors) moves factor j.
"""

import numpy as np
import torch
from torch import Tensor

from unlabeled.errors import UserError


def acyclicity(adjacency: Tensor) -> Tensor:
    """How far a graph over K factors is from having no cycle (NOTEARS, Zheng et al. 2018, arXiv:1803.01422).

    Args:
        adjacency: (K, K), of any sign.

    Returns:
        tr exp(A * A) - K, a scalar, differentiable.

    >>> chain, loop = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> round(acyclicity(chain).item(), 4), round(acyclicity(loop).item(), 4)
    (0.0, 1.0862)
    """
    if adjacency.ndim != 2 or adjacency.shape[0] != adjacency.shape[1]:
        raise UserError(f"an adjacency of shape {tuple(adjacency.shape)} was given", "give a square one")
    with torch.autocast(adjacency.device.type, enabled=False):
        squared = adjacency.float().square()
        return torch.matrix_exp(squared).diagonal().sum() - len(squared)


def reach(adjacency: Tensor, interventions: int) -> Tensor:
    """How strongly each intervention moves each factor, over paths of every length.

    Args:
        adjacency: (S + K, K) strengths, 0 or more, its last K rows without cycles.
        interventions: S.

    Returns:
        (S, K): the direct edges times (I + A + A^2 + ...), where the powers end because there is no cycle.

    >>> a = torch.tensor([[0.5, 0.0], [0.0, 2.0], [0.0, 0.0]])  # s moves the first factor, the first the second
    >>> reach(a, 1).tolist()
    [[0.5, 1.0]]
    """
    direct, among = adjacency[:interventions], adjacency[interventions:]
    total, path = direct, direct
    for _ in range(len(among) - 1):
        path = path @ among
        total = total + path
    return total


def without_cycles(adjacency: Tensor, interventions: int, edge: float) -> Tensor:
    """The same strengths, but those of edges that would close a cycle with stronger ones are 0.

    A penalty on cycles makes them weak, not impossible: what is told as a graph without cycles must be one.

    Args:
        adjacency: (S + K, K) strengths, 0 or more.
        interventions: S.
        edge: strengths above it are edges.

    >>> a = torch.tensor([[0.0, 0.9], [0.3, 0.0]])
    >>> without_cycles(a, 0, 0.2).tolist()[1]
    [0.0, 0.0]
    """
    out = adjacency.clone()
    among, count = out[interventions:], adjacency.shape[1]
    path = torch.eye(count, dtype=torch.bool, device=out.device)  # whether there is a way from i to j
    for place in among.flatten().argsort(descending=True).tolist():
        i, j = divmod(place, count)
        if among[i, j] <= edge:
            break
        if path[j, i]:
            among[i, j] = 0
        else:
            path |= path[:, i, None] & path[j]
    return out


def hamming(found: np.ndarray, true: np.ndarray) -> int:
    """Structural Hamming distance of two graphs: edges missing, added or turned round, a turned one counting once.

    Args:
        found: (N, N) or (S + K, K) of 0 and 1.
        true: the same shape.

    >>> hamming(np.array([[0, 1], [0, 0]]), np.array([[0, 0], [1, 0]]))
    1
    """
    a, b = np.asarray(found, bool), np.asarray(true, bool)
    if a.shape != b.shape:
        raise UserError(f"graphs of shapes {a.shape} and {b.shape} were given", "give two of one shape")
    roots = a.shape[0] - a.shape[1]
    among = a[roots:] != b[roots:]
    turned = among & among.T & (a[roots:] != a[roots:].T) & (b[roots:] != b[roots:].T)
    return int((a[:roots] != b[:roots]).sum() + among.sum() - np.triu(turned).sum())
