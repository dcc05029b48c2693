"""Latent semantic analysis: the strongest directions of TF-IDF (Deerwester et al. 1990), without any network.

They are turned by a random rotation: distances stay, and a probe that standardises its inputs does not blow up the
weakest.
"""

from typing import ClassVar, Self

import numpy as np
from sklearn.decomposition import TruncatedSVD

from unlabeled.arms import Plain
from unlabeled.arms.tfidf import said, vectorizer
from unlabeled.data.store import Store
from unlabeled.modalities import Modality


class LSA(Plain):
    """Latent semantic analysis.

    Args:
        components: directions that are kept, at most the number of training items and of words less one.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, *, components: int = 200) -> None:
        self.components = components

    def fit(self, store: Store, rows: np.ndarray, modality: Modality, seed: int) -> Self:
        """Find the directions of the training rows."""
        texts = said(store, rows, modality)
        self.words = vectorizer(texts)
        counts = self.words.transform(texts)
        count = max(1, min(self.components, counts.shape[0] - 1, counts.shape[1] - 1))
        self.svd = TruncatedSVD(count, random_state=seed % 2**32).fit(counts)
        square = np.random.default_rng([seed, 4]).normal(size=(count, count))
        self.turn, _ = np.linalg.qr(square)
        return self

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Directions (N, components) float32 of the given rows, of length 1."""
        x = self.svd.transform(self.words.transform(said(store, rows, modality))) @ self.turn
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), np.float32)
