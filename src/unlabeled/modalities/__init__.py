"""What every modality gives the methods: views, interventions, corruptions, patches and pictures to show.

All of it acts on whole raw batches on the device, and every item draws its own parameters.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.settings import Augmentation
from unlabeled.views import draw, patch


@dataclass(frozen=True)
class Style:
    """What an intervention changed: a name for each column, and by how much for each item, (B, S) in units of its
    range.
    """

    names: tuple[str, ...]
    values: Tensor


class Modality(ABC):
    """Base of all modalities. Raw batches are what the store holds; views are float32 as the encoder takes them, of
    texts token numbers int64 (B, T).

    Attributes:
        name: as the catalog has it.
        space: how many dimensions a view's places have: 2 for pictures, 1 for series, 0 for rows of
            words.
        channels: of a view, which need not be those of the raw items; of texts what a place can hold, the vocabulary.
        size: side or steps of a view.
        crop: smallest share of an item that a random crop keeps.
        augmentation: how far the random views go.
        nothing: of rows of words the number that hides one, 0 for none.
        marked: whether microphone and room tell an item's recording from others, whatever it says.
    """

    name: ClassVar[str]
    space: int
    nothing: int = 0
    channels: int
    size: int
    crop: float
    augmentation: Augmentation
    marked: bool = False
    _source: torch.Generator

    @classmethod
    def fitting(cls, prep: Mapping[str, Any], settings: Mapping[str, Any]) -> Self:
        """The modality for items that were prepared so, with its other settings."""
        return cls(**settings)

    def seen_by(self, space: int, sees: str) -> Self:
        """The same modality as an encoder takes it whose places have `space` dimensions and that asks for the form
        `sees`, "" for the usual one.

        Raises:
            UserError: when there is no such form.
        """
        if sees:
            raise UserError(f"the encoder looks at items as {sees}, and {self.name} is not", "take another encoder")
        return self

    def usual(self) -> Self:
        """The same modality as rules without learning look at it, whatever form an encoder takes."""
        return self

    def at(self, seed: int, step: int, rank: int = 0) -> Self:
        """The same modality with its random state set from (seed, step, rank): equal arguments draw equal views."""
        other = copy.copy(self)
        other._source = draw.generator(seed, step, rank)
        return other

    def keeping(self, crop: float) -> Self:
        """The same modality, whose random crops keep at least this share of an item, above 0, to 1."""
        other = copy.copy(self)
        other.crop = crop
        return other

    def even(self) -> Self:
        """The same modality, whose plain view is as large as its random ones: a network that learnt its classes on
        these reads others best at that size.
        """
        return self

    def whole(self) -> Self:
        """The same modality, whose random views are as large as its plain one."""
        return self

    def growth(self) -> float:
        """How many times as many places the plain view has as a random one; 1 where they are alike."""
        return 1.0

    @abstractmethod
    def plain(self, raw: Tensor) -> Tensor:
        """The one deterministic view, for embedding: resized and normalised."""

    @abstractmethod
    def augment(self, raw: Tensor, strength: Literal["strong", "mild", "small"] = "strong") -> Tensor:
        """A random view of each item; `mild` only crops and flips (masked models, fine-tuning), `small` shows a small
        part at half the size (multi-crop).
        """

    @abstractmethod
    def changes(self) -> frozenset[str]:
        """What a strong view changes beside its place and size, by the names of the settings."""

    def intervene(self, view: Tensor, values: Tensor | None = None) -> tuple[Tensor, Style]:
        """A view (B, C, ...) in which only the style was changed, geometry untouched, and what was changed by how much.

        Args:
            view: from `plain` or `augment`.
            values: (B, S) how much of each kind, -1 to 1: do(s); drawn at random when not given.
        """
        kinds = self.interventions()
        if values is None:
            values = self.amounts(len(view), len(kinds)).to(view.device)
        return self.restyled(view, {kind: values[:, i] for i, kind in enumerate(kinds)}), Style(kinds, values)

    def amounts(self, items: int, kinds: int) -> Tensor:
        """Random amounts of each kind of intervention (items, kinds), even in -1 to 1."""
        return 2 * draw.uniforms(self._source, items, kinds) - 1

    @abstractmethod
    def restyled(self, view: Tensor, amounts: Mapping[str, Tensor]) -> Tensor:
        """A view with so much (B,) of each kind of intervention changed, the kinds in the order of `interventions`."""

    @abstractmethod
    def interventions(self) -> tuple[str, ...]:
        """The kinds that `intervene` changes, in the order of the amounts."""

    @abstractmethod
    def corrupt(self, raw: Tensor, kind: str, severity: int) -> Tensor:
        """Raw items as a worse world would give them, severity 1 to 5; raw in, raw out."""

    @abstractmethod
    def corruptions(self) -> list[str]:
        """The kinds that `corrupt` knows."""

    def uniforms(self, items: int, numbers: int, device: Any) -> Tensor:
        """Random numbers of its own for each item (items, numbers), float32, uniform in 0 to 1."""
        return draw.uniforms(self._source, items, numbers).to(device)

    def keep(self, items: int, tokens: int, ratio: float, device: Any) -> Tensor:
        """A random order of token numbers (items, tokens), int64, drawn per item; the first (1 - ratio) share stays
        visible.
        """
        if not 0 <= ratio < 1:
            raise UserError(f"a mask ratio of {ratio} was given", "give a share from 0 up to, but not, 1")
        return draw.uniforms(self._source, items, tokens).argsort(1).to(device)

    def noisy(self, view: Tensor, std: float) -> Tensor:
        """A view with Gaussian noise on what was measured, from torch's own generator; `std` in units of the data's."""
        return view + std * torch.randn_like(view)

    def measured(self, view: Tensor) -> Tensor | None:
        """How much each value of a view counts in a reconstruction, in its shape; None where all count alike.

        It is 1 where the value was measured and 0 where it is missing: no loss touches that.
        """
        return None

    def tells(self, view: Tensor, hidden: Tensor) -> Tensor:
        """Where a view tells the values that are hidden (both (B, C, ...)): there, and wherever they are held over."""
        return hidden

    def unheld(self, view: Tensor, hidden: Tensor, size: int) -> Tensor:
        """A view (B, C, T) in which nothing of hidden patches (B, H) of so many steps is held over into others."""
        known = self.measured(view) if view.ndim == 3 else None
        if known is None:
            return view
        steps = torch.zeros(len(view), -(-view.shape[2] // size), dtype=torch.bool, device=view.device)
        steps = steps.scatter(1, hidden, True).repeat_interleave(size, 1)[:, None, : view.shape[2]].expand_as(view)
        return view.masked_fill(self.tells(view, steps & (known > 0.5)) & ~steps, 0.0)

    def measurements(self, raw: Tensor) -> Tensor:
        """Raw items as numbers (B, V, T) for rules without learning, NaN where nothing was measured."""
        return raw

    def heard(self, raw: Tensor) -> tuple[list[np.ndarray], int]:
        """Raw items as a person can hear them: samples (N,) int16 each, and how many make a second; none where they
        make no sound.
        """
        return [], 0

    def drawn(self, view: Tensor) -> Tensor:
        """Views that a method has made up, in their shape, without what has no meaning; most are what they are."""
        return view

    def pieces(self, view: Tensor) -> list[list[str]]:
        """What each place of rows of words says, item by item; nothing for other views."""
        return []

    def patches(self, view: Tensor, size: int) -> Tensor:
        """A view cut into patches that do not overlap (B, T, size**space * C): squares row by row, pieces of time."""
        return patch.cut(view, size)

    def unpatch(self, patches: Tensor, size: int) -> Tensor:
        """The inverse of `patches`, for square views."""
        return patch.joined(patches, size, self.space)

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Items in natural units (0 to 1 for pictures) as the encoder takes them."""

    @abstractmethod
    def natural(self, view: Tensor) -> Tensor:
        """The inverse of `normalise`."""

    @abstractmethod
    def show(self, view: Tensor) -> np.ndarray:
        """Views as a person can see them: (B, H, W, 3) uint8."""


def chosen_kinds(there: Sequence[str], asked: Sequence[str], items: str) -> tuple[str, ...]:
    """The kinds of interventions that are there, or those of them that were asked for, in the order of the first.

    Raises:
        UserError: when one was asked for that there is not on such items.
    """
    if wrong := [kind for kind in asked if kind not in there]:
        raise UserError(f'there is no intervention "{wrong[0]}" on {items}', f"take some of {', '.join(there)}")
    return tuple(kind for kind in there if kind in (asked or there))


def check_corruption(kind: str, kinds: Mapping[str, Any], severity: int) -> None:
    """Refuse a corruption or a severity that there is not."""
    if kind not in kinds:
        raise UserError(f'there is no corruption "{kind}"', f"take one of {', '.join(kinds)}")
    if severity not in range(1, 6):
        raise UserError(f"a severity of {severity} was asked for", "give a whole number from 1 to 5")
