"""Foretell the values of the end of each window from its beginning (Srivastava et al. 2015, arXiv:1502.04681).

The encoder never sees the end. Where a recording is shorter than the window, its own end is foretold.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.context import room
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.painting import squared_error
from unlabeled.views.motion import lengths, piece


class Forecasting(Method):
    """Foretell the values of each window's end from its beginning (Srivastava et al. 2015, arXiv:1502.04681).

    Args:
        encoder: gives features (B, D).
        horizon: share of the time that is foretold, above 0 and below 1.
        hidden: width of the head's hidden layer, 1 or more.

    Raises:
        UserError: when a window is too short to have a beginning and an end, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    family: ClassVar[str] = "predictive"
    wants: ClassVar[str] = "windows whose past says something of their future"
    when: ClassVar[str] = "as a yardstick, or when forecasts are wanted"
    cost: ClassVar[float] = 0.5

    def __init__(self, encoder: Encoder, *, horizon: float = 0.25, hidden: int = 256) -> None:
        super().__init__()
        if not 0 < horizon < 1 or hidden < 1:
            raise UserError(
                f"forecasting with horizon={horizon} and hidden={hidden}", "give a share between 0 and 1, and a width"
            )
        if encoder.size < 2:
            raise UserError(f"windows of {encoder.size} step have no end to foretell", "take longer ones (--size)")
        self.encoder, self.seen = encoder, min(encoder.size - 1, max(1, round((1 - horizon) * encoder.size)))
        self.steps = encoder.size - self.seen
        self.head = nn.Sequential(
            nn.Linear(encoder.dim, hidden), nn.ReLU(), nn.Linear(hidden, self.steps * encoder.channels)
        )

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor | None]:
        """The beginning of a mild view (B, C, T), its end, and which values of the end were measured."""
        return self.parts(modality.augment(batch.x, "mild"), modality)

    def parts(self, x: Tensor, modality: Modality) -> tuple[Tensor, Tensor, Tensor | None]:
        """The same of a given view."""
        whole, known = lengths(x[:, 0]), modality.measured(x)
        seen = (whole * self.seen / x.shape[2]).ceil().long().clamp(min=1)
        past = piece(x, torch.zeros_like(seen), seen, room(self.encoder, self.seen))
        end = None if known is None else piece(known, seen, whole - seen, self.steps)
        return past, piece(x, seen, whole - seen, self.steps), end

    def loss(self, views: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """Mean squared error on the measured values of the end, a scalar."""
        past, end, known = views
        return squared_error(self.head(self.encoder(past)).float().view_as(end), end, known)
