"""A watch on a training: when something goes wrong it says so in one sentence with a remedy.

Collapse is seen in the features, not in the loss: their spread (Chen and He 2021, SimSiam, arXiv:2011.10566, sec.
4.1) and their
effective rank (RankMe, Garrido et al. 2022, arXiv:2210.02885).
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unlabeled.errors import UserError

HEALTHY = "healthy"
MILDER = "lower --lr by a factor of 3, or take --precision fp32"
FEWEST = 4  # items whose rank says something: two that are centred lie on a line


class Diverged(UserError):
    """A training whose numbers are none any more.

    Args:
        wrong: what was seen, as one sentence without its full stop.
    """

    def __init__(self, wrong: str) -> None:
        super().__init__(wrong, MILDER)


def spread(features: Tensor) -> float:
    """Mean standard deviation of the L2-normalised features (B, D), times sqrt(D): 1 for an even sphere, 0 when all
    are one.
    """
    unit = torch.nn.functional.normalize(features.float(), dim=1)
    return float(unit.std(0, correction=0).mean() * math.sqrt(features.shape[1]))


def effective_rank(features: Tensor) -> float:
    """Exponential of the entropy of the singular values of the centred features (B, D), 1 to min(B - 1, D)."""
    centred = features.float() - features.float().mean(0)
    values = torch.linalg.svdvals(centred.cpu())
    total = values.sum()
    if total <= 0:
        return 1.0
    share = values / total
    return float(torch.exp(-(share * torch.log(share.clamp_min(1e-12))).sum()))


@dataclass
class Health:
    """Remembers a run's best loss and judges each observation.

    Args:
        steps: length of the run in steps.
    """

    steps: int
    best: float = field(default=math.inf)
    best_step: int = field(default=0)
    mean: float | None = field(default=None)

    def check_loss(self, step: int, loss: float, lr: float) -> None:
        """Stop the run in words when the loss is no number."""
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} at step {step} (learning rate {lr:.2g})")

    def note_loss(self, step: int, loss: float) -> None:
        """Remember a loss; a run that is continued replays those of its past."""
        self.mean = loss if self.mean is None else 0.7 * self.mean + 0.3 * loss
        if self.mean < self.best - 1e-3 * abs(self.best if math.isfinite(self.best) else 1.0):
            self.best, self.best_step = self.mean, step

    def observe(self, step: int, loss: float, features: Tensor, wait: float, ill: str = "") -> tuple[float, float, str]:
        """Judge the run at a step.

        Args:
            step: number of the step, from 0.
            loss: mean loss since the last observation.
            features: (B, D) features of one view.
            wait: share of the time spent waiting for data, 0 to 1.
            ill: what the method itself has to say, which only a collapse outweighs; empty for nothing.

        Returns:
            Spread, effective rank, and a sentence, `healthy` when there is nothing to say.

        Raises:
            UserError: when the features are no numbers, as the loss of the next step will be.
        """
        if not bool(features.isfinite().all()):
            raise Diverged(f"the features are no numbers any more after step {step + 1}")
        self.note_loss(step, loss)
        wide, rank, items = spread(features), effective_rank(features), len(features)
        if (wide < 0.05 and items > 1) or (rank < 1.5 and items >= FEWEST):
            text = (
                f"collapsed: all items look alike to the encoder (spread {wide:.3f}, rank {rank:.1f}); "
                "lower the learning rate or weaken the views"
            )
        elif ill:
            text = ill
        elif wait > 0.3:
            text = f"waiting for data {wait:.0%} of the time; put the cache on a faster disk (UNLABELED_CACHE)"
        elif step - self.best_step > 0.3 * self.steps and step < 0.95 * self.steps:
            text = f"no gain since step {self.best_step}; a shorter run or a higher learning rate would do as well"
        else:
            text = HEALTHY
        return wide, rank, text
