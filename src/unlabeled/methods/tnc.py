"""Tell parts of a window that lie near each other from parts of other windows (TNC: Tonekaboni et al. 2021,
arXiv:2106.00750).

Items are windows, so neighbours are drawn inside one, as far apart as the augmented Dickey-Fuller test finds it
stationary, and strangers from the other windows of this process's batch, which may come from the same recording: that
is what the weight is for. The paper draws both from one long recording. The head that compares two parts sees their
product too, without which it learnt slowly and spoilt the features.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.context import room
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.neighbours import neighbours
from unlabeled.views.motion import lengths, piece
from unlabeled.views.stationary import reach


class TNC(Method):
    """Tell neighbouring parts of a window from parts of other windows (Tonekaboni et al. 2021, arXiv:2106.00750).

    Args:
        encoder: gives features (B, D).
        part: share of a window's time that is looked at at once, above 0 and below 1; below a half the test decides how
            far neighbours lie apart, from there on they overlap anyway.
        weight: how probable it is that parts of two windows are of one kind, 0 to 1.
        others: how many other windows each part is compared with, 1 or more; at most the batch has.
        hidden: width of the hidden layer that compares; 0 takes four times the encoder's, as in the paper.

    Raises:
        UserError: when windows are too short to have parts, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "long windows whose state changes slowly"
    when: ClassVar[str] = "when no view is known to keep what matters"
    cost: ClassVar[float] = 0.7

    def __init__(
        self, encoder: Encoder, *, part: float = 0.5, weight: float = 0.05, others: int = 8, hidden: int = 0
    ) -> None:
        super().__init__()
        if not (0 < part < 1 and 0 <= weight <= 1) or others < 1 or hidden < 0:
            given = f"part={part}, weight={weight}, others={others} and hidden={hidden}"
            raise UserError(f"tnc with {given}", "give shares between 0 and 1, and 1 or more others")
        self.steps = max(1, round(part * encoder.size))
        if encoder.size < 8 or self.steps >= encoder.size:
            raise UserError(f"windows of {encoder.size} steps have no parts to compare", "take longer ones (--size)")
        self.encoder, self.weight, self.others = encoder, weight, others
        hidden = hidden or 4 * encoder.dim
        self.compare = nn.Sequential(
            nn.Linear(3 * encoder.dim, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, 1)
        )

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """A part (B, C, T) of each item, and another of its neighbourhood."""
        view = modality.plain(batch.x)
        u = modality.uniforms(len(view), 2, view.device).double()
        whole = lengths(view[:, 0])
        slack = (whole - self.steps).clamp(min=0)
        start = (u[:, 0] * (slack + 1)).long()
        units = max(1, math.ceil(view.shape[2] / (2 * self.steps)))
        known = modality.measured(view)
        values = view if known is None else view[:, 1:][:, known[:, 1:].amax((0, 2)) > 0.5]  # variables alone move
        wide = reach(values, whole, start + self.steps // 2, self.steps, units)
        away = math.sqrt(2) * torch.erfinv((2 * u[:, 1] - 1).clamp(-0.9999, 0.9999)) * wide * self.steps
        near = torch.minimum((start + away).round().long().clamp(min=0), slack)
        size, count = room(self.encoder, self.steps), torch.full_like(start, self.steps)
        return piece(view, start, count, size), piece(view, near, count, size)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of neighbours and others, a scalar."""
        here, near = self.encoder(torch.cat(views)).chunk(2)
        if len(here) < 2:
            raise UserError("tnc compares each item with others, and the batch holds one item", "give two or more")
        far = torch.stack([near.roll(k, 0) for k in range(1, min(self.others, len(here) - 1) + 1)])
        return neighbours(self.likeness(here, near), self.likeness(here.expand_as(far), far).flatten(), self.weight)

    def likeness(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits (...) of two features (..., D) to be neighbours."""
        logits: Tensor = self.compare(torch.cat([a, b, a * b], -1))
        return logits[..., 0]
