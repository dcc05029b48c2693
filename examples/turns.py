"""Turn each picture by quarters and learn to say by how many (RotNet: Gidaris et al. 2018, arXiv:1803.07728).

To tell which way is up, the encoder must know what is in the picture. All four turns of an item are in one
batch, as in the paper.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality


class Turns(Method):
    """Predict by how many quarter turns a picture was turned (Gidaris et al. 2018, arXiv:1803.07728).

    Args:
        encoder: gives features (B, D).
        hidden: width of the head's hidden layer, 1 or more.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "predictive"
    default_encoder: ClassVar[str] = "resnet18"

    def __init__(self, encoder: Encoder, *, hidden: int = 256) -> None:
        super().__init__()
        if hidden < 1:
            raise UserError(f"turns cannot have {hidden} hidden units", "give --hidden 1 or more")
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(encoder.dim, hidden), nn.ReLU(), nn.Linear(hidden, 4))

    def views(self, batch: Batch, modality: Modality) -> Tensor:
        """A mild view of each item in all four turns (4 B, C, H, W): unturned ones first."""
        x = modality.augment(batch.x, "mild")
        return torch.cat([x.rot90(k, (2, 3)) for k in range(4)])

    def loss(self, views: Tensor) -> Tensor:
        """Cross-entropy of the four turns, a scalar."""
        turns = torch.arange(4, device=views.device).repeat_interleave(len(views) // 4)
        return functional.cross_entropy(self.head(self.encoder(views)), turns)
