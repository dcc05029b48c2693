"""What encoders of texts share: items cut to the longest of the batch, pooling over what they say, and a beginning from
a local Hugging Face folder.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.formats.text import need_text
from unlabeled.modalities import Modality
from unlabeled.modalities.text import Text
from unlabeled.views.words import SEGMENT, lengths

POOLINGS = ("mean", "first", "last", "rare")
PARTS, FEWEST = 4, 16  # of a batch that is computed by length, and the smallest batch that is
QUIET = 0.1  # size of the vectors of places beside those of words
LEAST = 1e-3  # weight below which a text says nothing
EVEN = 0.85  # mean length over the longest from which it is computed as a whole


class WordEncoder(Encoder):
    """Base of the encoders of texts, which wrap a model of transformers.

    Attributes:
        causal: whether a token sees only those before it.
        architecture: what transformers calls such a model.
        named: what its configuration calls our settings.
    """

    space: ClassVar[int] = 0
    any_size = True
    causal: ClassVar[bool] = False
    architecture: ClassVar[str]
    named: ClassVar[Mapping[str, str]]
    pooling: str
    rarity: Tensor
    net: Any  # a model of transformers

    def forward(self, x: Tensor) -> Tensor:
        """Views (B, T) to features (B, D): by the setting the mean of the tokens, the first or the last; or `rare`, the
        mean in which a word weighs the more the rarer it is (Arora et al. 2017, "A simple but tough-to-beat baseline
        for sentence embeddings").
        """
        return self.both(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        """Views (B, T) to one state a token (B, T, D), 0 behind the end."""
        states, _ = self._states(x)
        return functional.pad(states, (0, 0, 0, x.shape[1] - states.shape[1]))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and states (B, T, D), in one pass."""
        states, inside = self._states(x)
        whole = functional.pad(states, (0, 0, 0, x.shape[1] - states.shape[1]))
        if self.pooling == "first":
            return states[:, 0], whole
        if self.pooling == "last":
            end = (inside.sum(1) - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
            return states.gather(1, end)[:, 0], whole
        weight = inside[..., None].to(states.dtype)
        if self.pooling == "rare":
            ids = x[:, : states.shape[1]] % SEGMENT
            weight = weight * self.rarity[ids][..., None].to(states.dtype)
        return (states * weight).sum(1) / weight.sum(1).clamp(min=LEAST), whole

    def meet(self, looks: Modality) -> None:
        """Learn how rare each word of the data is."""
        super().meet(looks)
        if self.pooling == "rare" and isinstance(looks, Text):
            self.rarity.copy_(looks.rarity())

    def _pool(self, pooling: str, width: int, vocabulary: int) -> None:
        """Set how features come from states of that width."""
        self.pooling, self.dim, self.token_dim = pooling, width, width
        if pooling == "rare":
            self.register_buffer("rarity", torch.ones(vocabulary))

    def in_order(self) -> list[nn.Module]:
        """The vectors of words and places, then each layer; what stands behind the layers goes with the last."""
        first, layers, behind = self._parts()
        parts = [nn.ModuleList(first), *layers]
        return [*parts[:-1], nn.ModuleList([parts[-1], *behind])]

    @abstractmethod
    def _parts(self) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
        """What stands before the layers of the model, its layers, and what stands behind them."""

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """The vectors of all tokens (V, D), which methods that foretell tokens share."""

    @abstractmethod
    def _run(self, ids: Tensor, segments: Tensor, inside: Tensor | None) -> Tensor:
        """States (B, T, D) of tokens; `inside` (B, T) bool is given where some are filling."""

    def _states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, T', D) up to the end of the longest, 0 behind the end of each, and what lies inside (B, T')."""
        length = lengths(x).clamp(min=1)
        if torch.compiler.is_exporting():  # a program for any item cannot ask how long they are
            within = torch.arange(x.shape[1], device=x.device) < length[:, None]
            return self._part(x, within), within
        most = int(length.max())
        inside = torch.arange(most, device=x.device) < length[:, None]
        uneven = x.device.type == "cpu" and len(x) >= FEWEST and float(length.float().mean()) < EVEN * most
        if not uneven:
            return self._part(x[:, :most], inside), inside
        order = length.argsort(stable=True)  # alike lengths are computed together, so that little filling is
        parts = []
        for some in order.chunk(PARTS):
            end = int(length[some].max())
            parts.append(functional.pad(self._part(x[some, :end], inside[some, :end]), (0, 0, 0, most - end)))
        return torch.cat(parts)[order.argsort()], inside

    def _part(self, x: Tensor, inside: Tensor) -> Tensor:
        states = self._run(
            x % SEGMENT, x // SEGMENT, inside if torch.compiler.is_exporting() or not bool(inside.all()) else None
        )
        return states * inside[..., None].to(states.dtype)

    @classmethod
    def settings_of(cls, folder: Path) -> dict[str, Any]:
        """The settings with which this encoder takes the weights of a local Hugging Face folder.

        Raises:
            UserError: when the folder holds another kind of model.
        """
        values = configuration(folder)
        if values.get("model_type") != cls.architecture:
            raise UserError(f"{folder} holds a {values.get('model_type')}", "give a folder of a bert or gpt2 model")
        return {own: values[theirs] for own, theirs in cls.named.items() if values.get(theirs) is not None}

    def take(self, folder: Path) -> None:
        """Take the weights of a local Hugging Face folder; nothing is fetched, and only safetensors are read.

        Raises:
            UserError: when there are none, or they do not fit.
        """
        need_text()
        from transformers import AutoModel

        if not list(folder.glob("*.safetensors")):
            raise UserError(f"{folder} holds no weights in safetensors", "save the model with save_pretrained first")
        try:
            found = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
            wanted = self.net.state_dict().keys()
            self.net.load_state_dict({k: v for k, v in found.state_dict().items() if k in wanted})
        except (OSError, ValueError, RuntimeError) as fault:
            reason = (str(fault).splitlines() or [""])[0][:160]
            raise UserError(f"the weights in {folder} cannot be taken ({reason})", "take its own settings") from None


def configuration(folder: Path) -> dict[str, Any]:
    """The configuration of a local Hugging Face folder.

    Raises:
        UserError: when there is none.
    """
    try:
        return dict(json.loads((folder / "config.json").read_text("utf-8")))
    except (OSError, ValueError):
        remedy = "give the folder of a finished run, or a local Hugging Face folder; nothing is fetched from the net"
        raise UserError(f"{folder} holds no model (there is no config.json that can be read)", remedy) from None


def check(width: int, depth: int, heads: int, pooling: str, dropout: float) -> None:
    """Refuse settings that no such model has."""
    if width < 1 or heads < 1 or width % heads:
        raise UserError(f"{heads} heads do not fit a width of {width}", "take a width that the heads divide")
    if depth < 0:
        raise UserError(f"a depth of {depth} layers was given", "give 0 or more")
    if pooling not in POOLINGS:
        raise UserError(f'there is no pooling "{pooling}"', f"take {', '.join(POOLINGS)}")
    if not 0 <= dropout < 1:
        raise UserError(f"a dropout of {dropout} was given", "give a share from 0 up to, but not, 1")


def quieten(*tables: nn.Embedding) -> None:
    """Make fresh vectors of places and segments small beside those of words: what is the same in all texts would make
    all of them alike at the start, and a small model has few steps to unlearn that.
    """
    with torch.no_grad():
        for table in tables:
            table.weight.mul_(QUIET)


def spread(width: int) -> float:
    """Standard deviation of fresh weights: BERT's 0.02 at its own width of 768, and more where fewer are summed, so
    that a small model has something to say from the first step.
    """
    return 0.02 * float((768 / width) ** 0.5)
