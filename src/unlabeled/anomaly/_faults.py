"""Faults drawn at random on good pictures, for a detector to learn from: spots, cracks, chips, blots and shades.

Each is a mask of some shape in which something happens: it gets darker or brighter, another texture shows, it is worn
smooth, or rough. What real faults look like is not known; many unlike ones teach the detector to look for what does not
belong (CutPaste, Li et al. 2021, arXiv:2104.04015; DRAEM, Zavrtanik et al. 2021, arXiv:2108.07610; NSA, Schlüter et
al. 2022, arXiv:2109.15222).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

AGAIN = 0.5  # chance of a further fault on a picture that has one


class Draw:
    """Random numbers, one for each of some pictures, to be used as (B, 1, 1).

    Args:
        items: how many pictures.
        chance: where they come from, on the CPU.
    """

    def __init__(self, items: int, chance: torch.Generator) -> None:
        self.items, self.chance = items, chance

    def even(self, low: float, high: float) -> Tensor:
        """Evenly between two numbers."""
        return low + (high - low) * torch.rand(self.items, 1, 1, generator=self.chance)

    def wide(self, low: float, high: float) -> Tensor:
        """Between two numbers above 0, evenly on a logarithmic scale."""
        return self.even(math.log(low), math.log(high)).exp()

    def kind(self, count: int) -> Tensor:
        """One of 0 to count - 1."""
        return torch.randint(count, (self.items, 1, 1), generator=self.chance)

    def noise(self, side: int, cells: int) -> Tensor:
        """Soft noise (B, side, side) with so many cells along a side, of unit variance at their middles."""
        coarse = torch.randn(self.items, 1, cells, cells, generator=self.chance)
        return functional.interpolate(coarse, (side, side), mode="bicubic")[:, 0]


def plant(x: Tensor, chance: torch.Generator, share: float = 0.8) -> tuple[Tensor, Tensor]:
    """Draw one to three faults on a share of the pictures.

    Args:
        x: pictures (B, C, S, S), 0 to 1; two or more, for each may lend its texture to another.
        chance: of everything random, on the CPU.
        share: of the pictures that get faults, 0 to 1; the others stay good.

    Returns:
        The pictures, and how much of a fault there is at each pixel (B, 1, S, S), 0 to 1.

    >>> chance = torch.Generator().manual_seed(0)
    >>> faulty, where = plant(torch.full((4, 1, 32, 32), 0.5), chance, share=1.0)
    >>> bool(((faulty != 0.5).any(1, keepdim=True) <= (where > 0)).all())
    True
    """
    out, total = x.clone(), torch.zeros(len(x), 1, *x.shape[2:], device=x.device)
    on = torch.rand(len(x), generator=chance) < share
    for _ in range(3):
        at = torch.nonzero(on)[:, 0]
        if not len(at):
            break
        draw = Draw(len(at), chance)
        shape, rim = (m[:, None].to(x.device) for m in shapes(draw, x.shape[-1]))
        before, strength = out[at], draw.even(0.4, 1.0)[..., None].to(x.device)
        after = before + shape * strength * (_happens(before, x, shape, draw) - before)
        out[at] = (after * (1 + rim * draw.even(0.1, 0.5)[..., None].to(x.device))).clamp(0, 1)
        total[at] = torch.maximum(total[at], torch.maximum(shape, rim))
        on = on & (torch.rand(len(x), generator=chance) < AGAIN)
    return out, total


def _happens(x: Tensor, others: Tensor, shape: Tensor, draw: Draw) -> Tensor:
    """What is seen inside a fault (B, C, S, S): other brightness, other texture, worn smooth, or rough."""
    side, chance = x.shape[-1], draw.chance

    def even(low: float, high: float) -> Tensor:
        return draw.even(low, high)[..., None].to(x.device)

    large = shape.mean((1, 2, 3), keepdim=True) > 0.02
    change = torch.where(large, even(0.06, 0.45), even(0.2, 0.8))  # what is large shows when it is faint
    lit = x * torch.where(even(0, 1) < 0.7, 1 - change, 1 + change)
    rolled = torch.roll(others, torch.randint(side, (2,), generator=chance).tolist(), (2, 3))
    other = rolled[torch.randint(len(others), (len(x),), generator=chance).to(x.device)]
    if torch.rand(1, generator=chance) < 0.5:
        other = other.transpose(2, 3)
    middle, theirs = (v.mean((1, 2, 3), keepdim=True).clamp_min(0.02) for v in (x, other))
    pasted = other * (middle / theirs) * even(0.7, 1.3)
    wide = min(side, int(torch.randint(2, 8, (1,), generator=chance)) * 2 + 1)
    window = (wide, max(3, wide // 3)) if torch.rand(1, generator=chance) < 0.5 else (wide, wide)
    worn = functional.avg_pool2d(x, window, window, ceil_mode=True)
    worn = functional.interpolate(worn, (side, side), mode="bilinear") * even(0.8, 1.2)
    cells = int(torch.randint(max(2, side // 16), max(3, side // 2), (1,), generator=chance))
    grain = functional.interpolate(
        torch.randn(len(x), 1, cells, cells, generator=chance), (side, side), mode="bilinear"
    )
    rough = x * even(0.75, 1.2) * (1 + even(0.1, 0.45) * grain.to(x.device))
    filled = 0.5 * lit + 0.5 * middle * even(0.1, 1.6)
    kind = draw.kind(8)[..., None].to(x.device)
    found = torch.where(kind < 3, lit, torch.where(kind == 3, pasted, worn))
    return torch.where(kind == 6, rough, torch.where(kind == 7, filled, found))


def shapes(draw: Draw, side: int) -> tuple[Tensor, Tensor]:
    """Masks (B, S, S), 0 to 1, none larger than half of the picture, and the rims that some small ones have.

    Ellipses and boxes of all sizes, a third of them at an edge; cracks; blots cut out of soft noise; and all that lies
    beyond a bent line.
    """
    line = (torch.arange(side) + 0.5) / side
    cy, cx, edge = draw.even(0.02, 0.98), draw.even(0.02, 0.98), draw.kind(12)
    cy = torch.where(edge == 0, 0.0, torch.where(edge == 1, 1.0, cy))
    cx = torch.where(edge == 2, 0.0, torch.where(edge == 3, 1.0, cx))
    y, x, turn = line.view(1, -1, 1) - cy, line.view(1, 1, -1) - cx, draw.even(0, math.pi)
    u, v = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    coarse, middle, fine = (draw.noise(side, cells) for cells in (4, 10, 28))
    a = draw.wide(0.008, 0.35)
    b, ragged = (a * draw.wide(0.4, 2.5)).clamp(0.008, 0.5), draw.even(0, 0.5)
    oval = torch.hypot(u / a, v / b) + ragged * 0.5 * (middle + fine)  # edges are seldom smooth
    boxed = torch.maximum((u / a).abs(), (v / b).abs()) + ragged * 0.5 * middle
    long, thin = draw.wide(0.04, 0.5), draw.wide(0.003, 0.014)
    bent = v + draw.even(0, 0.06) * coarse + draw.even(0, 0.03) * middle + draw.even(0, 0.012) * fine
    crack = bent.abs() / (thin * (1 - (u / long).square()).clamp_min(1e-3).sqrt()) + 99 * ((u / long).abs() >= 1)
    cloud = coarse + draw.even(0, 1) * middle + draw.even(0, 0.6) * fine
    blot = 1 + draw.even(0.8, 2) - cloud / cloud.std((1, 2), keepdim=True) + draw.even(0, 3) * torch.hypot(x, y)
    beyond = 1 + u / draw.even(0.05, 0.3) + draw.even(0, 0.5) * coarse + draw.even(0, 0.3) * middle
    kind = draw.kind(6)
    reach = torch.where(kind < 2, oval, torch.where(kind == 2, crack, torch.where(kind == 3, blot, boxed)))
    reach = torch.where(kind == 5, beyond, reach)
    hard = torch.where(kind == 2, 2.0, draw.wide(1.5, 30))  # soft shades to sharp edges
    mask = ((1 - reach) * hard + 0.5).clamp(0, 1)
    rim = ((1.35 - reach) * 4).clamp(0, 1) * (1 - mask) * ((kind < 2) & (a < 0.06) & (draw.even(0, 1) < 0.5))
    most = mask.mean((1, 2), keepdim=True) > 0.5  # then what is left is the fault
    return torch.where(most, 1 - mask, mask), rim * ~most
