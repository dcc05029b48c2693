"""Predict a slow network's view of an item from another view of it, without any negatives (Grill et al. 2020,
arXiv:2006.07733).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.projector import projector
from unlabeled.blocks.teacher import Teacher
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.cosine import cosine


class BYOL(Method):
    """Predict a slow network's view of each item from another view (Grill et al. 2020, arXiv:2006.07733).

    Args:
        encoder: gives features (B, D).
        momentum: share of itself that the slow network keeps at the first step, 0 to 1, rising to 1; 0 follows the
            length of the run.
        hidden: width of the hidden layers of projector and predictor.
        width: length of the projected vectors.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "when items resemble each other so much that others are no negatives"
    cost: ClassVar[float] = 1.3

    def __init__(self, encoder: Encoder, *, momentum: float = 0.0, hidden: int = 1024, width: int = 256) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector(encoder.dim, hidden, width, bias=False)
        self.predictor = projector(width, hidden, width)
        self.teacher = Teacher(nn.Sequential(encoder, self.projector), momentum=momentum)

    def fit_to(self, facts: Facts) -> None:
        """The momentum follows the number of steps."""
        self.teacher.fit_to(facts.steps)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """Two strong views (B, C, H, W) of each item."""
        return modality.augment(batch.x), modality.augment(batch.x)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Minus the mean cosine of predictions and the slow network's projections, both ways round; a scalar."""
        both = torch.cat(views)
        a, b = self.predictor(self.projector(self.encoder(both))).chunk(2)
        slow_a, slow_b = self.teacher(both).chunk(2)
        return (cosine(a, slow_b) + cosine(b, slow_a)) / 2

    def after_step(self, progress: float) -> None:
        """The slow network follows."""
        self.teacher.follow(nn.Sequential(self.encoder, self.projector), progress)
