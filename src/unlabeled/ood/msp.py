"""Maximum softmax probability: who gets no confident answer is a stranger.

Hendrycks & Gimpel (2017, arXiv:1610.02136). The score is 1 - the largest class probability, 0 to 1.
"""

from typing import Self

import numpy as np
from scipy.special import softmax

from unlabeled.ood import checked


class MSP:
    """One minus the largest class probability (Hendrycks & Gimpel 2017, arXiv:1610.02136).

    >>> MSP().score(np.zeros((2, 1)), np.array([[0.0, 0.0], [0.0, 50.0]])).round(3).tolist()
    [0.5, 0.0]
    """

    def fit(self, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Self:
        """Nothing is learnt."""
        checked(features, logits)
        return self

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Scores (M,), 0 to 1; of sure answers by the sum of the others, which does not round to 0."""
        p = softmax(checked(features, logits)[1], 1)
        others = np.sort(p, 1)[:, :-1]
        return np.asarray(others.sum(1))
