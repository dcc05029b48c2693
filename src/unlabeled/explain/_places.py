"""Places of a view: hiding them, and laying a value a token out over them."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError

BLOCKS = {1: 64, 2: 16}  # along each side of a series, of a picture
AT_ONCE = 64  # views that are looked at together
Hide = Literal["mean", "blur"]


def sides(views: Tensor) -> tuple[int, ...]:
    """The places of views (B, C, ...), or of rows of words (B, T), which are whole numbers and have no channels."""
    return tuple(views.shape[2 if views.is_floating_point() else 1 :])


def hidden(views: Tensor, how: Hide, nothing: int = 0) -> Tensor:
    """Views (B, C, ...) in which nothing is to be seen: each channel's mean, which is 0, or all but a strong blur gone.

    The first channel of a series (B, C, T) says where the recording is, and stays. In rows of words (B, T) every word
    between beginning and end is `nothing`.

    >>> hidden(torch.ones(1, 2, 16), "mean").sum((0, 2)).tolist()
    [16.0, 0.0]
    >>> hidden(torch.tensor([[2, 7, 8, 3, 0]]), "mean", 4).tolist()
    [[2, 4, 4, 3, 0]]
    """
    if not views.is_floating_point():
        place = torch.arange(views.shape[1], device=views.device)
        last = ((views != 0) * place).amax(1, keepdim=True)
        return torch.where((place > 0) & (place < last), nothing, views)
    out = torch.zeros_like(views) if how == "mean" else blurred(views)
    if views.ndim == 3:
        out[:, 0] = views[:, 0]
    return out


def inside(views: Tensor) -> Tensor | None:
    """Which moments of a recording, or words of a text, are there and not behind the end (B, T); None for pictures.

    >>> inside(torch.tensor([[2, 7, 8, 3, 0]]))
    tensor([[False,  True,  True, False, False]])
    """
    if not views.is_floating_point():
        return hidden(views, "mean", -1) == -1
    return views[:, 0] > 0.5 if views.ndim == 3 else None


def blurred(views: Tensor) -> Tensor:
    """Views (B, C, ...) seen through a Gaussian an eighth of the side wide, mirrored at the edges."""
    out = views
    for axis in range(2, views.ndim):
        side = views.shape[axis]
        reach = min(side - 1, max(1, 3 * side // 8))
        at = torch.arange(-reach, reach + 1, device=views.device, dtype=views.dtype)
        kernel = torch.exp(-0.5 * (8 * at / side) ** 2)
        line = out.movedim(axis, -1)
        flat = functional.pad(line.reshape(-1, 1, side), (reach, reach), mode="reflect")
        out = functional.conv1d(flat, (kernel / kernel.sum()).view(1, 1, -1)).view(line.shape).movedim(-1, axis)
    return out


def grid(tokens: int, places: tuple[int, ...]) -> tuple[int, ...]:
    """How many tokens lie along each side of a view, row by row.

    Raises:
        UserError: when so many tokens cannot cover such a view evenly.

    >>> grid(16, (64, 64)), grid(8, (128,)), grid(32, (64, 128))
    ((4, 4), (8,), (4, 8))
    """
    if len(places) == 1:
        return (tokens,)
    high = max(1, round((tokens * places[0] / places[1]) ** 0.5)) if len(places) == 2 else 0
    if not high or high * (tokens // high) != tokens:
        raise UserError(
            f"{tokens} tokens do not cover a view of {' x '.join(map(str, places))} places evenly", "take occlusion"
        )
    return high, tokens // high


def spread(values: Tensor, places: tuple[int, ...]) -> Tensor:
    """Values a token (B, T) as values a place (B, ...), smooth between the tokens' middles."""
    small = values.float().view(len(values), 1, *grid(values.shape[1], places))
    mode = "linear" if len(places) == 1 else "bilinear"
    return functional.interpolate(small, places, mode=mode, align_corners=False)[:, 0]


def pooled(maps: Tensor) -> Tensor:
    """Maps (B, ...) at the size at which they are ranked and compared: means of BLOCKS along each side at most.

    >>> pooled(torch.ones(2, 64, 64)).shape, pooled(torch.ones(2, 40)).shape
    (torch.Size([2, 16, 16]), torch.Size([2, 40]))
    """
    maps = maps.detach().float().cpu()
    most = BLOCKS[maps.ndim - 1]
    if maps.ndim == 2:
        return functional.adaptive_avg_pool1d(maps[:, None], min(most, maps.shape[1]))[:, 0]
    sides = min(most, maps.shape[1]), min(most, maps.shape[2])
    return functional.adaptive_avg_pool2d(maps[:, None], sides)[:, 0]
