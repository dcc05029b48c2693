"""Learn to find faults that were drawn on good items; real ones do not belong there either (DRAEM, Zavrtanik et al.
2021, arXiv:2108.07610, and CutPaste, Li et al. 2021, arXiv:2104.04015), here with fixed filters and a small network.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled import progress
from unlabeled.anomaly import Eye
from unlabeled.anomaly._bank import answers, box
from unlabeled.anomaly._faults import plant
from unlabeled.anomaly._features import checked, enlarge, strongest, view
from unlabeled.anomaly._nets import Netted
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.modalities.image import Image

LOT = 16  # pictures that are drawn on together
PLACES = 150  # of each drawn picture, good and faulty ones each, at most
SEEN = 0.012  # mean change of brightness around a place, below which nobody could see the fault
BATCH = 2048  # places in one step
LR = 3e-3


class Planted(Netted):
    """Learn to find faults that were drawn on good items (DRAEM, Zavrtanik et al. 2021, arXiv:2108.07610).

    A small network learns from good items alone to tell the places of drawn spots, cracks, chips, blots and shades by
    what a bank of fixed filters sees there. It needs no encoder, and finds faults that differ from good texture in
    brightness, sharpness or grain; it is weak on faults of logic (a missing screw). A place's score is its logit.

    Args:
        pictures: how many pictures are drawn on; all good items in turn, 2 or more.
        epochs: passes over their places, 1 or more.
        width: of the network's hidden layers, 4 or more.
        windows: odd sides in places; a map is the mean of its logits' means over them: large faults show in wide ones.
        top: share of an item's places that its score is the mean of, 0 to 1.
        smooth: Gaussian over the map, in pixels of a 224-pixel view.

    Raises:
        UserError: when a setting is outside its range.
    """

    needs: ClassVar[str] = "items"

    def __init__(
        self,
        *,
        pictures: int = 1000,
        epochs: int = 8,
        width: int = 64,
        windows: tuple[int, ...] = (1, 3, 7, 15),
        top: float = 0.002,
        smooth: float = 2.0,
    ) -> None:
        if pictures < 2 or epochs < 1 or width < 4:
            raise UserError(
                f"pictures={pictures}, epochs={epochs} and width={width} were given",
                "give 2 pictures, 1 epoch and a width of 4, or more",
            )
        if not windows or any(w < 1 or w % 2 == 0 for w in windows):
            raise UserError(f"windows={windows} were given", "give odd numbers of places")
        checked(top, smooth)
        self.pictures, self.epochs, self.width = pictures, epochs, width
        self.windows, self.top, self.smooth = windows, top, smooth
        self.nets = []

    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Learn from good items with faults drawn on them; order, faults and weights follow the seed."""
        return self._learn(eye, store, [rows], [[0]], seed)

    def cross(self, eye: Eye, store: Store, folds: Sequence[np.ndarray], *, seed: int = 0) -> Self:
        """Learn as many networks as there are folds, each without one of them; together they judge as their mean."""
        parts = range(len(folds))
        return self._learn(eye, store, folds, [[f for f in parts if f != left] for left in parts], seed)

    def apart(self, fold: int) -> "Planted":
        """The one network that has not seen this fold."""
        alone = Planted(windows=self.windows, top=self.top, smooth=self.smooth)
        alone.nets = [self.nets[fold]]
        return alone

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, S, S)."""
        scores, maps, side = [], [], _pictures(eye).plain_size
        for raw in eye.batches(store, rows):
            seen = self.places(eye, raw)
            logits = torch.stack([net(seen.permute(0, 2, 3, 1).flatten(0, 2)) for net in self.learnt()]).mean(0)
            found = logits.view(len(raw), 1, *seen.shape[2:])
            wide = [box(found, w, w)[:, 0] for w in self.windows]
            scores.append(strongest(found[:, 0], self.top))
            maps.append(enlarge(torch.stack(wide).mean(0), (side, side), self.smooth))
        return np.concatenate(scores), np.concatenate(maps)

    @torch.no_grad()
    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of all places (B, D, h, w): what the filters see."""
        return answers(_pictures(eye).natural(view(eye, raw, True)).clamp(0, 1))

    def fitting(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """A network that these weights fit."""
        return _head(weights["0.running_mean"].shape[0], self.width)

    def _learn(
        self, eye: Eye, store: Store, folds: Sequence[np.ndarray], learns: Sequence[Sequence[int]], seed: int
    ) -> Self:
        """Draw faults on the pictures of all folds once, and teach each network those of its own."""
        every, drawn = sum(map(len, folds)), []
        with progress.bar("planted", len(learns) * self.epochs + len(folds)) as bar:
            for number, rows in enumerate(folds):  # nothing of one fold may reach another
                chance = torch.Generator().manual_seed(1000 * seed + number)
                drawn.append(self._draw(eye, store, rows, max(2, round(self.pictures * len(rows) / every)), chance))
                bar.advance(1)
            self.nets = []
            for mine in learns:
                vectors, faulty, weights = (torch.cat([drawn[f][i] for f in mine]) for i in range(3))
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    net = eye.device.place(_head(vectors.shape[1], self.width)).train()
                self._teach(net, vectors, faulty, weights, torch.Generator().manual_seed(seed), bar)
                self.nets.append(net.eval())
        return self

    @torch.no_grad()
    def _draw(
        self, eye: Eye, store: Store, rows: np.ndarray, count: int, chance: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Places of pictures with drawn faults: vectors (N, D) float16, which are faulty (N,), and weights (N,)."""
        order = torch.cat([torch.randperm(len(rows), generator=chance) for _ in range(-(-count // len(rows)))])[:count]
        vectors, faulty, weights = [], [], []
        for lot in torch.split(order, LOT):
            raw = store.batch(rows[lot.numpy()]).to(eye.device.device)
            good = _turn(_pictures(eye).natural(view(eye, raw, True)).clamp(0, 1), chance)
            bad, where = plant(good, chance)
            seen = answers(bad)
            grid = seen.shape[-1]
            most = functional.adaptive_max_pool2d(where, grid)[:, 0].flatten(1).cpu()
            change = functional.adaptive_avg_pool2d((bad - good).abs().mean(1, keepdim=True), grid)
            change = box(change, 3, 3)[:, 0].flatten(1).cpu()
            for item, touched, changed in zip(seen.flatten(2), most, change, strict=True):
                for label, here in enumerate((touched < 0.05, (touched > 0.5) & (changed > SEEN))):
                    at = torch.nonzero(here)[:, 0]
                    at = at[torch.randperm(len(at), generator=chance)[:PLACES]]
                    vectors.append(item[:, at.to(item.device)].T.half().cpu())
                    faulty.append(torch.full((len(at),), float(label)))
                    # a small fault counts for less than a large one, but not by as much as it is smaller
                    weights.append(torch.full((len(at),), 8 / max(len(at), 1) ** 0.5 if label else 1.0))
        return torch.cat(vectors), torch.cat(faulty), torch.cat(weights)

    def _teach(
        self,
        net: nn.Module,
        vectors: Tensor,
        faulty: Tensor,
        weights: Tensor,
        chance: torch.Generator,
        bar: progress.Bar,
    ) -> None:
        device = next(net.parameters()).device
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=1e-2)
        steps, step, weights = self.epochs * max(1, len(vectors) // BATCH), 0, weights / weights.mean()
        for _ in range(self.epochs):
            order = torch.randperm(len(vectors), generator=chance)
            for at in range(max(1, len(vectors) // BATCH)):
                mine = order[at * BATCH : (at + 1) * BATCH]
                factor = min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
                for group in optimizer.param_groups:
                    group["lr"] = LR * factor
                found = net(vectors[mine].to(device).float())
                each = functional.binary_cross_entropy_with_logits(found, faulty[mine].to(device), reduction="none")
                loss = (each * weights[mine].to(device)).mean()
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                step += 1
            bar.advance(1, f"loss {loss.item():.3f}")


def _pictures(eye: Eye) -> Image:
    """The pictures' modality.

    Raises:
        UserError: when the items are something else.
    """
    if not isinstance(eye.looks, Image):
        raise UserError(f"planted draws on pictures, not on items of {eye.looks.name}", "take --detector stretches")
    return eye.looks


def _head(seen: int, width: int) -> nn.Module:
    """Vectors (N, D) to logits (N,)."""
    layers: list[nn.Module] = [nn.BatchNorm1d(seen, affine=False)]
    for before in (seen, width):
        layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1), nn.Flatten(0))


def _turn(x: Tensor, chance: torch.Generator) -> Tensor:
    """The batch mirrored."""
    for axis in (2, 3):
        if torch.rand(1, generator=chance) < 0.5:
            x = x.flip(axis)
    return x
