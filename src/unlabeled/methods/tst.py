"""Hide short stretches of each variable and fill them in from the rest (TST: Zerveas et al. 2020, arXiv:2010.02803).

Any encoder that gives tokens will do; where the paper's transformer has a batch norm and a token for each step, the
catalog's has a layer norm and `patch_size`. Only values that were measured are hidden, and only those count; where the
recording is, which encoders pool over, is always told. An encoder that puts each window in units of its own sees the
mean of what is left in a hole, which leaves that mean as it is.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.context import places
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.painting import squared_error
from unlabeled.views.motion import stretches


class TST(Method):
    """Hide short stretches of each variable and fill them in (TST: Zerveas et al. 2020, arXiv:2010.02803).

    Args:
        encoder: gives tokens (B, T, D).
        mask_ratio: share of each variable's time that is hidden, above 0 and below 1.
        mask_length: mean steps of a hidden stretch, 1 or more.

    Raises:
        UserError: when a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    family: ClassVar[str] = "generative"
    default_encoder: ClassVar[str] = "transformer"
    wants: ClassVar[str] = "several variables that tell of each other"
    when: ClassVar[str] = "when labels suffice to fine-tune, or values are missing"
    cost: ClassVar[float] = 0.5

    def __init__(self, encoder: Encoder, *, mask_ratio: float = 0.15, mask_length: float = 3.0) -> None:
        super().__init__()
        if not 0 < mask_ratio < 1 or mask_length < 1:
            raise UserError(
                f"tst with mask_ratio={mask_ratio} and mask_length={mask_length}",
                "give a share between 0 and 1, and a length of 1 or more",
            )
        self.encoder, self.ratio, self.length = encoder, mask_ratio, mask_length
        stride = -(-encoder.size // places(encoder, method="tst", least=1))
        self.paint = nn.Linear(encoder.token_dim, stride * encoder.channels)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """A mild view (B, C, T) with holes, the same without, and which of its values are hidden."""
        return self.holes(modality.augment(batch.x, "mild"), modality)

    def holes(self, x: Tensor, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """A view (B, C, T) with holes of its own for each item and channel, without, and where they are, 0 or 1."""
        b, c, t = x.shape
        hidden = stretches(modality.uniforms(b, c * t, "cpu").view(b, c, t), self.ratio, self.length).to(x.device)
        known = modality.measured(x)
        hidden = hidden if known is None else hidden & (known > 0.5)
        hidden[:, :1] = False  # encoders and units ask where the recording is
        told = modality.tells(x, hidden)  # a gap holds the last value over, which may be a hidden one
        if not self.encoder.apart:
            return x.masked_fill(told, 0.0), x, hidden.float()
        seen = (~told & (x[:, :1] > 0.5)).float()
        mean = (x * seen).sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp(min=1)
        return torch.where(told, mean, x), x, hidden.float()

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Mean squared error on the hidden values alone, a scalar."""
        return squared_error(self.painted(views[0]), views[1], views[2])

    def painted(self, x: Tensor) -> Tensor:
        """What a view (B, C, T) with holes looks like to the encoder, of the same shape."""
        values = self.paint(self.encoder.tokens(x)).float()  # (B, places, stride * C)
        out: Tensor = values.reshape(len(x), -1, x.shape[1]).transpose(1, 2)
        return out[..., : x.shape[2]]

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, holed and painted views (B, C, T) of the items, to look at."""
        holed, x, hidden = self.holes(modality.plain(batch.x), modality)
        return x, holed, torch.where(hidden > 0, self.painted(holed), x)
