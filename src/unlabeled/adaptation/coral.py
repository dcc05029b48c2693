"""Adapt by pulling the covariances of the domains' features together.

Deep CORAL of Sun & Saenko (2016, arXiv:1607.01719): squared Frobenius distance of the covariances over 4 D^2. What
differs: it acts on the features, standardised over the domains together so that it cannot be met by making all of them
small, in place of the class scores; and of several domains the mean over all pairs is taken, as DomainBed does.
"""

import itertools
from typing import Literal

import torch
from torch import Tensor

from unlabeled.adaptation import Adaptation
from unlabeled.errors import UserError
from unlabeled.protocols.finetune import Term
from unlabeled.training.loop import Items


class Coral(Adaptation):
    """Deep CORAL: alike covariances (Sun & Saenko 2016, arXiv:1607.01719).

    Args:
        weight: of the distance, 0 or more.
        means: whether the means are pulled together as well (squared distance over D), as DomainBed does.
        epochs: passes over the labels; 0 takes the steps.
        steps: optimizer steps; 0 takes about 40 passes over the labels, within 200 to 1,000 steps.
        batch_size: labelled items a step, and as many of the target.
        lr: peak learning rate of the head.
        encoder_lr: share of that rate for the encoder, 0 to 1; below 0 tunes it.
        trials: learning rates that are tried on an inner split of the labelled items; 1 tries none.
        views: `strong`, `mild`, `small` or `plain` pictures to train on, as in fine-tuning.
    """

    def __init__(
        self,
        *,
        weight: float = 1.0,
        means: bool = True,
        epochs: float = 0.0,
        steps: int = 0,
        batch_size: int = 64,
        lr: float = 1e-3,
        encoder_lr: float = -1.0,
        trials: int = 3,
        views: Literal["strong", "mild", "small", "plain"] = "mild",
    ) -> None:
        if weight < 0:
            raise UserError(f"coral with weight={weight}", "give 0 or more")
        super().__init__(
            epochs=epochs, steps=steps, batch_size=batch_size, lr=lr, encoder_lr=encoder_lr, trials=trials, views=views
        )
        self.weight, self.means = weight, means

    def term(self, width: int, items: Items) -> Term:
        """The distance."""
        return Alike(self.weight, self.means)


class Alike(Term):
    """Mean distance of the domains in a batch, `distance` of each pair."""

    def __init__(self, weight: float, means: bool) -> None:
        super().__init__()
        self.weight, self.means = weight, means

    def forward(self, features: Tensor, domains: Tensor, progress: float) -> Tensor:
        """The weighted distance; domains with fewer than two items in the batch are passed over."""
        spread, mean = torch.var_mean(features, 0, correction=0, keepdim=True)
        z = (features - mean) / (spread + 1e-5).sqrt()
        parts = [z[domains == d] for d in sorted(set(domains.tolist()))]
        pairs = itertools.combinations([p for p in parts if len(p) > 1], 2)
        found = [distance(a, b, means=self.means) for a, b in pairs]
        return self.weight * torch.stack(found).mean() if found else features.sum() * 0.0


def distance(a: Tensor, b: Tensor, *, means: bool = False) -> Tensor:
    """Squared Frobenius distance of the covariances of features (N, D) and (M, D) over 4 D^2; with `means`, plus that
    of the means over D.

    >>> a = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> distance(a, 2 * a).item()  # variances 2 and 8: 36 / 16
    2.25
    """
    width = a.shape[1]
    apart = (torch.cov(a.T) - torch.cov(b.T)).square().sum() / (4 * width**2)
    return apart + (a.mean(0) - b.mean(0)).square().sum() / width if means else apart
