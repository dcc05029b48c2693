"""How sensors and records get worse, by kind and severity 1 to 5: series (B, V, T), normalised, NaN where missing.

The strengths are in standard deviations of the training data; they are of our own choosing, as no table is agreed on.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from unlabeled.views import draw, motion

Change = Callable[[Tensor, int, Tensor], Tensor]


def _white(x: Tensor, level: int, chance: Tensor) -> Tensor:
    return x + (0.2, 0.4, 0.7, 1.1, 1.6)[level] * chance


def _spikes(x: Tensor, level: int, chance: Tensor) -> Tensor:
    rare = torch.erf(chance.abs() / 2**0.5) > 1 - (0.01, 0.02, 0.04, 0.08, 0.15)[level]
    return torch.where(rare, x + 4 * chance.sign(), x).to(x.dtype)


def _wander(x: Tensor, level: int, chance: Tensor) -> Tensor:
    walk: Tensor = chance.cumsum(2) / float(chance.shape[2]) ** 0.5
    return x + (0.3, 0.6, 1.0, 1.6, 2.4)[level] * walk


def _clip(x: Tensor, level: int, chance: Tensor) -> Tensor:
    top = (2.0, 1.4, 1.0, 0.7, 0.4)[level]
    return x.clamp(-top, top)


def _slow(x: Tensor, level: int, chance: Tensor) -> Tensor:
    return motion.hold(x, (2, 3, 4, 6, 8)[level])


def _freeze(x: Tensor, level: int, chance: Tensor) -> Tensor:
    """A sensor that hangs for a while: its last value stays."""
    share = (0.1, 0.2, 0.3, 0.45, 0.6)[level]
    length = max(1, round(share * x.shape[2]))
    first = ((0.5 + 0.5 * torch.erf(chance[..., :1] / 2**0.5)) * (x.shape[2] - length + 1)).floor()
    step = torch.arange(x.shape[2], device=x.device)
    at = torch.where((step >= first) & (step < first + length), first.clamp(max=x.shape[2] - 1), step.float()).long()
    return x.gather(2, at)


def _coarse(x: Tensor, level: int, chance: Tensor) -> Tensor:
    step = (0.25, 0.5, 1.0, 1.5, 2.0)[level]
    out: Tensor = (x / step).round() * step
    return out


def _lose(x: Tensor, level: int, chance: Tensor) -> Tensor:
    lost = torch.erf(chance.abs() / 2**0.5) < (0.1, 0.2, 0.35, 0.5, 0.7)[level]
    return motion.hide(x, lost)


KINDS: dict[str, Change] = {
    "white_noise": _white, "spikes": _spikes, "wander": _wander, "clipping": _clip,
    "low_rate": _slow, "freeze": _freeze, "quantised": _coarse, "dropouts": _lose,
}  # fmt: skip


def corrupt(x: Tensor, kind: str, severity: int, seeds: list[int], *, gaps: bool) -> Tensor:
    """Series made worse (B, V, T); what is lost is NaN where gaps are told, else the last value before it.

    Args:
        x: normalised, NaN where missing.
        kind: one of `KINDS`.
        severity: 1 to 5.
        seeds: one an item.
        gaps: whether a lost value may be told as missing.
    """
    worse = KINDS[kind](x, severity - 1, draw.normals(seeds, x.shape[1:]).to(x.device))
    return worse if gaps else motion.fill(worse)
