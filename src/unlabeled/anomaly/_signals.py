"""What a detector of faulty stretches sees of series, and how it draws faults on good ones to learn from.

Series here are (V, T) or (B, V, T) float32 in units of the data's spread, without gaps.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SCALES = (1, 2, 4, 8, 16, 32, 64)  # standard deviations, in steps, of the Gaussians between which bands lie
QUIET = 1e-4  # what is added to a band's power before its logarithm
KINDS = 7


def answers(x: Tensor) -> Tensor:
    """What a bank of fixed filters sees at each step of series (B, V, T): (B, F, T).

    For each variable and scale: the band between two Gaussians, the logarithm of its strength around the step, and the
    slope; last what is slower than all of them. Edges go on outside.

    >>> answers(torch.zeros(2, 3, 32)).shape
    torch.Size([2, 30, 32])
    """
    out, before = [], x
    for scale in SCALES:
        if scale > max(1, x.shape[2] // 8):
            break
        now = _smooth(x, scale)
        band = before - now
        held = functional.pad(now, (scale, scale), mode="replicate")
        out += [band, 0.5 * (_smooth(band.square(), 2 * scale) + QUIET).log()]
        out.append((held[:, :, 2 * scale :] - held[:, :, : -2 * scale]) / 2)
        before = now
    return torch.cat([*out, before], 1)


def _smooth(x: Tensor, scale: int) -> Tensor:
    """Each row of (B, V, T) under a Gaussian."""
    reach = 3 * scale
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / scale).square())
    rows = functional.pad(x, (reach, reach), mode="replicate").flatten(0, 1)[:, None]
    return functional.conv1d(rows, (bell / bell.sum())[None, None].to(x.dtype)).view(x.shape)


def plant(x: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one fault on a good series (V, T): the series with it, and which steps were changed (T,) bool.

    A stretch of 1 step to half of all, in some of the variables, is moved, made noisy, stuck at a value, made stronger
    or weaker, given a hum, replaced by another stretch of itself, or blurred (after CutPaste, Li et al. 2021,
    arXiv:2104.04015, and what wears sensors and machines).
    """
    variables, steps = x.shape
    out, where = x.copy(), np.zeros(steps, bool)
    count = min(steps, round(math.exp(chance.uniform(0.0, math.log(max(2.0, steps / 2))))))
    first = int(chance.integers(0, steps - count + 1))
    part = slice(first, first + count)
    where[part] = True
    touched = np.flatnonzero(chance.random(variables) < 0.4)
    kind = int(chance.integers(0, KINDS))
    bell = np.ones(count) if chance.random() < 0.5 else np.hanning(count + 2)[1:-1]
    for v in touched if len(touched) else [int(chance.integers(variables))]:
        out[v, part] = _changed(out[v], part, kind, bell, chance)
    return out.astype(np.float32), where


def _changed(row: np.ndarray, part: slice, kind: int, bell: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    own, count = row[part], len(bell)
    much = math.exp(chance.uniform(math.log(0.3), math.log(3.0)))
    sign = 1.0 if chance.random() < 0.5 else -1.0
    if kind == 0 or (kind == 6 and count < 5):  # moved
        return np.asarray(own + sign * much * bell)
    if kind == 1:  # noisy
        return np.asarray(own + 0.5 * much * chance.normal(size=count) * bell)
    if kind == 2:  # stuck
        return np.asarray(own[0] + 0.02 * chance.normal(size=count))
    if kind == 3:  # stronger or weaker
        return np.asarray(own.mean() + (own - own.mean()) * math.exp(sign * chance.uniform(0.5, 1.5)))
    if kind == 4:  # a hum
        turns = 2 * math.pi * chance.uniform(0.5, 6.0) * np.arange(count) / max(count, 4)
        return np.asarray(own + much * np.sin(turns + chance.uniform(0.0, 2 * math.pi)))
    if kind == 5:  # another stretch
        at = int(chance.integers(0, len(row) - count + 1))
        other = row[at : at + count]
        return np.asarray(other - (other[0] - own[0] if chance.random() < 0.5 else 0.0))
    return np.convolve(np.pad(own, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")  # blurred
