"""Let a few labels spread to the unlabelled items that are like them, then learn from all (Zhou et al. 2003, NIPS 16).

Training items are tied to their nearest neighbours by cosine similarity; the labels spread over this graph,
F = (1 - alpha) (I - alpha S)^-1 Y with S = D^-1/2 W D^-1/2, each class is given equal mass, and a linear probe
learns from the labels so found, each as sure as its entropy says: 1 - H / log C (Iscen et al. 2019,
arXiv:1904.04717). Where one class is rare, equal mass lets its labels reach far among the others, and it is
these far ones that are unsure. It pays when there are few labels and many unlabelled items, and test items are never
needed.
"""

from typing import Self

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import cg
from scipy.special import entr
from sklearn.neighbors import NearestNeighbors, kneighbors_graph

from unlabeled.errors import UserError
from unlabeled.protocols import check_finite, check_pairs
from unlabeled.protocols.linear import Linear

SAME = 1e-5  # of its length, by which the features of one item may differ


class Propagate:
    """Label spreading over the nearest neighbours of all training features, then a linear probe.

    Args:
        k: neighbours that an item is tied to.
        alpha: how far labels spread, above 0 and below 1.
        strength: penalty of the linear probe on labels that were found, as in `linear`.
        most: unlabelled items that take part at most, drawn by seed; of a study's or run's data no more than 10,000 do.
    """

    def __init__(self, *, k: int = 10, alpha: float = 0.9, strength: float = 2e-4, most: int = 10_000) -> None:
        if not 0 < alpha < 1 or k < 1 or strength < 0 or most < 1:
            raise UserError(
                f"propagate with k={k}, alpha={alpha}, strength={strength} and most={most}",
                "take alpha between 0 and 1, k and most of at least 1, and a strength that is not negative",
            )
        self.k, self.alpha, self.strength, self.most = k, alpha, strength, most

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        seed: int = 0,
        unlabelled: np.ndarray | None = None,
    ) -> Self:
        """Learn from labelled features and the unlabelled ones around them.

        Args:
            x: (N, D) features of the labelled items.
            y: (N,) class numbers.
            groups: of the labelled items, for the linear probe's folds where nothing is unlabelled.
            seed: of the unlabelled items that take part.
            unlabelled: (M, D) features of training items; those of `x` may be among them. Without any, or when all
                of them are labelled, this is the linear probe.

        Raises:
            UserError: when features and labels do not fit together, are not finite, or show one class only.
        """
        check_pairs(np.asarray(x), y)
        pool = np.zeros((0, x.shape[1]), np.float32) if unlabelled is None else np.asarray(unlabelled)
        if len(pool) <= len(x) and _among(pool, np.asarray(x)):
            self.probe = Linear().fit(x, y, groups=groups, seed=seed, unlabelled=unlabelled)
            return self
        check_finite(pool)
        drawn = np.random.default_rng([seed, 5]).permutation(len(pool))[: self.most]
        whole = np.concatenate([np.asarray(x, np.float32), pool[np.sort(drawn)]])
        classes, codes = np.unique(y, return_inverse=True)
        shares = spread(whole, codes, self.k, self.alpha)
        found, sure = shares.argmax(1), certainty(shares)
        found[: len(x)], sure[: len(x)] = codes, 1.0
        self.probe = Linear(strength=self.strength).fit(whole, classes[found], seed=seed, unlabelled=pool, weights=sure)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities (M, classes) float32 of features (M, D)."""
        return self.probe.predict(x)


def _among(pool: np.ndarray, x: np.ndarray) -> bool:
    """Whether all features (M, D) are some of (N, D), but for what a batch of another size rounds otherwise."""
    if not len(pool):
        return True
    check_finite(pool)
    far = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(pool)[0][:, 0]
    return bool((far <= SAME * (1e-12 + np.linalg.norm(pool, axis=1))).all())


def spread(features: np.ndarray, codes: np.ndarray, k: int, alpha: float) -> np.ndarray:
    """Shares of the classes (N, C) at each item, from the labels of the first ones.

    Args:
        features: (N, D), labelled items first.
        codes: (L,) class numbers 0..C-1 of the first L items.
        k: neighbours.
        alpha: how far labels spread.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    ties = kneighbors_graph(unit, min(k, len(unit) - 1), metric="cosine", mode="connectivity")
    ties = ties.maximum(ties.T)
    root = sparse.diags_array(1 / np.sqrt(np.asarray(ties.sum(1)).ravel()))
    system = sparse.eye_array(len(unit)) - alpha * (root @ ties @ root)
    start = np.zeros((len(unit), int(codes.max()) + 1))
    start[np.arange(len(codes)), codes] = 1.0
    reached = np.stack([cg(system, column, rtol=1e-8)[0] for column in start.T], 1).clip(0)
    equal = reached / reached.sum(0, keepdims=True)
    total = equal.sum(1, keepdims=True)
    shares: np.ndarray = np.where(total > 0, equal / np.maximum(total, 1e-300), 1.0 / equal.shape[1])
    return shares


def certainty(shares: np.ndarray) -> np.ndarray:
    """How sure each item is of its class, (N,) in 0..1 of shares (N, C): 1 less its entropy, in units of log C."""
    entropy = entr(shares).sum(1) / np.log(max(shares.shape[1], 2))
    sure: np.ndarray = (1 - entropy).clip(0, 1)
    return sure
