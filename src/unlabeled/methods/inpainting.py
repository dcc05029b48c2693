"""Cut holes into a picture and paint them from what is around (context encoder: Pathak et al. 2016, arXiv:1604.07379).

The squared error stands alone, as in the network that the paper learns its features with.
"""

from typing import ClassVar

import torch
from torch import Tensor

from unlabeled.blocks.decoder import Decoder, side_of_map
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.views import cover


class Inpainting(Method):
    """Paint the holes that were cut into each picture (Pathak et al. 2016, arXiv:1604.07379).

    Args:
        encoder: gives features (B, D) and a map of them.
        holes: how many rectangles are cut out, 1 or more; they may overlap.
        area: largest share of the picture that one of them takes, above 0, to 1.
        decoder_width: channels of the decoder's last layers.

    Raises:
        UserError: when a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "generative"
    wants: ClassVar[str] = "pictures in which one part tells of another"
    when: ClassVar[str] = "with a convolutional encoder, where mae would need a transformer"
    cost: ClassVar[float] = 1.0

    def __init__(self, encoder: Encoder, *, holes: int = 2, area: float = 0.4, decoder_width: int = 32) -> None:
        super().__init__()
        if holes < 1 or not 0 < area <= 1:
            raise UserError(f"inpainting with holes={holes}, area={area}", "give 1 hole or more, and a share up to 1")
        self.encoder, self.holes, self.area = encoder, holes, area
        grid = side_of_map(encoder, encoder.channels, encoder.size)
        self.decoder = Decoder(encoder.token_dim, encoder.channels, encoder.size, grid=grid, width=decoder_width)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """A mild view with grey holes, the whole one (B, C, H, W), and where the holes are (B, 1, H, W)."""
        x = modality.augment(batch.x, "mild")
        return self._with_holes(x, modality)

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Mean squared error within the holes, a scalar."""
        holed, whole, hidden = views
        error = (self._paint(holed) - whole).square() * hidden
        return error.sum() / (hidden.sum() * whole.shape[1]).clamp_min(1)

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, with holes, and painted; views (B, C, H, W), to look at."""
        holed, whole, hidden = self._with_holes(modality.plain(batch.x), modality)
        return whole, holed, torch.where(hidden, self._paint(holed), whole)

    def _with_holes(self, x: Tensor, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        side = x.shape[-1]
        draws = modality.uniforms(len(x), 4 * self.holes, "cpu").chunk(self.holes, 1)
        boxes = [cover.rectangles(u, self.area / 2, self.area).to(x.device) for u in draws]
        hidden = torch.stack([cover.inside(box, side, side) for box in boxes]).any(0)
        return x.masked_fill(hidden, 0.0), x, hidden

    def _paint(self, x: Tensor) -> Tensor:
        painted: Tensor = self.decoder(self.encoder.tokens(x))
        return painted.float()
