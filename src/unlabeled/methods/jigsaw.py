"""Shuffle nine tiles of a picture and learn to say how (Noroozi and Favaro 2016, arXiv:1603.09246).

The tiles are laid out as one shuffled picture, so that any encoder takes them in one pass (Carlucci et al. 2019,
arXiv:1903.06864). Gaps of random width between them leave no edge to be matched.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.settings import within
from unlabeled.views.tiles import cut, far_apart, lay


class Jigsaw(Method):
    """Predict how the tiles of each picture were shuffled (Noroozi and Favaro 2016, arXiv:1603.09246).

    Args:
        encoder: gives features (B, D).
        permutations: how many ways of shuffling there are to tell apart, 2 or more; they are chosen far apart.
        grid: tiles along a side, 2 or more.
        gap: share of a tile's side that is cut away, at random to either side, 0 to 1.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "pictures with parts in a fixed order"
    when: ClassVar[str] = "for scans and scenes of one layout"
    cost: ClassVar[float] = 0.5

    def __init__(self, encoder: Encoder, *, permutations: int = 30, grid: int = 3, gap: float = 0.2) -> None:
        super().__init__()
        within("jigsaw", {"gap": gap}, 0, 1)
        within("jigsaw", {"grid": grid}, 2)
        self.encoder, self.grid, self.gap = encoder, grid, gap
        self.orders: Tensor
        self.register_buffer("orders", far_apart(grid * grid, permutations), persistent=False)
        self.head = nn.Linear(encoder.dim, len(self.orders))

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """A mild view of each item as shuffled tiles (B, C, H, W), and the number of its order (B,)."""
        x, items = modality.augment(batch.x, "mild"), len(batch.x)
        places = modality.uniforms(items, 2 * self.grid**2, x.device).view(items, -1, 2)
        tiles = cut(x, self.grid, self.gap, places)
        chosen = (modality.uniforms(items, 1, x.device)[:, 0] * len(self.orders)).long()
        return lay(tiles, self.orders[chosen], x.shape[-1]), chosen

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the orders, a scalar."""
        return functional.cross_entropy(self.head(self.encoder(views[0])), views[1])
