"""What every detector of strangers answers: fitted on items that belong, it gives others a score, higher = stranger.

Features are the encoder's, logits those of a linear probe on them. Nothing is ever tuned on strangers: the settings are
the papers' defaults or follow the training items alone. What the scores are worth: `metrics.separation`,
`metrics.detection`.
"""

from typing import Protocol, Self, runtime_checkable

import numpy as np

from unlabeled.errors import UserError


@runtime_checkable
class Detector(Protocol):
    """Tells items that do not belong; the constructor's keyword-only arguments are its settings."""

    def fit(self, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Self:
        """Learn what belongs from features (N, D), class numbers (N,) and logits (N, C) of training items."""
        ...

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """How strange each item is (M,) float64, from features (M, D) and logits (M, C); higher = stranger."""
        ...


def checked(features: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and logits (N, C) as float64.

    Raises:
        UserError: when they are not two tables of as many rows, or not finite.

    >>> checked(np.ones((2, 3)), np.ones((2, 4)))[1].shape
    (2, 4)
    """
    x, z = np.asarray(features, np.float64), np.asarray(logits, np.float64)
    if x.ndim != 2 or z.ndim != 2 or len(x) != len(z):
        raise UserError(
            f"features of shape {x.shape} came with logits of shape {z.shape}", "give (items, D) and (items, classes)"
        )
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise UserError("some features or logits are not finite", "look at the run's health")
    return x, z
