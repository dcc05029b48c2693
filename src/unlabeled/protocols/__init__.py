"""What every protocol answers: fitted on a few labelled items, it gives class probabilities for others."""

from typing import Protocol, Self, runtime_checkable

import numpy as np


@runtime_checkable
class FeatureProtocol(Protocol):
    """Learns from frozen features; the constructor's keyword-only arguments are its settings."""

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        seed: int = 0,
        unlabelled: np.ndarray | None = None,
    ) -> Self:
        """Learn from features (N, D) float32 and class numbers (N,) in 0..classes-1.

        `groups` never straddle inner folds; `unlabelled` (M, D) are features of all training items.
        """
        ...

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities (M, classes) float32 of features (M, D); columns in the order of the class numbers
        seen in `fit`.
        """
        ...
