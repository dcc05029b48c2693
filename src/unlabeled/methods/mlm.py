"""Hide some words of a text and foretell them from the rest (BERT without its second task: Devlin et al. 2018,
arXiv:1810.04805; RoBERTa's fresh masks: Liu et al. 2019, arXiv:1907.11692).

Scores of the vocabulary are computed at the hidden places alone.
"""

from typing import ClassVar

from torch import Tensor

from unlabeled.blocks.foretold import Foretold
from unlabeled.encoders._words import WordEncoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.modalities.text import hide


class MLM(Method):
    """Hide some words of a text and foretell them from the rest (Devlin et al. 2018, arXiv:1810.04805).

    Args:
        encoder: `bert`, which sees both sides of a word.
        share: of the words that is foretold, above 0 and below 1.

    Raises:
        UserError: when the encoder sees one side alone, or the share is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    family: ClassVar[str] = "generative"
    wants: ClassVar[str] = "many texts and many steps"
    when: ClassVar[str] = "first, for texts"
    cost: ClassVar[float] = 0.0
    lr: ClassVar[float] = 1e-3
    weight_decay: ClassVar[float] = 0.01
    encoder: WordEncoder

    def __init__(self, encoder: WordEncoder, *, share: float = 0.15) -> None:
        super().__init__()
        if not isinstance(encoder, WordEncoder) or encoder.causal:
            raise UserError("mlm needs an encoder that sees both sides of a word", "take --encoder bert")
        if not 0 < share < 1:
            raise UserError(f"a share of {share} was given", "give one between 0 and 1, such as 0.15")
        self.encoder, self.share = encoder, share
        self.foretell = Foretold(encoder.token_dim, encoder.channels)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """The text with hidden words (B, T), which they are (B, T), and the text as it was (B, T)."""
        return hide(modality.augment(batch.x, "mild"), modality, self.share)

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Cross-entropy at the hidden places in nats, a scalar."""
        seen, chosen, ids = views
        return self.foretell.loss(self.encoder.tokens(seen)[chosen], self.encoder.table, ids[chosen])
