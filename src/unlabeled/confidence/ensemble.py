"""Several models that were trained alike but for their seed know together what none knows alone: where they disagree.

Deep ensembles of Lakshminarayanan et al. (2017, arXiv:1612.01474); the disagreement is the mutual information between
answer and member (Houlsby et al. 2011, arXiv:1112.5745).
"""

import numpy as np
from scipy.special import entr

from unlabeled.errors import UserError

ENOUGH = 5  # members


def mean(members: np.ndarray) -> np.ndarray:
    """Probabilities (N, C) of an ensemble from those of its members (M, N, C)."""
    return np.asarray(_checked(members).mean(0))


def disagreement(members: np.ndarray) -> np.ndarray:
    """What the members disagree by (N,), in nats: 0 where all say the same, at most log C.

    >>> disagreement(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).round(3).tolist()
    [0.693]
    """
    p = _checked(members)
    return np.asarray(entr(p.mean(0)).sum(-1) - entr(p).sum(-1).mean(0)).clip(0)


def _checked(members: np.ndarray) -> np.ndarray:
    p = np.asarray(members, np.float64)
    if p.ndim != 3 or len(p) < 2:
        raise UserError(
            f"an ensemble of shape {p.shape} was given", "give (members, items, classes), two members or more"
        )
    return p
