"""Contrast the items, and hold their features still while only their style changes: L = InfoNCE(z, z') + weight *
InfoNCE(f(x), f(do(s) x)), beside a structural causal model (arXiv:1909.13189) of which factors the style reaches.

The second term is |f(x) - f(do(s) x)|^2 at length 1 while the items are kept apart. Squares alone, even in units of the
items' spread, are smallest where all features say the same: they cost what tells the classes, and style stayed.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from unlabeled.blocks.causal import Causal, compared
from unlabeled.blocks.projector import projector
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.info_nce import info_nce

Looks = tuple[tuple[Tensor, Tensor] | None, tuple[Tensor, Tensor, Tensor] | None]


class C2SSL(Method):
    """Contrast items and hold their features still while their style changes (Mitrovic et al. 2020, arXiv:2010.07922).

    Args:
        encoder: gives features (B, D).
        weight: of the consistency, 0 or more; 0 leaves the contrast alone.
        contrast: weight of the contrast, 0 or more; 0 leaves the consistency alone.
        mode: `joint` does both in every step, `alternate` one after the other.
        factors: directions of the features that the causal model looks at, 1 to D.
        free: how far factors that the graph finds in the reach of style are let off the consistency, 0 to 1.
        share: part of the batch that is looked at in two styles, above 0, to 1; 8 items or more where there are.
        temperature: of the softmax over similarities, 0.1 to 0.5.
        restyled: change the style of contrasted views too: the arm that tells what the consistency itself is worth.
        consistency: `nce` tells an item in another style from others by its features; `squares` sums what differs.
        width: length of the projected vectors.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio")
    family: ClassVar[str] = "causal"
    wants: ClassVar[str] = "classes that light, sensor and colour do not change"
    when: ClassVar[str] = "when light or camera will differ where it runs"
    cost: ClassVar[float] = 1.5
    done: Tensor
    turn: Tensor

    def __init__(
        self, encoder: Encoder, *, weight: float = 1.0, contrast: float = 1.0,
        mode: Literal["joint", "alternate"] = "joint", factors: int = 16, free: float = 0.0, share: float = 0.5,
        temperature: float = 0.2, restyled: bool = False, consistency: Literal["nce", "squares"] = "nce",
        width: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        if not (min(weight, contrast) >= 0 < weight + contrast and 0 <= free <= 1 >= share > 0 and temperature > 0):
            raise UserError(f"c2ssl with {weight=}, {contrast=}, {share=}, {free=}, {temperature=}", "see their ranges")
        self.encoder, self.mode, self.restyled, self.factors, self.free = encoder, mode, restyled, factors, free
        self.projector, self.temperature = projector(encoder.dim, 0, width), temperature
        self.weight, self.contrast, self.share = weight, contrast, share
        self.softness = temperature if consistency == "nce" else None
        self.register_buffer("done", torch.zeros(()))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    def fit_to(self, facts: Facts) -> None:
        """Build the causal model for the interventions that the modality makes, where any are made to learn from."""
        if self.weight:
            self.causal = Causal(self.encoder.dim, facts.interventions, self.factors)

    def views(self, batch: Batch, modality: Modality) -> Looks:
        """Two strong views (B, C, H, W) to contrast; mild views of some, the same in another style, and the change."""
        odd, both = bool(self.turn % 2), self.mode == "joint" or not self.weight or not self.contrast
        pair = styles = None
        if self.contrast and (both or not odd):
            pair = (modality.augment(batch.x), modality.augment(batch.x))
            pair = (modality.intervene(pair[0])[0], modality.intervene(pair[1])[0]) if self.restyled else pair
        if self.weight and (both or odd):
            some = modality.augment(batch.x[: compared(len(batch.x), self.share)], "mild")
            changed, style = modality.intervene(some)
            styles = (some, changed, style.values)
        return pair, styles

    def loss(self, views: Looks) -> dict[str, Tensor]:
        """NT-Xent of the pairs, inconsistency under a change of style, and what the causal model costs."""
        pair, styles = views
        h = self.encoder(torch.cat([*(pair or ()), *(styles or ())[:2]]))
        heads = [p for name, p in self.named_parameters() if not name.startswith("encoder.")]
        out = {"model": torch.stack([0 * p.sum() for p in heads]).sum()}  # what a step does not use is known to DDP
        if pair:
            a, b = self.projector(h[: 2 * len(pair[0])]).chunk(2)
            out["contrast"] = self.contrast * info_nce(a, b, self.temperature)
        if styles:
            before, after = h[-2 * len(styles[0]) :].chunk(2)
            out["inconsistency"] = self.weight * self.causal.inconsistency(before, after, self.softness, free=self.free)
            out["model"] += self.causal.cost(before, after, styles[2], self.done)
        return out

    def after_step(self, progress: float) -> None:
        """Keep how far the run is, for the weight of cycles, and whose turn it is."""
        self.done, self.turn = torch.full_like(self.done, progress), self.turn + 1
