"""A linear probe that has seen its few labelled items in other styles too.

Pretraining hides style from the loss, not from the probe: with few labels it leans on whatever tells the classes apart
under the one light they were taken in. Copies of the labelled items under `modality.intervene`, which changes what a
camera or a lamp would and never what a thing is, take that away. What that is
worth on steel stands in benchmarks/README.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.protocols.linear import Linear
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items, embed

AT_ONCE = 256


@dataclass(frozen=True)
class Probed:
    """A frozen encoder with its probe.

    Args:
        encoder: features (B, D).
        probe: fitted on them.
    """

    encoder: Encoder
    probe: Linear

    def predict(self, items: Items, modality: Modality, device: Device) -> np.ndarray:
        """Class probabilities (N, classes) float32 of the items, from their plain view."""
        return self.probe.predict(embed(self.encoder, modality, items.store, items.rows, device).numpy())


class Styled:
    """Logistic regression on frozen features of the labelled items, plain and in other styles.

    Args:
        copies: how often each labelled item is shown in another style, 1 or more.
        strengths: how many strengths of the penalty are tried by inner cross-validation.
        folds: of that cross-validation; copies of an item stay on one side.

    Raises:
        UserError: when fewer than one copy is asked for, or a setting of the probe is outside its range.
    """

    needs: ClassVar[str] = "views"

    def __init__(self, *, copies: int = 3, strengths: int = 13, folds: int = 5) -> None:
        if copies < 1:
            raise UserError(f"{copies} copies in other styles were asked for", "give 1 or more, or take linear")
        Linear(strengths=strengths, folds=folds)  # which refuses what it cannot take
        self.copies, self.strengths, self.folds = copies, strengths, folds

    def fit(
        self,
        encoder: Encoder,
        items: Items,
        y: np.ndarray,
        modality: Modality,
        device: Device,
        *,
        groups: np.ndarray | None = None,
        seed: int = 0,
        each: Callable[[int], None] | None = None,
    ) -> Probed:
        """Fit the probe; the encoder is not changed.

        Args:
            encoder: stays frozen.
            items: the labelled items, N of them.
            y: (N,) class numbers from 0.
            modality: gives plain view and interventions.
            device: from `open_device`.
            groups: (N,) patients, parts ... that cross-validation must not part; None for none.
            seed: of styles and folds.
            each: called with 1 after each copy, for a progress bar.
        """
        parts = [embed(encoder, modality, items.store, items.rows, device).numpy()]
        for copy in range(self.copies):
            parts.append(self._restyled(encoder, items, modality, device, seed, copy))
            if each is not None:
                each(1)
        probe = Linear(strengths=self.strengths, folds=self.folds)
        times, own = len(parts), np.arange(len(y)) if groups is None else groups
        probe.fit(np.concatenate(parts), np.tile(y, times), groups=np.tile(own, times), seed=seed)
        return Probed(encoder, probe)

    @torch.no_grad()
    def _restyled(
        self, encoder: Encoder, items: Items, modality: Modality, device: Device, seed: int, copy: int
    ) -> np.ndarray:
        encoder.eval()
        out = []
        for at in range(0, len(items), AT_ONCE):
            raw = items.store.batch(items.rows[at : at + AT_ONCE]).to(device.device)
            looks = modality.at(seed, copy, at)
            with device.autocast():
                out.append(encoder(looks.intervene(looks.plain(raw))[0]).float().cpu())
        return torch.cat(out).numpy()
