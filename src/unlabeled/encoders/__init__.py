"""What every encoder answers: a vector for an item, a vector for each of its places, and how long the vectors are."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from unlabeled.modalities import Modality


class Encoder(nn.Module):
    """Base of all encoders.

    Attributes:
        space: how many dimensions the places of its items have: 2 for pictures, 1 for series, 0 for rows of
            words.
        sees: the form of the items that it asks for, where a modality has several; "" for the usual one.
        channels: channels of the items that it was built for; of texts the size of the vocabulary.
        size: side of the views that it was built for, pixels, their time steps or tokens.
        any_size: whether it takes items of other sizes as well: convolutions do, fixed positions do not.
        apart: whether each channel of a series but the first goes its own way: a token then holds their vectors side by
            side, each as long as the others, in the order of the channels.
        nothing: of rows of words the number that hides one, 0 for none.
        dim: length D of the feature vectors.
        token_dim: length of the token vectors (mostly the same).
    """

    space: ClassVar[int] = 2
    sees: ClassVar[str] = ""
    apart: ClassVar[bool] = False
    channels: int
    size: int
    any_size: bool = False
    nothing: int = 0
    dim: int
    token_dim: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Items (B, C, ...) to features (B, D)."""

    @abstractmethod
    def tokens(self, x: Tensor) -> Tensor:
        """Items (B, C, ...) to one vector a place (B, T, token_dim)."""

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and tokens (B, T, token_dim); an encoder that can makes them in one pass."""
        return self(x), self.tokens(x)

    def in_order(self) -> list[nn.Module]:
        """Its parts that have parameters, in the order in which an item passes them."""
        return parts_of(self)

    def meet(self, looks: Modality) -> None:
        """Learn of the data what the modality knows of them, before the first step."""
        self.nothing = looks.nothing


class Maskable(Encoder):
    """An encoder that cuts items into patches and can look at some of them alone, as masked models want it.

    Attributes:
        patch_size: side of a patch in pixels, or its time steps.
        places: how many patches an item has.
        patch_values: numbers in a patch, over all channels.
    """

    patch_size: int
    places: int
    patch_values: int

    @abstractmethod
    def visible(self, x: Tensor, keep: Tensor) -> Tensor:
        """Tokens (B, V, token_dim) of the patches whose numbers `keep` (B, V) names; the others are never computed."""

    def glimpse(self, x: Tensor, keep: Tensor) -> Tensor:
        """Features (B, D) from the patches alone whose numbers `keep` (B, V) names."""
        return self.visible(x, keep).mean(1)

    @abstractmethod
    def codes(self, width: int) -> Tensor:
        """Fixed codes (1, places, width) of where the patches lie."""


def parts_of(net: nn.Module) -> list[nn.Module]:
    """The parts of a network that have parameters, in its order, with lists and chains opened."""
    chains = nn.ModuleList | nn.Sequential
    parts = [part for child in net.children() for part in (child if isinstance(child, chains) else [child])]
    return [part for part in parts if any(True for _ in part.parameters())]
