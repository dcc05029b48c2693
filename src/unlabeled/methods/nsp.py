"""Tell whether the second part of a text follows its first, and foretell hidden words in both (BERT: Devlin et al.
2018, arXiv:1810.04805). Items are parted behind the sentence that ends nearest to their middle; in half of the cases
the second part is that of another item of the batch. What differs: beside the first state, the means of both parts are
compared (Conneau et al. 2017, arXiv:1705.02364), which small models learn from sooner.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.couple import couple
from unlabeled.blocks.foretold import Foretold
from unlabeled.encoders._words import WordEncoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.modalities.text import hide
from unlabeled.views import words


class NSP(Method):
    """BERT's two tasks: does this follow that, and which words are hidden (Devlin et al. 2018, arXiv:1810.04805).

    Args:
        encoder: `bert`, which tells the two parts apart.
        mlm: weight of foretelling hidden words, 0 or more; 0 takes it away.

    Raises:
        UserError: when the encoder sees one side of a word alone, or the weight is below 0.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "running text of many sentences"
    when: ClassVar[str] = "when it matters what follows what"
    cost: ClassVar[float] = 0.0
    lr: ClassVar[float] = 1e-3
    weight_decay: ClassVar[float] = 0.01
    encoder: WordEncoder

    def __init__(self, encoder: WordEncoder, *, mlm: float = 1.0) -> None:
        super().__init__()
        if not isinstance(encoder, WordEncoder) or encoder.causal:
            raise UserError("nsp needs an encoder that tells two parts apart", "take --encoder bert")
        if mlm < 0:
            raise UserError(f"a weight of {mlm} was given", "give 0 or more")
        self.encoder, self.mlm = encoder, mlm
        width = encoder.token_dim
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.head = nn.Sequential(nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, 2))
        self.foretell = Foretold(encoder.token_dim, encoder.channels) if mlm else None

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pairs (B, T) with hidden words, which those are (B, T), their tokens (B, T), and whether one part follows the
        other (B,), 1 or 0.
        """
        pair, follows = couple(batch.x, modality)
        seen, chosen, ids = hide(pair, modality, 0.15) if self.mlm else (pair, pair < 0, pair)
        return seen, chosen, ids, follows

    def loss(self, views: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of both tasks, scalars."""
        seen, chosen, ids, follows = views
        states = self.encoder.tokens(seen)
        out = {"next": functional.cross_entropy(self._told(states, seen), follows)}
        if self.foretell is not None:
            out["words"] = self.mlm * self.foretell.loss(states[chosen], self.encoder.table, ids[chosen])
        return out

    def follows(self, pair: Tensor) -> Tensor:
        """How likely the second part follows the first (B,), 0 to 1, of pairs (B, T)."""
        return self._told(self.encoder.tokens(pair), pair).softmax(1)[:, 1]

    def _told(self, states: Tensor, pair: Tensor) -> Tensor:
        """Scores (B, 2) from the first state, and from how the means of the two parts agree and differ."""
        second = (pair >= words.SEGMENT)[..., None].to(states.dtype)
        first = (pair > 0)[..., None].to(states.dtype) - second
        means = [(states * part).sum(1) / part.sum(1).clamp(min=1) for part in (first, second)]
        a, b = self.norm(torch.cat(means).float()).chunk(2)  # without what all texts share
        told: Tensor = self.head(torch.cat([states[:, 0].float(), a * b, (a - b).abs()], 1))
        return told.float()

    def watch(self, views: Any) -> tuple[dict[str, float], str]:
        """Share of pairs that are told right."""
        return {"next right": float(((self.follows(views[0]) > 0.5).long() == views[3]).float().mean())}, ""
