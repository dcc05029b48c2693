"""A bank of small fixed filters on a pyramid of the picture: the answers, and how each stands out from its own picture.

Networks need many pictures before their first layers tell an edge from a dot; derivatives at several scales tell it at
once (Koenderink and van Doorn 1987, doi:10.1007/BF00318371). In units of the spread that an answer has in its own
picture neither light nor the grain of a material is unusual, and a dent in it is; as they are, answers tell of a grain
that is another all over the picture.
"""

import torch
from torch import Tensor
from torch.nn import functional

GRID = 48  # places along a side, at most
COARSEST = 12  # places along a side of the last level
GAIN = 8.0  # brings derivatives of logarithms of brightness to about 1
FLOOR = 0.1  # added to brightness before its logarithm, in units of the median: darkness is noise


def answers(x: Tensor) -> Tensor:
    """What the bank sees at each place of pictures.

    Args:
        x: (B, C, S, S), 0 to 1; C = 1, or more, of which the differences from their mean are colours.

    Returns:
        (B, 2 E + 2, G, G) float32 with G = 48, or S / 2 for sides below 96: E answers in units of their own picture,
        how far out the place lies, and the E answers as they are.

    >>> answers(torch.rand(2, 1, 96, 96)).shape[2:]
    torch.Size([48, 48])
    """
    levels, grid = _pyramid(x), min(GRID, x.shape[-1] // 2)
    seen: list[Tensor] = []  # derivatives, signed or not
    plain: list[Tensor] = []  # brightness and roughness, which say something by themselves too
    for p in levels:
        fine = p.shape[-1] > grid
        seen += _slopes(p, grid)
        if 2 * p.shape[-1] >= grid and p.shape[-1] <= 2 * grid:
            wide = p.shape[-1] // 6 | 1  # against what lies above and below, beside, and around
            gaps = torch.cat([p - box(p, wide, 1), p - box(p, 1, wide), p - box(p, wide, wide)], 1)
            seen += _pooled(gaps, grid) if fine else [_to(gaps, grid)]
        if fine:
            rough = functional.adaptive_avg_pool2d(p * p, grid) - functional.adaptive_avg_pool2d(p, grid).square()
            near, far = ((box(rough.clamp_min(0), w, w) + 1e-5).log() for w in (3, 15))
            plain += [near, near - far]
        else:
            plain.append(_to(p, grid))
    brightness = [_to(p, grid) for p in levels if p.shape[-1] <= grid][:2]
    for q in [*brightness, plain[0]]:  # against the rest of its row and of its column
        plain += [q - q.median(2, keepdim=True).values, q - q.median(3, keepdim=True).values]
    if x.shape[1] > 1:
        colours = functional.adaptive_avg_pool2d(x - x.mean(1, keepdim=True), grid)
        plain += [colours, functional.max_pool2d(colours.abs(), 3, 1, 1)]
    kept = torch.cat(plain, 1)
    every = torch.cat([*seen, kept], 1)
    middle = every.flatten(2).median(2).values[..., None, None]
    spread = (every - middle).abs().mean((2, 3), keepdim=True)
    unit = (every - middle) / (spread + 1e-4)
    out = (((torch.arange(grid, device=x.device) + 0.5) / grid) - 0.5).abs()  # how far out: edges are like no middle
    where = torch.stack([out.expand(grid, grid), out[:, None].expand(grid, grid)]).expand(len(x), -1, -1, -1)
    return torch.cat([_soft(unit), where, _soft(torch.cat(seen, 1) * GAIN), kept], 1)


def as_they_are(seen: Tensor) -> Tensor:
    """The answers as they are (B, E, G, G), of what `answers` gave."""
    return seen[:, seen.shape[1] // 2 + 1 :]


def _soft(x: Tensor) -> Tensor:
    """Small numbers as they are, large ones by their logarithm."""
    return x.sign() * x.abs().log1p()


def _pyramid(x: Tensor) -> list[Tensor]:
    """Logarithms of brightness over its median (B, 1, s, s), each level half as large as the one before."""
    grey = x.mean(1, keepdim=True)
    middle = grey.flatten(1).median(1).values.clamp_min(0.02).view(-1, 1, 1, 1)
    levels = [(grey / middle + FLOOR).log()]
    soft = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device) / 8
    while levels[-1].shape[-1] >= 2 * COARSEST:
        p = functional.pad(levels[-1], (1, 1, 1, 1), mode="replicate")
        p = functional.conv2d(p, soft.view(1, 1, 4, 1), stride=(2, 1))
        levels.append(functional.conv2d(p, soft.view(1, 1, 1, 4), stride=(1, 2)))
    return levels


def _slopes(p: Tensor, grid: int) -> list[Tensor]:
    """First and second derivatives of a level, brought to the grid."""
    kernels = torch.tensor(
        [
            [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
            [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
            [[1, -2, 1], [2, -4, 2], [1, -2, 1]],
            [[1, 2, 1], [-2, -4, -2], [1, 2, 1]],
            [[2, 0, -2], [0, 0, 0], [-2, 0, 2]],
        ],
        dtype=p.dtype,
        device=p.device,
    )
    found = functional.conv2d(functional.pad(p, (1, 1, 1, 1), mode="replicate"), kernels[:, None] / 8)
    found = torch.cat([found, found[:, 2:3] + found[:, 3:4]], 1)
    if p.shape[-1] > grid:
        return [functional.adaptive_avg_pool2d(found.abs(), grid), *_pooled(found, grid)[1:]]
    return [_to(found, grid)] + ([_to(box(found.abs(), 3, 3), grid)] if 2 * p.shape[-1] >= grid else [])


def _pooled(x: Tensor, grid: int) -> list[Tensor]:
    """Mean, maximum and minimum over each place of the grid."""
    high, low = functional.adaptive_max_pool2d(x, grid), -functional.adaptive_max_pool2d(-x, grid)
    return [functional.adaptive_avg_pool2d(x, grid), high, low]


def _to(x: Tensor, grid: int) -> Tensor:
    return x if x.shape[-1] == grid else functional.interpolate(x, (grid, grid), mode="bilinear")


def box(x: Tensor, high: int, wide: int) -> Tensor:
    """Means over windows of odd sides, of pictures (B, C, H, W) whose edges go on outside."""
    x = functional.pad(x, (wide // 2, wide // 2, 0, 0), mode="replicate")
    x = functional.avg_pool2d(x, (1, wide), 1)
    x = functional.pad(x, (0, 0, high // 2, high // 2), mode="replicate")
    return functional.avg_pool2d(x, (high, 1), 1)
