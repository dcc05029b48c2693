"""Classify an item by the labelled items nearest to it (Wu et al. 2018, arXiv:1805.01978, section 3.4).

Cosine similarity on L2-normalised features; a neighbour's vote weighs exp(similarity / temperature).
"""

from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.objectives._product import product
from unlabeled.protocols import check_pairs

HELD = 8_000_000  # similarities that are held at once, 32 MB
HEAP = 32  # labelled items whose largest similarity is looked at first


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row and where they stand, as `topk` gives them, faster on long rows.

    Each row is laid out in heaps; the k largest lie in the k heaps with the largest tops.

    >>> nearest(torch.tensor([[0.1, 0.9, 0.5]]), 2)[1].tolist()
    [[1, 2]]
    """
    rows, items = similarity.shape
    heaps = items // HEAP
    if heaps < 4 * k:
        return similarity.topk(k)
    even, rest = similarity[:, : heaps * HEAP], similarity[:, heaps * HEAP :]
    tops = torch.unflatten(even, 1, (HEAP, heaps)).amax(1)
    best = tops.topk(k, sorted=False).indices  # (rows, k)
    members = (best[:, None] + heaps * torch.arange(HEAP)[:, None]).flatten(1)  # (rows, HEAP * k)
    tail = torch.arange(heaps * HEAP, items).expand(rows, -1)
    near, place = torch.cat([similarity.gather(1, members), rest], 1).topk(k)
    return near, torch.cat([members, tail], 1).gather(1, place)


class Knn:
    """Weighted vote of the nearest labelled items.

    Args:
        k: neighbours that vote; None takes the labels per class, rounded, within 1 to 20. Never more than the labels.
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
        """Keep labelled features (N, D) and their class numbers (N,); the other arguments change nothing here.

        Afterwards `neighbours` tells how many vote.

        Raises:
            UserError: when features and labels do not fit together, or features are not finite.
        """
        x = np.asarray(x, np.float32)
        check_pairs(x, y)
        self.classes, codes = np.unique(y, return_inverse=True)
        self.neighbours = min(len(x), self.k or min(20, max(1, round(len(x) / len(self.classes)))))
        self._bank = functional.normalize(torch.from_numpy(x), dim=1)
        self._codes = torch.from_numpy(codes)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities (M, classes) float32 of features (M, D)."""
        queries = functional.normalize(torch.from_numpy(np.asarray(x, np.float32)), dim=1)
        out = torch.zeros(len(queries), len(self.classes))
        step = max(1, HELD // len(self._bank))
        for part, votes in zip(torch.split(queries, step), torch.split(out, step), strict=True):
            near, where = nearest(product(part, self._bank), self.neighbours)
            votes.scatter_add_(1, self._codes[where], (near / self.temperature).softmax(1))
        return out.numpy()
