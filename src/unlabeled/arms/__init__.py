"""The arms that stand in every comparison: what no pretraining, or no learning at all, would give.

A file holds features that are computed by a rule, for the modalities that it names; it learns nothing but what `fit`
takes from the training items without their labels.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np

from unlabeled.data.store import Store
from unlabeled.modalities import Modality


class Plain(ABC):
    """Base of all such arms.

    Attributes:
        modalities: those whose items it can look at.
        random: whether another seed gives other features.
    """

    modalities: ClassVar[tuple[str, ...]]
    random: ClassVar[bool] = False

    def fit(self, store: Store, rows: np.ndarray, modality: Modality, seed: int) -> Self:
        """Take what it needs from the training rows, labels aside."""
        return self

    @abstractmethod
    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Features (N, D) float32 of the given rows."""


def batches(rows: np.ndarray, size: int = 512) -> list[np.ndarray]:
    """The rows in pieces that fit the memory."""
    return [rows[at : at + size] for at in range(0, len(rows), size)]
