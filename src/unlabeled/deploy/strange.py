"""The detectors of strangers as modules: fitted by `unlabeled.ood`, scored by operations that every runtime has.

Higher is stranger. Everything is float32; the threshold is set on scores that this module gave.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled import catalog
from unlabeled.errors import UserError
from unlabeled.ood.energy import Energy
from unlabeled.ood.knn import Knn
from unlabeled.ood.mahalanobis import Mahalanobis
from unlabeled.ood.msp import MSP
from unlabeled.ood.vim import ViM

AS_THEY_ARE = ("energy", "msp", "knn", "vim")  # detectors to which the origin and the scale of features mean something


class Strange(nn.Module):
    """A fitted detector.

    Args:
        kind: its name in the catalog `ood`.
        state: its arrays, from `fit`.
    """

    def __init__(self, kind: str, state: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.kind = kind
        self.rank = int(state["k"]) if "k" in state else 0  # which neighbour counts, where neighbours are counted
        for name, value in state.items():
            self.register_buffer(name, torch.from_numpy(np.array(value, np.float32)))

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Scores (B,) of features (B, D) and logits (B, C)."""
        state = dict(self.named_buffers())
        features = (features - state["middle"]) / state["spread"]
        if self.kind == "energy":
            energy: Tensor = -state["temperature"] * torch.logsumexp(logits / state["temperature"], 1)
            return energy
        if self.kind == "msp":
            return 1 - torch.softmax(logits, 1).amax(1)
        if self.kind == "mahalanobis":
            away = features @ state["whiten"] - state["means"][:, None]  # (C, B, D)
            nearest: Tensor = away.square().sum(2).amin(0)
            return nearest
        if self.kind == "vim":
            outside: Tensor = (features - state["origin"]) @ state["outside"]
            virtual: Tensor = state["alpha"] * outside.norm(dim=1)
            return virtual - torch.logsumexp(logits, 1)
        unit = features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)
        near = torch.topk(unit @ state["bank"].T, self.rank, 1).values
        return (2 - 2 * near[:, -1]).clamp(min=0).sqrt()


def fit(kind: str, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Fit a detector of the catalog on items that belong and give the arrays that its scores need.

    Raises:
        UserError: when there is no such detector, or it cannot be put into a bundle.
    """
    spec = catalog.parse("ood", kind)
    middle, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 1e-6 * (1 + np.abs(middle)), spread, 1.0)
    if spec.name in AS_THEY_ARE:
        middle, spread = np.zeros_like(middle), np.ones_like(spread)
    features = (np.asarray(features, np.float64) - middle) / spread
    return {"middle": middle, "spread": spread} | _state(
        catalog.Spec(spec.name, spec.settings), features, labels, logits
    )


def _state(spec: catalog.Spec, features: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
    found: Any = catalog.load("ood", spec.name)(**spec.settings).fit(features, labels, logits)
    if isinstance(found, Mahalanobis):
        whiten = np.linalg.inv(found.root).T  # (D, D): x @ whiten has the identity for its covariance
        return {"whiten": whiten, "means": found.means @ whiten}
    if isinstance(found, ViM):
        return {"origin": found.origin, "outside": found.outside, "alpha": np.asarray(found.alpha)}
    if isinstance(found, Energy):
        return {"temperature": np.asarray(found.temperature)}
    if isinstance(found, MSP):
        return {"none": np.zeros(1)}
    if isinstance(found, Knn):
        return {"bank": np.asarray(found.bank._fit_X), "k": np.asarray(found.bank.n_neighbors)}
    raise UserError(
        f"the detector {spec} cannot be put into a bundle", f"take one of {', '.join(catalog.names('ood'))}"
    )
