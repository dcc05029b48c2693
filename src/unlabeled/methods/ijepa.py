"""See a part of a picture and predict what a slow encoder makes of other parts, in features and not in pixels
(I-JEPA: Assran et al. 2023, arXiv:2301.08243).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.teacher import Teacher
from unlabeled.encoders.vit import ViT, attention, initialise, sine_positions
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.settings import within
from unlabeled.views.block import block, numbers

SEEN, STRETCH = (0.85, 1.0), 1.5  # share that is seen, as in the paper; blocks up to 3 : 2 or 2 : 3, where it has 3 : 4


class IJEPA(Method):
    """Predict a slow encoder's features of hidden blocks from a visible part (Assran et al. 2023, arXiv:2301.08243).

    Args:
        encoder: a transformer that can look at visible patches alone (`vit`).
        blocks: how many blocks are predicted, 1 or more.
        area: largest share of the picture that one takes, above 0, to 0.8; the paper's four of 0.2 suit grids
            of 14 patches and more.
        momentum: share of itself that the slow encoder keeps, rising to 1; 0 follows the length of the run.
        predictor_width: length of the predictor's token vectors.
        predictor_depth: number of its blocks, 0 or more.
        predictor_heads: its heads; divides its width.

    Raises:
        UserError: when the encoder cannot do that, or a setting is out of its range.
    """

    family: ClassVar[str] = "predictive"
    default_encoder: ClassVar[str] = "vit"
    wants: ClassVar[str] = "many items and steps"
    when: ClassVar[str] = "with a transformer, where no view may be invented"
    cost: ClassVar[float] = 4.8
    weight_decay: ClassVar[float] = 0.05
    encoder: ViT

    def __init__(
        self, encoder: ViT, *, blocks: int = 1, area: float = 0.4, momentum: float = 0.0, predictor_width: int = 192,
        predictor_depth: int = 2, predictor_heads: int = 6,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(encoder, ViT):
            raise UserError("ijepa needs an encoder that can look at visible patches alone", "take --encoder vit")
        within("ijepa", {"blocks": blocks}, 1)
        within("ijepa", {"area": area}, 0, 0.8, above=True)
        self.encoder, self.blocks, self.area = encoder, blocks, (0.75 * area, area)
        self.teacher = Teacher(encoder, momentum=momentum)
        self.enter = nn.Linear(encoder.dim, predictor_width)
        self.wanted = nn.Parameter(0.02 * torch.randn(1, 1, predictor_width))
        self.positions: Tensor
        self.register_buffer("positions", sine_positions(encoder.grid, predictor_width), persistent=False)
        layers = attention(predictor_width, predictor_depth, predictor_heads)
        self.predictor = nn.Sequential(*layers, nn.LayerNorm(predictor_width), nn.Linear(predictor_width, encoder.dim))
        initialise(nn.ModuleList([self.enter, self.predictor]))

    def fit_to(self, facts: Facts) -> None:
        """The momentum follows the number of steps."""
        self.teacher.fit_to(facts.steps)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """A mild view (B, C, H, W), the patches that are seen (B, V), and those of each block (blocks, B, P)."""
        x, grid = modality.augment(batch.x, "mild"), self.encoder.grid
        chance, items = modality.uniforms(1, 4, "cpu")[0], len(batch.x)
        places = modality.uniforms(items, 2 * self.blocks + 2, x.device)
        order = modality.uniforms(items, grid**2, x.device) * 0.5
        seen = block(chance[:2], places[:, :2], grid, SEEN, 1.0)
        at = places[:, 2:].chunk(self.blocks, 1)
        hidden = [block(chance[2:], here, grid, self.area, STRETCH) for here in at]
        least, outside = grid**2 // 16, ~torch.stack(hidden).any(0)
        crowded = outside.sum(1) < least  # so many blocks leave nothing to see: one does
        hidden[1:] = [torch.where(crowded[:, None], hidden[0], h) for h in hidden[1:]]
        outside = ~torch.stack(hidden).any(0)
        few = (seen & outside).sum(1, keepdim=True) < least  # what is seen then is whatever is not asked for
        seen = torch.where(few, outside, seen & outside)
        targets = [numbers(h, order, int(h[0].sum())) for h in hidden]
        return x, numbers(seen, order, max(1, int(seen.sum(1).min()))), torch.stack(targets)

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Smooth L1 distance of predicted and normalised slow features on the blocks, a scalar."""
        x, seen, hidden = views
        slow = functional.layer_norm(self.teacher.tokens(x).float(), (self.encoder.dim,))
        context = self.enter(self.encoder.visible(x, seen)) + self.positions[0][seen]
        asked = (self.wanted + self.positions[0][hidden.flatten(0, 1)]).to(context.dtype)  # (blocks * B, P, W)
        said = self.predictor(torch.cat([context.repeat(self.blocks, 1, 1), asked], 1))[:, -hidden.shape[2] :]
        item = torch.arange(len(x), device=x.device)[:, None]
        return functional.smooth_l1_loss(said.float(), torch.cat([slow[item, h] for h in hidden]))

    def after_step(self, progress: float) -> None:
        """The slow encoder follows."""
        self.teacher.follow(self.encoder, progress)
