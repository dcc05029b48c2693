"""Look at two tiles of a picture and say where the second lies, seen from the first (Doersch et al. 2015,
arXiv:1505.05192).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.settings import within
from unlabeled.views.tiles import cut

MIDDLE, AROUND = 4, (0, 1, 2, 3, 5, 6, 7, 8)  # cells of a 3 x 3 grid, row by row


class PatchPosition(Method):
    """Predict on which of eight sides of one tile another one lies (Doersch et al. 2015, arXiv:1505.05192).

    Args:
        encoder: gives features (B, D).
        gap: share of a tile's side that is cut away, at random to either side, 0 to 1, so that no edges match.
        hidden: width of the head's hidden layer.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "pictures with parts in a fixed order"
    when: ClassVar[str] = "for scans and scenes of one layout"
    cost: ClassVar[float] = 0.2

    def __init__(self, encoder: Encoder, *, gap: float = 0.2, hidden: int = 512) -> None:
        super().__init__()
        within("patch_position", {"gap": gap}, 0, 1)
        within("patch_position", {"hidden": hidden}, 1)
        self.encoder, self.gap = encoder, gap
        self.head = nn.Sequential(
            nn.Linear(2 * encoder.dim, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 8)
        )

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """The middle tile and another one of each item (B, C, T, T), and where that one lies (B,), 0 to 7."""
        x, items = modality.augment(batch.x, "mild"), len(batch.x)
        tiles = cut(x, 3, self.gap, modality.uniforms(items, 18, x.device).view(items, 9, 2))
        side = (modality.uniforms(items, 1, x.device)[:, 0] * 8).long()
        other = torch.tensor(AROUND, device=x.device)[side]
        pair = torch.cat([tiles[:, MIDDLE], tiles[torch.arange(items, device=x.device), other]])
        if not self.encoder.any_size:
            free = x.shape[-1] - pair.shape[-1]  # a tile keeps its scale: it lies in the middle of a grey picture
            pair = functional.pad(pair, (free // 2, free - free // 2) * 2)
        return pair[:items], pair[items:], side

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the eight sides, a scalar."""
        a, b = self.encoder(torch.cat(views[:2])).chunk(2)
        return functional.cross_entropy(self.head(torch.cat([a, b], 1)), views[2])
