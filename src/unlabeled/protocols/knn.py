"""Classify an item by the labelled items nearest to it (Wu et al. 2018, arXiv:1805.01978, section 3.4).

Cosine similarity on L2-normalised features; a neighbour's vote weighs exp(similarity / temperature).
"""

from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError


class Knn:
    """Weighted vote of the nearest labelled items.

    Args:
        k: neighbours that vote; None takes labels per class, rounded, within 1 to 20. Never more than there are labels.
        temperature: of the weights exp(similarity / temperature), above 0.
    """

    def __init__(self, *, k: int | None = None, temperature: float = 0.07) -> None:
        if k is not None and k < 1:
            raise UserError(f"k is {k}", "take at least one neighbour")
        if temperature <= 0:
            raise UserError(f"the temperature is {temperature}", "choose one above 0, such as 0.07")
        self.k, self.temperature = k, temperature

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        seed: int = 0,
        unlabelled: np.ndarray | None = None,
    ) -> Self:
        """Keep labelled features (N, D) and their class numbers (N,); the other arguments change nothing here."""
        if len(x) != len(y) or not len(x):
            raise UserError(
                f"{len(x)} features came with {len(y)} labels", "give one label for each feature, and at least one"
            )
        self.classes, codes = np.unique(y, return_inverse=True)
        self.neighbours = min(len(x), self.k or max(1, min(20, round(len(x) / len(self.classes)))))
        self._bank = functional.normalize(torch.from_numpy(np.asarray(x, np.float32)), dim=1)
        self._codes = torch.from_numpy(codes)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities (M, classes) float32 of features (M, D)."""
        queries = functional.normalize(torch.from_numpy(np.asarray(x, np.float32)), dim=1)
        parts = [self._vote(part) for part in queries.split(1024)] or [torch.empty(0, len(self.classes))]
        return torch.cat(parts).numpy()

    def _vote(self, queries: Tensor) -> Tensor:
        near, where = (queries @ self._bank.T).topk(self.neighbours)  # (Q, k)
        weight = (near / self.temperature).softmax(1)
        return queries.new_zeros(len(queries), len(self.classes)).scatter_add_(1, self._codes[where], weight)
