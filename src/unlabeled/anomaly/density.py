"""A bell curve for each place of good items; what lies far out is unusual (PaDiM, Defard et al. 2020,
arXiv:2011.08785). Each place's covariance is shrunk towards the one of all places, so that few items suffice.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.anomaly import Eye
from unlabeled.anomaly._features import Gridded, checked, enlarge, grid, strongest, view
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.training.devices import Device


class Density(Gridded):
    """A bell curve for each place of good items; far out is unusual (PaDiM, Defard et al. 2020, arXiv:2011.08785).

    For items that always lie alike. A place's score is its Mahalanobis distance over a random choice of channels, an
    item's the mean of its highest `top` share of places (with 0 the maximum, as in the paper).

    Args:
        stages: stages of a convolutional network, 1 (finest) to 4; a transformer's tokens are one stage.
        channels: how many channels are drawn, 1 or more.
        shrinkage: weight of the covariance of all places against each place's own, 0 to 1.
        top: share of an item's places that its score is the mean of, 0 to 1.
        smooth: Gaussian over the map, in pixels of a 224-pixel view.
        level: bring each item to the same median brightness first.

    Raises:
        UserError: when a setting is outside its range.
    """

    def __init__(
        self,
        *,
        stages: tuple[int, ...] = (2, 3),
        channels: int = 100,
        shrinkage: float = 0.5,
        top: float = 0.0,
        smooth: float = 4.0,
        level: bool = True,
    ) -> None:
        if channels < 1 or not 0 <= shrinkage <= 1:
            raise UserError(
                f"channels={channels} and shrinkage={shrinkage:g} were given", "give 1 or more, and a share"
            )
        checked(top, smooth)
        self.stages, self.channels, self.shrinkage = stages, channels, shrinkage
        self.top, self.smooth, self.level = top, smooth, level
        self.picked = torch.zeros(0, dtype=torch.int64)
        self.mean = self.root = torch.zeros(0)  # (T, D) and (T, D, D): the covariances' Cholesky factors

    @torch.no_grad()
    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Measure mean and covariance of each place over good items."""
        if len(rows) < 2:
            raise UserError("there is one good item to learn from", "give two or more")
        chance = torch.Generator().manual_seed(seed)
        origin = total = outer = torch.zeros(0)
        for number, raw in enumerate(eye.batches(store, rows)):
            places = grid(eye, view(eye, raw, self.level), self.stages)
            if number == 0:
                self.picked = torch.randperm(places.shape[1], generator=chance)[: self.channels].sort().values
            x = self._vectors(places)  # (T, B, D)
            if number == 0:  # sums are taken from here, so that no digits are lost
                origin, total, outer = x.mean(1, keepdim=True), 0 * x[:, 0], 0 * x.transpose(1, 2) @ x
            x = x - origin
            total, outer = total + x.sum(1), outer + x.transpose(1, 2) @ x
        n = len(rows)
        moved = total / n
        own = (outer - n * moved[:, :, None] * moved[:, None]) / (n - 1)
        pooled = own.mean(0)
        ridge = 1e-3 * pooled.diagonal().mean().clamp_min(1e-12) * torch.eye(len(pooled), device=own.device)
        self.mean = moved + origin[:, 0]
        self.root = torch.linalg.cholesky(own.lerp(pooled.expand_as(own), self.shrinkage) + ridge)
        return self

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, S, S)."""
        scores, maps = [], []
        for raw in eye.batches(store, rows):
            x = view(eye, raw, self.level)
            places = grid(eye, x, self.stages)
            gap = (self._vectors(places) - self.mean[:, None]).transpose(1, 2)  # (T, D, B)
            far = torch.linalg.solve_triangular(self.root, gap, upper=False).square().sum(1).sqrt()  # (T, B)
            found = far.T.reshape(len(raw), *places.shape[2:])
            scores.append(strongest(found, self.top))
            maps.append(enlarge(found, x.shape[2:], self.smooth))
        return np.concatenate(scores), np.concatenate(maps)

    def keep(self) -> dict[str, Tensor]:
        """Which channels were drawn, and the bell curves of all places."""
        return {"picked": self.picked, "mean": self.mean, "root": self.root}

    def take(self, kept: Mapping[str, Tensor], device: Device) -> Self:
        """Know bell curves again."""
        self.picked, self.mean, self.root = (kept[k].to(device.device) for k in ("picked", "mean", "root"))
        return self

    def _vectors(self, places: Tensor) -> Tensor:
        """The drawn channels of all places, place by place (T, B, D)."""
        return places[:, self.picked.to(places.device)].flatten(2).permute(2, 0, 1)
