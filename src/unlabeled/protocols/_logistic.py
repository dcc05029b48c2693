"""L2 multinomial logistic regression for many penalties and subsets of the same items at once, by L-BFGS.

Problem p minimises  sum_i w_pi CE(softmax(z_i A_p + b_p), y_i) + strength_p / 2 |A_p|^2  with item weights w_p that sum to 1.
All problems share the matrix products; each has its own history, step and end. The search starts from the diagonal of Boehning's
(1992) bound on the Hessian, which is near the truth once the features are rotated to their principal axes, and the line search needs
no further matrix product because logits are linear along a line.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 10
TRIES = 12


@dataclass(frozen=True)
class Solution:
    """What the search found for P problems.

    Args:
        weights: (C, P, R + 1), the last column being the intercept.
        objective: (P,).
        converged: (P,) bool.
        logits: (C, P, N) of all items, those of weight 0 too.
    """

    weights: Tensor
    objective: Tensor
    converged: Tensor
    logits: Tensor


def solve(
    z: Tensor, y: Tensor, items: Tensor, strength: Tensor, start: Tensor, tolerance: float, steps: int
) -> Solution:
    """Fit P problems.

    Args:
        z: (N, R + 1) features, the last column ones.
        y: (N,) class numbers, all of 0..C-1.
        items: (P, N) weights of the items, each row summing to 1.
        strength: (P,) of the penalty, above 0.
        start: (C, P, R + 1) first weights.
        tolerance: the search ends when the expected gain is below this share of the objective.
        steps: most steps of the search.
    """
    classes, problems, width = start.shape
    target = torch.zeros(classes, 1, len(y), dtype=z.dtype).scatter_(0, y[None, None], 1.0)
    penalty = strength[:, None].expand(problems, width).clone()
    penalty[:, -1] = 0
    scale = 1 / (0.5 * (items @ z.square()) + penalty).clamp_min(torch.finfo(z.dtype).tiny)  # (P, R + 1)

    out = Solution(start.clone(), torch.zeros(problems, dtype=z.dtype), torch.zeros(problems, dtype=torch.bool), (start.reshape(-1, width) @ z.T).view(classes, problems, -1))  # fmt: skip
    live = torch.arange(problems)
    weights, logits = out.weights.clone(), out.logits.clone()
    loss, residual = _loss(logits, target, items)
    objective = loss + 0.5 * (penalty * weights.square()).sum((0, 2))
    gradient = (residual.reshape(-1, len(y)) @ z).view_as(weights) + penalty * weights
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(steps):
        direction = _direction(gradient, scale, history)
        slope = (gradient * direction).sum((0, 2))
        done = -slope <= tolerance * objective
        if done.any():
            ended, keep = live[done], ~done
            out.weights[:, ended], out.objective[ended], out.logits[:, ended] = (
                weights[:, done],
                objective[done],
                logits[:, done],
            )
            out.converged[ended] = True
            live, items, penalty, scale = live[keep], items[keep], penalty[keep], scale[keep]
            if not len(live):
                return out
            weights, logits, gradient, direction = (
                weights[:, keep],
                logits[:, keep],
                gradient[:, keep],
                direction[:, keep],
            )
            objective, slope = objective[keep], slope[keep]
            history = [(s[:, keep], g[:, keep], r[keep]) for s, g, r in history]
        along = (direction.reshape(-1, width) @ z.T).view_as(logits)
        step, objective, residual = _search(logits, along, weights, direction, target, items, penalty, objective, slope)
        move = step[:, None] * direction
        weights = weights + move
        logits = logits + step[:, None] * along
        fresh = (residual.reshape(-1, len(y)) @ z).view_as(weights) + penalty * weights
        change = fresh - gradient
        curvature = (move * change).sum((0, 2))
        history = [*history[-MEMORY + 1 :], (move, change, torch.where(curvature > 0, 1 / curvature, 0.0))]
        gradient = fresh
    out.weights[:, live], out.objective[live], out.logits[:, live] = weights, objective, logits
    return out


def _loss(logits: Tensor, target: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy (P,) and its gradient in the logits (C, P, N)."""
    top = logits.amax(0)
    raised = (logits - top).exp_()
    total = raised.sum(0)
    loss = ((total.log() + top - (logits * target).sum(0)) * items).sum(1)
    return loss, (raised / total).sub_(target).mul_(items)


def _direction(gradient: Tensor, scale: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The two loops of L-BFGS, per problem (Nocedal & Wright, algorithm 7.4)."""
    q = gradient.clone()
    shares = []
    for move, change, inverse in reversed(history):
        share = inverse * (move * q).sum((0, 2))
        q -= share[:, None] * change
        shares.append(share)
    q *= scale
    if history:
        move, change, inverse = history[-1]
        fit = (move * change).sum((0, 2)) / (change.square() * scale).sum((0, 2))
        q *= torch.where(inverse > 0, fit, 1.0)[:, None]
    for (move, change, inverse), share in zip(history, reversed(shares), strict=True):
        q += (share - inverse * (change * q).sum((0, 2)))[:, None] * move
    return -q


def _search(
    logits: Tensor,
    along: Tensor,
    weights: Tensor,
    direction: Tensor,
    target: Tensor,
    items: Tensor,
    penalty: Tensor,
    objective: Tensor,
    slope: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """A step (P,) at which the slope has fallen to half and the objective has fallen, its objective, and its residual (C, P, N)."""
    squares = (penalty * weights.square()).sum((0, 2)), (penalty * direction.square()).sum((0, 2))
    cross = (penalty * weights * direction).sum((0, 2))
    slack = 8 * torch.finfo(logits.dtype).eps * objective
    low, high = torch.zeros_like(slope), torch.full_like(slope, torch.inf)
    low_slope, high_slope = slope.clone(), torch.zeros_like(slope)
    step = torch.ones_like(slope)
    for _ in range(TRIES):
        loss, residual = _loss(logits + step[:, None] * along, target, items)
        value = loss + 0.5 * (squares[0] + 2 * step * cross + step.square() * squares[1])
        tilt = (residual * along).sum((0, 2)) + cross + step * squares[1]
        good = (tilt.abs() <= -0.5 * slope) & (value <= objective + slack)
        if good.all():
            break
        up = (tilt > 0) | (value > objective + slack)
        high, high_slope = torch.where(up, step, high), torch.where(up, tilt.clamp_min(0), high_slope)
        low, low_slope = torch.where(up, low, step), torch.where(up, low_slope, tilt)
        between = low + (high - low) * (-low_slope / (high_slope - low_slope)).clamp(0.1, 0.9)
        step = torch.where(good, step, torch.where(high.isinf(), 3 * step, between))
    return step, value, residual
