"""Words weighted by how rare they are (Spärck Jones 1972), from the text that the tokens say.

The full vectors are as long as the vocabulary; here they are projected at random onto fewer numbers that keep distances
(Johnson and Lindenstrauss 1984; Achlioptas 2003), so that a probe that standardises its inputs does not blow up words
that occur twice.
"""

from typing import ClassVar, Self

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.random_projection import SparseRandomProjection

from unlabeled.arms import Plain, batches
from unlabeled.data.store import Store
from unlabeled.modalities import Modality
from unlabeled.modalities.text import as_text


class Tfidf(Plain):
    """TF-IDF of words, kept in fewer numbers.

    Args:
        components: numbers that are kept.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, *, components: int = 2_048) -> None:
        self.components = components

    def fit(self, store: Store, rows: np.ndarray, modality: Modality, seed: int) -> Self:
        """Count the words of the training rows."""
        self.words = vectorizer()
        counts = self.words.fit_transform(said(store, rows, modality))
        self.narrow = None
        if counts.shape[1] > self.components:
            self.narrow = SparseRandomProjection(self.components, random_state=0).fit(counts)
        return self

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Weights (N, components) float32 of the given rows."""
        counts = self.words.transform(said(store, rows, modality))
        return np.asarray((counts if self.narrow is None else self.narrow.transform(counts)).toarray(), np.float32)


def vectorizer() -> TfidfVectorizer:
    """The usual TF-IDF of words: logarithms of counts, every word of one letter or more, rows of length 1."""
    return TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")


def said(store: Store, rows: np.ndarray, modality: Modality) -> list[str]:
    """What stored items say, as their tokens tell it."""
    own = as_text(modality)
    return [text for part in batches(np.asarray(rows)) for text in own.texts(own.plain(store.batch(part)))]
