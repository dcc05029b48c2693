"""What every encoder answers: a vector for an item, a vector for each of its places, and how long the vectors are."""

from abc import abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module):
    """Base of all encoders.

    Attributes:
        dim: length D of the feature vectors.
        token_dim: length of the token vectors (mostly the same).
    """

    dim: int
    token_dim: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Items (B, C, ...) to features (B, D)."""

    @abstractmethod
    def tokens(self, x: Tensor) -> Tensor:
        """Items (B, C, ...) to one vector a place (B, T, token_dim)."""
