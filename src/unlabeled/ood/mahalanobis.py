"""Mahalanobis distance to the nearest class mean, with one covariance for all classes.

Lee et al. (2018, arXiv:1807.03888), section 2.1. What differs: the last features alone, no perturbed input, and the
covariance is shrunk (Ledoit & Wolf 2004), without which few items in many dimensions give none that can be inverted.
"""

from typing import Self

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from sklearn.covariance import ledoit_wolf

from unlabeled.errors import UserError
from unlabeled.ood import checked


class Mahalanobis:
    """Squared Mahalanobis distance to the nearest class mean (Lee et al. 2018, arXiv:1807.03888).

    After `fit`, `means` (C, D), `covariance` (D, D) and `shrinkage` (0 to 1, share of the round covariance) say how.

    >>> x = np.array([[0.0, 1], [0, -1], [9, 1], [9, -1], [1, 0], [-1, 0], [10, 0], [8, 0]])
    >>> y = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    >>> found = Mahalanobis().fit(x, y, np.zeros((8, 2)))
    >>> found.score(np.array([[0.0, 2], [4.5, 0]]), np.zeros((2, 2))).round(2).tolist()
    [8.0, 40.5]
    """

    def fit(self, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Self:
        """Means of the classes, and the covariance around them.

        Raises:
            UserError: when the features of a class do not differ from one another at all, or in too few ways.
        """
        x, _ = checked(features, logits)
        classes, codes = np.unique(labels, return_inverse=True)
        self.means = np.stack([x[codes == c].mean(0) for c in range(len(classes))])
        self.covariance, self.shrinkage = ledoit_wolf(x - self.means[codes], assume_centered=True)
        if not np.trace(self.covariance) > 0:
            raise UserError("the features of each class are all the same", "give more than one item a class")
        try:
            self.root = cholesky(self.covariance, lower=True)
        except LinAlgError:
            raise UserError(f"{len(x)} items tell too little of how features vary", "give more items a class") from None
        return self

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Squared distances (M,), 0 or more."""
        x, _ = checked(features, logits)
        away = [solve_triangular(self.root, (x - mean).T, lower=True) for mean in self.means]
        return np.asarray(np.min([np.square(a).sum(0) for a in away], axis=0))
