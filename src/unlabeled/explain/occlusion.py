"""Cover one part of an item after the other and see how far the score falls.

Zeiler & Fergus (2013, arXiv:1311.2901). A place gets the mean fall over all windows that cover it; windows overlap by
half. It asks nothing of the encoder but its answers.
"""

import itertools
from typing import Any

import torch
from torch import Tensor

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.explain import Score, _places


class Occlusion:
    """Occlusion: how far the score falls when a part is covered (Zeiler & Fergus 2013).

    It looks at every window once: 225 times at a picture by default. Works with any encoder; of a text every word is
    hidden in turn.

    Args:
        window: side of the covered part, as a share of the item's, above 0 to 1.
        hide: what it is covered with: `mean`, each channel's mean, or `blur`, the item behind a strong blur.

    References:
        arXiv:1311.2901
    """

    def __init__(self, *, window: float = 0.125, hide: _places.Hide = "mean") -> None:
        if not 0 < window <= 1:
            raise UserError(f"a window of {window:g} was asked for", "give a share of the side, above 0 to 1")
        self.window, self.hide = window, hide

    def explain(self, score: Score, encoder: Encoder, views: Tensor) -> Tensor:
        """How much each place of views (B, C, ...) speaks for its item's score: (B, ...)."""
        places, words = _places.sides(views), not views.is_floating_point()
        cover = _places.hidden(views, self.hide, encoder.nothing)
        along = [[slice(s, s + 1) for s in range(side)] if words else self._along(side) for side in places]
        windows: list[tuple[slice, ...]] = list(itertools.product(*along))
        fall = torch.zeros(len(views), *places, device=views.device)
        count = torch.zeros(places, device=views.device)
        together = max(1, _places.AT_ONCE // len(views))
        with torch.no_grad():
            whole = score(views).float()
            for at in range(0, len(windows), together):
                some = windows[at : at + together]
                stack = views.repeat(len(some), *(1 for _ in views.shape[1:]))
                for copy, window in zip(stack.chunk(len(some)), some, strict=True):
                    place: tuple[Any, ...] = (..., *window)
                    copy[place] = cover[place]
                for values, window in zip(score(stack).float().chunk(len(some)), some, strict=True):
                    fall[:, *window] += (whole - values).view(-1, *(1 for _ in places))
                    count[window] += 1
        return fall / count

    def _along(self, side: int) -> list[slice]:
        """Windows along one side, half a window apart; the last one ends where the side does."""
        wide = max(1, round(self.window * side))
        starts = [*range(0, side - wide, max(1, wide // 2)), side - wide]
        return [slice(s, s + wide) for s in starts]
