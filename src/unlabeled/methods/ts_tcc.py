"""Foretell the other view's future and contrast what was read so far (TS-TCC: Eldele et al. 2021, arXiv:2106.14112).

The views are the modality's own, mild and strong, drawn anew at each step. In the paper the weak one is scaled, the
strong one permuted and jittered, as `--permute 8 --noise 0.8` has it; neither crops time. Futures are told from those
of this process's batch, contexts from those of all processes.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.context import Summary, inside, places
from unlabeled.blocks.projector import projector
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.ahead import ahead
from unlabeled.objectives.info_nce import info_nce


class TSTCC(Method):
    """Foretell the other view's future and contrast what was read (TS-TCC: Eldele et al. 2021, arXiv:2106.14112).

    Args:
        encoder: gives tokens (B, T, D).
        ahead: share of the places that is foretold, above 0 and below 1.
        weight: of the contrast of contexts beside the foretelling, 0 or more.
        temperature: of the softmax over the contexts' similarities, 0.1 to 0.5.
        width: of the transformer that reads the places, a multiple of 4.
        depth: number of its blocks, 1 or more.

    Raises:
        UserError: when the encoder makes fewer than four places, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "windows in which order matters"
    when: ClassVar[str] = "first, for series"
    cost: ClassVar[float] = 1.6
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)

    def __init__(
        self, encoder: Encoder, *, ahead: float = 0.4, weight: float = 0.7, temperature: float = 0.2, width: int = 100,
        depth: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 < ahead < 1 or weight < 0:
            raise UserError(
                f"ts_tcc with ahead={ahead} and weight={weight}", "give a share between 0 and 1, a weight from 0"
            )
        count = places(encoder, method="ts_tcc", least=4)
        self.encoder, self.weight, self.temperature = encoder, weight, temperature
        self.ahead = min(count - 1, max(1, round(ahead * count)))
        self.context = Summary(encoder.token_dim, width, depth)
        self.foretell = nn.Linear(width, self.ahead * encoder.token_dim)
        self.projector = projector(width, encoder.token_dim // 2, max(1, encoder.token_dim // 4))

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """A weak and a strong view (B, C, T), and where in time each is read up to (1, 2), 0 to 1."""
        moment = modality.uniforms(1, 2, "cpu")  # the same for all items, and read where no device waits
        return modality.augment(batch.x, "mild"), modality.augment(batch.x), moment

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """How well the futures are foretold across the views, and NT-Xent of the contexts."""
        both = torch.cat(views[:2])
        tokens = functional.normalize(self.encoder.tokens(both).float(), dim=2)
        known = inside(both, tokens.shape[1])
        (weak, strong), (there, here) = tokens.chunk(2), known.chunk(2)
        first, one = self.look_ahead(weak, strong, there, here, float(views[2][0, 0]))
        second, two = self.look_ahead(strong, weak, here, there, float(views[2][0, 1]))
        a, b = self.projector(torch.cat([one, two])).chunk(2)
        return {"temporal": first + second, "contextual": self.weight * info_nce(a, b, self.temperature)}

    def look_ahead(
        self, seen: Tensor, other: Tensor, known: Tensor, there: Tensor, moment: float
    ) -> tuple[Tensor, Tensor]:
        """How well places (B, T, D) up to a moment foretell the other view's next, and their summary (B, width)."""
        now = 1 + int(moment * (seen.shape[1] - self.ahead))
        context = self.context(seen[:, :now], known[:, :now])
        guess = self.foretell(context).unflatten(1, (self.ahead, -1)).transpose(0, 1)  # (K, B, D)
        then = slice(now, now + self.ahead)
        return ahead(guess, other[:, then].transpose(0, 1), there[:, then].T), context
