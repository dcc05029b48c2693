"""Rows of token numbers changed at random: places hidden, left out or cut away; and pairs of parts. Pure functions on
batches (B, T) int64 in which 0 fills up what lies behind an item's end.
"""

import torch
from torch import Tensor

SEGMENT = 1 << 20  # a view's number is the token, plus this in the second part of a pair


def lengths(ids: Tensor) -> Tensor:
    """Tokens of each item up to its end (B,), from (B, T).

    >>> lengths(torch.tensor([[5, 0, 7, 0, 0], [0, 0, 0, 0, 0]])).tolist()
    [3, 0]
    """
    place = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    return ((ids != 0) * place).amax(1)


def hidden(u: Tensor, free: Tensor, share: float) -> Tensor:
    """Which places are foretold (B, T) bool: each free one with probability `share`, and at least one of each item.

    Args:
        u: (B, T) uniform in 0 to 1.
        free: (B, T) bool, the places that may be taken.
        share: 0 to 1.
    """
    u = u.masked_fill(~free, 2.0)
    first = torch.zeros_like(free).scatter_(1, u.argmin(1, keepdim=True), True)
    return free & ((u < share) | first)


def masked(ids: Tensor, chosen: Tensor, u: Tensor, mask: int, low: int, high: int) -> Tensor:
    """The rows with chosen places hidden: of ten, eight show the mask, one another token, one itself (Devlin et al.
    2018, arXiv:1810.04805, appendix A.1).

    Args:
        ids: (B, T).
        chosen: (B, T) bool.
        u: (B, T) uniform in 0 to 1.
        mask: number of the mask token.
        low: first number of ordinary tokens.
        high: number behind their last.
    """
    other = low + ((u - 0.8).clamp(0, 0.1) * 10 * (high - low)).long().clamp(max=high - low - 1)
    out = torch.where(chosen & (u < 0.8), mask, ids)
    return torch.where(chosen & (u >= 0.8) & (u < 0.9), other, out)


def without(ids: Tensor, gone: Tensor) -> Tensor:
    """The rows with some places left out and the rest moved together (B, T).

    >>> without(torch.tensor([[2, 5, 6, 3, 0]]), torch.tensor([[False, True, False, False, False]])).tolist()
    [[2, 6, 3, 0, 0]]
    """
    order = gone.to(torch.int8).argsort(dim=1, stable=True)
    return ids.gather(1, order).masked_fill(gone.gather(1, order), 0)


def cuts(ids: Tensor, ends: Tensor) -> Tensor:
    """Where each item is parted in two (B,): behind the end of a sentence that is nearest to its middle, else there.

    Args:
        ids: (B, T), each with a token of its own at its beginning and its end.
        ends: (V,) bool, tokens that end a sentence.
    """
    length = lengths(ids)[:, None]
    place = torch.arange(ids.shape[1], device=ids.device)
    middle = (length / 2).floor()
    allowed = ends[ids] & (place > 0) & (place < length - 2)
    far = (place - middle).abs().masked_fill(~allowed, 1e6)
    near, at = far.min(1)
    usual = (middle[:, 0].long() - 1).clamp(min=1)
    return torch.where(near < 1e6, at, usual) + 1


def pairs(first: Tensor, second: Tensor, at: Tensor, start: Tensor, sep: int, most: Tensor | None = None) -> Tensor:
    """The first parts of items followed by the second parts of others (B, T), which are numbered as a second segment.

    Args:
        first: (B, T) items whose beginning, up to `at`, is taken.
        second: (B, T) items whose rest, from `start`, is taken; what does not fit is cut off before the end.
        at: (B,) from `cuts` of the first.
        start: (B,) from `cuts` of the second.
        sep: the token that ends a part.
        most: (B,) tokens of the rest that are taken at most; all that fit where not given.
    """
    wide = first.shape[1]
    place = torch.arange(wide, device=first.device).expand_as(first)
    at, start = at.clamp(max=wide - 3)[:, None], start[:, None]
    rest = (lengths(second)[:, None] - 1 - start).clamp(min=1)
    rest = torch.minimum(rest, wide - at - 2)
    rest = rest if most is None else torch.minimum(rest, most[:, None].clamp(min=1))
    source = (start + place - at - 1).clamp(0, wide - 1)
    out = torch.where(place < at, first, second.gather(1, source) + SEGMENT)
    out = torch.where(place == at, sep, out)
    out = torch.where(place == at + 1 + rest, sep + SEGMENT, out)
    return out.masked_fill(place > at + 1 + rest, 0)
