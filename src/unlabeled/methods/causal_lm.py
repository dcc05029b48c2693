"""Foretell each token of a text from those before it (GPT: Radford et al. 2018, 2019); what it has learnt writes on."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.blocks.foretold import Foretold
from unlabeled.encoders._words import WordEncoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.views.words import lengths


class CausalLM(Method):
    """Foretell each token of a text from those before it, and write on (GPT-2: Radford et al. 2019).

    Args:
        encoder: `gpt`, in which a token sees only those before it.

    Raises:
        UserError: when the encoder sees what it is to foretell.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    family: ClassVar[str] = "generative"
    default_encoder: ClassVar[dict[str, str]] = {"text": "gpt"}
    wants: ClassVar[str] = "running text"
    when: ClassVar[str] = "when text is to be written on, or its surprise measured"
    cost: ClassVar[float] = 0.0
    lr: ClassVar[float] = 1e-3
    weight_decay: ClassVar[float] = 0.01
    encoder: WordEncoder

    def __init__(self, encoder: WordEncoder) -> None:
        super().__init__()
        if not isinstance(encoder, WordEncoder) or not encoder.causal:
            raise UserError(
                "causal_lm needs an encoder in which a token sees only those before it", "take --encoder gpt"
            )
        self.encoder = encoder
        self.foretell = Foretold(encoder.token_dim, encoder.channels, layer=False)
        self.begin: Tensor
        self.register_buffer("begin", torch.zeros(1, dtype=torch.int64))  # the token that texts begin with

    def views(self, batch: Batch, modality: Modality) -> Tensor:
        """The items (B, T)."""
        ids = modality.augment(batch.x, "mild")
        self.begin.copy_(ids[0, :1])
        return ids

    def loss(self, views: Tensor) -> Tensor:
        """Cross-entropy of all tokens but the first in nats, a scalar."""
        states, there = self.encoder.tokens(views)[:, :-1], self._there(views)
        return self.foretell.loss(states[there], self.encoder.table, views[:, 1:][there])

    @torch.no_grad()
    def surprise(self, ids: Tensor) -> Tensor:
        """Nats that each token but the first costs (B, T - 1), 0 behind an item's end; from views (B, T)."""
        scores = self.foretell(self.encoder.tokens(ids)[:, :-1], self.encoder.table).float()
        return functional.cross_entropy(scores.transpose(1, 2), ids[:, 1:], reduction="none") * self._there(ids)

    @torch.no_grad()
    def generate(self, ids: Tensor, count: int, *, temperature: float = 0.8, top: int = 40, seed: int = 0) -> Tensor:
        """Texts written on by `count` tokens, drawn from the `top` likeliest.

        Args:
            ids: (B, T) beginnings of one length, without an end.
            count: tokens to write, 0 or more.
            temperature: above 0; lower is tamer.
            top: tokens that are drawn from, 1 or more.
            seed: of the draws.

        Returns:
            (B, T + count).
        """
        if temperature <= 0 or top < 1:
            raise UserError(f"generate with temperature={temperature} and top={top}", "give above 0, and 1 or more")
        chance = torch.Generator().manual_seed(seed)
        for _ in range(count):
            states = self.encoder.tokens(ids[:, -self.encoder.size :])[:, -1]
            best, which = self.foretell(states, self.encoder.table).float().topk(min(top, self.encoder.channels))
            drawn = torch.multinomial((best / temperature).softmax(1).cpu(), 1, generator=chance).to(ids.device)
            ids = torch.cat([ids, which.gather(1, drawn)], 1)
        return ids

    def sample(self, count: int, chance: torch.Generator) -> Tensor:
        """New texts (count, T) from their beginning on."""
        seed = int(torch.randint(1 << 31, (1,), generator=chance))
        return self.generate(self.begin.expand(count, 1), self.encoder.size - 1, seed=seed)

    @staticmethod
    def _there(ids: Tensor) -> Tensor:
        return torch.arange(1, ids.shape[1], device=ids.device) < lengths(ids)[:, None]
