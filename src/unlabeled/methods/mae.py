"""Hide most patches of a picture and paint them from the few that are left (He et al. 2021, arXiv:2111.06377).
The encoder sees the visible patches only; the decoder has two blocks, the paper's eight.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders.vit import ViT, initialise, sine_positions
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality


class MAE(Method):
    """Hide most patches of each item and reconstruct them from the rest (He et al. 2021, arXiv:2111.06377).

    Args:
        encoder: a transformer that can look at visible patches alone (`vit`).
        mask_ratio: share of the patches that is hidden, 0 to 1.
        normalise: take each patch's own mean and spread out of the target.
        decoder_width: length of the decoder's token vectors.
        decoder_depth: number of the decoder's blocks.
        decoder_heads: attention heads of the decoder.

    Raises:
        UserError: when the encoder cannot do that.
    """

    family: ClassVar[str] = "generative"
    default_encoder: ClassVar[str] = "vit"
    wants: ClassVar[str] = "many items and many steps"
    when: ClassVar[str] = "when labels suffice to fine-tune, or views would destroy what matters"
    cost: ClassVar[float] = 1.7
    lr: ClassVar[float] = 5e-4
    weight_decay: ClassVar[float] = 0.05
    encoder: ViT

    def __init__(
        self,
        encoder: ViT,
        *,
        mask_ratio: float = 0.75,
        normalise: bool = True,
        decoder_width: int = 256,
        decoder_depth: int = 2,
        decoder_heads: int = 8,
    ) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        if not isinstance(encoder, ViT):
            raise UserError("mae needs an encoder that can look at visible patches alone", "take --encoder vit")
        self.encoder, self.mask_ratio, self.normalise = encoder, mask_ratio, normalise
        self.visible = max(1, round(encoder.grid**2 * (1 - mask_ratio)))
        self.enter = nn.Linear(encoder.dim, decoder_width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, decoder_width))
        self.positions: Tensor
        self.register_buffer("positions", sine_positions(encoder.grid, decoder_width), persistent=False)
        self.decoder = nn.Sequential(
            *(Block(decoder_width, decoder_heads, qkv_bias=True) for _ in range(decoder_depth))
        )
        self.leave = nn.Sequential(
            nn.LayerNorm(decoder_width), nn.Linear(decoder_width, encoder.project.weight[0].numel())
        )
        initialise(nn.ModuleList([self.enter, self.decoder, self.leave]))

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """A mild view (B, C, H, W), the order of its patches (B, T), and the patches' pixels (B, T, P)."""
        x = modality.augment(batch.x, "mild")
        order = modality.keep(len(x), self.encoder.grid**2, self.mask_ratio, x.device)
        return x, order, modality.patches(x, self.encoder.patch_size)

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Mean squared error on the hidden patches alone, a scalar."""
        (_, order, target), painted = views, self.paint(*views[:2]).float()  # (B, T, P)
        if self.normalise:
            target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        pick = order[:, self.visible :, None].expand(-1, -1, target.shape[-1])
        return (painted.gather(1, pick) - target.gather(1, pick)).square().mean()

    def paint(self, x: Tensor, order: Tensor) -> Tensor:
        """All patches (B, T, P) as the decoder sees them from the first (1 - mask_ratio) share of `order`."""
        tokens = self.enter(self.encoder.visible(x, order[:, : self.visible]))
        rest = self.mask_token.to(tokens.dtype).expand(len(x), order.shape[1] - self.visible, -1)
        shuffled = torch.cat([tokens, rest], 1)
        back = order.argsort(1)[..., None].expand_as(shuffled)
        return self.leave(self.decoder(shuffled.gather(1, back) + self.positions))  # type: ignore[no-any-return]

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, masked (hidden patches grey) and painted views (B, C, H, W) of the items, to look at."""
        x, size = modality.plain(batch.x), self.encoder.patch_size
        order = modality.keep(len(x), self.encoder.grid**2, self.mask_ratio, x.device)
        target, painted = modality.patches(x, size), self.paint(x, order).float()
        if self.normalise:
            painted = painted * (target.var(-1, keepdim=True) + 1e-6).sqrt() + target.mean(-1, keepdim=True)
        shown = torch.zeros_like(order).scatter(1, order[:, : self.visible], 1)[..., None]
        painted = torch.where(shown > 0, target, painted)
        return x, modality.unpatch(target * shown, size), modality.unpatch(painted, size)
