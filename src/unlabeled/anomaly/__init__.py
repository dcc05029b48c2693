"""What every detector of anomalies answers: fitted on good items alone, it says how unusual others are, and where."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from torch import Tensor

from unlabeled.data.store import Store
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Method
from unlabeled.modalities import Modality
from unlabeled.training.devices import Device


@dataclass(frozen=True)
class Eye:
    """What a detector looks through: a trained method, and the plain view of an item.

    Args:
        method: with its trained encoder, on the device, at rest; None for detectors that look at items alone.
        looks: the modality of the items; its plain view is what the detector sees.
        device: from `open_device`.
        batch: items at a time.
        each: called with the number of items after each batch, for a progress bar.
    """

    method: Method | None
    looks: Modality
    device: Device
    batch: int = 32
    each: Callable[[int], None] | None = None

    @property
    def encoder(self) -> Encoder:
        """The trained encoder.

        Raises:
            UserError: when there is none.
        """
        if self.method is None:
            raise UserError("there is no encoder to look through", "take --detector planted, or learn with another one")
        return self.method.encoder

    def batches(self, store: Store, rows: np.ndarray) -> Iterator[Tensor]:
        """Raw items (B, C, H, W) on the device, a batch at a time; the method is put at rest."""
        if self.method is not None:
            self.method.eval()
        for at in range(0, len(rows), self.batch):
            raw = store.batch(rows[at : at + self.batch]).to(self.device.device)
            yield raw
            if self.each is not None:
                self.each(len(raw))


@runtime_checkable
class Detector(Protocol):
    """Learns what good items look like; the constructor's keyword-only arguments are its settings."""

    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Learn from the good items in `rows` (N,) of the store; everything random is drawn from the seed."""
        ...

    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How unusual items are: one number each (N,) and a map of their places, float32, more is worse.

        Maps are (N, H, W) for pictures and (N, T) for series.

        The maps have the plain view's size; a caller that wants bounded memory hands over some rows at a time.
        """
        ...

    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of the places of raw items (B, D, h, w), from which a few labelled faults can be learnt."""
        ...

    def keep(self) -> dict[str, Tensor]:
        """What it has learnt, by name."""
        ...

    def take(self, kept: Mapping[str, Tensor], device: Device) -> Self:
        """Know again what `keep` gave, with the same settings."""
        ...


@runtime_checkable
class Crossed(Detector, Protocol):
    """A detector that learns from all good items and still can judge each by what has not seen it (Vovk 2015,
    arXiv:1208.0806; Barber et al. 2021, arXiv:1905.02928).
    """

    def cross(self, eye: Eye, store: Store, folds: Sequence[np.ndarray], *, seed: int = 0) -> Self:
        """Learn from the good items of all folds, in as many parts as there are folds, each without one of them."""
        ...

    def apart(self, fold: int) -> Detector:
        """The part that has not seen this fold."""
        ...


@runtime_checkable
class Telling(Detector, Protocol):
    """A detector of faults in recordings that can tell which variables made a score."""

    def shares(self, eye: Eye, raw: Tensor, where: Tensor) -> np.ndarray:
        """How much each variable that changes with time adds to the score (V,), more is more.

        Args:
            eye: what to look through.
            raw: windows (B, 1 + variables, T) on the device.
            where: (B, T) bool, the steps that are asked for.
        """
        ...
