"""A structural causal model over factors of the features and the interventions that were made.

Factors u are K orthogonal directions of the features, in units of their spread. Each has an equation of its own,
u_j = f_j(other factors, interventions) + n_j, a small network whose first layer's strength is the adjacency
(NOTEARS-MLP, Zheng et al. 2020, arXiv:1909.13189). A pair of one item, plain and restyled, shares its noise n: what the
equations do not explain must be the same before and after do(s). That ties the edges from s down, which observation
alone cannot.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.objectives import scm
from unlabeled.objectives.info_nce import info_nce

HIDDEN = 8  # hidden units of an equation
HASTE = 10.0  # how much faster than an encoder's weights the model learns at one rate
MOMENTUM = 0.9  # of the running means and spreads
SPARSE, DIRECT, STILL = 0.3, 2.0, 20.0  # weights: of strengths, of those from interventions more, of changed noise
LEAST, ENOUGH = 4, 8  # items whose spread can be divided by at all, and those that are taken where there are as many
EDGE = 0.2  # strengths above it are edges: on factors in units of their spread, planted graphs are found best there


def compared(items: int, share: float) -> int:
    """How many of a batch's items to look at in two styles: that share, but enough to tell their spread.

    Raises:
        UserError: when there are too few.

    >>> compared(64, 0.5), compared(10, 0.5), compared(5, 0.5)
    (32, 8, 5)
    """
    if items < LEAST:
        raise UserError(
            f"{items} items in two styles are too few to tell their spread",
            f"give {LEAST} or more: more items, a larger --batch-size or a smaller --accumulate",
        )
    return min(items, max(ENOUGH, round(share * items)))


class Equations(nn.Module):
    """The structural equations of K factors under S interventions.

    Args:
        interventions: S, 0 or more.
        factors: K, 1 or more.

    >>> model = Equations(2, 3)
    >>> model(torch.zeros(5, 3), torch.zeros(5, 2)).shape, model.adjacency().shape
    (torch.Size([5, 3]), torch.Size([5, 3]))
    """

    own: Tensor

    def __init__(self, interventions: int, factors: int) -> None:
        super().__init__()
        if factors < 1 or interventions < 0:
            raise UserError(f"{factors} factors and {interventions} interventions were given", "give 1 or more factors")
        self.interventions, self.factors = interventions, factors
        self.first = nn.Parameter(0.05 / HASTE * torch.randn(interventions + factors, factors, HIDDEN))
        self.shift = nn.Parameter(0.5 * torch.randn(factors, HIDDEN))
        self.last = nn.Parameter(torch.randn(factors, HIDDEN))
        mask = torch.ones(interventions + factors, factors)
        mask[interventions:].fill_diagonal_(0)  # nothing causes itself
        self.register_buffer("own", mask[..., None], persistent=False)

    def forward(self, u: Tensor, s: Tensor) -> Tensor:
        """Factors (B, K) and interventions (B, S) to what each factor's causes predict for it, (B, K)."""
        inputs = torch.cat([s, u], 1)
        hidden = torch.einsum("bi,ijh->bjh", inputs, HASTE * self.first * self.own) + self.shift
        last = functional.normalize(self.last, dim=1)  # unit length, so that the first layer holds all the strength
        out: Tensor = ((functional.elu(hidden) - functional.elu(self.shift)) * last).sum(2)
        return out

    def adjacency(self) -> Tensor:
        """How strongly each cause can move each factor (S + K, K): a bound of the equations' slopes, 0 or more."""
        return (HASTE * self.first * self.own).square().sum(2).clamp_min(1e-12).sqrt()

    def costs(self, plain: Tensor, changed: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Squares, summed over the factors (B, K): what is unexplained of plain ones, and how do(s) changed that."""
        before = plain - self(plain, torch.zeros_like(s))  # Pearl's abduction: the noise that explains the rest
        after = changed - self(changed, s)
        return before.square().sum(1).mean(), (after - before).square().sum(1).mean()

    def density(self) -> Tensor:
        """Sum of all strengths, a scalar; those from interventions count more, or a path of theirs through another
        factor would rather be explained by many direct edges.
        """
        strengths = self.adjacency()
        return DIRECT * strengths[: self.interventions].sum() + strengths[self.interventions :].sum()

    def cycles(self) -> Tensor:
        """How far the graph is from having no cycle, a scalar."""
        return scm.acyclicity(self.adjacency()[self.interventions :])


class Causal(nn.Module):
    """Factors of features, their equations, and which of the factors the interventions reach.

    Args:
        dim: length D of the features.
        interventions: S.
        factors: K, at most D.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, dim: int, interventions: int, factors: int) -> None:
        super().__init__()
        if not 1 <= factors <= dim:
            raise UserError(f"{factors} factors of {dim} features were asked for", f"give 1 to {dim}")
        self.basis = nn.Parameter(torch.randn(dim, factors) / HASTE)
        self.equations = Equations(interventions, factors)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))

    def directions(self) -> Tensor:
        """Orthonormal directions (D, K) of the factors."""
        with torch.autocast(self.basis.device.type, enabled=False):
            basis: Tensor = torch.linalg.qr(self.basis.float())[0]
            return basis

    def scale(self, h: Tensor) -> Tensor:
        """Features (B, D) in units of their spread."""
        return (h.float() - self.mean) / self.spread

    def factors(self, h: Tensor) -> Tensor:
        """The factors (B, K) of features (B, D)."""
        return self.scale(h) @ self.directions()

    def follow(self, h: Tensor) -> None:
        """Let means and spreads follow features (B, D)."""
        with torch.no_grad():
            self.mean.lerp_(h.float().mean(0), 1 - MOMENTUM)
            self.spread.lerp_(h.float().std(0).clamp_min(1e-4), 1 - MOMENTUM)

    def cost(self, plain: Tensor, changed: Tensor, s: Tensor, progress: Tensor) -> Tensor:
        """What fits the model to features of plain and restyled items, a scalar; the features get no gradient.

        It is the sum of: the share of the features and of their changes that the factors do not hold, over how many
        factors the changes are spread, and how alike the factors are; what the equations do not explain of the factors;
        noise that changed under do(s); and how dense and how cyclic the graph is, cycles weighing a hundred times as
        much at the end as at the start.

        Args:
            plain: features (B, D) of the items.
            changed: features of the same items after do(s).
            s: (B, S) what was changed by how much.
            progress: share of the run that is done, 0 to 1.
        """
        h, q = (self.scale(x.detach()) for x in (plain, changed))
        w = self.directions()
        lost = sum((1 - (x @ w).square().sum() / x.square().sum().clamp_min(1e-6) for x in (h, q - h)), torch.zeros(()))
        amount = ((q - h) @ w).square().mean(0) + 1e-12
        spread = amount.sqrt().sum() / (len(amount) * amount.sum()).sqrt()
        u, v = (h @ w).detach(), (q @ w).detach()  # where the factors lie does not hang on how well they are explained
        middle, unit = u.mean(0), u.std(0).clamp_min(1e-3)
        observed, noise = self.equations.costs((u - middle) / unit, (v - middle) / unit, s)
        alike = _alike(h @ w)
        graph = SPARSE * self.equations.density() + 0.5 * 100**progress * self.equations.cycles()
        return 3 * lost.to(h.device) + 0.1 * spread + 0.1 * alike + observed + STILL * noise + graph

    def reached(self) -> Tensor:
        """Share of each factor (K,) that is handed over to the interventions, 0 to 1; without gradients."""
        with torch.no_grad():
            strengths = scm.without_cycles(self.equations.adjacency(), self.equations.interventions, EDGE)
            edges = torch.where(strengths > EDGE, strengths, 0.0)
            strength = scm.reach(edges, self.equations.interventions).amax(0)
            return 1 - torch.exp(-strength.square())

    def inconsistency(
        self, plain: Tensor, changed: Tensor, temperature: float | None = None, *, free: float = 0.0
    ) -> Tensor:
        """How far do(s) moves the features (B, D), a scalar. Means and spreads follow the plain features.

        With a temperature it is NT-Xent of the features themselves: |a - b|^2 / (2 * temperature) at length 1, plus a
        log-sum-exp that keeps items apart (Wang & Isola 2020, arXiv:2005.10242). Without one it is the squared
        difference, where 1 is a tenth of the items' own variance; features that all say the same make that small.

        Args:
            plain: features of the items.
            changed: features of the same items after do(s).
            temperature: of the softmax over cosines, above 0; None for squares.
            free: share of the factors in the reach of the interventions that is let off, 0 to 1.

        Raises:
            UserError: when the shapes differ or the temperature is not above 0.
        """
        h, q = plain.float(), changed.float()
        self.follow(h)
        if temperature is not None:
            return info_nce(self._without(h, free), self._without(q, free), temperature)
        moved = (q - h) / h.std(0).clamp_min(1e-4)
        lost = moved.square().sum(1)
        if free:
            lost = lost - free * (self.reached() * (moved @ self.directions().detach()).square()).sum(1)
        return lost.mean() / (0.1 * h.shape[1])

    def _without(self, h: Tensor, free: float) -> Tensor:
        """Features (B, D) without that share of the factors in the reach of the interventions."""
        if not free:
            return h
        w = self.directions().detach()
        return h - free * (self.reached() * (self.scale(h) @ w)) @ w.T * self.spread


def _alike(u: Tensor) -> Tensor:
    """Sum of the squared correlations of factors (B, K) with others, over K, a scalar; one that is the same for all
    items goes with none.
    """
    away = u - u.mean(0)
    unit = away / away.norm(dim=0).clamp_min(1e-6)
    both = (unit.T @ unit).square()
    found: Tensor = (both.sum() - both.diagonal().sum()) / u.shape[1]
    return found
