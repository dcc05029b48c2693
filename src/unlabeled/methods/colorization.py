"""Take the colours out of a picture and paint them back (Zhang et al. 2016, arXiv:1603.08511).

As in the paper colours are squares of the a-b plane, to be chosen from, and rare ones count more: a mean colour would
be grey.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.blocks.decoder import Decoder, side_of_map
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.settings import within
from unlabeled.views.lab import in_gamut, to_lab, to_rgb


class Colorization(Method):
    """Paint the colours back into each picture (Zhang et al. 2016, arXiv:1603.08511).

    Args:
        encoder: gives features (B, D) and a map of them, for pictures of three channels.
        step: side of the squares of the a-b plane, 5 to 40.
        decoder_width: channels of the decoder's last layers.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "colours that say what a thing is"
    when: ClassVar[str] = "for photographs"
    cost: ClassVar[float] = 0.7

    def __init__(self, encoder: Encoder, *, step: int = 20, decoder_width: int = 64) -> None:
        super().__init__()
        within("colorization", {"step": step}, 5, 40)
        self.encoder = encoder
        grid, self.side = side_of_map(encoder, encoder.channels, encoder.size), max(1, encoder.size // 4)
        colours = in_gamut(step)
        self.colours: Tensor
        self.seen: Tensor
        self.register_buffer("colours", colours, persistent=False)
        self.register_buffer("seen", torch.full((len(colours),), 1 / len(colours)))
        self.decoder = Decoder(encoder.token_dim, len(colours), self.side, grid=grid, width=decoder_width)

    @classmethod
    def judge(cls, facts: Facts) -> str:
        """Grey pictures have no colours to paint."""
        if facts.channels != 3:
            raise UserError(
                f"colorization wants colour pictures, these have {facts.channels} channel" + "s" * (facts.channels > 1),
                "take inpainting or rotation instead",
            )
        return ""

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """A mild view without its colours (B, 3, H, W), and the numbers of the colours (B, side, side)."""
        x = modality.augment(batch.x, "mild")
        small = functional.interpolate(to_lab(modality.natural(x))[:, 1:], (self.side, self.side), mode="area")
        pairs = small.permute(0, 2, 3, 1).reshape(-1, 2)
        return self._grey(x), torch.cdist(pairs, self.colours).argmin(1).view(len(x), self.side, self.side)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the colours, rare ones weighing more, a scalar."""
        grey, target = views
        if self.training:
            share = torch.bincount(target.flatten(), minlength=len(self.seen)).float() / target.numel()
            self.seen.lerp_(share, 0.02)
        weight = 1 / (self.seen + 1 / len(self.seen))
        return functional.cross_entropy(self._scores(grey), target, weight / (weight * self.seen).sum())

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, without colours, and painted; views (B, C, H, W), to look at."""
        x = modality.plain(batch.x)
        share = (self._scores(self._grey(x)) / 0.4).softmax(1)  # the paper's annealed mean is at 0.38
        mean = torch.einsum("bqhw,qc->bchw", share, self.colours)
        painted = functional.interpolate(mean, x.shape[-2:], mode="bilinear", align_corners=False)
        light = to_lab(modality.natural(x))[:, :1]
        return x, self._grey(x), modality.normalise(to_rgb(torch.cat([light, painted], 1)))

    def _grey(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True).expand_as(x).contiguous()

    def _scores(self, grey: Tensor) -> Tensor:
        scores: Tensor = self.decoder(self.encoder.tokens(grey))
        return scores.float()
