"""Find the part of a text that follows a given one among those of the batch (Quick-Thoughts: Logeswaran and Lee 2018,
arXiv:1803.02893). Each part is read by itself; every other part of the batch is a wrong answer, which teaches more in a
step than one yes or no a pair. What differs: one encoder reads both parts.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.couple import couple
from unlabeled.encoders._words import WordEncoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.in_batch import in_batch
from unlabeled.views.words import SEGMENT, without

MEMORY = 0.05  # share of a step in the mean cosines that are remembered


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
        self.between: Tensor  # means of the cosines with what follows and with what does not
        self.register_buffer("between", torch.tensor([1.0, 0.0]))

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """The first and the second part (B, T) of each item, parted where a sentence ends."""
        return _parted(couple(batch.x, modality, true=True)[0])

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the true part among all of the batch, both ways; a scalar."""
        a, b = self._both(*views)
        if self.training:
            with torch.no_grad():
                cosine = functional.normalize(a) @ functional.normalize(b).T
                seen = torch.stack([cosine.diagonal().mean(), cosine.roll(1, 1).diagonal().mean()])
                self.between.lerp_(seen.float(), MEMORY)
        return (in_batch(a, b, self.temperature) + in_batch(b, a, self.temperature)) / 2

    def follows(self, pair: Tensor) -> Tensor:
        """How likely the second part follows the first (B,), 0 to 1, of pairs (B, T): even halfway between the cosines
        that were seen with parts that follow and with others.
        """
        a, b = self._both(*_parted(pair))
        far = (self.between[0] - self.between[1]).clamp(min=1e-3)
        return torch.sigmoid(4 * (functional.cosine_similarity(a, b) - self.between.mean()) / far)

    def _both(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        self.encoder.eval()  # without dropout: two parts differ by themselves, and cosines mean the same at rest
        a, b = self.norm(self.encoder(torch.cat([first, second])).float()).chunk(2)
        return a, b


def _parted(pair: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of pairs (B, T), each a row of its own (B, T)."""
    second = pair >= SEGMENT
    return pair.masked_fill(second, 0), without(pair % SEGMENT, ~second)
