"""Remember the places of good items; what resembles none of them is unusual (PatchCore, Roth et al. 2021,
arXiv:2106.08265), with an encoder that was taught on the good items themselves instead of on ImageNet.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.anomaly import Eye
from unlabeled.anomaly._features import Gridded, checked, enlarge, grid, strongest, view, within
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.training.devices import Device

PROJECTED = 64  # length of the vectors between which the coreset measures distances
ROWS = 4096  # places compared with the bank at a time


class Patches(Gridded):
    """Remember the places of good items; far from them is unusual (PatchCore, Roth et al. 2021, arXiv:2106.08265).

    A place's vector joins the encoder's middle stages, averaged over 3 x 3 neighbours, each channel in units of its own
    spread. The memory is a greedy k-centre coreset. A place's score is the distance to its nearest remembered one, an
    item's the mean of its highest `top` share of places (with 0 the maximum; the paper's re-weighting is left out).

    Args:
        stages: stages of a convolutional network, 1 (finest) to 4; a transformer's tokens are one stage.
        share: share of the places that the memory keeps, above 0, up to 1.
        most: the most places that it keeps; the coreset is drawn from at most `most / share` places.
        top: share of an item's places that its score is the mean of, 0 to 1.
        smooth: Gaussian over the map, in pixels of a 224-pixel view.
        level: bring each item to the same median brightness first.

    Raises:
        UserError: when a setting is outside its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series")

    def __init__(
        self,
        *,
        stages: tuple[int, ...] = (2, 3),
        share: float = 0.1,
        most: int = 3000,
        top: float = 0.0,
        smooth: float = 4.0,
        level: bool = True,
    ) -> None:
        if not 0 < share <= 1 or most < 1:
            raise UserError(
                f"a memory of {share:g} of the places, {most} at most, was asked for", "give more than none"
            )
        checked(top, smooth)
        self.stages, self.share, self.most, self.top, self.smooth, self.level = stages, share, most, top, smooth, level
        self.bank = torch.zeros(0, 0)  # (M, D)
        self.scale = torch.ones(1)  # (D,), of each channel

    @torch.no_grad()
    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Fill the memory from good items."""
        chance = torch.Generator().manual_seed(seed)
        most = int(self.most / self.share)
        kept: list[Tensor] = []
        for raw in eye.batches(store, rows):
            places = grid(eye, view(eye, raw, self.level), self.stages).flatten(2).transpose(1, 2).cpu()  # (B, T, D)
            each = min(places.shape[1], max(1, most // len(rows)))
            kept += [item[torch.randperm(len(item), generator=chance)[:each]] for item in places]
        every = torch.cat(kept)
        self.scale = every.std(0).clamp_min(1e-6)
        every = every / self.scale
        keep = min(self.most, max(1, round(self.share * len(every))))
        self.bank = every[coreset(every, keep, chance)].contiguous()
        return self

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, S, S), of series (N, T)."""
        scores, maps = [], []
        bank, scale = self.bank.to(eye.device.device), self.scale.to(eye.device.device)
        for raw in eye.batches(store, rows):
            x = view(eye, raw, self.level)
            places = grid(eye, x, self.stages)
            flat = places.permute(0, 2, 3, 1).reshape(-1, places.shape[1]) / scale
            near = torch.cat([nearest(part, bank) for part in torch.split(flat, ROWS)])
            found = within(eye, raw, near.view(len(raw), *places.shape[2:]))
            scores.append(strongest(found, self.top))
            maps.append(enlarge(found, x.shape[2:], self.smooth))
        return np.concatenate(scores), np.concatenate(maps)

    def keep(self) -> dict[str, Tensor]:
        """The memory, and the units of its channels."""
        return {"bank": self.bank, "scale": self.scale}

    def take(self, kept: Mapping[str, Tensor], device: Device) -> Self:
        """Know a memory again."""
        self.bank, self.scale = kept["bank"], kept["scale"]
        return self


def nearest(x: Tensor, bank: Tensor) -> Tensor:
    """Distance (N,) of each vector (N, D) to its nearest one in the bank (M, D).

    >>> nearest(torch.tensor([[0.0, 3.0]]), torch.tensor([[4.0, 0.0], [0.0, 1.0]])).tolist()
    [2.0]
    """
    square = torch.addmm(bank.square().sum(1)[None], x, bank.T, alpha=-2)  # (N, M), less the vectors' own squares
    return (square.min(1).values + x.square().sum(1)).clamp_min(0).sqrt()


def coreset(x: Tensor, keep: int, chance: torch.Generator) -> Tensor:
    """Numbers (keep,) of vectors that leave no other far from all of them: greedy k-centre on a random projection.

    Each time the vector that is farthest from those chosen is added; a random projection to 64 numbers keeps distances
    well enough (Johnson and Lindenstrauss) and makes it cheap, as in the paper.

    Args:
        x: (N, D) float32.
        keep: how many to choose; all come back when there are no more.
        chance: draws projection and first vector.
    """
    if keep >= len(x):
        return torch.arange(len(x))
    if x.shape[1] > PROJECTED:
        x = x @ (torch.randn(x.shape[1], PROJECTED, generator=chance) / PROJECTED**0.5)
    squares = x.square().sum(1)
    chosen = torch.empty(keep, dtype=torch.int64)
    at = int(torch.randint(len(x), (1,), generator=chance))
    far = torch.full((len(x),), torch.inf)
    for i in range(keep):
        chosen[i] = at
        far = torch.minimum(far, torch.addmv(squares, x, x[at], alpha=-2) + squares[at])
        far[at] = -torch.inf
        at = int(far.argmax())
    return chosen
