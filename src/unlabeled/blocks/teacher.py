"""A slow copy of a network that follows it: momentum encoders, target networks, self-distillation."""

import copy
import math
from typing import Self, cast

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.settings import within

SLOWEST = 0.996  # BYOL's own start for long runs (Grill et al. 2020, arXiv:2006.07733)


class Teacher(nn.Module):
    """An exponential moving average of a network's weights, without gradients.

    A teacher must be slow against the student and fast against the run: after 500 steps a momentum of 0.996 still
    hands out a third of the random start. So unless it is given, the memory is about as many steps as the root of
    the run is long, at most the 250 of the paper; it rises to 1 along half a cosine.

    Args:
        student: the network that is followed; it is copied.
        momentum: share of itself that the teacher keeps at a step, 0 to 1; 0 follows the length of the run.
        rising: whether the momentum rises to 1 over the run.

    Raises:
        UserError: when the momentum is outside its range.
    """

    def __init__(self, student: nn.Module, *, momentum: float = 0.0, rising: bool = True) -> None:
        super().__init__()
        within("a slow network", {"momentum": momentum}, 0, 1)
        self.net = copy.deepcopy(student).requires_grad_(False)
        self.momentum, self.rising = momentum, rising

    def fit_to(self, steps: int) -> None:
        """Let the momentum follow the length of the run, unless it was given.

        >>> teacher = Teacher(nn.Linear(1, 1))
        >>> teacher.fit_to(400)
        >>> teacher.momentum
        0.95
        """
        self.momentum = self.momentum or min(SLOWEST, 1 - 1 / math.sqrt(max(steps, 4)))

    def train(self, mode: bool = True) -> Self:
        """Batch norms follow the mode; nothing is dropped: what is aimed at has no noise of its own."""
        super().train(mode)
        for part in self.net.modules():
            part.training = mode and isinstance(part, nn.modules.batchnorm._BatchNorm)
        return self

    @torch.no_grad()
    def forward(self, *inputs: Tensor) -> Tensor:
        """What the slow copy makes of the inputs, without gradients."""
        out: Tensor = self.net(*inputs)
        return out

    @torch.no_grad()
    def tokens(self, x: Tensor) -> Tensor:
        """The slow copy's tokens (B, T, D), where it is an encoder."""
        return cast(Encoder, self.net).tokens(x)

    @torch.no_grad()
    def follow(self, student: nn.Module, progress: float) -> None:
        """Move a little towards the student.

        Args:
            student: the network that was copied, as it is now.
            progress: share of the run that is done, 0 to 1.
        """
        share = 1 - self.momentum
        if self.rising:
            share *= (math.cos(math.pi * min(progress, 1.0)) + 1) / 2
        mine, its = ([p.detach() for p in net.parameters()] for net in (self.net, student))
        torch._foreach_lerp_(mine, its, share)
