"""Contrast each view with a slow encoder's view of it against a queue of earlier items (MoCo v2: Chen et al. 2020,
arXiv:2003.04297; He et al. 2019, arXiv:1911.05722).

The queue gives many negatives whatever the batch. It stays below half of the data, and what it holds of an item of the
batch is none of that item's negatives. What differs: the projector has a batch norm, and items are not shuffled between
processes, so the norms of queries and keys are those of one batch, or micro-batch.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.projector import projector
from unlabeled.blocks.queue import Queue
from unlabeled.blocks.teacher import Teacher
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.queue_nce import queue_nce
from unlabeled.settings import within


class MoCo(Method):
    """Contrast two views of each item against a queue of earlier ones (MoCo v2: Chen et al. 2020, arXiv:2003.04297).

    Args:
        encoder: gives features (B, D).
        temperature: of the softmax over similarities, 0.1 to 0.5.
        queue: how many earlier items serve as negatives, 1 or more; shortened to below half of the data.
        momentum: share of itself that the slow encoder keeps at a step, 0 to 1; 0 follows the length of the run.
        hidden: width of the projector's hidden layer; 0 takes the encoder's own.
        width: length of the projected vectors.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "when the batch must be small"
    cost: ClassVar[float] = 0.7

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: float = 0.2,
        queue: int = 4096,
        momentum: float = 0.0,
        hidden: int = 0,
        width: int = 128,
    ) -> None:
        super().__init__()
        within("moco", {"temperature": temperature}, 0, above=True)
        self.encoder, self.temperature = encoder, temperature
        self.projector = projector(encoder.dim, hidden, width)
        self.teacher = Teacher(nn.Sequential(encoder, self.projector), momentum=momentum, rising=False)
        self.queue = Queue(queue, width)

    def fit_to(self, facts: Facts) -> None:
        """The queue follows the number of items, the momentum the number of steps."""
        self.queue.fit_to(facts.items)
        self.teacher.fit_to(facts.steps)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Two strong views (B, C, H, W) of each item, and the items' numbers (B,)."""
        return modality.augment(batch.x), modality.augment(batch.x), batch.index

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """InfoNCE of the first view with the slow encoder's second against the queue, a scalar."""
        first, second, items = views
        keys, own = functional.normalize(self.teacher(second).float(), dim=1), items[:, None] == self.queue.of
        loss = queue_nce(self.projector(self.encoder(first)), keys, self.queue.rows.clone(), self.temperature, own)
        if self.training:
            self.queue.push(keys, items)
        return loss

    def after_step(self, progress: float) -> None:
        """The slow encoder follows."""
        self.teacher.follow(nn.Sequential(self.encoder, self.projector), progress)
