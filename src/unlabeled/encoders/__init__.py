"""What every encoder answers: a vector for an item, a vector for each of its places, and how long the vectors are."""

from abc import abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module):
    """Base of all encoders.

    Attributes:
        channels: channels of the pictures that it was built for.
        size: side of the views that it was built for, pixels.
        any_size: whether it takes pictures of other sizes as well: convolutions do, fixed positions do not.
        dim: length D of the feature vectors.
        token_dim: length of the token vectors (mostly the same).
    """

    channels: int
    size: int
    any_size: bool = False
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
