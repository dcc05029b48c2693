"""Learn to find faults that were drawn on good items; real ones do not belong there either (DRAEM, Zavrtanik et al.
2021, arXiv:2108.07610, and CutPaste, Li et al. 2021, arXiv:2104.04015), here with fixed filters and a small network.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled import progress
from unlabeled.anomaly import Eye
from unlabeled.anomaly._bank import answers, as_they_are, box
from unlabeled.anomaly._faults import plant
from unlabeled.anomaly._features import checked, enlarge, strongest, view
from unlabeled.anomaly._nets import Netted
from unlabeled.anomaly._ordinary import Ordinary, whole
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.modalities.image import Image

LOT = 16  # pictures that are drawn on together
PLACES = 150  # of each drawn picture, good and faulty ones each, at most; and of each good one as it is
GOOD = 1_500  # good items that are looked at as they are
ODD = 3.0  # spreads by which an item lies out, at most, as its places are told of it
SETTLED = 256  # good items by whose scores a network's scores get their units
SEEN = 0.012  # mean change of brightness around a place, below which nobody could see the fault
BATCH = 2048  # places in one step
LR = 3e-3


class Planted(Netted):
    """Learn to find faults that were drawn on good items (DRAEM, Zavrtanik et al. 2021, arXiv:2108.07610).

    A small network learns from good items alone to tell the places of drawn spots, cracks, chips, blots and shades by
    what a bank of fixed filters sees there. It needs no encoder, and finds faults that differ from good texture in
    brightness, sharpness or grain; it is weak on faults of logic (a missing screw). A place's score is its logit and
    how far it lies from good places, an item's that of its most unusual places and how far it lies from good items as
    a whole, each in units of the spread among good ones.

    Args:
        pictures: how many pictures are drawn on; all good items in turn, 2 or more.
        epochs: passes over their places, 1 or more.
        width: of the network's hidden layers, 4 or more.
        ordinary: weight of how far an item lies from good ones beside its logits, 0 or more; half of it for places.
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
        ordinary: float = 0.5,
        windows: tuple[int, ...] = (1, 3, 7, 15),
        top: float = 0.002,
        smooth: float = 2.0,
    ) -> None:
        if pictures < 2 or epochs < 1 or width < 4 or ordinary < 0:
            raise UserError(
                f"pictures={pictures}, epochs={epochs}, width={width} and ordinary={ordinary:g} were given",
                "give 2 pictures, 1 epoch, a width of 4, and a weight of 0, or more",
            )
        if not windows or any(w < 1 or w % 2 == 0 for w in windows):
            raise UserError(f"windows={windows} were given", "give odd numbers of places")
        checked(top, smooth)
        self.pictures, self.epochs, self.width, self.ordinary = pictures, epochs, width, ordinary
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
        alone = Planted(ordinary=self.ordinary, windows=self.windows, top=self.top, smooth=self.smooth)
        alone.nets = [self.nets[fold]]
        return alone

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, S, S)."""
        scores, maps, side = [], [], _pictures(eye).plain_size
        for raw in eye.batches(store, rows):
            seen = self.places(eye, raw)
            each = [net(seen) for net in self.learnt()]
            found = torch.stack([places for places, _ in each]).mean(0)[:, None]
            wide = [box(found, w, w)[:, 0] for w in self.windows]
            scores.append(torch.stack([items for _, items in each]).mean(0).cpu().numpy())
            maps.append(enlarge(torch.stack(wide).mean(0), (side, side), self.smooth))
        return np.concatenate(scores), np.concatenate(maps)

    @torch.no_grad()
    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of all places (B, D, h, w): what the filters see."""
        return answers(_pictures(eye).natural(view(eye, raw, True)).clamp(0, 1))

    def fitting(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """A network that these weights fit."""
        return Judging(weights["head.0.running_mean"].shape[0], self.width, self.ordinary, self.top)

    def _learn(
        self, eye: Eye, store: Store, folds: Sequence[np.ndarray], learns: Sequence[Sequence[int]], seed: int
    ) -> Self:
        """Draw faults on the pictures of all folds once, and teach each network those of its own."""
        every, drawn, good = sum(map(len, folds)), [], []
        with progress.bar("planted", len(learns) * (self.epochs + 1) + len(folds)) as bar:
            for number, rows in enumerate(folds):  # nothing of one fold may reach another
                chance = torch.Generator().manual_seed(1000 * seed + number)
                drawn.append(self._draw(eye, store, rows, max(2, round(self.pictures * len(rows) / every)), chance))
                if self.ordinary:
                    good.append(self._good(eye, store, some(rows, GOOD, every, chance), chance))
                bar.advance(1)
            self.nets = []
            for mine in learns:
                vectors, faulty, weights = (torch.cat([drawn[f][i] for f in mine]) for i in range(3))
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    net = Judging(vectors.shape[1], self.width, self.ordinary, self.top)
                if self.ordinary:
                    net.good.learn([good[f][0] for f in mine], [good[f][1] for f in mine])
                eye.device.place(net).train()
                chance = torch.Generator().manual_seed(seed)
                self._teach(net.head, vectors, faulty, weights, chance, bar)
                seen = [some(folds[f], SETTLED, sum(len(folds[m]) for m in mine), chance) for f in mine]
                net.eval().settle(self.places(eye, raw) for raw in eye.batches(store, np.concatenate(seen)))
                self.nets.append(net)
                bar.advance(1)
        return self

    @torch.no_grad()
    def _good(self, eye: Eye, store: Store, rows: np.ndarray, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """Vectors of some places (N, E) and of whole items (M, 4 E), all good and as they are."""
        places, items = [], []
        for raw in eye.batches(store, rows):
            seen = as_they_are(self.places(eye, raw))
            at = torch.randint(seen[0, 0].numel(), (len(seen), 1, PLACES), generator=chance)
            at = at.expand(-1, seen.shape[1], -1).to(seen.device)
            places.append(seen.flatten(2).gather(2, at).transpose(1, 2).flatten(0, 1).half().cpu())
            items.append(whole(seen).cpu())
        return torch.cat(places), torch.cat(items)

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


class Judging(nn.Module):
    """What judges places and items: a network that learnt from drawn faults, beside how good ones look.

    Args:
        seen: length D of a place's vector.
        width: of the network's hidden layers.
        ordinary: weight of how far an item lies from good ones; half of it for places.
        top: share of an item's places that its score is the mean of.
    """

    logits: Tensor
    found: Tensor

    def __init__(self, seen: int, width: int, ordinary: float, top: float) -> None:
        super().__init__()
        self.head, self.good, self.ordinary, self.top = _head(seen, width), Ordinary(seen // 2 - 1), ordinary, top
        for name in ("logits", "found"):  # middle and spread among good places and items
            self.register_buffer(name, torch.tensor([0.0, 1.0]))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """How faulty places (B, h, w) and items (B,) are, of what is seen at each place (B, D, h, w)."""
        places = (self._logits(seen) - self.logits[0]) / self.logits[1] + self._strange(seen)
        items = (self._strongest(places) - self.found[0]) / self.found[1]
        if not self.ordinary:
            return places, items
        odd = self.good.items(as_they_are(seen))
        prior = odd.clamp(-ODD, ODD)[:, None, None]  # of an odd item each place is more likely to be faulty
        return places + self.ordinary / 2 * prior, items + self.ordinary * odd

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Measure the units of logits and of items' scores on good items, given as what is seen of them."""
        both = [(self._logits(seen), self._strange(seen)) for seen in batches]
        logits = torch.cat([own for own, _ in both])
        self.logits.copy_(torch.stack([logits.mean(), logits.std().clamp_min(1e-6)]))
        places = (logits - self.logits[0]) / self.logits[1] + torch.cat([far for _, far in both])
        found = self._strongest(places)
        self.found.copy_(torch.stack([found.median(), found.std(correction=0).clamp_min(1e-6)]))

    def _logits(self, seen: Tensor) -> Tensor:
        found: Tensor = self.head(seen.permute(0, 2, 3, 1).flatten(0, 2)).view(len(seen), *seen.shape[2:])
        return found

    def _strange(self, seen: Tensor) -> Tensor:
        """What it adds to a place that it is far from good ones (B, h, w)."""
        if not self.ordinary:
            return torch.zeros_like(seen[:, 0])
        return self.ordinary / 2 * self.good.places(as_they_are(seen))

    def _strongest(self, places: Tensor) -> Tensor:
        return torch.from_numpy(strongest(places, self.top)).to(places.device)


def some(rows: np.ndarray, most: int, every: int, chance: torch.Generator) -> np.ndarray:
    """As many of a fold's rows as it has of all rows, where at most so many of all are wanted."""
    count = len(rows) if every <= most else max(1, round(most * len(rows) / every))
    return np.asarray(rows[torch.randperm(len(rows), generator=chance)[:count].numpy()])


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
