"""Contrast two views of each item against all others (Chen et al. 2020, arXiv:2002.05709).

As in the paper both views go through the encoder as one batch, so batch norm sees them together.
"""

from typing import ClassVar

import torch
from torch import Tensor

from unlabeled.blocks.projector import projector
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.info_nce import info_nce
from unlabeled.settings import within


class SimCLR(Method):
    """Contrast two views of each item against all others (Chen et al. 2020, arXiv:2002.05709).

    Args:
        encoder: gives features (B, D).
        temperature: of the softmax over similarities, above 0; 0.1 to 0.5, lower with larger batches.
        hidden: width of the projector's hidden layer; 0 takes the encoder's own.
        width: length of the projected vectors.

    Raises:
        UserError: when a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "first"
    cost: ClassVar[float] = 1.0

    def __init__(self, encoder: Encoder, *, temperature: float = 0.2, hidden: int = 0, width: int = 128) -> None:
        super().__init__()
        within("simclr", {"temperature": temperature}, 0, above=True)
        self.encoder = encoder
        self.temperature = temperature
        self.projector = projector(encoder.dim, hidden, width)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """Two strong views (B, C, H, W) of each item."""
        return modality.augment(batch.x), modality.augment(batch.x)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """NT-Xent over the 2 B projected views, a scalar."""
        a, b = self.projector(self.encoder(torch.cat(views))).chunk(2)
        return info_nce(a, b, self.temperature)
