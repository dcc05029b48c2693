"""Predict one view of an item from the other, with nothing but a stopped gradient against collapse (Chen and He 2020,
arXiv:2011.10566).
"""

from typing import ClassVar

import torch
from torch import Tensor

from unlabeled.blocks.projector import projector
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.cosine import cosine


class SimSiam(Method):
    """Predict one view of each item from the other, no negatives, no teacher (Chen and He 2020, arXiv:2011.10566).

    Args:
        encoder: gives features (B, D).
        hidden: width of the projector's hidden layers; 0 takes the encoder's own.
        width: length of the projected vectors.
        bottleneck: width of the predictor's hidden layer, below `width`.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "when memory allows neither queue nor second network"
    cost: ClassVar[float] = 1.0

    def __init__(self, encoder: Encoder, *, hidden: int = 0, width: int = 512, bottleneck: int = 128) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector(encoder.dim, hidden, width, layers=3, norm_last=True)
        self.predictor = projector(width, bottleneck, width)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """Two strong views (B, C, H, W) of each item."""
        return modality.augment(batch.x), modality.augment(batch.x)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Minus the mean cosine of predictions and projections, both ways round; a scalar."""
        z = self.projector(self.encoder(torch.cat(views)))
        (a, b), (za, zb) = self.predictor(z).chunk(2), z.chunk(2)
        return (cosine(a, zb) + cosine(b, za)) / 2
