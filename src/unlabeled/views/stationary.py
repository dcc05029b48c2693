"""How far around a moment a series stays as it is: the augmented Dickey-Fuller test on many series at once.

Said and Dickey 1984 (doi:10.1093/biomet/71.3.599), with a constant; probabilities after MacKinnon 1994
(doi:10.1080/07350015.1994.10510032).
"""

import torch
from torch import Tensor

# MacKinnon 1994, tables 3 and 4, one series and a constant: for statistics up to -1.61, and above
SMALL, LARGE = (2.1659, 1.4412, 0.038269), (1.7339, 0.93202, -0.12745, -0.010368)
TURN, LEAST, MOST = -1.61, -18.83, 2.74
LAGS = 1  # earlier changes: enough for one oscillation, and windows of 64 steps can bear no more


def statistic(x: Tensor, within: Tensor, lags: int) -> Tensor:
    """The t value (N,) of the level in the regression of a step's change on level, constant and earlier changes.

    Args:
        x: (N, T) series.
        within: (N, T) bool, which steps are looked at, without gaps.
        lags: how many earlier changes.

    Returns:
        Float64; far below 0 for a series that comes back to its mean, minus infinity for one that never moves, 0 where
        the steps do not suffice.
    """
    x = x.double()
    change = x.diff(dim=1)  # (N, T - 1)
    rows = slice(lags, None)
    columns = [torch.ones_like(change[:, rows]), x[:, lags:-1]]
    columns += [change[:, lags - k : change.shape[1] - k] for k in range(1, lags + 1)]
    design = torch.stack(columns, 2)  # (N, T - 1 - lags, 2 + lags)
    use = torch.stack([within[:, k : within.shape[1] - 1 - lags + k] for k in range(lags + 2)]).all(0)
    weighted = design * use[..., None]
    product = weighted.transpose(1, 2) @ design
    size = product.diagonal(dim1=1, dim2=2).clamp(min=1e-12)
    product = product + torch.diag_embed(1e-10 * size)  # what does not move at all stays solvable
    inverse = torch.linalg.inv(product)
    fit = inverse @ (weighted.transpose(1, 2) @ change[:, rows, None])
    error = ((change[:, rows] - (design @ fit)[..., 0]) * use).square().sum(1)
    free = use.sum(1) - design.shape[2]
    t = fit[:, 1, 0] / (error / free.clamp(min=1) * inverse[:, 1, 1]).clamp(min=1e-30).sqrt()
    still = (change.square() * within[:, 1:]).sum(1) < 1e-12
    return torch.where(free < 1, 0.0, t).masked_fill(still, -torch.inf)


def probability(t: Tensor) -> Tensor:
    """How probable a statistic (N,) that low is where a series only adds up chance (N,), 0 to 1.

    >>> [round(p, 3) for p in probability(torch.tensor([-3.43, -2.86, -2.57])).tolist()]  # the usual critical values
    [0.01, 0.05, 0.099]
    """
    s = t.double().clamp(LEAST, MOST)
    low = SMALL[0] + SMALL[1] * s + SMALL[2] * s**2
    high = LARGE[0] + LARGE[1] * s + LARGE[2] * s**2 + LARGE[3] * s**3
    p = torch.special.ndtr(torch.where(s <= TURN, low, high))
    return torch.where(t <= LEAST, 0.0, torch.where(t >= MOST, 1.0, p))


def reach(x: Tensor, length: Tensor, middle: Tensor, unit: int, most: int, level: float = 0.01) -> Tensor:
    """How many units around a moment the variables (B, V, T) come back to their means, (B,) int64 from 1 to `most`.

    The neighbourhood grows by a unit on either side until the variables' mean probability reaches the level, as in the
    code of TNC's authors.

    Args:
        x: values, 0 behind the ends.
        length: (B,) steps of the recordings.
        middle: (B,) int64 moments.
        unit: steps.
        most: units.
        level: of the test.
    """
    if most < 2:
        return torch.ones_like(middle)
    b, v, t = x.shape
    out, grows = torch.ones_like(middle), torch.ones_like(middle, dtype=torch.bool)
    step = torch.arange(t, device=x.device)
    for k in range(1, most + 1):
        near = (step - middle[:, None]).abs() <= k * unit
        near &= step < length[:, None]
        found = statistic(x.reshape(b * v, t), near.repeat_interleave(v, 0), LAGS)
        grows &= probability(found).view(b, v).mean(1) < level
        out = torch.where(grows, k, out)
    return out
