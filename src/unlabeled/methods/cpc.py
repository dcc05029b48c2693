"""Read the past and tell what comes next from what comes next elsewhere (CPC: van den Oord et al. 2018,
arXiv:1807.03748).

Negatives are the other items of this process's batch, at the same distance, and where asked for the same
item's other moments.
Past and future are encoded apart, so that no wide field of view gives the answer away, and each item is cut once a
step, where the paper's network of narrow view foretells from every moment. Of sounds each is given in its own style
(Kharitonov et al. 2020, arXiv:2007.00991), or microphone and room would be the answer.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.context import inside, places, room
from unlabeled.encoders import Encoder
from unlabeled.encoders._gru import read
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.ahead import ahead
from unlabeled.views.motion import lengths, piece


class CPC(Method):
    """Tell from the past what comes next, among what comes next elsewhere (van den Oord et al. 2018, arXiv:1807.03748).

    Args:
        encoder: gives tokens (B, T, D).
        ahead: how many places ahead are foretold, 1 or more; at most half of them.
        width: numbers in a state of the GRU that reads the past.
        restyled: give past and future in styles of their own; for sounds alone when not given.
        moments: take the item's other moments for wrong answers too.

    Raises:
        UserError: when the encoder makes fewer than four places, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series", "audio")
    family: ClassVar[str] = "predictive"
    default_encoder: ClassVar[dict[str, str]] = {"series": "tcn", "audio": "gru"}
    wants: ClassVar[str] = "windows whose past says something of their future"
    when: ClassVar[str] = "when no view is known to keep what matters"
    cost: ClassVar[float] = 1.0

    def __init__(
        self, encoder: Encoder, *, ahead: int = 8, width: int = 128, restyled: bool | None = None, moments: bool = False
    ) -> None:
        super().__init__()
        if ahead < 1 or width < 1:
            raise UserError(f"cpc with ahead={ahead} and width={width}", "give 1 or more")
        count = places(encoder, method="cpc", least=4)
        self.encoder, self.stride = encoder, -(-encoder.size // count)
        self.ahead, self.count, self.restyled, self.moments = min(ahead, count // 2), count, restyled, moments
        self.read = nn.GRU(encoder.token_dim, width, batch_first=True)
        self.foretell = nn.Linear(width, self.ahead * encoder.token_dim)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """The past and the future (B, C, T) of a mild view of each item, cut between two places."""
        view = modality.augment(batch.x, "mild")
        early, late = max(1, self.count // 4), self.count - self.ahead
        share = (early + int(float(modality.uniforms(1, 1, "cpu")) * (late - early + 1))) / self.count
        whole = lengths(view[:, 0])
        past = (share * whole / self.stride).round().clamp(min=1).long() * self.stride
        restyled = modality.marked if self.restyled is None else self.restyled
        before, after = (modality.intervene(view)[0] if restyled else view for _ in range(2))
        parts = ((before, torch.zeros_like(past), past), (after, past, whole - past))
        first, rest = (piece(v, at, n, room(self.encoder, max(1, int(n.max())))) for v, at, n in parts)
        return first, rest

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the futures' places, a scalar."""
        past, future = (self.encoder.tokens(v) for v in views)
        length = inside(views[0], past.shape[1]).sum(1).clamp(min=1)
        with torch.autocast(past.device.type, enabled=False):
            context = read(self.read, past.float(), length.cpu())[1][-1]  # (B, width)
        there = inside(views[1], future.shape[1])[:, : self.ahead]
        guess = self.foretell(context).unflatten(1, (self.ahead, -1))[:, : there.shape[1]]  # (B, K, D)
        found = future[:, : self.ahead].transpose(0, 1)
        return ahead(guess.transpose(0, 1), found, there.T, moments=self.moments)
