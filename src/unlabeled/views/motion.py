"""What changes a batch of series: crops and bends of time, gain, hiding, holding, and the channels that tell gaps.

Batches are (B, V, T) float32 with NaN where nothing was measured; `length` (B,) says where each recording ends.
"""

import math

import torch
from torch import Tensor


def lengths(inside: Tensor) -> Tensor:
    """Steps of each recording (B,) int64 from the channel (B, T) that is 1 inside of it."""
    return (inside > 0.5).sum(1).clamp(min=1)


def resample(x: Tensor, at: Tensor, smooth: bool) -> Tensor:
    """Values (B, V, T) at the places `at` (B, S) in steps: between two steps in a straight line, or of the step before.

    >>> resample(torch.tensor([[[0.0, 10.0, 20.0]]]), torch.tensor([[0.5, 2.0]]), True).tolist()
    [[[5.0, 20.0]]]
    """
    last = x.shape[2] - 1
    low = at.floor().clamp(0, last)
    first = x.gather(2, low.long()[:, None].expand(-1, x.shape[1], -1))
    if not smooth:
        return first
    second = x.gather(2, (low + 1).clamp(max=last).long()[:, None].expand(-1, x.shape[1], -1))
    return torch.lerp(first, second, (at - low).clamp(0, 1)[:, None])


def places(length: Tensor, start: Tensor, share: Tensor, bend: Tensor, phase: Tensor, size: int) -> Tensor:
    """Where a random crop looks (B, size): from `start` on over `share` of each recording, time bent by a sine.

    Args:
        length: (B,) steps of the recordings.
        start: (B,) 0 to 1, where in what is left over the crop begins.
        share: (B,) 0 to 1, of the recording.
        bend: (B,) -1 to 1; below 1 time never runs backward.
        phase: (B,) 0 to 1, where time is pressed.
        size: steps of the view.
    """
    steps = torch.arange(size, device=length.device) / max(1, size - 1)
    whole = (length - 1)[:, None].float()
    tau = (
        (steps * (size - 1)).expand(len(length), -1) / whole.clamp(min=1) if size > 1 else steps.expand(len(length), -1)
    )
    tau = tau.clamp(0, 1)
    angle = 2 * math.pi
    moved = tau + bend[:, None] / angle * ((angle * (tau + phase[:, None])).sin() - (angle * phase[:, None]).sin())
    span = share[:, None] * whole
    return start[:, None] * (whole - span) + moved.clamp(0, 1) * span


def permute(at: Tensor, length: Tensor, u: Tensor, pieces: Tensor) -> Tensor:
    """Places (B, T) with each recording's steps cut into equal pieces that change places.

    Args:
        at: (B, T) places of a view's steps.
        length: (B,) steps inside.
        u: (B, most) uniform draws that order the pieces.
        pieces: (B,) int64, 1 to most.
    """
    b, t = at.shape
    most = u.shape[1]
    numbers = torch.arange(most, device=at.device)
    order = torch.where(numbers < pieces[:, None], u, 2.0 + numbers).argsort(1)  # (B, most): which piece comes when
    step = torch.arange(t, device=at.device).expand(b, -1)
    wide = (length[:, None] / pieces[:, None].clamp(min=1)).clamp(min=1)
    slot = (step / wide).floor().long().clamp(max=most - 1)
    source = order.gather(1, slot) * wide + (step - slot * wide)
    source = torch.where(step < length[:, None], source, step.float()).round().long().clamp(0, t - 1)
    return at.gather(1, source)


def latest(known: Tensor) -> Tensor:
    """The last step at which each value was measured (B, V, T) int64, -1 before the first.

    >>> latest(torch.tensor([[[False, True, False, False]]])).tolist()
    [[[-1, 1, 1, 1]]]
    """
    last = torch.where(known, torch.arange(known.shape[2], device=known.device), -1)
    if not torch.compiler.is_exporting():
        return last.cummax(2).values
    reach = 1  # other runtimes have no running maximum: the same at twice the reach each time, which is slower
    while reach < last.shape[2]:
        last = torch.cat([last[..., :reach], torch.maximum(last[..., reach:], last[..., :-reach])], 2)
        reach *= 2
    return last


def fill(x: Tensor) -> Tensor:
    """Every missing value (B, V, T) replaced by the last one measured before it, and by 0 before the first.

    >>> fill(torch.tensor([[[float("nan"), 2.0, float("nan"), 3.0]]])).tolist()
    [[[0.0, 2.0, 2.0, 3.0]]]
    """
    last = latest(~x.isnan())
    return torch.where(last >= 0, x.nan_to_num().gather(2, last.clamp(min=0)), 0.0)


def gaps(known: Tensor) -> Tensor:
    """How long ago each variable was last measured (B, V, T), 0 to 1: the logarithm of the steps over that of all."""
    steps = torch.arange(known.shape[2], device=known.device)
    return (steps - latest(known)).float().log1p() / math.log1p(known.shape[2])


def hide(x: Tensor, hidden: Tensor) -> Tensor:
    """Values (B, V, T) taken away where `hidden` (broadcast) is true: NaN, as if never measured."""
    return x.masked_fill(hidden, float("nan"))


def hold(x: Tensor, every: int) -> Tensor:
    """Values (B, V, T) of which only each `every`-th step is measured and held until the next.

    >>> hold(torch.arange(5.0).view(1, 1, 5), 2).tolist()
    [[[0.0, 0.0, 2.0, 2.0, 4.0]]]
    """
    at = torch.arange(x.shape[2], device=x.device) // every * every
    return x[:, :, at]


def piece(view: Tensor, first: Tensor, count: Tensor, width: int) -> Tensor:
    """A part of each view (B, C, T) as a recording of its own (B, C, width): `count` steps from `first` on, 0 behind.

    Args:
        view: its first channel is 1 inside the recording.
        first: (B,) int64, 0 or more.
        count: (B,) int64.
        width: steps that are given.

    >>> piece(torch.arange(1.0, 6).view(1, 1, 5), torch.tensor([3]), torch.tensor([4]), 3).tolist()
    [[[4.0, 5.0, 0.0]]]
    """
    step = torch.arange(width, device=view.device)
    at = first[:, None] + step
    there = (step < count[:, None]) & (at < view.shape[2])
    at = at.clamp(max=view.shape[2] - 1)[:, None].expand(-1, view.shape[1], -1)
    return view.gather(2, at) * there[:, None]


def stretches(u: Tensor, ratio: float, length: float) -> Tensor:
    """Stretches of time to hide: bool of the shape of `u` (..., T), whose numbers are uniform in 0 to 1.

    Stretches and the gaps between them have geometric lengths, those hidden `length` steps in the mean (Zerveas et al.
    2020, arXiv:2010.02803, section 3.2).

    Args:
        u: random numbers.
        ratio: share of the time that is hidden, above 0 and below 1.
        length: mean steps of a stretch, 1 or more.
    """
    ends, starts = 1 / length, ratio / (1 - ratio) / length
    hidden = u[..., 0] < ratio
    out = [hidden]
    for now in u[..., 1:].unbind(-1):
        hidden = torch.where(hidden, now >= ends, now < starts)
        out.append(hidden)
    return torch.stack(out, -1)
