"""Where a method that paints pictures is wrong, the item is unusual: it learnt to paint good ones alone (Bergmann et
al. 2018, arXiv:1807.02011; with several random masks as in RIAD, Zavrtanik et al. 2021,
doi:10.1016/j.patcog.2020.107706).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.anomaly import Eye
from unlabeled.anomaly._features import checked, enlarge, grid, strongest, view, within
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.methods import Batch
from unlabeled.modalities import Modality
from unlabeled.modalities.image import Image
from unlabeled.modalities.series import Series
from unlabeled.training.devices import Device


class Reconstruction:
    """Where the run's method paints an item wrongly, it is unusual (Bergmann et al. 2018, arXiv:1807.02011).

    Serves runs of methods that paint: autoencoder, vae, mae, inpainting, hybrid. The error is divided by what is usual
    at its place among good items. Hidden patches and noise are drawn several times; only what was hidden counts.

    Args:
        draws: how often each item is painted, 1 or more.
        top: share of an item's places that its score is the mean of, 0 to 1.
        smooth: Gaussian over the map, in pixels of a 224-pixel view.

    Raises:
        UserError: when the method cannot paint, or a setting is outside its range.
    """

    needs: ClassVar[str] = "painting"
    modalities: ClassVar[tuple[str, ...]] = ("image", "series")

    def __init__(self, *, draws: int = 8, top: float = 0.01, smooth: float = 4.0) -> None:
        checked(top, smooth)
        if draws < 1:
            raise UserError(f"draws={draws} was given", "give 1 draw or more")
        self.draws, self.top, self.smooth, self.seed = draws, top, smooth, 0
        self.usual = np.ones((1, 1), np.float32)  # (S, S), the mean error at each place

    @torch.no_grad()
    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Measure how wrong the method usually is at each place of good items."""
        self.seed = seed
        total, count = np.zeros(1), 0
        for raw in eye.batches(store, rows):
            found = self._map(eye, raw)
            total, count = total + found.sum(0, dtype=np.float64), count + len(raw)
        usual = total / max(count, 1)
        self.usual = np.asarray(np.maximum(usual, 0.1 * usual.mean() + 1e-12), np.float32)
        return self

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, S, S)."""
        scores, maps = [], []
        for raw in eye.batches(store, rows):
            found = self._map(eye, raw) / self.usual
            scores.append(strongest(torch.from_numpy(found), self.top))
            maps.append(found)
        return np.concatenate(scores), np.concatenate(maps)

    @torch.no_grad()
    def shares(self, eye: Eye, raw: Tensor, where: Tensor) -> np.ndarray:
        """How wrongly each variable is painted at the steps `where` (B, T), and whether it was measured (V,)."""
        if eye.method is not None:
            eye.method.eval()
        if not isinstance(eye.looks, Series):
            raise UserError(f"items of {eye.looks.name} have no variables", "give recordings")
        total = torch.stack(list(self._drawn(eye, raw))).mean(0)  # (B, C - 1, T)
        every, moving = eye.looks.variables, eye.looks.variables - eye.looks.statics
        each = total[:, :moving]
        if eye.looks.missing:
            each = each + total[:, every : every + moving]
        usual = torch.from_numpy(self.usual).to(each.device)
        return np.asarray((each / usual).transpose(1, 2)[where].mean(0).cpu().numpy(), np.float32)

    @torch.no_grad()
    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of all places (B, D, h, w), of the method's encoder at the views' own size."""
        looks = _as_trained(eye.looks.at(self.seed, 0))
        return grid(eye, view(replace(eye, looks=looks), raw, False), (2, 3))

    def keep(self) -> dict[str, Tensor]:
        """What is usual at each place, and the seed of what is hidden."""
        return {"usual": torch.from_numpy(self.usual), "seed": torch.tensor(self.seed)}

    def take(self, kept: Mapping[str, Tensor], device: Device) -> Self:
        """Know again what is usual."""
        self.usual, self.seed = kept["usual"].numpy(), int(kept["seed"])
        return self

    def _map(self, eye: Eye, raw: Tensor) -> np.ndarray:
        """Errors at each place of the views, smoothed: (B, S, S), of series (B, T)."""
        wrong = self._errors(eye, raw)
        rows = wrong[:, None] if wrong.ndim == 2 else wrong
        return enlarge(within(eye, raw, rows), wrong.shape[1:], self.smooth)

    def _errors(self, eye: Eye, raw: Tensor) -> Tensor:
        """Squared error at each place (B, S, S) or (B, T), the mean over the draws in which it was painted."""
        total = count = torch.zeros((), device=raw.device)
        for wrong in self._drawn(eye, raw):
            each = wrong.mean(1)
            total, count = total + each, count + (each > 0)
        return total / count.clamp_min(1)

    def _drawn(self, eye: Eye, raw: Tensor) -> Iterator[Tensor]:
        """Squared errors of each draw (B, C, S, S), of series (B, C - 1, T): their first channel tells the end."""
        paint = getattr(eye.method, "reconstruct", None)
        if paint is None:
            name = type(eye.method).__name__
            raise UserError(f"{name} does not paint items", "take --detector patches, or a run of mae or autoencoder")
        for draw in range(self.draws):
            with torch.random.fork_rng(devices=[raw.device] if raw.device.type == "cuda" else []):
                torch.manual_seed(self.seed * 1000 + draw)
                looks = _as_trained(eye.looks.at(self.seed, draw))
                with eye.device.autocast():
                    x, _, painted = paint(Batch(raw, torch.arange(len(raw))), looks)
            wrong = (x - painted.float()).square()
            known = looks.measured(x)
            yield wrong if known is None else (wrong * known)[:, 1:]


def _as_trained(looks: Modality) -> Modality:
    """The modality whose plain view has the size of the random ones: decoders paint at that."""
    if isinstance(looks, Image | Series):
        looks.plain_size = looks.size
    return looks
