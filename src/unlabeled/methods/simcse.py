"""Read a text twice with other dropout and find it again among the texts of the batch (SimCSE: Gao et al. 2021,
arXiv:2104.08821). From scratch, words are foretold beside it, which the paper has as an auxiliary loss; start it from a
run of `mlm` where there is one (`--start`).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.foretold import Foretold
from unlabeled.encoders._words import WordEncoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.modalities.text import hide
from unlabeled.objectives.in_batch import in_batch


class SimCSE(Method):
    """Read a text twice with other dropout and find it again among others (Gao et al. 2021, arXiv:2104.08821).

    Args:
        encoder: of texts, with a dropout above 0.
        temperature: of the softmax over cosines, above 0.
        mlm: weight of foretelling hidden words beside it, 0 or more; 0 takes it away.

    Raises:
        UserError: when the encoder reads no texts, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "texts as long as those that will be compared"
    when: ClassVar[str] = "when likeness of texts matters; after mlm"
    cost: ClassVar[float] = 0.0
    lr: ClassVar[float] = 5e-4
    weight_decay: ClassVar[float] = 0.01
    encoder: WordEncoder

    def __init__(self, encoder: WordEncoder, *, temperature: float = 0.05, mlm: float = 0.1) -> None:
        super().__init__()
        if not isinstance(encoder, WordEncoder):
            raise UserError("simcse needs an encoder of texts", "take --encoder bert or gpt")
        if mlm < 0 or temperature <= 0:
            raise UserError(f"simcse with mlm={mlm} and temperature={temperature}", "give 0 or more, and above 0")
        if mlm and encoder.causal:
            raise UserError("words are foretold from both sides, and this encoder sees one", "take simcse(mlm=0)")
        self.encoder, self.temperature, self.mlm = encoder, temperature, mlm
        self.head = nn.Sequential(nn.Linear(encoder.dim, encoder.dim), nn.Tanh())  # for training alone, as in the paper
        self.foretell = Foretold(encoder.token_dim, encoder.channels) if mlm else None

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor] | None]:
        """Two strong views (B, T), equal unless parts are cut, and the text with hidden words if they are foretold."""
        a, b = modality.augment(batch.x), modality.augment(batch.x)
        return a, b, hide(modality.augment(batch.x, "mild"), modality, 0.15) if self.mlm else None

    def loss(self, views: tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor] | None]) -> dict[str, Tensor]:
        """The contrast, and the weighted cross-entropy of hidden words, scalars."""
        first, second, words = views
        a, b = self.head(self.encoder(torch.cat([first, second]))).chunk(2)
        out = {"contrast": in_batch(a, b, self.temperature)}
        if self.foretell is not None and words is not None:
            seen, chosen, ids = words
            states = self.encoder.tokens(seen)[chosen]
            out["words"] = self.mlm * self.foretell.loss(states, self.encoder.table, ids[chosen])
        return out

    def watch(self, views: tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor] | None]) -> tuple[dict[str, float], str]:
        """A word where the two looks are the same, and nothing is asked."""
        still = not any(isinstance(part, nn.Dropout) and part.p > 0 for part in self.encoder.modules())
        same = "both looks at a text are the same: give the encoder a dropout, as bert(dropout=0.1), or --crop 0.5"
        return {}, same if still and torch.equal(views[0], views[1]) else ""
