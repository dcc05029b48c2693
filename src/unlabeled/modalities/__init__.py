"""What every modality gives the methods: views, interventions, corruptions, patches and pictures to show.

All of it acts on whole raw batches on the device, and every item draws its own parameters.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Style:
    """What an intervention changed: a name for each column, and by how much for each item, (B, S) in units of its
    range.
    """

    names: tuple[str, ...]
    values: Tensor


class Modality(ABC):
    """Base of all modalities. Raw batches are what the store holds; views are float32 as the encoder takes them."""

    name: ClassVar[str]
    channels: int

    @abstractmethod
    def at(self, seed: int, step: int, rank: int = 0) -> Self:
        """The same modality with its random state set from (seed, step, rank): equal arguments draw equal views."""

    @abstractmethod
    def plain(self, raw: Tensor) -> Tensor:
        """The one deterministic view, for embedding: resized and normalised."""

    @abstractmethod
    def augment(self, raw: Tensor, strength: Literal["strong", "mild", "small"] = "strong") -> Tensor:
        """A random view of each item; `mild` only crops and flips (masked models, fine-tuning), `small` shows a small
        part at half the size (multi-crop).
        """

    @abstractmethod
    def intervene(self, view: Tensor, values: Tensor | None = None) -> tuple[Tensor, Style]:
        """A view in which only the style was changed, geometry untouched, and what was changed by how much.

        The amounts (B, S) are drawn at random, or given: do(s).
        """

    @abstractmethod
    def interventions(self) -> tuple[str, ...]:
        """The kinds that `intervene` changes, in the order of the amounts."""

    @abstractmethod
    def corrupt(self, raw: Tensor, kind: str, severity: int) -> Tensor:
        """Raw items as a worse world would give them, severity 1 to 5; raw in, raw out; disjoint from `intervene`."""

    @abstractmethod
    def corruptions(self) -> list[str]:
        """The kinds that `corrupt` knows."""

    @abstractmethod
    def uniforms(self, items: int, numbers: int, device: Any) -> Tensor:
        """Random numbers of its own for each item (items, numbers), float32, uniform in 0 to 1."""

    @abstractmethod
    def keep(self, items: int, tokens: int, ratio: float, device: Any) -> Tensor:
        """A random order of token numbers (items, tokens), int64, drawn per item; the first (1 - ratio) share stays
        visible.
        """

    @abstractmethod
    def patches(self, view: Tensor, size: int) -> Tensor:
        """A view cut into non-overlapping patches: (B, C, H, W) to (B, T, size * size * C), row by row."""

    @abstractmethod
    def unpatch(self, patches: Tensor, size: int) -> Tensor:
        """The inverse of `patches`."""

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Items in natural units (0 to 1 for pictures) as the encoder takes them."""

    @abstractmethod
    def natural(self, view: Tensor) -> Tensor:
        """The inverse of `normalise`."""

    @abstractmethod
    def show(self, view: Tensor) -> np.ndarray:
        """Views as a person can see them: (B, H, W, 3) uint8 for pictures."""
