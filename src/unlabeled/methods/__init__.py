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

from unlabeled.catalog import USUAL_ENCODERS
from unlabeled.encoders import Encoder
from unlabeled.modalities import Modality


@dataclass(frozen=True)
class Batch:
    """Raw items as they come from the store, on the device, before any view.

    Args:
        x: (B, C, H, W) uint8 or uint16 for pictures; (B, C, T) float32 for series, NaN where nothing was measured.
        index: (B,) int64, the items' numbers among those that are learnt from, from 0.
        domain: (B,) int64 site or device numbers, -1 where unknown, else None.
    """

    x: Tensor
    index: Tensor
    domain: Tensor | None = None


@dataclass(frozen=True)
class Facts:
    """What a method may know of the data and of the run before it starts.

    Args:
        items: how many items are learnt from; 0 where that is not known.
        steps: length of the run in optimizer steps.
        channels: channels of the items.
        size: side of the views in pixels.
        upright: whether the items have an up, as far as can be told without labels: upside-down they look foreign.
        interventions: how many kinds of style the modality can change.
    """

    items: int
    steps: int
    channels: int
    size: int
    upright: bool = True
    interventions: int = 0


class Method(nn.Module):
    """Base of all methods; a subclass writes `views` and `loss`."""

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = ""
    default_encoder: ClassVar[str | dict[str, str]] = USUAL_ENCODERS  # specs of the encoders' catalog or of timm
    wants: ClassVar[str] = ""  # what the data must be like, in a few words
    when: ClassVar[str] = ""  # when to take it, in a few words
    cost: ClassVar[float] = (
        0.0  # minutes of a step over SimCLR's, as benchmarks/methods.py measured them; 0: not measured
    )
    lr: ClassVar[float] = 1e-3  # recommended peak learning rate at batch 64
    weight_decay: ClassVar[float] = 1e-4
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)  # of Adam's moments
    encoder: Encoder

    @abstractmethod
    def views(self, batch: Batch, modality: Modality) -> Any:
        """What the method wants to look at: tensors, drawn by the modality, without gradients."""

    @abstractmethod
    def loss(self, views: Any) -> Tensor | dict[str, Tensor]:
        """A scalar, or named scalars whose sum is minimised and which the diary keeps apart.

        Parts that work against each other (GAN) see each other through `blocks.frozen`, so that one backward pass
        gives each its own gradient.
        """

    def forward(self, views: Any) -> Tensor | dict[str, Tensor]:
        """The same as `loss`; the way in for DistributedDataParallel."""
        return self.loss(views)

    @classmethod
    def judge(cls, facts: Facts) -> str:
        """Say whether the method suits the data: raise UserError where it cannot work, return a warning or nothing."""
        return ""

    def fit_to(self, facts: Facts) -> None:
        """Called once after the constructor: lengths of queues, numbers of prototypes and momenta follow the data."""

    def before_epoch(self, embed: Callable[[], Tensor]) -> None:
        """Called before each pass over the data; `embed()` gives the features (N, D) of all items, by their index.

        Features differ a little between processes that train together, as their batch norms do: what is made of them
        must be told to all (`objectives.gather.agree`).
        """

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step with the share of the run that is done, 0 to 1 (momentum teachers)."""

    def watch(self, views: Any) -> tuple[dict[str, float], str]:
        """Numbers of the method's own for the diary and a sentence with a remedy where one of them is ill, else ""."""
        return {}, ""

    def embedding(self, views: Any) -> Tensor:
        """Features (B, D) of one view, for the health watch; without gradients."""
        x = views
        while isinstance(x, tuple | list):  # the first view that there is
            x = next(v for v in x if v is not None)
        with torch.no_grad():
            features: Tensor = self.encoder(x)
        return features
