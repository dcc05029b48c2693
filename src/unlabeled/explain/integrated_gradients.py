"""Add up the score's slopes on the straight way from an item in which nothing is to be seen to the item.

Sundararajan et al. (2017, arXiv:1703.01365). The sum of the map is the difference of the scores at the two ends
(completeness), as far as the number of steps allows; the way is cut by Gauss-Legendre nodes.
"""

import numpy as np
import torch
from torch import Tensor

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.explain import Score, _places


class IntegratedGradients:
    """Integrated gradients: slopes on the way from a hidden item, times the way (Sundararajan et al. 2017).

    As fine as the view; its sum is the score's difference between the hidden item and the item.

    Args:
        steps: points on the way, 1 or more; more make the sum truer.
        hide: what the way starts from: `mean`, each channel's mean, or `blur`, the item behind a strong blur.

    References:
        arXiv:1703.01365
    """

    def __init__(self, *, steps: int = 32, hide: _places.Hide = "mean") -> None:
        if steps < 1:
            raise UserError(f"integrated gradients with {steps} steps were asked for", "give 1 or more")
        self.steps, self.hide = steps, hide

    def explain(self, score: Score, encoder: Encoder, views: Tensor) -> Tensor:
        """How much each place of views (B, C, ...) speaks for its item's score: (B, ...), channels added up."""
        if not views.is_floating_point():
            raise UserError("integrated gradients have no way from one word to another", "take occlusion")
        start = self.start(views)
        way = views - start
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        total = torch.zeros_like(views)
        together = max(1, _places.AT_ONCE // len(views))
        for at in range(0, self.steps, together):
            shares = [float(n + 1) / 2 for n in nodes[at : at + together]]
            stack = torch.cat([start + share * way for share in shares]).detach().requires_grad_()
            with torch.enable_grad():
                value = score(stack).sum()
            (slope,) = torch.autograd.grad(value, stack)
            for part, weight in zip(slope.chunk(len(shares)), weights[at : at + together], strict=True):
                total += part * float(weight) / 2
        return (way * total).sum(1).detach()

    def start(self, views: Tensor) -> Tensor:
        """The items in which nothing is to be seen (B, C, ...)."""
        return _places.hidden(views, self.hide)
