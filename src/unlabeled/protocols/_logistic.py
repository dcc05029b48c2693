"""L2 multinomial logistic regression for many penalties and subsets of the same items at once, by L-BFGS.

Problem p minimises sum_i w_pi CE(softmax(A_p z_i + b_p), y_i) + strength_p / 2 |A_p|^2, item weights w_p summing to 1.
All problems share the matrix products; each has its own history, step and end. The search is preconditioned by the
diagonal of the Hessian, which is near the whole of it once features are rotated to their principal axes, and its line
search needs no further matrix product, because logits are linear along a line. Nocedal & Wright (2006), algorithm 7.4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unlabeled.objectives._product import product

MEMORY = 10  # pairs of steps and gradient changes that L-BFGS keeps
REFRESH = 10  # steps after which the diagonal of the Hessian is taken anew
TRIES = 20  # of one line search


@dataclass(frozen=True)
class Problems:
    """P problems over the same N items.

    Args:
        z: (N, R) features, the last column ones.
        turned: the same, (R, N).
        target: (C, 1, N), 1 for an item's own class.
        items: (P, N) weights of the items, each row summing to 1.
        penalty: (P, R) strength of the penalty on each feature's weights, 0 for the intercept.
    """

    z: Tensor
    turned: Tensor
    target: Tensor
    items: Tensor
    penalty: Tensor

    @classmethod
    def of(cls, z: Tensor, y: Tensor, items: Tensor, strength: Tensor) -> "Problems":
        """From features (N, R), class numbers (N,), item weights (P, N) and strengths (P,)."""
        classes = int(y.max()) + 1
        target = torch.zeros(classes, 1, len(y), dtype=z.dtype).scatter_(0, y[None, None], 1.0)
        penalty = strength[:, None].repeat(1, z.shape[1])
        penalty[:, -1] = 0
        return cls(z, z.T.contiguous(), target, items, penalty)

    def keep(self, which: Tensor) -> "Problems":
        """The marked problems alone."""
        return Problems(self.z, self.turned, self.target, self.items[which], self.penalty[which])

    def logits(self, weights: Tensor) -> Tensor:
        """(C, P, R) to (C, P, N)."""
        return product(weights.flatten(0, 1), self.z).view(*weights.shape[:2], -1)

    def loss(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted cross-entropy (P,) and its gradient in the logits (C, P, N)."""
        top = logits.amax(0)
        raised = (logits - top).exp_()
        total = raised.sum(0)
        loss = ((total.log() + top - (logits * self.target).sum(0)) * self.items).sum(1)
        return loss, (raised / total).sub_(self.target).mul_(self.items)

    def gradient(self, residual: Tensor, weights: Tensor) -> Tensor:
        """(C, P, R)."""
        return product(residual.flatten(0, 1), self.turned).view_as(weights) + self.penalty * weights

    def diagonal(self, logits: Tensor) -> Tensor:
        """Of the Hessian, (C, P, R), kept away from 0 where all items are certain."""
        p = logits.softmax(0)
        certain = (p * (1 - p)).clamp_(min=1e-4) * self.items
        return product(certain.flatten(0, 1), self.turned.square()).view(*logits.shape[:2], -1) + self.penalty


@dataclass(frozen=True)
class Solution:
    """What the search found.

    Args:
        weights: (C, P, R), the last column being the intercept.
        objective: (P,).
        converged: (P,) bool.
        logits: (C, P, N) of all items, those of weight 0 too.
    """

    weights: Tensor
    objective: Tensor
    converged: Tensor
    logits: Tensor


def solve(problems: Problems, start: Tensor, tolerance: float, steps: int) -> Solution:
    """Search for the optimum of each problem.

    Args:
        problems: P of them.
        start: (C, P, R) first weights.
        tolerance: a problem ends when the gain that the next step promises is below this share of its objective.
        steps: most steps.
    """
    weights, logits = start.clone(), problems.logits(start)
    loss, residual = problems.loss(logits)
    objective = loss + 0.5 * _dot(problems.penalty * weights, weights)
    gradient = problems.gradient(residual, weights)
    out = Solution(start.clone(), objective.clone(), torch.zeros(len(loss), dtype=torch.bool), logits.clone())
    live, step = torch.arange(len(loss)), torch.ones_like(loss)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for count in range(steps):
        if count % REFRESH == 0:
            scale = 1 / problems.diagonal(logits).clamp_(min=torch.finfo(logits.dtype).tiny)
        direction = _direction(gradient, scale, history)
        slope = _dot(gradient, direction)
        stuck = step == 0
        done = (-slope <= tolerance * objective) | stuck
        if done.any():
            ended, on = live[done], ~done
            out.weights[:, ended], out.logits[:, ended] = weights[:, done], logits[:, done]
            out.objective[ended], out.converged[ended] = objective[done], ~stuck[done]
            if done.all():
                return out
            problems, live = problems.keep(on), live[on]
            objective, slope = objective[on], slope[on]
            weights, logits, gradient, direction, scale = (
                t[:, on] for t in (weights, logits, gradient, direction, scale)
            )
            history = [(move[:, on], change[:, on], inverse[on]) for move, change, inverse in history]
        along = problems.logits(direction)
        step = _step(problems, logits, along, weights, direction, objective, slope)
        move = step[:, None] * direction
        weights, logits = weights + move, logits + step[:, None] * along
        loss, residual = problems.loss(logits)
        objective = loss + 0.5 * _dot(problems.penalty * weights, weights)
        change = -gradient
        gradient = problems.gradient(residual, weights)
        change += gradient
        curvature = _dot(move, change)
        history = [*history[1 - MEMORY :], (move, change, torch.where(curvature > 0, 1 / curvature, 0.0))]
    out.weights[:, live], out.objective[live], out.logits[:, live] = weights, objective, logits
    return out


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products (P,) of two (C, P, R)."""
    return (a * b).sum((0, 2))


def _direction(gradient: Tensor, scale: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The two loops of L-BFGS, each problem on its own."""
    q = gradient.clone()
    shares = []
    for move, change, inverse in reversed(history):
        share = inverse * _dot(move, q)
        q -= share[:, None] * change
        shares.append(share)
    q *= scale
    if history:
        move, change, inverse = history[-1]
        q *= torch.where(inverse > 0, _dot(move, change) / _dot(change * scale, change), 1.0)[:, None]
    for (move, change, inverse), share in zip(history, reversed(shares), strict=True):
        q += (share - inverse * _dot(change, q))[:, None] * move
    return -q


def _step(
    problems: Problems,
    logits: Tensor,
    along: Tensor,
    weights: Tensor,
    direction: Tensor,
    objective: Tensor,
    slope: Tensor,
) -> Tensor:
    """Steps (P,) at which slopes have fallen to half and objectives have fallen; 0 where rounding hides any descent."""
    cross, square = (_dot(problems.penalty * direction, v) for v in (weights, direction))
    base = 0.5 * _dot(problems.penalty * weights, weights)
    slack = 4 * torch.finfo(logits.dtype).eps * objective
    low, high = torch.zeros_like(slope), torch.full_like(slope, torch.inf)
    low_slope, high_slope = slope, torch.zeros_like(slope)
    step = torch.ones_like(slope)
    for _ in range(TRIES):
        loss, residual = problems.loss(logits + step[:, None] * along)
        value = loss + base + step * cross + 0.5 * step.square() * square
        tilt = _dot(residual, along) + cross + step * square
        fallen = value <= objective + slack
        good = fallen & (tilt.abs() <= -0.5 * slope)
        if good.all():
            return step
        over = ~good & ((tilt > 0) | ~fallen)
        under = ~good & ~over
        high, high_slope = torch.where(over, step, high), torch.where(over, tilt.clamp(min=0), high_slope)
        low, low_slope = torch.where(under, step, low), torch.where(under, tilt, low_slope)
        share = (low_slope / (low_slope - high_slope)).clamp(0.1, 0.9)
        step = torch.where(good, step, torch.where(high.isinf(), 3 * step, low + (high - low) * share))
    return torch.where(good, step, low)
