"""Keep two views alike, every dimension alive and no two dimensions the same (Bardes et al. 2021, arXiv:2105.04906)."""

from typing import ClassVar

import torch
from torch import Tensor

from unlabeled.blocks.projector import projector
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.vicreg import vicreg
from unlabeled.settings import within


class VICReg(Method):
    """Keep views alike while every dimension varies and none repeats another (Bardes et al. 2021, arXiv:2105.04906).

    Args:
        encoder: gives features (B, D).
        invariance: weight of the views' likeness, 0 or more.
        variance: weight of the dimensions' spread, 0 or more.
        covariance: weight against dimensions that repeat each other, 0 or more.
        hidden: width of the projector's hidden layers.
        width: length of the projected vectors.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "when collapse must be impossible by construction, with small batches"
    cost: ClassVar[float] = 1.1

    def __init__(
        self,
        encoder: Encoder,
        *,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        hidden: int = 1024,
        width: int = 1024,
    ) -> None:
        super().__init__()
        within("vicreg", {"invariance": invariance, "variance": variance, "covariance": covariance}, 0)
        self.encoder = encoder
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.projector = projector(encoder.dim, hidden, width, layers=3)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """Two strong views (B, C, H, W) of each item."""
        return modality.augment(batch.x), modality.augment(batch.x)

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """The three weighted terms."""
        invariance, variance, covariance = vicreg(*self.projector(self.encoder(torch.cat(views))).chunk(2))
        return {
            "invariance": self.invariance * invariance,
            "variance": self.variance * variance,
            "covariance": self.covariance * covariance,
        }
