"""Draw the straight borders between classes that fit the labelled features best: logistic regression, L2 penalty.

The linear probe of Kornblith et al. (2019, arXiv:1805.08974) and SimCLR (appendix B.8): standardised features, L-BFGS
to the optimum, strength of the penalty chosen on held-out items. What differs: strengths are compared by cross-
validation inside the labelled items, never on further labels; and features can be standardised by the statistics of
all unlabelled items, which a handful of labelled ones cannot give.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.data.splits import inner_folds
from unlabeled.errors import UserError
from unlabeled.objectives._product import product
from unlabeled.protocols import check_finite, check_pairs
from unlabeled.protocols._logistic import Problems, solve

WEAKEST, STRONGEST = 1e-4, 1e3  # strength times N: what one item's pull is set against
DEFAULT = 1e-2  # the same, where there are too few labels to choose
ROUGH = 1e-5  # share of the objective that a next step may still gain where strengths are compared
EXACT = 1e-11  # the same at the end; 1e-8 left 0.001 in probabilities
BATCH = 4_000_000  # weights that are searched for at once: about 0.3 GB with their history


class Linear:
    """Linear probe: logistic regression on standardised features, penalty chosen by inner cross-validation.

    It minimises the mean log-loss + strength / 2 * |W|^2 over standardised features divided by the root of their number
    D, so that a strength means the same for any encoder; scikit-learn's C is 1 / (strength * N * D). Of N labelled
    items, strengths from 1e-4 / N to 1000 / N are compared by held-out log-loss; where no class has two items (or
    groups) there is nothing to hold out, and 0.01 / N is taken.

    Args:
        strengths: how many are compared, spread evenly in the logarithm.
        folds: of the inner cross-validation; fewer where no class has so many items.
        strength: a fixed penalty instead of the comparison, above 0; 0 compares.
        steps: most steps of the search for the optimum.
    """

    def __init__(self, *, strengths: int = 13, folds: int = 5, strength: float = 0.0, steps: int = 1000) -> None:
        if strengths < 1 or folds < 2 or strength < 0 or steps < 1:
            raise UserError(
                f"a linear probe with strengths={strengths}, folds={folds}, strength={strength}, steps={steps}",
                "give at least 1 strength, 2 folds and 1 step, and a strength that is not negative",
            )
        self.strengths, self.folds, self.fixed, self.steps = strengths, folds, strength, steps

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        seed: int = 0,
        unlabelled: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> Self:
        """Learn from labelled features; afterwards `strength`, `objective` and `convergence` ('' if reached) tell how.

        Args:
            x: (N, D) features.
            y: (N,) class numbers.
            groups: (N,) patients, parts ...; a group never stands on both sides of an inner fold.
            seed: of the inner folds; nothing else is random.
            unlabelled: (M, D) features whose mean and spread standardise; by default those of `x`.
            weights: (N,) how much each item counts, 0 or more and not all 0; alike by default. Strengths are compared
                with all alike.

        Raises:
            UserError: when features and labels do not fit together, are not finite, or show one class only, or weights
                are no weights of theirs.
        """
        x = np.asarray(x, np.float64)
        check_pairs(x, y)
        counts = np.ones(len(x)) if weights is None else _weights(weights, len(x))
        self.classes, codes = np.unique(y, return_inverse=True)
        if len(self.classes) < 2:
            raise UserError(f"the {len(x)} labelled items show one class only", "label some items of another class")
        base = x if unlabelled is None else np.asarray(unlabelled, np.float64)
        check_finite(base)
        self.mean, spread = base.mean(0), base.std(0)
        self.scale = np.where(spread > 1e-7 * (1 + np.abs(self.mean)), spread, 1.0)
        z, axes = _principal(torch.from_numpy((x - self.mean) / (self.scale * x.shape[1] ** 0.5)))
        labels = torch.from_numpy(codes)
        self.strength, start = self._choose(
            z.float(), labels, [] if self.fixed else inner_folds(codes, groups, self.folds, seed)
        )
        items = torch.from_numpy(counts / counts.sum())[None]
        strength = torch.tensor([self.strength], dtype=torch.float64)
        rough = Problems.of(z.float(), labels, items.float(), strength.float())
        start = solve(rough, start, ROUGH, self.steps).weights
        found = solve(Problems.of(z, labels, items, strength), start.double(), EXACT, self.steps)
        self.convergence = "" if found.converged[0] else f"the linear probe had not converged after {self.steps} steps"
        inner, self.bias = found.weights[:, 0, :-1].numpy(), found.weights[:, 0, -1].numpy()
        outer = inner @ axes.numpy().T  # (C, D)
        self.weights = outer / x.shape[1] ** 0.5
        slack = np.square(outer).sum() - np.square(inner).sum()  # the rotation is not quite one
        self.objective = float(found.objective[0] + self.strength / 2 * slack)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities (M, classes) float32 of features (M, D)."""
        return np.asarray(torch.from_numpy(self.logits(x)).softmax(1).float().numpy())

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Class scores (M, classes) float64 of features (M, D), before the softmax."""
        weights, bias = self.coefficients()
        return np.asarray(np.asarray(x, np.float64) @ weights.T + bias)

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (classes, D) and bias (classes,) for features as they come, standardisation folded in."""
        weights = self.weights / self.scale
        return weights, self.bias - weights @ self.mean

    def state(self) -> dict[str, np.ndarray]:
        """All that `predict` needs, as arrays."""
        names = ("mean", "scale", "weights", "bias", "classes", "strength")
        return {name: np.asarray(getattr(self, name)) for name in names}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> Self:
        """A fitted probe from what `state` gave."""
        probe = cls(strength=float(state["strength"]))
        probe.mean, probe.scale, probe.weights, probe.bias, probe.classes = (
            np.asarray(state[name]) for name in ("mean", "scale", "weights", "bias", "classes")
        )
        probe.strength, probe.convergence = probe.fixed, ""
        return probe

    def _choose(self, z: Tensor, y: Tensor, folds: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, Tensor]:
        """The strength of least held-out log-loss, and weights (C, 1, R) to start the last search from."""
        classes, width = int(y.max()) + 1, z.shape[1]
        if not folds:
            return self.fixed or DEFAULT / len(y), torch.zeros(classes, 1, width)
        grid = torch.from_numpy(np.geomspace(STRONGEST, WEAKEST, self.strengths) / len(y)).float()
        learn, check = torch.zeros(len(folds), len(y)), torch.zeros(len(folds), len(y))
        for fold, (a, b) in enumerate(folds):
            learn[fold, a], check[fold, b] = 1 / len(a), 1.0
        scores, means = [], []
        for strengths in torch.split(grid, max(1, BATCH // (classes * width * len(folds)))):
            many = len(strengths)
            problems = Problems.of(z, y, learn.repeat(many, 1), strengths.repeat_interleave(len(folds)))
            found = solve(problems, torch.zeros(classes, many * len(folds), width), 1e-3, self.steps)
            losses = functional.cross_entropy(
                found.logits.transpose(0, 1), y.expand(many * len(folds), -1), reduction="none"
            )
            scores.append((losses.view(many, len(folds), -1) * check).sum((1, 2)) / check.sum())
            means.append(found.weights.view(classes, many, len(folds), width).mean(2))
        best = int(torch.cat(scores).argmin())
        return float(grid[best]), torch.cat(means, 1)[:, best : best + 1]


def _weights(given: np.ndarray, items: int) -> np.ndarray:
    """How much each item counts, (N,) float64."""
    weights = np.asarray(given, np.float64)
    if weights.shape != (items,) or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
        what = f"weights of shape {weights.shape} from {weights.min(initial=0):g} to {weights.max(initial=0):g}"
        raise UserError(f"{what} were given for {items} labelled items", "give each one number of 0 or more, not all 0")
    return weights


def _principal(x: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, D) in their R = min(N, D) principal axes with a column of ones, (N, R + 1), and the axes (D, R).

    Weights outside the span of the items are 0 at the optimum, so nothing is lost. The rotation is exact to float32
    only; what that shifts the optimum by enters the objective squared.
    """
    span = None
    if len(x) < x.shape[1]:
        span, small = torch.linalg.qr(x.T)  # (D, N), (N, N)
        x = small.T
    turned = x.T.float()
    try:
        axes = torch.linalg.eigh(product(turned, turned))[1].to(x.dtype)
    except RuntimeError:  # many directions without any spread: float32 cannot part them
        axes = torch.linalg.eigh(x.T.double() @ x.double())[1].to(x.dtype)
    return torch.cat([x @ axes, torch.ones(len(x), 1, dtype=x.dtype)], 1), axes if span is None else span @ axes
