"""Adapt by a critic that tries to tell the domains from the features, and an encoder that learns to mislead it.

DANN of Ganin et al. (2016, JMLR; arXiv:1505.07818). What differs: the critic looks at standardised features, and the
classifier's own schedule and learning rates are those of fine-tuning here. Their ramp of the reversed gradient,
2 / (1 + exp(-10 p)) - 1 over the share p of the steps, is kept.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.adaptation import Adaptation
from unlabeled.errors import UserError
from unlabeled.protocols.finetune import Term
from unlabeled.training.loop import Items


class Dann(Adaptation):
    """Domain-adversarial training (Ganin et al. 2016, arXiv:1505.07818).

    Args:
        weight: of the reversed gradient at the end of its ramp, 0 or more.
        hidden: width of the critic's hidden layer.
        epochs: passes over the labels; 0 takes the steps.
        steps: optimizer steps; 0 takes about 40 passes over the labels, within 200 to 1,000 steps.
        batch_size: labelled items a step, and as many of the target.
        lr: peak learning rate of head and critic.
        encoder_lr: share of that rate for the encoder, 0 to 1; below 0 tunes it.
        trials: learning rates that are tried on an inner split of the labelled items; 1 tries none.
        views: `strong`, `mild`, `small` or `plain` pictures to train on, as in fine-tuning.
    """

    def __init__(
        self,
        *,
        weight: float = 1.0,
        hidden: int = 128,
        epochs: float = 0.0,
        steps: int = 0,
        batch_size: int = 64,
        lr: float = 1e-3,
        encoder_lr: float = -1.0,
        trials: int = 3,
        views: Literal["strong", "mild", "small", "plain"] = "mild",
    ) -> None:
        if weight < 0 or hidden < 1:
            raise UserError(f"dann with weight={weight}, hidden={hidden}", "give no negative weight, and 1 or more")
        super().__init__(
            epochs=epochs, steps=steps, batch_size=batch_size, lr=lr, encoder_lr=encoder_lr, trials=trials, views=views
        )
        self.weight, self.hidden = weight, hidden

    def term(self, width: int, items: Items) -> Term:
        """The critic."""
        return Critic(width, self.hidden, self.domains, self.weight)


class Critic(Term):
    """Tells the domains from the features, and turns around the gradient that goes back into them.

    Args:
        width: of the features.
        hidden: of its own layer.
        domains: how many there are.
        weight: of the turned gradient at the end.
    """

    def __init__(self, width: int, hidden: int, domains: int, weight: float) -> None:
        super().__init__()
        norm = nn.BatchNorm1d(width, affine=False)
        self.net = nn.Sequential(norm, nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, domains))
        self.weight = weight

    def forward(self, features: Tensor, domains: Tensor, progress: float) -> Tensor:
        """Log-loss of the domains; lower for the critic, higher for the encoder."""
        strength = self.weight * (2 / (1 + math.exp(-10 * progress)) - 1)
        return functional.cross_entropy(self.net(reverse(features, strength)), domains)


def reverse(x: Tensor, strength: float) -> Tensor:
    """The same values; the gradient that comes back is multiplied by -strength.

    >>> x = torch.ones(2, requires_grad=True)
    >>> reverse(x, 0.5).sum().backward()
    >>> x.grad.tolist()
    [-0.5, -0.5]
    """
    out: Tensor = _Reverse.apply(x, strength)
    return out


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None
