"""Energy: how little all the logits together speak for any known class.

Liu et al. (2020, arXiv:2010.03759), equation 4: E(x) = -T log sum exp(logit / T), used without fine-tuning.
"""

from typing import Self

import numpy as np
from scipy.special import logsumexp

from unlabeled.errors import UserError
from unlabeled.ood import checked


class Energy:
    """Free energy of the logits (Liu et al. 2020, arXiv:2010.03759).

    Args:
        temperature: above 0; the paper's is 1.

    >>> Energy().score(np.zeros((1, 1)), np.array([[0.0, 0.0]])).round(3).tolist()
    [-0.693]
    """

    def __init__(self, *, temperature: float = 1.0) -> None:
        if temperature <= 0:
            raise UserError(f"energy with temperature={temperature}", "give a number above 0")
        self.temperature = temperature

    def fit(self, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Self:
        """Nothing is learnt."""
        checked(features, logits)
        return self

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Energies (M,), of any sign."""
        z = checked(features, logits)[1]
        return np.asarray(-self.temperature * logsumexp(z / self.temperature, axis=1))
