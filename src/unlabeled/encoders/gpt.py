"""A transformer that reads from the beginning to the end (Radford et al. 2019, GPT-2), as transformers has it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

from unlabeled.encoders._words import WordEncoder, check, quieten, spread
from unlabeled.formats.text import need_text


class GPT(WordEncoder):
    """A GPT-2 of any size, in which a token sees only those before it.

    Args:
        channels: tokens of the vocabulary.
        size: tokens of an item.
        width: length of the token vectors.
        depth: number of layers; 0 leaves the vectors of words and places alone.
        heads: attention heads; divides the width.
        dropout: of states and attention, 0 to below 1.
        pooling: features are the `mean` of the tokens, the `last` one, which has seen all others, or `rare`: their
            mean, rare words weighted up.
        places: longest text in tokens that it can be given; 0 takes the size.

    Raises:
        UserError: when the heads do not fit the width, or a setting is out of its range.
    """

    space: ClassVar[int] = 0  # the catalog reads this file alone
    any_size = True
    causal: ClassVar[bool] = True
    architecture: ClassVar[str] = "gpt2"
    named: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"width": "n_embd", "depth": "n_layer", "heads": "n_head", "places": "n_positions"}
    )

    def __init__(
        self, channels: int, size: int, *, width: int = 256, depth: int = 4, heads: int = 4, dropout: float = 0.1,
        pooling: str = "mean", places: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        check(width, depth, heads, pooling, dropout)
        need_text()
        from transformers import GPT2Config, GPT2Model

        config = GPT2Config(
            vocab_size=channels, n_embd=width, n_layer=depth, n_head=heads, n_positions=max(places, size),
            resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, use_cache=False,
            bos_token_id=None, eos_token_id=None,
            initializer_range=spread(width),
        )  # fmt: skip
        self.net = GPT2Model(config)
        quieten(self.net.wpe)
        self._pool(pooling, width, channels)

    @property
    def table(self) -> Tensor:
        """The vectors of all tokens (V, D)."""
        found: Tensor = self.net.get_input_embeddings().weight
        return found

    def _parts(self) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
        return [self.net.wte, self.net.wpe], list(self.net.h), [self.net.ln_f]

    def _run(self, ids: Tensor, segments: Tensor, inside: Tensor | None) -> Tensor:
        states: Tensor = self.net(input_ids=ids).last_hidden_state  # filling comes last: no token sees it
        return states
