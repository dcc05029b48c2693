"""Find the part of a text that follows a given one among those of the batch (Quick-Thoughts: Logeswaran and Lee 2018,
arXiv:1803.02893). Each part is read by itself; every other part of the batch is a wrong answer, which teaches more in a
step than one yes or no a pair. What differs: one encoder reads both parts, and where the border between yes and no lies
is learnt from items that the encoder does not learn from: those that it knows by heart say nothing about others.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.border import Border
from unlabeled.blocks.couple import couple
from unlabeled.encoders._words import WordEncoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.in_batch import in_batch
from unlabeled.views.words import SEGMENT, without

KEPT = 16  # one item in so many teaches where the border lies, and nothing else


class QuickThoughts(Method):
    """Find the part that follows among all of the batch (Logeswaran and Lee 2018, arXiv:1803.02893).

    Args:
        encoder: of texts.
        temperature: of the softmax over cosines, above 0.

    Raises:
        UserError: when the encoder reads no texts, or the temperature is not above 0.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "running text of many sentences"
    when: ClassVar[str] = "when it matters what follows what, and steps are few"
    cost: ClassVar[float] = 0.0
    lr: ClassVar[float] = 1e-3
    weight_decay: ClassVar[float] = 0.01
    encoder: WordEncoder

    def __init__(self, encoder: WordEncoder, *, temperature: float = 0.05) -> None:
        super().__init__()
        if not isinstance(encoder, WordEncoder) or temperature <= 0:
            raise UserError(f"quick_thoughts with a temperature of {temperature}", "give one above 0, and bert or gpt")
        self.encoder, self.temperature = encoder, temperature
        self.norm = nn.BatchNorm1d(encoder.dim, affine=False)  # without what all texts share
        self.border = Border()

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """The first and the second part (B, T) of each item, parted where a sentence ends."""
        return _parted(couple(batch.x, modality, true=True)[0])

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the true part among all of the batch, both ways, over the items that are learnt from; a
        scalar.
        """
        kept = _kept(*views)
        a, b = self._both(*views, kept)
        if self.training:
            self.border.remember(a, b, kept)
        return (in_batch(a, b, self.temperature, kept) + in_batch(b, a, self.temperature, kept)) / 2

    def follows(self, pair: Tensor) -> Tensor:
        """How likely the second part follows the first (B,), 0 to 1, of pairs (B, T)."""
        told: Tensor = self.border(functional.cosine_similarity(*self._both(*_parted(pair))))
        return told

    def _both(self, first: Tensor, second: Tensor, still: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) of both parts; no gradient comes to the encoder by the items that are `still` (B,) bool."""
        self.encoder.eval()  # without dropout: two parts differ by themselves, and cosines mean the same at rest
        x = self.encoder(torch.cat([first, second])).float()
        if still is not None:
            x = torch.where(still.repeat(2)[:, None], x.detach(), x)
        a, b = self.norm(x).chunk(2)
        return a, b


def _parted(pair: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of pairs (B, T), each a row of its own (B, T)."""
    second = pair >= SEGMENT
    return pair.masked_fill(second, 0), without(pair % SEGMENT, ~second)


def _kept(first: Tensor, second: Tensor) -> Tensor:
    """Which items of a batch are kept back (B,) bool: by their words, so that it is the same ones whenever they come;
    none where too few would be left.
    """
    kept = (first.sum(1) + second.sum(1)) % KEPT == 0
    return kept & (len(kept) - kept.sum() > 1)
