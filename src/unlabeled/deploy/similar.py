"""Which items that were learnt from look most like this one: cosine similarity of the features."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The items that a bundle remembers.

    Args:
        unit: (N, D) features of length 1.
        labels: (N,) class numbers, -1 where there is none.
        thumbs: (N, S, S, 3) uint8, or None where none were kept.
    """

    unit: np.ndarray
    labels: np.ndarray
    thumbs: np.ndarray | None

    @classmethod
    def of(cls, reference: dict[str, np.ndarray]) -> "Neighbours":
        """From a bundle's reference."""
        return cls(unit(reference["near/features"]), reference["near/labels"], reference.get("near/thumbs"))

    def nearest(self, features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (M, k) of the nearest remembered items and their similarities (M, k), -1 to 1, nearest first."""
        alike = unit(features) @ self.unit.T
        k = min(k, alike.shape[1])
        some = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(some, np.argsort(-np.take_along_axis(alike, some, 1), axis=1, kind="stable"), 1)
        return order, np.take_along_axis(alike, order, 1)


def unit(features: np.ndarray) -> np.ndarray:
    """Features brought to length 1."""
    x = np.asarray(features, np.float32)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12))
