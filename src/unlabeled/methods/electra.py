"""Tell which words of a text a small network has put in place of the true ones (ELECTRA: Clark et al. 2020,
arXiv:2003.10555). The small network foretells hidden words; what it draws is what the encoder judges, at every place.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.foretold import Foretold
from unlabeled.encoders._words import WordEncoder
from unlabeled.encoders.bert import BERT
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.modalities.text import as_text, hide


class Electra(Method):
    """Tell which words of a text a small network has replaced (Clark et al. 2020, arXiv:2003.10555).

    Args:
        encoder: `bert`, which sees both sides of a word.
        share: of the words that is replaced, above 0 and below 1.
        weight: of the judgement beside the small network's own loss; 50 in the paper.
        width: of the small network's token vectors, of one layer and one head.

    Raises:
        UserError: when the encoder sees one side alone, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "many texts and many steps"
    when: ClassVar[str] = "when every word should teach at every step"
    cost: ClassVar[float] = 0.0
    lr: ClassVar[float] = 1e-3
    weight_decay: ClassVar[float] = 0.01
    encoder: WordEncoder

    def __init__(self, encoder: WordEncoder, *, share: float = 0.15, weight: float = 50.0, width: int = 64) -> None:
        super().__init__()
        if not isinstance(encoder, WordEncoder) or encoder.causal:
            raise UserError("electra needs an encoder that sees both sides of a word", "take --encoder bert")
        if not 0 < share < 1 or weight < 0:
            raise UserError(f"electra with share={share} and weight={weight}", "give a share, and 0 or more")
        self.encoder, self.share, self.weight = encoder, share, weight
        self.small = BERT(encoder.channels, encoder.size, width=width, depth=1, heads=1, dropout=0.0)
        self.foretell = Foretold(width, encoder.channels)
        self.judge_of = nn.Sequential(nn.Linear(encoder.token_dim, encoder.token_dim), nn.GELU())
        self.verdict = nn.Linear(encoder.token_dim, 1)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The text as it was (B, T), with hidden words (B, T), which those are, which places hold words (B, T), and the
        dice for what is put in their place (B, T).
        """
        view = modality.augment(batch.x, "mild")
        seen, chosen, ids = hide(view, modality, self.share)
        dice = modality.uniforms(len(ids), ids.shape[1], ids.device)
        return ids, seen, chosen, as_text(modality).free(ids), dice

    def loss(self, views: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of the small network at the hidden places, and of the judgement at every word, scalars."""
        ids, seen, chosen, words, dice = views
        scores = self.foretell(self.small.tokens(seen)[chosen], self.small.table).float()
        own = functional.cross_entropy(scores, ids[chosen]) if len(scores) else scores.sum()
        with torch.no_grad():  # what it draws tells it nothing: the words between are no numbers
            at = (scores.softmax(1).cumsum(1) < dice[chosen][:, None]).sum(1).clamp(max=scores.shape[1] - 1)
            drawn = ids.masked_scatter(chosen, at)
        told = self.verdict(self.judge_of(self.encoder.tokens(drawn)))[..., 0].float()
        wrong = functional.binary_cross_entropy_with_logits(told, (drawn != ids).float(), reduction="none")
        return {"words": own, "judged": self.weight * (wrong * words).sum() / words.sum().clamp(min=1)}
