"""A transformer that reads a text in both directions (Devlin et al. 2018, arXiv:1810.04805), as transformers has it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

from unlabeled.encoders._words import WordEncoder, check, quieten, spread
from unlabeled.formats.text import need_text


class BERT(WordEncoder):
    """A BERT of any size; its dropout is what makes two looks at a text differ.

    Args:
        channels: tokens of the vocabulary.
        size: tokens of an item.
        width: length of the token vectors.
        depth: number of layers; 0 leaves the vectors of words and places alone.
        heads: attention heads; divides the width.
        dropout: of states and attention, 0 to below 1.
        pooling: features are the `mean` of the tokens, the `first` one, or `rare`: their mean, rare words weighted up.
        inner: width of the layers' hidden part; 0 takes four times the width.
        places: longest text in tokens that it can be given; 0 takes the size.

    Raises:
        UserError: when the heads do not fit the width, or a setting is out of its range.
    """

    space: ClassVar[int] = 0  # the catalog reads this file alone
    any_size = True
    causal: ClassVar[bool] = False
    architecture: ClassVar[str] = "bert"
    named: ClassVar[Mapping[str, str]] = MappingProxyType({
        "width": "hidden_size", "depth": "num_hidden_layers", "heads": "num_attention_heads",
        "inner": "intermediate_size", "places": "max_position_embeddings",
    })  # fmt: skip

    def __init__(
        self, channels: int, size: int, *, width: int = 256, depth: int = 4, heads: int = 4, dropout: float = 0.1,
        pooling: str = "mean", inner: int = 0, places: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        check(width, depth, heads, pooling, dropout)
        need_text()
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=channels, hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads,
            intermediate_size=inner or 4 * width, max_position_embeddings=max(places, size), pad_token_id=0,
            hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, initializer_range=spread(width),
        )  # fmt: skip
        self.net = BertModel(config, add_pooling_layer=False)
        quieten(self.net.embeddings.position_embeddings, self.net.embeddings.token_type_embeddings)
        self._pool(pooling, width, channels)

    @property
    def table(self) -> Tensor:
        """The vectors of all tokens (V, D)."""
        found: Tensor = self.net.get_input_embeddings().weight
        return found

    def _parts(self) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
        return [self.net.embeddings], list(self.net.encoder.layer), []

    def _run(self, ids: Tensor, segments: Tensor, inside: Tensor | None) -> Tensor:
        mask = None if inside is None else inside.long()
        states: Tensor = self.net(input_ids=ids, token_type_ids=segments, attention_mask=mask).last_hidden_state
        return states
