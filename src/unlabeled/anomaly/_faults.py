"""Faults drawn at random on good pictures, for a detector to learn from: spots, scratches, patches and clouds.

Each is a mask of some shape in which something happens: it gets darker or brighter, another texture shows, or it is
smeared. What real faults look like is not known; many unlike ones teach the detector to look for what does not belong
(CutPaste, Li et al. 2021, arXiv:2104.04015; DRAEM, Zavrtanik et al. 2021, arXiv:2108.07610).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def plant(x: Tensor, chance: torch.Generator, share: float = 0.75) -> tuple[Tensor, Tensor]:
    """Draw one or two faults on a share of the pictures.

    Args:
        x: pictures (B, C, S, S), 0 to 1.
        chance: of everything random, on the CPU.
        share: of the pictures that get faults, 0 to 1; the others stay good.

    Returns:
        The pictures, and how strong the fault is at each pixel (B, 1, S, S), 0 to 1.

    >>> chance = torch.Generator().manual_seed(0)
    >>> faulty, where = plant(torch.full((4, 1, 32, 32), 0.5), chance, share=1.0)
    >>> bool(((faulty != 0.5).any(1, keepdim=True) <= (where > 0)).all())
    True
    """
    items, side = len(x), x.shape[-1]
    total = torch.zeros(items, 1, side, side)
    for number in range(2):
        on = torch.rand(items, generator=chance) < (share if number == 0 else 0.3)
        on &= (total.amax((1, 2, 3)) > 0) | (number == 0)
        where = _shapes(items, side, chance) * on.view(-1, 1, 1, 1)
        x = x + where.to(x.device) * (_happens(x, chance) - x)
        total = torch.maximum(total, where)
    return x.clamp(0, 1), total.to(x.device)


def _happens(x: Tensor, chance: torch.Generator) -> Tensor:
    """What is seen inside a fault (B, C, S, S): another brightness, another place's texture, or a smear."""
    items, _, side, _ = x.shape

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(items, 1, 1, 1, generator=chance)).to(x.device)

    darker = torch.rand(items, 1, 1, 1, generator=chance).to(x.device) < 0.75
    gain = torch.where(darker, draw(0.25, 0.9), draw(1.1, 1.8))
    lit = x * gain + draw(-0.05, 0.05)
    order = torch.randperm(items, generator=chance)
    shift = torch.randint(side, (2,), generator=chance).tolist()
    other = torch.roll(x[order], shift, (2, 3))
    if torch.rand(1, generator=chance) < 0.5:
        other = other.transpose(2, 3)
    middle = [v.flatten(1).mean(1).view(-1, 1, 1, 1).clamp_min(0.02) for v in (x, other)]
    pasted = other * (middle[0] / middle[1]) * draw(0.7, 1.3)
    wide = max(3, side // 24 * 2 + 1)
    smeared = functional.avg_pool2d(x, (wide, 3), 1, (wide // 2, 1), count_include_pad=False) * draw(0.85, 1.15)
    kind = torch.randint(4, (items, 1, 1, 1), generator=chance).to(x.device)
    return torch.where(kind < 2, lit, torch.where(kind == 2, pasted, smeared))


def _shapes(items: int, side: int, chance: torch.Generator) -> Tensor:
    """Masks (B, 1, S, S), 0 to 1: ellipses and boxes of all sizes, bent lines, and blots cut out of soft noise."""

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(items, 1, 1, generator=chance)

    line = (torch.arange(side) + 0.5) / side
    y, x = line.view(1, -1, 1) - draw(0.02, 0.98), line.view(1, 1, -1) - draw(0.02, 0.98)
    turn = draw(0, math.pi)
    u, v = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    v = v + draw(0, 0.04) * torch.sin(draw(5, 50) * u + draw(0, 6))
    a = torch.exp(draw(math.log(0.008), math.log(0.3)))
    b = torch.exp(draw(math.log(0.008), math.log(0.3)))
    long, thin = draw(0.05, 0.5), torch.exp(draw(math.log(0.003), math.log(0.015)))
    kind = torch.randint(5, (items, 1, 1), generator=chance)
    oval, box = torch.hypot(u / a, v / b), torch.maximum((u / a).abs(), (v / b).abs())
    scratch = torch.maximum((u / long).abs(), (v / thin).abs())
    reach = torch.where(kind < 2, oval, torch.where(kind == 2, box, scratch))
    noise = torch.zeros(items, 1, side, side)
    for cells in (4, 9, 20):
        coarse = torch.randn(items, 1, cells, cells, generator=chance)
        noise += functional.interpolate(coarse, (side, side), mode="bicubic") / cells**0.5
    ragged = reach + draw(0.0, 0.5) * noise[:, 0]  # edges are seldom smooth
    blot = 2.2 - noise[:, 0] / noise.std() + 2 * torch.hypot(x, y)
    reach = torch.where(kind == 4, blot, torch.where(kind == 3, reach, ragged))
    hard = torch.exp(draw(math.log(1.5), math.log(30)))  # soft clouds to sharp rims
    mask = ((1 - reach) * hard + 0.5).clamp(0, 1)
    return (mask * draw(0.3, 1.0))[:, None]
