"""Say what a slow teacher says of another view, in words that both invent (Caron et al. 2021, arXiv:2104.14294).

Centring keeps the teacher from always saying the same word, sharpening from saying all at once. What differs from the
paper: the heads have batch norms, and the words learn from the first step on.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.projector import projector
from unlabeled.blocks.prototypes import Prototypes
from unlabeled.blocks.teacher import Teacher
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.distil import distil
from unlabeled.objectives.entropy import in_use
from unlabeled.objectives.gather import gather
from unlabeled.settings import within


class DINO(Method):
    """Say of one view what a slow teacher says of another (Caron et al. 2021, arXiv:2104.14294).

    Args:
        encoder: gives features (B, D).
        words: how many outputs teacher and student share, 2 or more.
        warm: temperature of the student, above that of the teacher.
        cold: temperature of the teacher, above 0.
        momentum: share of itself that the teacher keeps at the first step, 0 to 1, rising to 1; 0 follows the length
            of the run.
        crops: further small views that the student alone sees; 0 for none.
        hidden: width of the projector's hidden layers.
        width: length of the projected vectors.

    Raises:
        UserError: when small views are asked for and the encoder takes one size only, or a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "contrastive"
    wants: ClassVar[str] = "views that keep what matters"
    when: ClassVar[str] = "with transformers and many items"
    cost: ClassVar[float] = 1.3

    def __init__(
        self, encoder: Encoder, *, words: int = 1024, warm: float = 0.1, cold: float = 0.04, momentum: float = 0.0,
        crops: int = 0, hidden: int = 512, width: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        within("dino", {"words": words}, 2)
        if not 0 < cold < warm:
            raise UserError(f"dino with cold={cold} and warm={warm}", "give both above 0, the teacher the lower one")
        within("dino", {"crops": crops}, 0)
        if crops and not encoder.any_size:
            raise UserError("small views do not fit this encoder, which takes one size only", "leave out crops")
        self.encoder, self.warm, self.cold, self.crops = encoder, warm, cold, crops
        self.head = nn.Sequential(projector(encoder.dim, hidden, width, layers=3), Prototypes(width, words))
        self.teacher = Teacher(nn.Sequential(encoder, self.head), momentum=momentum)
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(words))

    def fit_to(self, facts: Facts) -> None:
        """The momentum follows the number of steps."""
        self.teacher.fit_to(facts.steps)

    def views(self, batch: Batch, modality: Modality) -> list[Tensor]:
        """Two strong views (B, C, H, W) of each item, then the small ones."""
        large = [modality.augment(batch.x) for _ in range(2)]
        return large + [modality.augment(batch.x, "small") for _ in range(self.crops)]

    def loss(self, views: list[Tensor]) -> Tensor:
        """Cross-entropy between what teacher and student say of different views, a scalar; the centre moves."""
        both = torch.cat(views[:2])
        features = [self.encoder(both)] + ([self.encoder(torch.cat(views[2:]))] if self.crops else [])
        says = self.teacher(both)
        heard = self.head(torch.cat(features)).chunk(len(views))
        loss = distil(list(heard), list(says.chunk(2)), self.centre.clone(), warm=self.warm, cold=self.cold)
        if self.training:
            self.centre.lerp_(gather(says).mean(0), 0.1)
        return loss

    def after_step(self, progress: float) -> None:
        """The teacher follows."""
        self.teacher.follow(nn.Sequential(self.encoder, self.head), progress)

    def watch(self, views: Any) -> tuple[dict[str, float], str]:
        """How many words the teacher uses."""
        says = ((self.teacher(views[0]) - self.centre) / self.cold).softmax(1)
        used, few = in_use(says.mean(0)), min(2, 0.5 * len(says))
        ill = "" if used > few else "the teacher says one word of all items; lower the learning rate"
        return {"words in use": used}, ill
