"""Hide most patches of an item and paint them from the few that are left (He et al. 2021, arXiv:2111.06377).
The encoder sees the visible patches only; the decoder has two blocks, the paper's eight.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders import Maskable
from unlabeled.encoders.vit import attention, initialise
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.painting import squared_error


class MAE(Method):
    """Hide most patches of each item and reconstruct them from the rest (He et al. 2021, arXiv:2111.06377).

    Args:
        encoder: a transformer that can look at visible patches alone (`vit`, `transformer`, `patchtst`).
        mask_ratio: share of the patches that is hidden, above 0 and below 1; one at least is, and one is not.
        normalise: take each patch's own mean and spread out of the target; for pictures alone when not given.
        decoder_width: length of the decoder's token vectors; 0 takes half of the encoder's, 128 or more.
        decoder_depth: number of the decoder's blocks, 0 or more.
        decoder_heads: attention heads of the decoder; divides its width.

    Raises:
        UserError: when the encoder cannot do that, or a setting is out of its range.
    """

    family: ClassVar[str] = "generative"
    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio")
    default_encoder: ClassVar[dict[str, str]] = {"image": "vit", "series": "transformer", "audio": "transformer"}
    wants: ClassVar[str] = "many items and many steps"
    when: ClassVar[str] = "when labels suffice to fine-tune, or views would destroy what matters"
    cost: ClassVar[float] = 1.7
    lr: ClassVar[float] = 5e-4
    weight_decay: ClassVar[float] = 0.05
    encoder: Maskable

    def __init__(
        self, encoder: Maskable, *, mask_ratio: float = 0.75, normalise: bool | None = None,
        decoder_width: int = 0, decoder_depth: int = 2, decoder_heads: int = 8,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(encoder, Maskable):
            remedy = "take --encoder vit" if encoder.space == 2 else "take --encoder transformer"
            raise UserError("mae needs an encoder that can look at visible patches alone", remedy)
        if encoder.places < 2 or not 0 < mask_ratio < 1:
            raise UserError(f"mae hides {mask_ratio} of {encoder.places} patches", "give between 0 and 1, of 2 or more")
        self.encoder, self.mask_ratio = encoder, mask_ratio
        self.normalise = encoder.space == 2 if normalise is None else normalise
        self.visible = min(encoder.places - 1, max(1, round(encoder.places * (1 - mask_ratio))))
        width = decoder_width or max(128, encoder.dim // 64 * 32)
        self.enter = nn.Linear(encoder.dim, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions: Tensor
        self.register_buffer("positions", encoder.codes(width), persistent=False)
        self.decoder = nn.Sequential(*attention(width, decoder_depth, decoder_heads, by=2 * encoder.space))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, encoder.patch_values))
        initialise(nn.ModuleList([self.enter, self.decoder, self.leave]))

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """A mild view (B, C, ...), the order of its patches (B, T), their values (B, T, P), and which were measured."""
        x, size = modality.augment(batch.x, "mild"), self.encoder.patch_size
        order, known = modality.keep(len(x), self.encoder.places, self.mask_ratio, x.device), modality.measured(x)
        known = known if known is None else modality.patches(known, size)
        return modality.unheld(x, order[:, self.visible :], size), order, modality.patches(x, size), known

    def loss(self, views: tuple[Tensor, Tensor, Tensor, Tensor | None]) -> Tensor:
        """Mean squared error on the hidden patches alone, a scalar."""
        (_, order, target, known), painted = views, self.paint(*views[:2]).float()  # (B, T, P)
        if self.normalise:
            target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        pick = order[:, self.visible :, None].expand(-1, -1, target.shape[-1])
        known = known if known is None else known.gather(1, pick)
        return squared_error(painted.gather(1, pick), target.gather(1, pick), known)

    def paint(self, x: Tensor, order: Tensor) -> Tensor:
        """All patches (B, T, P) as the decoder sees them from the first (1 - mask_ratio) share of `order`."""
        tokens = self.enter(self.encoder.visible(x, order[:, : self.visible]))
        rest = self.mask_token.to(tokens.dtype).expand(len(x), order.shape[1] - self.visible, -1)
        shuffled = torch.cat([tokens, rest], 1)
        back = order.argsort(1)[..., None].expand_as(shuffled)
        painted: Tensor = self.leave(self.decoder(shuffled.gather(1, back) + self.positions))
        return painted

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, masked (hidden patches grey) and painted views (B, C, H, W) of the items, to look at."""
        x, size = modality.plain(batch.x), self.encoder.patch_size
        order = modality.keep(len(x), self.encoder.places, self.mask_ratio, x.device)
        seen, target = modality.unheld(x, order[:, self.visible :], size), modality.patches(x, size)
        painted = self.paint(seen, order).float()
        if self.normalise:
            painted = painted * (target.var(-1, keepdim=True) + 1e-6).sqrt() + target.mean(-1, keepdim=True)
        shown = torch.zeros_like(order).scatter(1, order[:, : self.visible], 1)[..., None]
        painted = torch.where(shown > 0, target, painted)
        return x, modality.unpatch(target * shown, size), modality.unpatch(painted, size)
