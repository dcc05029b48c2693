"""Contrast the items, and paint hidden parts of some with the same encoder (in the manner of CAN: Mishra et al. 2022,
arXiv:2210.16870, and CMAE: Huang et al. 2022, arXiv:2207.13532).

What is contrasted are whole views, and a share of the second ones is shown once more with grey holes that are painted:
where the views with holes were contrasted, as in those papers, convolutions learnt less in the same minutes.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.blocks.decoder import Decoder, side_of_map
from unlabeled.blocks.projector import projector
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.info_nce import info_nce

Views = tuple[Tensor, Tensor, Tensor, Tensor]
CELLS = 8  # hidden patches are an eighth of the picture's side


class Hybrid(Method):
    """Contrast the items and paint hidden patches with one encoder (CAN: Mishra et al. 2022, arXiv:2210.16870).

    Args:
        encoder: gives features (B, D) and a map of them.
        contrast: weight of telling the items apart, 0 or more.
        reconstruct: weight of painting hidden patches, 0 or more; not both are 0.
        painted: share of the items of which patches are hidden and painted, above 0 and up to 1.
        mask_ratio: share of their patches that is hidden, above 0 and below 1.
        temperature: of the softmax over similarities, 0.1 to 0.5.
        hidden: width of the projector's hidden layer; 0 takes the encoder's own.
        width: length of the projected vectors.
        decoder_width: channels of the decoder's last layers.

    Raises:
        UserError: when a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "hybrid"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "when both the whole and its parts matter"
    cost: ClassVar[float] = 1.2

    def __init__(
        self,
        encoder: Encoder,
        *,
        contrast: float = 1.0,
        reconstruct: float = 1.0,
        painted: float = 0.25,
        mask_ratio: float = 0.5,
        temperature: float = 0.2,
        hidden: int = 0,
        width: int = 128,
        decoder_width: int = 32,
    ) -> None:
        super().__init__()
        if not (0 < mask_ratio < 1 and 0 < painted <= 1 and temperature > 0):
            raise UserError(f"hybrid with {mask_ratio=}, {painted=}, {temperature=}", "give shares, and more than 0")
        if min(contrast, reconstruct) < 0 or contrast + reconstruct == 0:
            raise UserError(f"hybrid with contrast={contrast}, reconstruct={reconstruct}", "give 0 or more, not both 0")
        self.encoder, self.temperature, self.mask_ratio = encoder, temperature, mask_ratio
        self.painted, self.weights = painted, (contrast, reconstruct)
        self.projector = projector(encoder.dim, hidden, width)
        grid = side_of_map(encoder, encoder.channels, encoder.size)
        self.decoder = Decoder(encoder.token_dim, encoder.channels, encoder.size, grid=grid, width=decoder_width)

    def views(self, batch: Batch, modality: Modality) -> Views:
        """Two strong views (B, C, H, W), some of the second with hidden patches (P, C, H, W), and where."""
        first, second = modality.augment(batch.x), modality.augment(batch.x)
        return first, second, *self._hide(second[: max(1, round(self.painted * len(second)))], modality)

    def loss(self, views: Views) -> dict[str, Tensor]:
        """NT-Xent of the two views, and the mean squared error on the hidden patches, each with its weight."""
        first, second, holed, hidden = views
        features, tokens = self.encoder.both(torch.cat([first, second, holed]))
        a, b = self.projector(features[: 2 * len(first)]).chunk(2)
        error = (self.decoder(tokens[2 * len(first) :]).float() - second[: len(holed)]).square() * hidden
        return {
            "contrast": self.weights[0] * info_nce(a, b, self.temperature),
            "reconstruction": self.weights[1] * error.sum() / (hidden.sum() * holed.shape[1]).clamp_min(1),
        }

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, with hidden patches, and painted; views (B, C, H, W), to look at."""
        whole = modality.plain(batch.x)
        holed, hidden = self._hide(whole, modality)
        return whole, holed, torch.where(hidden, self.decoder(self.encoder.tokens(holed)).float(), whole)

    def _hide(self, x: Tensor, modality: Modality) -> tuple[Tensor, Tensor]:
        count = min(CELLS**2 - 1, max(1, round(self.mask_ratio * CELLS**2)))
        cells = modality.keep(len(x), CELLS**2, self.mask_ratio, x.device).view(len(x), 1, CELLS, CELLS) < count
        hidden = functional.interpolate(cells.float(), x.shape[-2:], mode="nearest") > 0
        return x.masked_fill(hidden, 0.0), hidden
