"""What can be asked of an encoder about an item, as a score of views: why this class, why this embedding, why near.

All are asked of features that are centred and scaled by those of the training items, the way the linear probe reads
them: without that most embeddings point the same way and everything is near everything.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.encoders import Encoder
from unlabeled.explain import Score


@dataclass(frozen=True)
class Lens:
    """An encoder with what is usual among the features that it gives.

    Args:
        encoder: at rest.
        mean: (D,) of the training items' features.
        scale: (D,) their standard deviation.
    """

    encoder: Encoder
    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, encoder: Encoder, features: Tensor) -> "Lens":
        """From features (N, D) of training items."""
        spread = features.std(0, correction=0)
        flat = spread <= 1e-7 * (1 + features.mean(0).abs())
        return cls(encoder, features.mean(0), torch.where(flat, 1.0, spread))

    def __call__(self, views: Tensor) -> Tensor:
        """Views (B, C, ...) to features (B, D) in units of the training items' spread."""
        return self.standard(self.encoder(views).float())

    def standard(self, features: Tensor) -> Tensor:
        """Features (N, D) as they come to features in units of the training items' spread."""
        return (features - self.mean.to(features)) / self.scale.to(features)


def logits(features: Tensor, weights: Tensor, bias: Tensor, temperature: float = 1.0) -> Tensor:
    """Class scores before the softmax (B, classes) of standardised features (B, D).

    Args:
        features: of the items.
        weights: (classes, D) of a linear probe; (members, classes, D) of an ensemble, whose mean probability counts.
        bias: (classes,), or (members, classes).
        temperature: that the scores are divided by.
    """
    each = features @ weights.transpose(-1, -2).to(features) + bias.to(features).unsqueeze(-2)  # (M,) B, classes
    return (each if each.ndim == 2 else each.log_softmax(2).logsumexp(0) - math.log(len(each))) / temperature


def of_class(lens: Lens, weights: Tensor, bias: Tensor, classes: Tensor, temperature: float = 1.0) -> Score:
    """Why this class and none of the others: its log-odds under a linear probe.

    Args:
        lens: looks at the views.
        weights: of the probe or the ensemble, as in `logits`.
        bias: of it.
        classes: (B,) the class number that is asked for, of each item.
        temperature: that the scores are divided by.

    Returns:
        Views (K * B, C, ...) to log(p / (1 - p)); `torch.sigmoid` of it is the class's probability.
    """

    def score(views: Tensor) -> Tensor:
        told = logits(lens(views), weights, bias, temperature)
        mine = functional.one_hot(_copies(classes, views), told.shape[1]).bool()
        others = told.masked_fill(mine, -torch.inf)
        return told[mine] - others.logsumexp(1)

    return score


def of_embedding(lens: Lens, views: Tensor) -> Score:
    """What makes an item's embedding what it is: how far it goes the way from the training items' mean to the item.

    1 for the item as it is, 0 for the mean. (A cosine of an item with itself would be flat there: no slope, no map.)

    Args:
        lens: looks at the views.
        views: (B, C, ...) the items.
    """
    with torch.no_grad():
        way = lens(views)
        way = way / way.square().sum(1, keepdim=True).clamp_min(1e-12)

    def score(changed: Tensor) -> Tensor:
        return (lens(changed) * _copies(way, changed)).sum(1)

    return score


def of_nearness(lens: Lens, others: Tensor) -> Score:
    """Why items are near others: the cosine of their embeddings, the others' held still.

    Args:
        lens: looks at the views.
        others: (B, C, ...) what each item is compared with.
    """
    with torch.no_grad():
        there = functional.normalize(lens(others), dim=1)

    def score(changed: Tensor) -> Tensor:
        return (functional.normalize(lens(changed), dim=1) * _copies(there, changed)).sum(1)

    return score


def _copies(values: Tensor, views: Tensor) -> Tensor:
    """Values of B items for K copies of them."""
    return values.to(views.device).repeat(len(views) // len(values), *(1 for _ in values.shape[1:]))
