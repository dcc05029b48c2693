"""Does a map name the places that the score hangs on? Deletion and insertion, against random maps of the same items.

Petsiuk et al. (2018, arXiv:1806.07421): hide the places a map holds for most important first, and the score should fall
fast; show them first in a blurred item, and it should rise fast. The area under the curve is the figure. What differs:
places are taken block by block, so that a fine map and a coarse one are cut alike, and no figure stands alone.
Beside it stands that of random maps of the same item, of two kinds. `moved` is the same map, shifted to another place
and wrapped at the edges: as coarse and as compact, but elsewhere. `scattered` takes blocks in random order, which is no
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
    own = curves(score, views, ranked(maps, seed), value=value, nothing=nothing)
    elsewhere = [ranked(moved(maps, seed, draw), seed) for draw in range(draws)]
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
    return tuple(curves(score, views, ranked(noise, seed), value=value, nothing=nothing) for noise in chance)


def moved(maps: Tensor, seed: int, draw: int) -> Tensor:
    """Maps (B, ...), each shifted by an eighth of every side or more, what leaves at an edge coming in at the other."""
    out = []
    for item, own in enumerate(maps):
        chance = np.random.default_rng([seed, 73, draw, item])
        steps = [int(chance.integers(-(-side // 8), side - side // 8 + 1)) for side in own.shape]
        out.append(torch.roll(own, steps, tuple(range(own.ndim))))
    return torch.stack(out)


def ranked(maps: Tensor, seed: int = 0) -> Tensor:
    """The turn of each block (B, ...), from 0 for the most important one; equal ones take turns by chance."""
    small = _places.pooled(maps)
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
