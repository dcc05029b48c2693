"""Do the features fall into heaps of their own that are the classes? k-means without labels (MacQueen 1967); the labels
only give the heaps their names (Hungarian matching, Kuhn 1955), so what is found barely depends on how many there are.

The normalised mutual information and the adjusted Rand index of the heaps with the truth, which need no names, stand
with the other figures as `nmi` and `ari`.
"""

from typing import Self

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from unlabeled.errors import UserError
from unlabeled.protocols import check_finite, check_pairs


class Cluster:
    """k-means of all training features at unit length, each heap named after the class of most of its labelled items.

    Args:
        heaps: how many; 0 takes as many as there are classes, each then names one.
        starts: times that k-means begins anew, of which the best is kept.
    """

    def __init__(self, *, heaps: int = 0, starts: int = 10) -> None:
        if heaps < 0 or starts < 1:
            raise UserError(f"{heaps} heaps and {starts} starts were given", "give 0 heaps or more, and a start")
        self.heaps, self.starts = heaps, starts

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        seed: int = 0,
        unlabelled: np.ndarray | None = None,
    ) -> Self:
        """Find the heaps among all training features (M, D), then name them by the labelled ones (N, D).

        Raises:
            UserError: when features and labels do not fit together, or features are not finite.
        """
        check_pairs(np.asarray(x), y)
        pool = np.asarray(x if unlabelled is None else unlabelled, np.float32)
        pool = pool if len(pool) >= len(x) else np.concatenate([np.asarray(x, np.float32), pool])
        check_finite(pool)
        classes = len(np.unique(y))
        count = min(self.heaps or classes, len(pool))
        self.means = KMeans(count, n_init=self.starts, random_state=seed).fit(_unit(pool))
        codes = np.unique(y, return_inverse=True)[1]
        votes = np.zeros((count, classes))
        np.add.at(votes, (self.means.predict(_unit(x)), codes), 1)
        self.names = named(votes, self.means.cluster_centers_)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities (M, classes) float32 of features (M, D): 1 for the class of the nearest heap."""
        return np.asarray(self.names[self.means.predict(_unit(x))], np.float32)


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), np.float32)


def named(votes: np.ndarray, centres: np.ndarray | None = None) -> np.ndarray:
    """The class of each heap as rows of 0 and 1 (K, C), from how many of its items have which label (K, C).

    With as many heaps as classes each is given one, so that most labels fit; of more heaps each takes its majority,
    and one without any label the name of the nearest that has some, by the centres (K, D) where they are given.

    >>> named(np.array([[5, 4], [6, 0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    out = np.zeros(votes.shape)
    if len(votes) <= votes.shape[1]:
        heap, name = linear_sum_assignment(-votes)
        out[heap, name] = 1
        return out
    told = votes.argmax(1)
    known = np.flatnonzero(votes.sum(1) > 0)
    if centres is not None and len(known):
        far = np.square(centres[:, None] - centres[known]).sum(2)
        told = told[known[far.argmin(1)]]
    out[np.arange(len(votes)), told] = 1
    return out
