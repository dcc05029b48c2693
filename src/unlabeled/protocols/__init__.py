"""What every protocol answers: fitted on a few labelled items, it gives class probabilities for others."""

from typing import Protocol, Self, runtime_checkable

import numpy as np

from unlabeled.errors import UserError


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


def check_finite(x: np.ndarray) -> None:
    """Refuse features (N, D) of which some are no numbers.

    Raises:
        UserError: when there are any; it tells of how many items.
    """
    broken = int((~np.isfinite(x).all(1)).sum())
    if broken:
        raise UserError(f"the features of {broken} of {len(x)} items are not finite", "look at the run's health")


def check_pairs(x: np.ndarray, y: np.ndarray) -> None:
    """Refuse features (N, D) and class numbers (N,) that do not belong together, and features that are no numbers.

    Raises:
        UserError: when shapes do not fit, there is no item, or features are not finite.
    """
    if x.ndim != 2 or len(x) != len(y) or not len(x):
        raise UserError(
            f"features of shape {x.shape} came with {len(y)} labels", "give features (N, D) and a label for each"
        )
    check_finite(x)
