"""Views cut into patches and put together again: squares of pictures, pieces of time."""

from torch import Tensor

from unlabeled.errors import UserError


def cut(view: Tensor, size: int) -> Tensor:
    """A view in patches that do not overlap: (B, C, H, W) to (B, T, size * size * C) row by row, (B, C, T) to
    (B, T / size, size * C).

    Raises:
        UserError: when `size` does not divide the sides.
    """
    sides = tuple(view.shape[2:])
    if any(side % size for side in sides):
        what = "pixels" if len(sides) == 2 else "steps"
        told = " x ".join(map(str, sides))
        raise UserError(f"{told} {what} cannot be cut into patches of {size}", "take a patch size that divides them")
    b, c = view.shape[:2]
    if len(sides) == 1:
        return view.reshape(b, c, -1, size).permute(0, 2, 3, 1).flatten(2)
    high, wide = (side // size for side in sides)
    return view.reshape(b, c, high, size, wide, size).permute(0, 2, 4, 3, 5, 1).reshape(b, high * wide, -1)


def joined(patches: Tensor, size: int, space: int) -> Tensor:
    """The inverse of `cut`: (B, T, D) to square views (B, C, S, S), or with `space` 1 to (B, C, T * size).

    Raises:
        UserError: when so many patches of so many numbers make no such view.

    >>> import torch
    >>> view = torch.randn(2, 3, 8, 8)
    >>> torch.equal(joined(cut(view, 4), 4, 2), view)
    True
    """
    b, t, d = patches.shape
    side, c = round(t**0.5), d // size**space
    if c * size**space != d or (space == 2 and side * side != t):
        what = "square picture" if space == 2 else "series"
        raise UserError(f"{t} patches of {d} numbers make no {what}", f"give patches of {size} to a side")
    if space == 1:
        return patches.reshape(b, t, size, c).permute(0, 3, 1, 2).reshape(b, c, t * size)
    whole = patches.reshape(b, side, side, size, size, c)
    return whole.permute(0, 5, 1, 3, 2, 4).reshape(b, c, side * size, side * size)
