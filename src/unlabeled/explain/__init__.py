"""What every explainer answers: how much each place of an item speaks for a score.

A place is what a view has beyond its channels: a pixel (H, W) of a picture, a moment (T) of a series. A score is any
function of views, such as the log-odds of a class; whatever it is compared with is fixed within it.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from unlabeled.encoders import Encoder

# Views (K * B, C, ...) to scores (K * B,): the B items, or K versions of all of them one after the other, in order.
Score = Callable[[Tensor], Tensor]


@runtime_checkable
class Complete(Protocol):
    """An explainer whose map adds up to the score's difference between an item and a start in which nothing is seen."""

    def start(self, views: Tensor) -> Tensor:
        """The items in which nothing is to be seen (B, C, ...)."""
        ...


@runtime_checkable
class Explainer(Protocol):
    """Maps a score back to places; the constructor's keyword-only arguments are its settings."""

    def explain(self, score: Score, encoder: Encoder, views: Tensor) -> Tensor:
        """How much each place of views (B, C, ...) speaks for its item's score: (B, ...) float32, below 0 against it.

        Args:
            score: what is explained; it looks through the encoder, which is at rest.
            encoder: whose places may be asked for through `tokens`.
            views: of B items, normalised: 0 is the mean of each channel.

        Raises:
            UserError: when the encoder is not of the kind that this explainer can look into.
        """
        ...
