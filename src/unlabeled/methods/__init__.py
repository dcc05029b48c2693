"""What every self-supervised method answers: which views it wants, and what its loss is.

A method owns its encoder; queues, teachers and prototypes are buffers or sub-modules, so that checkpoints, resuming and
device moves come by themselves. The keyword-only arguments of its constructor are its settings. A batch never
carries a label.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.modalities import Modality


@dataclass(frozen=True)
class Batch:
    """Raw items as they come from the store, on the device, before any view.

    Args:
        x: (B, C, H, W) uint8 or uint16 for pictures.
        index: (B,) int64, the items' row numbers in the store.
        mask: what was observed, for modalities with missing values or ragged lengths, else None.
        domain: (B,) int64 site or device numbers, -1 where unknown, else None.
    """

    x: Tensor
    index: Tensor
    mask: Tensor | None = None
    domain: Tensor | None = None


class Method(nn.Module):
    """Base of all methods; a subclass writes `views` and `loss`."""

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = ""
    default_encoder: ClassVar[str] = "resnet18"  # a spec of the encoders' catalog or of timm
    lr: ClassVar[float] = 1e-3  # recommended peak learning rate at batch 64
    weight_decay: ClassVar[float] = 1e-4
    encoder: Encoder

    @abstractmethod
    def views(self, batch: Batch, modality: Modality) -> Any:
        """What the method wants to look at: tensors, drawn by the modality, without gradients."""

    @abstractmethod
    def loss(self, views: Any) -> Tensor | dict[str, Tensor]:
        """A scalar, or named scalars when the parts have optimizers of their own (GAN)."""

    def forward(self, views: Any) -> Tensor | dict[str, Tensor]:
        """The same as `loss`; the way in for DistributedDataParallel."""
        return self.loss(views)

    def before_epoch(self, embed: Callable[[], Tensor]) -> None:
        """Called before each pass over the data; `embed()` gives the features (N, D) of all training items."""

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step with the share of the run that is done, 0 to 1 (momentum teachers,
        queues).
        """

    def embedding(self, views: Any) -> Tensor:
        """Features (B, D) of one view, for the health watch; without gradients."""
        x = views[0] if isinstance(views, tuple | list) else views
        with torch.no_grad():
            features: Tensor = self.encoder(x)
        return features
