"""Strangers as a model that was handed over tells them: by what the encoder sees on its way to the features.

The detectors of the catalog judge features, which lack what the encoder has learnt to overlook. What a bundle's
detector looks at, the first maps and the spectrum, is asked beside them (`deploy/levels.py`).
"""

from copy import deepcopy
from pathlib import Path
from typing import Self

import numpy as np
import torch

from unlabeled.data.store import Store
from unlabeled.deploy import strange
from unlabeled.deploy.eye import Eye
from unlabeled.deploy.levels import Levels
from unlabeled.deploy.net import Plain
from unlabeled.encoders import Encoder
from unlabeled.modalities import Modality
from unlabeled.study.fits import read_arrays, write_arrays


class Texture:
    """Mahalanobis distances of the first maps and of the spectrum of what an encoder sees, joined as bundles join them.

    Everything is computed on the CPU in float32, as the thin axes of known places do not stand rounding.

    Args:
        encoder: any; it is copied where it lies elsewhere.
        looks: gives the plain view.
    """

    def __init__(self, encoder: Encoder, looks: Modality) -> None:
        here = all(p.device.type == "cpu" for p in encoder.parameters())
        self.encoder = (encoder if here else deepcopy(encoder).cpu()).eval()
        self.view, self.look = Plain(looks), Levels(self.encoder, "texture")

    def fit(self, store: Store, rows: np.ndarray, labels: np.ndarray) -> Self:
        """Learn how labelled items that belong look.

        Args:
            store: decoded items.
            rows: (N,) of them.
            labels: (N,) class numbers.
        """
        seen = Eye(self.view, self.look, store).learn(rows)(rows)[:, self.look.dim :]
        known = strange.fit("mahalanobis", seen, labels, np.zeros((len(rows), 1)), self.look.parts(seen.shape[1]))
        self.strange = strange.Strange("mahalanobis", known)
        return self

    @torch.no_grad()
    def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """How strange rows of any store are, (N,), higher is stranger."""
        seen = torch.from_numpy(Eye(self.view, self.look, store)(rows)[:, self.look.dim :])
        return np.asarray(self.strange(seen, torch.zeros(len(seen), 1)).numpy(), np.float64)

    def save(self, path: Path, more: dict[str, np.ndarray]) -> None:
        """Write what was learnt, and more arrays beside it, into one file."""
        look = {f"look/{k}": v.numpy() for k, v in self.look.state().items()}
        write_arrays(path, look | {f"strange/{k}": v.numpy() for k, v in self.strange.state_dict().items()} | more)

    def load(self, path: Path) -> dict[str, np.ndarray]:
        """Read what was learnt, and give the arrays that were written beside it; none where there is no file."""
        arrays = read_arrays(path) or {}
        parts: dict[str, dict[str, np.ndarray]] = {"look": {}, "strange": {}, "": {}}
        for name, value in arrays.items():
            where, _, rest = name.rpartition("/")
            parts[where][rest] = value
        if arrays:
            self.look = Levels(self.encoder, "texture", parts["look"])
            self.strange = strange.Strange("mahalanobis", parts["strange"])
        return parts[""]
