"""Vectors for the places of a picture, from the middle of an encoder; brightness made even first, maps smoothed last.

The middle of a network knows texture and shape but not yet what the picture as a whole is: there small faults show
(Roth et al. 2021, arXiv:2106.08265, section 3.1).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from unlabeled.anomaly import Eye
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError

STAGES = 4  # of the networks that have any
PLANE = 2  # dimensions of pictures' places; series have one
SIDE = 64  # places along a side, at most: what is remembered of them grows with their number


def view(eye: Eye, raw: Tensor, level: bool) -> Tensor:
    """The plain view (B, C, S, S) of raw items; with `level`, each brought to the same median brightness by a gain.

    Exposure and lamps multiply what the camera sees, so one factor for the whole item takes them out and leaves its
    colours and contrasts as they are. The median hardly notices a fault.
    """
    x = eye.looks.plain(raw)
    if not level or eye.looks.space != PLANE:
        return x
    seen = eye.looks.natural(x)
    middle = seen.flatten(1).median(1).values.clamp_min(0.02)
    target = eye.looks.natural(torch.zeros_like(x[:1])).mean()  # the data's mean brightness
    return eye.looks.normalise(seen * (target / middle).view(-1, 1, 1, 1))


def checked(top: float, smooth: float) -> None:
    """Refuse settings of a map that cannot be: a share `top` outside 0 to 1, or a negative width `smooth`."""
    if not 0 <= top <= 1 or smooth < 0:
        raise UserError(f"top={top:g} and smooth={smooth:g} were given", "give a share, and no negative width")


class Gridded:
    """What detectors share that look at the places of an encoder's maps; they set `stages` and `level`."""

    stages: tuple[int, ...]
    level: bool

    @torch.no_grad()
    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of all places (B, D, h, w)."""
        return grid(eye, view(eye, raw, self.level), self.stages)


def grid(eye: Eye, x: Tensor, stages: tuple[int, ...]) -> Tensor:
    """Vectors of all places (B, D, h, w) float32, each the mean over its 3 x 3 neighbourhood.

    Args:
        eye: what to look through.
        x: views (B, C, S, S).
        stages: of a convolutional network, 1 (finest) to 4; the maps are brought to the finest one's grid, of 64 x 64
            places at most, and joined.
            A transformer has the one grid of its tokens; of series all places stand in one row (h = 1).

    Raises:
        UserError: when the encoder's places make no grid, or there is no such stage.
    """
    with eye.device.autocast():
        maps = [m.float() for m in _maps(eye.encoder, x, stages)]
    maps = [functional.avg_pool2d(m, 3, 1, 1, count_include_pad=False) if min(m.shape[2:]) > 1 else m for m in maps]
    high, wide = (min(SIDE, max(m.shape[axis] for m in maps)) for axis in (2, 3))
    size = (high, wide)
    maps = [functional.adaptive_avg_pool2d(m, size) if max(m.shape[2:]) > SIDE else m for m in maps]
    even = [m if tuple(m.shape[2:]) == size else functional.interpolate(m, size, mode="bilinear") for m in maps]
    return torch.cat(even, 1)


def _maps(encoder: Encoder, x: Tensor, stages: tuple[int, ...]) -> list[Tensor]:
    net: Any = getattr(encoder, "net", None)
    info: Any = getattr(net, "feature_info", None) or ()
    steps = [f["reduction"] for f in info] if hasattr(net, "forward_intermediates") else []
    if len(set(steps)) >= STAGES:  # a network whose maps shrink from stage to stage
        if not stages or not set(stages) <= set(range(1, STAGES + 1)):
            raise UserError(f"the stages {stages} were asked for", f"give some of 1 to {STAGES}")
        indices = [len(steps) - STAGES - 1 + s for s in sorted(set(stages))]
        found: list[Tensor] = net.forward_intermediates(x, indices=indices, intermediates_only=True)
        return found
    tokens = encoder.tokens(x)  # (B, T, D)
    if encoder.space == 1:
        return [tokens.transpose(1, 2)[:, :, None]]
    side = round(tokens.shape[1] ** 0.5)
    if side * side != tokens.shape[1]:
        raise UserError(
            f"the encoder gives {tokens.shape[1]} places, which make no square grid", "take a resnet or a vit"
        )
    return [tokens.transpose(1, 2).reshape(len(x), -1, side, side)]


def enlarge(maps: Tensor, shape: Sequence[int], smooth: float) -> np.ndarray:
    """Maps of places (B, h, w) at the view's size, (B, S, S) for pictures and (B, T) for series, float32, smoothed.

    Args:
        maps: how unusual each place is; of series h is 1.
        shape: of the view without its channels: (S, S) or (T,).
        smooth: standard deviation of the Gaussian in pixels or steps of a view of 224, as papers give it; 0 for none.
    """
    size = (1, *shape) if len(shape) == 1 else tuple(shape)
    big = functional.interpolate(maps[:, None].float(), size, mode="bilinear")[:, 0].cpu().numpy()
    big = big.reshape(len(maps), *shape)
    sigma = smooth * shape[-1] / 224
    return np.asarray(gaussian_filter(big, (0, *(sigma for _ in shape))) if sigma > 0 else big, np.float32)


def within(eye: Eye, raw: Tensor, maps: Tensor) -> Tensor:
    """Maps of places (B, h, w) in which what lies behind a recording's end is as usual as the most usual place in it.

    Pictures have no end: theirs stay as they are.
    """
    if eye.looks.space == PLANE:
        return maps
    inside = functional.adaptive_max_pool1d((raw[:, :1] > 0.5).float(), maps.shape[2]) > 0
    inside[:, :, 0] = True
    return torch.where(inside, maps, maps.masked_fill(~inside, torch.inf).amin(2, keepdim=True))


def strongest(maps: Tensor, share: float) -> np.ndarray:
    """The mean of the most unusual share of each map's places (B,), at least of one: with 0 their maximum.

    >>> strongest(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 0.5).tolist()
    [3.5]
    """
    flat = maps.flatten(1).float()
    return np.asarray(flat.topk(max(1, round(share * flat.shape[1])), 1).values.mean(1).cpu().numpy(), np.float32)
