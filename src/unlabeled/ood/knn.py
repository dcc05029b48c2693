"""Distance to the k-th nearest training item, on features of length 1.

Sun et al. (2022, arXiv:2204.06507). Their k was chosen with made-up strangers and came out near a thousandth of the
training items (50 of 50,000, 1,000 of 1.28 million); here it is that share, and nothing is chosen.
"""

from typing import Self

import numpy as np
from sklearn.neighbors import NearestNeighbors

from unlabeled.errors import UserError
from unlabeled.ood import checked


class Knn:
    """Distance to the k-th neighbour of features of length 1 (Sun et al. 2022, arXiv:2204.06507); 0 to 2.

    Args:
        k: which neighbour; 0 takes a thousandth of the training items, at least 5.

    >>> x = np.array([[1.0, 0], [2, 0], [0, 3]])
    >>> Knn(k=2).fit(x, np.array([0, 0, 1]), np.zeros((3, 2))).score(np.array([[5.0, 0]]), np.zeros((1, 2))).tolist()
    [0.0]
    """

    def __init__(self, *, k: int = 0) -> None:
        if k < 0:
            raise UserError(f"nearest neighbours with k={k}", "give 1 or more, or 0 to take what suits")
        self.k = k

    def fit(self, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Self:
        """Keep the training items."""
        x, _ = checked(features, logits)
        near = min(self.k or max(5, round(len(x) / 1000)), len(x))
        self.bank = NearestNeighbors(n_neighbors=near).fit(_unit(x))
        return self

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Distances (M,), 0 to 2."""
        x, _ = checked(features, logits)
        return np.asarray(self.bank.kneighbors(_unit(x))[0][:, -1])


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12))
