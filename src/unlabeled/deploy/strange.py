"""The detectors of strangers as modules: fitted by `unlabeled.ood`, scored by operations that every runtime has.

Higher is stranger. Everything is float32; the threshold is set on scores that this module gave. Where several things
are looked at (maps of several depths, the spectrum), Mahalanobis judges each alone: one covariance of all of them would
be drowned by the widest. The logarithms of the distances, in units of what items that belong reach where they were not
learnt from (by folds), are added up; nothing is weighed by strangers.
"""

from collections.abc import Mapping, Sequence
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

FOLDS = 5
LEAST = 1e-9  # squared distance
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
        if self.kind == "mahalanobis" and "centre" in state:
            return self._joined(features, state)
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

    def _joined(self, features: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """The sum over the parts of how far the logarithm of each one's distance lies above the usual."""
        total, at = torch.zeros_like(features[:, 0]), 0
        for number in range(state["centre"].shape[0]):
            whiten, means = state[f"whiten{number}"], state[f"means{number}"]
            width = whiten.shape[0]
            away = features[:, at : at + width] @ whiten - means[:, None]  # (C, B, D)
            nearest = away.square().sum(2).amin(0).clamp(min=LEAST).log()
            total = total + (nearest - state["centre"][number]) / state["scale"][number]
            at += width
        return total


def fit(
    kind: str, features: np.ndarray, labels: np.ndarray, logits: np.ndarray, parts: Sequence[int] = ()
) -> dict[str, np.ndarray]:
    """Fit a detector of the catalog on items that belong and give the arrays that its scores need.

    Where no class has a second item, nothing is known of how the items of one class vary, and all count as one class.

    Args:
        kind: its name, with settings.
        features: (N, D) what it looks at.
        labels: (N,) class numbers.
        logits: (N, C).
        parts: how many of the D numbers tell of one thing each; Mahalanobis judges each of them alone.

    Raises:
        UserError: when there is no such detector, or it cannot be put into a bundle.
    """
    spec = catalog.parse("ood", kind)
    middle, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 1e-6 * (1 + np.abs(middle)), spread, 1.0)
    if spec.name in AS_THEY_ARE:
        middle, spread = np.zeros_like(middle), np.ones_like(spread)
    features = (np.asarray(features, np.float64) - middle) / spread
    labels = labels if np.unique(labels, return_counts=True)[1].max() > 1 else np.zeros_like(labels)
    own = catalog.Spec(spec.name, spec.settings)
    state = (
        _parted(own, features, labels, logits, parts)
        if spec.name == "mahalanobis" and len(parts) > 1
        else _state(own, features, labels, logits)
    )
    return {"middle": middle, "spread": spread} | state


def _parted(
    spec: catalog.Spec, features: np.ndarray, labels: np.ndarray, logits: np.ndarray, parts: Sequence[int]
) -> dict[str, np.ndarray]:
    """A detector for each part, and what the logarithm of its score is on items that it was not fitted on, as far as
    there are enough of them to be fitted without some.
    """
    fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    out: dict[str, np.ndarray] = {}
    usual = []
    for number, (end, width) in enumerate(zip(np.cumsum(parts), parts, strict=True)):
        x = features[:, end - width : end]
        out |= {f"{name}{number}": value for name, value in _state(spec, x, labels, logits).items()}
        held = np.zeros(len(labels))
        for f in range(FOLDS):
            learn, check = fold != f, fold == f
            some: Any = catalog.load("ood", spec.name)(**spec.settings)
            try:
                some.fit(x[learn], labels[learn], logits[learn])
            except UserError:  # one item a class is left, say
                some.fit(x, labels, logits)
            held[check] = some.score(x[check], logits[check])
        told = np.log(held.clip(LEAST))
        usual.append((np.median(told), max(float(told.std()), 1e-3)))
    centre, scale = np.array(usual).T
    return out | {"centre": centre, "scale": scale}


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
