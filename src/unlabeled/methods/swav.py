"""Predict from one view to which prototypes another view of the item belongs (Caron et al. 2020, arXiv:2006.09882).

Items are shared out evenly among the prototypes, so that not all can go to one. Small batches are helped by a queue
of earlier items, which the codes are computed with once the features mean something.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.blocks.projector import projector
from unlabeled.blocks.prototypes import Prototypes, usual_count
from unlabeled.blocks.queue import Queue
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.entropy import in_use, told_apart
from unlabeled.objectives.sinkhorn import sinkhorn, swapped
from unlabeled.settings import within


class SwAV(Method):
    """Predict from one view of each item the prototypes of another (Caron et al. 2020, arXiv:2006.09882).

    Args:
        encoder: gives features (B, D).
        prototypes: how many, 2 or more; 0 follows the number of items.
        temperature: of the softmax over prototypes, above 0.
        epsilon: softness of the codes, above 0; where the views of an item agree little, a high one tells none apart.
        crops: further small views that only predict; 0 for none.
        queue: how many earlier items help to balance the codes.
        hidden: width of the projector's hidden layer; 0 takes the encoder's own.
        width: length of the projected vectors.

    Raises:
        UserError: when small views are asked for and the encoder takes one size only, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "clustering"
    wants: ClassVar[str] = "views that keep what matters; kinds that are about equally frequent"
    when: ClassVar[str] = "when the data fall into kinds"
    cost: ClassVar[float] = 1.0

    def __init__(
        self, encoder: Encoder, *, prototypes: int = 0, temperature: float = 0.1, epsilon: float = 0.05,
        crops: int = 0, queue: int = 512, hidden: int = 0, width: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        within("swav", {"prototypes": prototypes or 2}, 2)
        within("swav", {"temperature": temperature, "epsilon": epsilon}, 0, above=True)
        within("swav", {"crops": crops}, 0)
        if crops and not encoder.any_size:
            raise UserError("small views do not fit this encoder, which takes one size only", "leave out crops")
        self.encoder, self.crops, self.temperature, self.epsilon = encoder, crops, temperature, epsilon
        self.projector = projector(encoder.dim, hidden, width)
        self.prototypes, self.given = Prototypes(width, prototypes or usual_count(0)), bool(prototypes)
        self.queue = Queue(queue, width)
        self.done: Tensor
        self.register_buffer("done", torch.zeros(()))

    def fit_to(self, facts: Facts) -> None:
        """Prototypes and queue follow the number of items."""
        self.queue.fit_to(facts.items)
        if not self.given:
            self.prototypes = Prototypes(self.queue.rows.shape[1], usual_count(facts.items))

    def views(self, batch: Batch, modality: Modality) -> list[Tensor]:
        """Two strong views (B, C, H, W) of each item, then the small ones."""
        large = [modality.augment(batch.x) for _ in range(2)]
        return large + [modality.augment(batch.x, "small") for _ in range(self.crops)]

    def loss(self, views: list[Tensor]) -> Tensor:
        """Cross-entropy of each view's scores with the codes of the two large ones, a scalar."""
        features = [self.encoder(torch.cat(views[:2]))] + ([self.encoder(torch.cat(views[2:]))] if self.crops else [])
        z = self.projector(torch.cat(features))
        scores = self.prototypes(z, learn=bool(self.done > 0.02)).chunk(len(views))
        earlier = self.prototypes(self.queue.rows).detach() if self.done > 0.15 else scores[0][:0].detach()
        codes = [sinkhorn(s.detach(), earlier, epsilon=self.epsilon) for s in scores[:2]]
        if self.training:
            self.queue.push(functional.normalize(z.chunk(len(views))[0].detach().float(), dim=1))
        return swapped(list(scores), codes, self.temperature)

    def after_step(self, progress: float) -> None:
        """Take note of the time: prototypes rest at first, the queue helps later."""
        self.done.fill_(progress)

    def watch(self, views: Any) -> tuple[dict[str, float], str]:
        """How many prototypes are in use, of those that so many items can use, and how many kinds they tell apart."""
        shares = (self.prototypes(self.projector(self.encoder(views[0]))) / self.temperature).softmax(1)
        used, kinds, few = in_use(shares.mean(0)), told_apart(shares), 0.1 * min(shares.shape)
        ill = "" if used > few else f"{used:.0f} of {shares.shape[1]} prototypes are in use; take fewer or a lower rate"
        if not ill and len(shares) > 1 and kinds < 1.01:
            ill = (
                "all items are shared out among the prototypes alike, so that none is told from another; lower epsilon"
            )
        return {"prototypes in use": used, "kinds told apart": kinds}, ill
