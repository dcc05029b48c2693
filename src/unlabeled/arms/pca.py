"""Principal components of the raw pixels: what can be had without any network (Pearson 1901).

Pictures are taken at 32 pixels or less; the components are fitted on the training items alone. They are turned by a
random rotation: distances stay, and a probe that standardises its inputs does not blow up the smallest components.
"""

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import adaptive_avg_pool2d

from unlabeled.data.store import Store
from unlabeled.modalities import Modality


class Pixels:
    """Principal components of the pixels of plain views.

    Args:
        components: how many are kept, at most the number of training items.
        side: pictures are averaged down to this side in pixels before.
    """

    def __init__(self, *, components: int = 128, side: int = 32) -> None:
        self.components, self.side = components, side

    def fit(self, store: Store, rows: np.ndarray, modality: Modality, seed: int) -> "Pixels":
        """Find the components of the training rows (at most 5,000 of them, drawn by seed)."""
        drawn = np.random.default_rng([seed, 3]).permutation(rows)[:5000]
        x = self._pixels(store, np.sort(drawn), modality)
        self.pca = PCA(min(self.components, *x.shape), random_state=seed).fit(x)
        square = np.random.default_rng([seed, 4]).normal(size=(self.pca.n_components_,) * 2)
        self.turn, _ = np.linalg.qr(square)
        return self

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Components (N, components) float32 of the given rows."""
        return np.asarray(self.pca.transform(self._pixels(store, rows, modality)) @ self.turn, np.float32)

    def _pixels(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        out = []
        for at in range(0, len(rows), 512):
            view = modality.plain(store.batch(rows[at : at + 512]))
            side = min(self.side, view.shape[-1])
            out.append(adaptive_avg_pool2d(view, side).flatten(1))
        return np.asarray(torch.cat(out).numpy(), np.float32)
