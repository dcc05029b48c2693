"""Principal components of the raw values: what can be had without any network (Pearson 1901).

Pictures are taken at 32 pixels or less, series at 128 steps or less; the components are fitted on the training items
alone. They are turned by a random rotation: distances stay, and a probe that standardises its inputs does not blow up
the smallest components.
"""

from typing import ClassVar, Self

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d

from unlabeled.arms import Plain, batches
from unlabeled.data.store import Store
from unlabeled.modalities import Modality


class Components(Plain):
    """Principal components of plain views.

    Args:
        components: how many are kept, at most the number of training items.
        side: pictures are averaged down to this side in pixels before.
        steps: series to so many steps.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio")

    def __init__(self, *, components: int = 128, side: int = 32, steps: int = 128) -> None:
        self.components, self.side, self.steps = components, side, steps

    def fit(self, store: Store, rows: np.ndarray, modality: Modality, seed: int) -> Self:
        """Find the components of the training rows (at most 5,000 of them, drawn by seed)."""
        drawn = np.random.default_rng([seed, 3]).permutation(rows)[:5000]
        x = self._values(store, np.sort(drawn), modality)
        self.pca = PCA(min(self.components, *x.shape), random_state=seed % 2**32).fit(x)
        square = np.random.default_rng([seed, 4]).normal(size=(self.pca.n_components_,) * 2)
        self.turn, _ = np.linalg.qr(square)
        return self

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Components (N, components) float32 of the given rows."""
        return np.asarray(self.pca.transform(self._values(store, rows, modality)) @ self.turn, np.float32)

    def _values(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        out = []
        for part in batches(rows):
            view = modality.plain(store.batch(part))
            if modality.space == 1:
                out.append(adaptive_avg_pool1d(view, min(self.steps, view.shape[-1])).flatten(1))
            else:
                out.append(adaptive_avg_pool2d(view, min(self.side, view.shape[-1])).flatten(1))
        return np.asarray(torch.cat(out).numpy(), np.float32)
