"""Does a map name the places that the score hangs on? Deletion and insertion, against random maps of the same items.

Petsiuk et al. (2018, arXiv:1806.07421): hide the places a map holds for most important first, and the score should fall
fast; show them first in a blurred item, and it should rise fast. The area under the curve is the figure. What differs:
places are taken block by block, so that a fine map and a coarse one are cut alike, and no figure stands alone.
Beside it stands that of random maps of the same item, of two kinds. `moved` is the same map, shifted to another place
and wrapped at the edges: as coarse and as compact, but elsewhere; what lies behind the end of a recording or a text is
no place, and comes last in every order. `scattered` takes blocks in random order, which is no
fair match for a coarse map: blocks strewn over a texture hide, or show, some of everything at once, a compact map one
region after the other, wherever that is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.explain import Score, _places
from unlabeled.stats import Summary, summarise

STEPS = 12
DRAWS = 4  # random maps of each kind an item

Value = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Curves:
    """How the value changes while places are hidden, or shown.

    Args:
        share: (S + 1,) share of the places that is hidden, or shown.
        deletion: (B, S + 1) values while the places named first are hidden first; lower is better.
        insertion: (B, S + 1) values while they are shown first; higher is better.
    """

    share: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deleted(self) -> np.ndarray:
        """Area under the deletion curve (B,)."""
        return np.asarray(np.trapezoid(self.deletion, self.share, axis=1))

    @property
    def inserted(self) -> np.ndarray:
        """Area under the insertion curve (B,)."""
        return np.asarray(np.trapezoid(self.insertion, self.share, axis=1))


@dataclass(frozen=True)
class Faith:
    """A map's curves beside those of random maps.

    Args:
        own: of the map.
        moved: of the same map shifted to random places, one for each draw.
        scattered: of blocks in random order, one for each draw.
    """

    own: Curves
    moved: tuple[Curves, ...]
    scattered: tuple[Curves, ...]

    def gains(self, against: Literal["moved", "scattered"] = "moved") -> tuple[np.ndarray, np.ndarray]:
        """How much better than random maps the deletion and the insertion of each item are, (B,) each; above 0 is good.

        Deletion: how much lower the area under the curve is; insertion: how much higher.
        """
        random = self.moved if against == "moved" else self.scattered
        lower = np.mean([r.deleted for r in random], 0) - self.own.deleted
        higher = self.own.inserted - np.mean([r.inserted for r in random], 0)
        return np.asarray(lower), np.asarray(higher)


def faith(
    score: Score,
    views: Tensor,
    maps: Tensor,
    *,
    value: Value = Tensor.float,
    scattered: Sequence[Curves] = (),
    draws: int = DRAWS,
    seed: int = 0,
    nothing: int = 0,
) -> Faith:
    """Measure maps (B, ...) of views (B, C, ...) against random maps.

    Args:
        score: what the maps explain.
        views: the items.
        maps: higher is more important.
        value: what of the score is watched: `torch.sigmoid` turns log-odds into a probability.
        scattered: curves of blocks in random order that were measured before, for the same items and score.
        draws: random maps of each kind an item.
        seed: of the random maps, and of the order among blocks that a map holds for equal.
        nothing: the number that hides a word.
    """
    there = _places.inside(views)
    own = curves(score, views, ranked(maps, seed, there), value=value, nothing=nothing)
    elsewhere = [ranked(moved(maps, seed, draw, there), seed, there) for draw in range(draws)]
    strewn = scattered or scattered_curves(score, views, value=value, draws=draws, seed=seed, nothing=nothing)
    return Faith(
        own, tuple(curves(score, views, turns, value=value, nothing=nothing) for turns in elsewhere), tuple(strewn)
    )


def scattered_curves(
    score: Score, views: Tensor, *, value: Value = Tensor.float, draws: int = DRAWS, seed: int = 0, nothing: int = 0
) -> tuple[Curves, ...]:
    """Curves of blocks in random order, `draws` for each of the views (B, C, ...)."""
    source = torch.Generator().manual_seed(seed + 1)
    chance = torch.rand((draws, len(views), *_places.sides(views)), generator=source)
    orders = [ranked(noise, seed, _places.inside(views)) for noise in chance]
    return tuple(curves(score, views, turns, value=value, nothing=nothing) for turns in orders)


def moved(maps: Tensor, seed: int, draw: int, there: Tensor | None = None) -> Tensor:
    """Maps (B, ...), each shifted by an eighth of every side or more, what leaves at an edge coming in at the other.

    Of lines (B, T) each draw is another shift, until all there are were had (`shifts`); with `there` (B, T) the places
    that are there change among themselves.
    """
    out = []
    for item, own in enumerate(maps):
        if own.ndim > 1:
            chance = np.random.default_rng([seed, 73, draw, item])
            steps = [int(chance.integers(-(-side // 8), side - side // 8 + 1)) for side in own.shape]
            out.append(torch.roll(own, steps, tuple(range(own.ndim))))
            continue
        some = torch.arange(len(own)) if there is None else there[item].cpu().nonzero()[:, 0]
        order = np.random.default_rng([seed, 73, item]).permutation(shifts(len(some)))
        rolled = own.clone()
        if len(order):
            rolled[some] = own[some].roll(int(order[draw % len(order)]))
        out.append(rolled)
    return torch.stack(out)


def shifts(places: int) -> np.ndarray:
    """By how much a line of so many places can be shifted, an eighth or more from where it was.

    >>> shifts(8).tolist(), shifts(1).tolist()
    ([1, 2, 3, 4, 5, 6, 7], [])
    """
    least = max(1, -(-places // 8))
    return np.arange(least, places - least + 1)


def ranked(maps: Tensor, seed: int = 0, there: Tensor | None = None) -> Tensor:
    """The turn of each block (B, ...), from 0 for the most important one; equal ones take turns by chance, and those
    without a place that is there (B, T) come last.
    """
    small = _places.pooled(maps)
    if there is not None:
        small = small.masked_fill(_places.pooled(there.float()) == 0, -torch.inf)
    blocks = small.flatten(1)
    shuffle = torch.rand(blocks.shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
    order = shuffle.gather(1, blocks.gather(1, shuffle).argsort(dim=1, descending=True, stable=True))
    turn = torch.empty_like(order).scatter_(1, order, torch.arange(blocks.shape[1]).expand_as(order).contiguous())
    return turn.view(small.shape)


def curves(score: Score, views: Tensor, turns: Tensor, *, value: Value = Tensor.float, nothing: int = 0) -> Curves:
    """Hide, and show, the blocks of views (B, C, ...) in the order of their turns (B, ...)."""
    count = int(turns[0].numel())
    steps = min(STEPS, count)
    late = functional.interpolate(turns[:, None].float(), _places.sides(views), mode="nearest").to(views.device)
    late = late if views.is_floating_point() else late[:, 0]
    gone, dim = _places.hidden(views, "mean", nothing), _places.hidden(views, "blur", nothing)
    edges = [round(count * s / steps) for s in range(steps + 1)]
    out: list[list[np.ndarray]] = []
    together = max(1, _places.AT_ONCE // len(views))
    with torch.no_grad():
        for first, second in ((gone, views), (views, dim)):  # where the turn has come, and where not yet
            found: list[np.ndarray] = []
            for at in range(0, len(edges), together):
                some = edges[at : at + together]
                stack = torch.cat([torch.where(late < edge, first, second) for edge in some])
                found += [part.cpu().numpy() for part in value(score(stack)).float().chunk(len(some))]
            out.append(found)
    deletion, insertion = (np.stack(found, 1) for found in out)
    return Curves(np.array(edges) / count, deletion, insertion)


def summary(values: np.ndarray, groups: np.ndarray | None = None) -> Summary:
    """Mean and 95 % interval over items (N,); the encoder is one, so the interval tells about the items alone."""
    return summarise([(0, 0, values)], groups=groups)
