"""One map for all variables, for encoders that read each of them apart (PatchTST: Nie et al. 2022, arXiv:2211.14730).

Windows are shown in units of their own (RevIN: Kim et al. 2022, openreview.net/forum?id=cGDAkQo1C0p): less their mean
and over their spread. What the encoder makes of a variable is multiplied by its spread again, so that a linear map of
it errs in units of the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from unlabeled.ahead import windows as w
from unlabeled.ahead.ridge import Inputs, Ridge
from unlabeled.ahead.windows import Windows
from unlabeled.data.series import SeriesPrep
from unlabeled.data.store import Store
from unlabeled.encoders import Encoder
from unlabeled.modalities import Modality
from unlabeled.training.devices import Device
from unlabeled.training.loop import embed

LEAST = 0.01  # spread that a window is divided by at least, in units of the training data's
ROWS = 40_000  # windows times variables that a map is fitted on at most, and that are read at once


@dataclass(frozen=True, eq=False)
class Reader:
    """What an encoder that reads each variable apart makes of windows.

    Args:
        encoder: one whose channels go their own ways.
        looks: gives its views.
        prep: of its run.
        device: from `open_device`.
    """

    encoder: Encoder
    looks: Modality
    prep: SeriesPrep
    device: Device

    def read(self, found: Windows, units: Windows) -> np.ndarray:
        """A row for each window and variable (N * V, P): its vectors in units of the data, its spread, and how far its
        last value lies from its mean.

        Args:
            found: windows in their own units.
            units: the same in those in which errors count.
        """
        x, mean, spread = self.shares(found, units, w.WIDEST)
        last = w.level(units, x.shape[1])[..., None] - mean
        rows = np.concatenate([x.reshape(*x.shape[:2], -1) * spread, spread, last], 2)
        return np.asarray(rows.reshape(-1, rows.shape[2]), np.float32)

    def shares(self, found: Windows, units: Windows, widest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the places hold of each variable (N, V, D, T') in units of its window, and what these are: mean and
        spread (N, V, 1).
        """
        count = len(self.prep.variables)
        known = units.x[:, 1 : 1 + count]
        mean, spread = own_units(known)
        shown = torch.from_numpy(found.x.copy())
        own = shown.clone()
        own[:, 1 : 1 + count] = torch.from_numpy(((known - mean) / spread).astype(np.float32))
        shown[:, 1 : 1 + count] = self.looks.natural(own)[:, 1 : 1 + count]
        reader = self.device.place(Shares(self.encoder, self.columns(), widest).eval())
        x = embed(reader, self.looks, Store(shown.numpy()), np.arange(len(found)), self.device)
        return x.numpy(), mean, spread

    def columns(self) -> np.ndarray:
        """Numbers of the channels (V, K) that tell of each variable: its values and, where some may be missing,
        which were measured and how long ago.
        """
        number = np.arange(len(self.prep.variables))[:, None]
        every = len(self.prep.variables) + len(self.prep.statics)
        return np.concatenate([number + every * k for k in range(3 if self.prep.missing else 1)], 1)


class Shares(torch.nn.Module):
    """The vectors that an encoder's places hold of each variable, averaged over neighbours where they are too many."""

    def __init__(self, encoder: Encoder, columns: np.ndarray, widest: int) -> None:
        super().__init__()
        self.encoder, self.columns, self.widest = encoder, columns, widest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Views (B, C, T) to (B, V, D, T')."""
        tokens = self.encoder.tokens(x).float().transpose(1, 2)  # (B, D, T')
        each = tokens.reshape(len(x), x.shape[1] - 1, -1, tokens.shape[2])[:, self.columns]  # (B, V, K, D', T')
        own = each.flatten(2, 3)
        room = max(1, self.widest // own.shape[2])
        if own.shape[3] > room:
            own = torch.nn.functional.adaptive_avg_pool2d(own, (own.shape[2], room))
        return own


def own_units(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (N, V, 1) of what is known of windows (N, V, L); 0 and the least where nothing is.

    >>> [u.ravel().tolist() for u in own_units(np.array([[[1.0, 3.0, np.nan], [5.0, 5.0, 5.0]]]))]
    [[2.0, 5.0], [1.0, 0.01]]
    """
    known = ~np.isnan(x)
    many = np.maximum(known.sum(2, keepdims=True), 1)
    mean = np.where(known, x, 0).sum(2, keepdims=True) / many
    spread = np.sqrt((np.where(known, x - mean, 0) ** 2).sum(2, keepdims=True) / many)
    return mean, np.maximum(spread, LEAST)


def futures(
    reader: Reader,
    found: Mapping[str, Windows],
    units: Mapping[str, Windows],
    starts: Sequence[Mapping[str, np.ndarray]],
    horizons: Sequence[int],
) -> list[np.ndarray]:
    """For each of `starts` the futures (N, V, h) of the test part: what it says (N, V, h or 1) by parts, and what one
    map for all variables adds to it.
    """
    count = len(reader.prep.variables)
    few = {n: evenly(len(found[n]), ROWS // count) for n in ("train", "val")}
    read = {n: reader.read(at(found[n], rows), at(units[n], rows)) for n, rows in few.items()}
    inputs = Inputs.of(read["train"])
    fitted = []
    for start, h in zip(starts, horizons, strict=True):
        y = {n: (units[n].y[rows, :, :h] - start[n][rows]).reshape(-1, h) for n, rows in few.items()}
        fitted.append(Ridge.fit(inputs, y["train"], read["val"], y["val"]))
    out: list[list[np.ndarray]] = [[] for _ in fitted]
    test, step = len(found["test"]), max(1, ROWS // count)
    for rows in (np.arange(at, min(test, at + step)) for at in range(0, test, step)):
        x = reader.read(at(found["test"], rows), at(units["test"], rows))
        for told, fit, start, h in zip(out, fitted, starts, horizons, strict=True):
            told.append(fit.predict(x).reshape(len(rows), count, h) + start["test"][rows])
    return [np.concatenate(told) for told in out]


def evenly(items: int, most: int) -> np.ndarray:
    """Numbers of at most so many of the items, evenly taken."""
    return np.unique(np.linspace(0, items - 1, min(max(1, most), items)).astype(np.int64))


def at(part: Windows, rows: np.ndarray) -> Windows:
    """The windows with these numbers."""
    return replace(part, x=part.x[rows], y=part.y[rows], recording=part.recording[rows], start=part.start[rows])
