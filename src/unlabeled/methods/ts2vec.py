"""Let each moment be itself in two different contexts, at every scale (TS2Vec: Yue et al. 2021, arXiv:2106.10466).

Moments are the encoder's places, and crops begin and end between them. Time steps are hidden in the values, where the
paper hides them behind a first linear layer; its own encoder is a dilated network with a place for each step. A linear
head makes the vectors that are contrasted; products are divided by the root of their length: the paper's, undivided,
leave no slope here. The batch is this process's own.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.context import inside, places, room
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.hierarchy import hierarchy
from unlabeled.views.motion import piece

Crops = tuple[Tensor, Tensor, int, int]


class TS2Vec(Method):
    """Let each moment be itself in two different contexts, at every scale (Yue et al. 2021, arXiv:2106.10466).

    Args:
        encoder: gives tokens (B, T, D).
        mask_ratio: share of the time steps that are hidden in each crop, 0 to below 1.
        instance: share of the contrast with other items beside that with other moments, 0 to 1.
        width: length of the vectors that are contrasted, 1 or more.

    Raises:
        UserError: when the encoder makes fewer than four places, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "windows in which moments differ"
    when: ClassVar[str] = "when moments matter, not only windows"
    cost: ClassVar[float] = 1.1

    def __init__(self, encoder: Encoder, *, mask_ratio: float = 0.5, instance: float = 0.5, width: int = 128) -> None:
        super().__init__()
        if not (0 <= mask_ratio < 1 and 0 <= instance <= 1):
            raise UserError(f"ts2vec with mask_ratio={mask_ratio} and instance={instance}", "give shares from 0 to 1")
        self.count = places(encoder, method="ts2vec", least=4)
        self.encoder, self.mask_ratio, self.instance = encoder, mask_ratio, instance
        self.stride = -(-encoder.size // self.count)
        self.head, self.scale = nn.Linear(encoder.token_dim, width), width**-0.25  # dot products over root of width

    def views(self, batch: Batch, modality: Modality) -> Crops:
        """Two crops (B, C, T) of each item with hidden steps; places of the first, and how many both have.

        All items are cropped alike, each somewhere else.
        """
        x = modality.plain(batch.x)
        u = modality.uniforms(1, 5, "cpu")[0].tolist()
        overlap = 2 + int(u[0] * (self.count - 1))
        left = int(u[1] * (self.count - overlap + 1))
        start = int(u[2] * (left + 1))
        end = left + overlap + int(u[3] * (self.count - left - overlap + 1))
        move = (modality.uniforms(len(x), 1, x.device)[:, 0] * (self.count - end + start + 1)).long() - start
        first = self.crop(x, move + start, left + overlap - start, modality)
        return first, self.crop(x, move + left, end - left, modality), left + overlap - start, overlap

    def crop(self, x: Tensor, first: Tensor, count: int, modality: Modality) -> Tensor:
        """`count` places of each item (B, C, T) from its own `first` on, some steps without values."""
        steps = count * self.stride
        all_of = torch.full_like(first, steps)
        out = piece(x, first * self.stride, all_of, room(self.encoder, steps))
        shown = modality.uniforms(len(x), out.shape[2], x.device) >= self.mask_ratio
        out[:, 1:] *= shown[:, None]
        return out

    def loss(self, views: Crops) -> Tensor:
        """Both contrasts over all scales, a scalar."""
        first, second, count, overlap = views
        a, b = self.encoder.tokens(first)[:, count - overlap : count], self.encoder.tokens(second)[:, :overlap]
        known = inside(second, second.shape[2] // self.stride)[:, :overlap]
        return hierarchy(self.head(a) * self.scale, self.head(b) * self.scale, known, instance=self.instance)
