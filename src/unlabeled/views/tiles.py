"""Pictures as tiles: cut with random gaps, laid out in another order, and orders that differ everywhere."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from unlabeled.errors import UserError

MOST = 10_000  # orders that are set apart


def far_apart(tiles: int, count: int, pool: int = 2000) -> Tensor:
    """Orders of tiles that differ from each other in as many places as can be (Noroozi and Favaro 2016, Alg. 1).

    Each next order is the one farthest from those chosen, in Hamming distance to the nearest, out of a fixed random
    pool; the same arguments give the same orders everywhere.

    Args:
        tiles: how many tiles, 2 or more.
        count: how many orders, 2 or more; fewer are given where there are not so many.
        pool: how many orders are looked at for each choice.

    Returns:
        (count, tiles) int64.

    Raises:
        UserError: for fewer than two tiles or orders.

    >>> far_apart(4, 3).shape
    torch.Size([3, 4])
    """
    if tiles < 2 or count < 2:
        raise UserError(f"{count} orders of {tiles} tiles were asked for", "take at least two of each")
    if count > MOST:  # each is set against all others
        raise UserError(f"{count} orders of {tiles} tiles were asked for", f"take at most {MOST}")
    return torch.from_numpy(_far_apart(tiles, count, pool).copy())


@cache
def _far_apart(tiles: int, count: int, pool: int) -> np.ndarray:
    draw = np.random.default_rng(tiles)
    candidates = np.unique(np.stack([draw.permutation(tiles) for _ in range(max(pool, 4 * count))]), axis=0)
    chosen = [0]
    nearest = (candidates != candidates[0]).sum(1)
    while len(chosen) < min(count, len(candidates)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, (candidates != candidates[chosen[-1]]).sum(1))
    return candidates[chosen].astype(np.int64)


def cut(x: Tensor, grid: int, gap: float, places: Tensor) -> Tensor:
    """Cut each picture into tiles, each a random part of its cell.

    Args:
        x: (B, C, S, S).
        grid: cells along a side.
        gap: share of a cell's side that is left out, 0 to 1.
        places: (B, grid * grid, 2) uniform in 0 to 1: where in its cell a tile lies, down and across.

    Returns:
        (B, grid * grid, C, T, T), row by row.

    Raises:
        UserError: when the pictures are too small.
    """
    cell = x.shape[-1] // grid
    side = max(1, round(cell * (1 - gap)))
    if cell < 2:
        raise UserError(f"pictures of {x.shape[-1]} px hold no {grid} x {grid} tiles", "take larger views")
    number = torch.arange(grid * grid, device=x.device)
    free = (places * (cell - side + 1)).long().clamp(max=cell - side)
    top = (number // grid * cell) + free[..., 0]  # (B, tiles)
    left = (number % grid * cell) + free[..., 1]
    along = torch.arange(side, device=x.device)
    rows, columns = top[..., None] + along, left[..., None] + along  # (B, tiles, T)
    item = torch.arange(len(x), device=x.device)[:, None, None, None]
    return x.permute(0, 2, 3, 1)[item, rows[..., None], columns[:, :, None]].permute(0, 1, 4, 2, 3)


def lay(tiles: Tensor, order: Tensor, size: int) -> Tensor:
    """Lay tiles out as a picture, each in the middle of its cell, zeros between them.

    Args:
        tiles: (B, n * n, C, T, T).
        order: (B, n * n) int64: which tile goes to each place, row by row.
        size: side S of the picture in pixels, at least n * T.

    Returns:
        (B, C, S, S).
    """
    items, count, channels, side, _ = tiles.shape
    grid = round(count**0.5)
    cell = size // grid
    shuffled = tiles[torch.arange(items, device=tiles.device)[:, None], order]
    before = (cell - side) // 2
    padded = torch.nn.functional.pad(shuffled, (before, cell - side - before) * 2)
    whole = padded.view(items, grid, grid, channels, cell, cell).permute(0, 3, 1, 4, 2, 5)
    whole = whole.reshape(items, channels, grid * cell, grid * cell)
    rest = size - grid * cell
    return torch.nn.functional.pad(whole, (rest // 2, rest - rest // 2) * 2)
