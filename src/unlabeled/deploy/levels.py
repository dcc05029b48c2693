"""What an encoder sees on its way to the features, where foreign texture shows, in numbers for a detector of strangers.

Detectors on the last features alone miss items that differ in what the encoder has learnt to overlook; Lee et al.
(2018, arXiv:1807.03888) look at several layers for that reason. Here mean and log-spread over the places are taken of
each of the first maps twice: of its channels, and along the principal axes of the places of known items. Along the thin
ones, where the known hardly vary, foreign texture stands out, as it does in the correlations of channels (Sastry & Oore
2020, arXiv:1912.12510) at a fraction of the cost. The spectrum of the view itself comes beside them. What lies behind
the end of a text, sound or recording is no place: else a long one would be a stranger by its length.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled.deploy.committee import listed
from unlabeled.deploy.spectrum import Spectrum
from unlabeled.encoders import Encoder
from unlabeled.encoders._time import inside_of
from unlabeled.encoders.timm import Timm
from unlabeled.views.words import lengths

Sees = Literal["texture", "levels", "features"]

STAGES = 3
LEAST = 1e-2  # spread along an axis, in units of the known places' own; below it rounding begins to show
REAL = "real"  # in the state of a detector that looks at what lies before the end alone; older ones look at all
THIN = 1e-6  # share of the largest variance, below which an axis holds rounding and is left out


class Levels(nn.Module):
    """Features and, behind them, what the detector looks at, in one pass.

    Args:
        encoder: in evaluation mode.
        sees: `texture` for the maps in the axes of the known and the spectrum; `levels` for mean and spread of the maps
            as they are, which older bundles have; `features` for nothing behind the features.
        state: what an earlier one had learnt, from `state`.
    """

    encoder: Encoder

    def __init__(self, encoder: Encoder, sees: Sees, state: Mapping[str, np.ndarray] | None = None) -> None:
        super().__init__()
        self.encoder, self.sees, self.dim = encoder, sees, encoder.dim
        self.spectrum: Spectrum | None = None
        self.maps, self.ended = 0, False
        if state:
            self._take({k: torch.from_numpy(np.array(v)) for k, v in state.items()})

    @property
    def wide(self) -> bool:
        """Whether the detector looks at more than the features."""
        return self.sees != "features"

    @torch.no_grad()
    def learn(self, views: Iterable[Tensor]) -> "Levels":
        """Find the axes of the places of known items, where they are wanted.

        Args:
            views: batches (B, C, ...).
        """
        if self.sees != "texture":
            return self
        sums: list[tuple[int, Tensor, Tensor]] = []
        shape: tuple[int, ...] = ()
        for view in views:
            shape = tuple(view.shape[1:]) if view.is_floating_point() else ()
            for number, places in enumerate(self._maps(view)[1]):
                here = real_places(self.encoder, view, places.shape[2])
                flat = places.transpose(1, 2)[here[:, 0] > 0].double()
                new = len(flat), flat.sum(0), flat.T @ flat
                if number == len(sums):
                    sums.append(new)
                else:
                    n, total, square = sums[number]
                    sums[number] = n + new[0], total + new[1], square + new[2]
        found: dict[str, Tensor] = {"shape": torch.tensor(shape if Spectrum.suits(shape) else ())}
        if listed(self.encoder)[0].space < 2:
            found[REAL] = torch.tensor(True)
        for number, (n, total, square) in enumerate(sums):
            middle = total / n
            variance, axes = torch.linalg.eigh(square / n - torch.outer(middle, middle))
            real = variance > THIN * variance[-1].clamp(min=1e-12)
            axes = torch.where(real, axes / torch.where(real, variance, 1.0).sqrt(), 0.0)
            own = (square / n).diagonal() - middle.square()
            scale = torch.where(own > THIN * own.max().clamp(min=1e-12), own, 1.0).sqrt()
            found |= {f"middle{number}": middle.float(), f"axes{number}": axes.float(), f"scale{number}": scale.float()}
        self._take(found)
        return self

    def state(self) -> dict[str, Tensor]:
        """What was learnt, as arrays of a bundle."""
        return dict(self.named_buffers(recurse=False))

    def parts(self, width: int) -> tuple[int, ...]:
        """How many numbers tell of each map, twice, and of the spectrum, of `width` numbers behind the features."""
        if not self.maps:
            return (width,)
        own = [2 * getattr(self, f"middle{k}").shape[0] for k in range(self.maps) for _ in range(2)]
        return (*own, width - sum(own)) if self.spectrum is not None else tuple(own)

    def forward(self, view: Tensor) -> Tensor:
        """Views (B, C, ...) to (B, D + L): D features, then L numbers (none where they are not wanted)."""
        if not self.wide:
            alone: Tensor = self.encoder(view)
            return alone.float()
        features, maps = self._maps(view)
        told: list[Tensor] = []
        for number, places in enumerate(maps):  # (B, C, T)
            if not self.maps:
                mean, spread = _stats(places)
                told += [mean, spread]
                continue
            here = real_places(self.encoder, view, places.shape[2]).to(places) if self.ended else None
            away = places.float() - getattr(self, f"middle{number}")[:, None]
            for turned in (away / getattr(self, f"scale{number}")[:, None], getattr(self, f"axes{number}").T @ away):
                mean, spread = _stats(turned, here)
                told += [mean, (spread + LEAST).log()]
        if self.spectrum is not None:
            inside = inside_of(view).float() if self.ended and view.ndim == 3 else None
            told.append(self.spectrum(view.float(), inside))
        return torch.cat([features, *told], 1).float()

    def _maps(self, view: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features (B, D), and the places (B, C, T) of the maps that are looked at: those of the first member."""
        first, *others = listed(self.encoder)
        if isinstance(first, Timm) and hasattr(first.net, "forward_intermediates"):
            net: Any = first.net  # of timm, which is not typed
            last, stages = net.forward_intermediates(view)
            features, maps = net.forward_head(last, pre_logits=True), [m.flatten(2) for m in stages[:STAGES]]
        else:
            features, tokens = first.both(view)
            maps = [tokens.transpose(1, 2)]
        return torch.cat([features, *(member(view) for member in others)], 1), maps

    def _take(self, found: Mapping[str, Tensor]) -> None:
        shape = tuple(int(side) for side in found["shape"])
        for name, value in found.items():  # torch.export cannot write an array of nothing
            self.register_buffer(name, value.contiguous() if value.numel() else torch.zeros(1))
        self.maps, self.ended = sum(name.startswith("axes") for name in found), REAL in found
        self.spectrum = Spectrum(shape) if any(shape) else None


def real_places(encoder: Encoder, view: Tensor, places: int) -> Tensor:
    """1 for each place of an encoder's map that lies before the end of the item, else 0 (B, 1, places)."""
    encoder = listed(encoder)[0]  # whose places those of an ensemble are
    if encoder.space == 1:
        inside = inside_of(view)
        return inside[..., :: -(-inside.shape[2] // places)]
    if encoder.space == 0:
        return (torch.arange(places, device=view.device) < lengths(view).clamp(min=1)[:, None])[:, None].float()
    return torch.ones(len(view), 1, places, device=view.device)


def _stats(places: Tensor, here: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, C) over places (B, C, T), or over those where `here` (B, 1, T) is 1."""
    if here is None:
        mean = places.mean(2)
        return mean, (places - mean[:, :, None]).square().mean(2).sqrt()
    many = here.sum(2)
    mean = (places * here).sum(2) / many
    return mean, (((places - mean[:, :, None]).square() * here).sum(2) / many).sqrt()
