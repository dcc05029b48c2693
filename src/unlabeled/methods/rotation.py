"""Turn each picture by quarters and learn to say by how many (RotNet: Gidaris et al. 2018, arXiv:1803.07728).

To tell which way is up, the encoder must know what is in the picture. All four turns of an item are in one batch, as
in the paper.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality


class Rotation(Method):
    """Predict by how many quarter turns each picture was turned (Gidaris et al. 2018, arXiv:1803.07728).

    Args:
        encoder: gives features (B, D).
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "pictures with an up"
    when: ClassVar[str] = "for things that stand upright and lie in the middle"
    cost: ClassVar[float] = 1.9

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, 4)

    @classmethod
    def judge(cls, facts: Facts) -> str:
        """Pictures that have no up have no right answer."""
        if facts.upright:
            return ""
        return "these pictures have no up: upside-down they look as they do, so rotation has little to learn from them"

    def views(self, batch: Batch, modality: Modality) -> Tensor:
        """A mild view of each item in all four turns (4 B, C, H, W), unturned ones first."""
        x = modality.augment(batch.x, "mild")
        return torch.cat([x.rot90(k, (2, 3)) for k in range(4)])

    def loss(self, views: Tensor) -> Tensor:
        """Cross-entropy of the four turns, a scalar."""
        turns = torch.arange(4, device=views.device).repeat_interleave(len(views) // 4)
        return functional.cross_entropy(self.head(self.encoder(views)), turns)
