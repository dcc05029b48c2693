"""Virtual-logit matching: what lies outside the space that the training features span becomes a logit of its own.

Wang et al. (2022, arXiv:2203.10807), sections 4.1 to 4.3. The contract gives logits and not the layer that made them,
so that layer is read back from features and logits of the training items (exact for a linear probe).
"""

from typing import Self

import numpy as np
from scipy.special import logsumexp

from unlabeled.errors import UserError
from unlabeled.ood import checked


class ViM:
    """Virtual-logit matching (Wang et al. 2022, arXiv:2203.10807).

    The score is the virtual logit less the log-sum-exp of the true ones, which orders items as the paper's probability
    of the virtual class does.

    Args:
        axes: principal axes that span the known; 0 takes the paper's 1000 where features have 1500 numbers or more,
            512 from 768 on, and half of them below.
    """

    def __init__(self, *, axes: int = 0) -> None:
        if axes < 0:
            raise UserError(f"ViM with axes={axes}", "give 1 or more, or 0 to take what suits")
        self.axes = axes

    def fit(self, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Self:
        """Find the origin, the space outside the principal one, and what its length is worth in logits.

        Raises:
            UserError: when there are no axes left outside.
        """
        x, z = checked(features, logits)
        width = x.shape[1]
        usual = 1000 if width >= 1500 else 512 if width >= 768 else width // 2
        inside = self.axes or usual
        if not 0 < inside < width:
            raise UserError(f"ViM with {inside} axes for features of {width} numbers", "give fewer axes than numbers")
        middle = x.mean(0)
        weights = np.linalg.lstsq(x - middle, z - z.mean(0), rcond=1e-10)[0]  # (D, C)
        bias = z.mean(0) - middle @ weights
        self.origin = -np.linalg.pinv(weights.T) @ bias  # (D,), where all logits are 0
        centred = x - self.origin
        _, axes = np.linalg.eigh(centred.T @ centred / len(x))  # smallest first
        self.outside = axes[:, : width - inside]  # (D, D - inside)
        length = np.linalg.norm(centred @ self.outside, axis=1).mean()
        self.alpha = float(z.max(1).mean() / max(length, 1e-12))
        return self

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Scores (M,), of any sign."""
        x, z = checked(features, logits)
        virtual = self.alpha * np.linalg.norm((x - self.origin) @ self.outside, axis=1)
        return np.asarray(virtual - logsumexp(z, axis=1))
