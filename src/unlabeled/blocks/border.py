"""Where the border between yes and no lies among cosines, learnt on the way from items kept out of the loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

MEMORY = 0.05  # share of a step in what is remembered
LEAST = 1e-3  # smallest spread and distance of cosines


class Border(nn.Module):
    """Running mean and spread of the cosines of partners and of others."""

    between: Tensor  # mean and mean square of partners' cosines, and of others'
    steps: Tensor  # that had items which were kept back

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("between", torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def remember(self, a: Tensor, b: Tensor, kept: Tensor) -> None:
        """Take in the cosines of the items that are kept back (B,) bool: of their vectors in `a` (B, D) with their own
        in `b` (B, D), and with all others; those of all items as long as none was kept.
        """
        first, some = int(self.steps) == 0, bool(kept.any())
        if len(a) < 2 or not (first or some):
            return
        rows = kept.nonzero()[:, 0] if some else torch.arange(len(a), device=a.device)
        cosine = functional.normalize(a[rows]) @ functional.normalize(b).T
        own = torch.arange(len(b), device=a.device) == rows[:, None]
        seen = torch.stack([torch.stack([c.mean(), c.square().mean()]) for c in (cosine[own], cosine[~own])])
        self.steps += int(some)
        self.between.lerp_(seen.float(), max(MEMORY, 1 / max(1, int(self.steps))) if some else MEMORY)

    def forward(self, cosine: Tensor) -> Tensor:
        """How likely cosines (B,) are those of partners, 0 to 1: even where both are as many of their spreads away.

        >>> border = Border()
        >>> _ = border.between.copy_(torch.tensor([[0.5, 0.26], [0.2, 0.08]]))  # spreads of 0.1 and 0.2
        >>> [round(p, 3) for p in border(torch.tensor([0.2, 0.4, 0.5])).tolist()]
        [0.065, 0.5, 0.791]
        """
        mean = self.between[:, 0]
        true, false = (self.between[:, 1] - mean.square()).clamp(min=LEAST**2).sqrt()
        far = (mean[0] - mean[1]).clamp(min=LEAST)
        even = mean[1] + far * false / (true + false)
        return torch.sigmoid(4 * (cosine - even) / far)
