"""From probabilities and strangeness to a decision: label, set, abstain or not, and why; no torch is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unlabeled.errors import UserError

SLACK = 1e-6  # another runtime's rounding must not carry an item over a limit that lies exactly on its score


@dataclass(frozen=True, eq=False)
class Limits:
    """The limits that decide.

    Args:
        classes: names of the classes.
        coverage: promised share of sets that hold the true class.
        quantile: (classes,) largest score, one minus the probability, of a class that is in the set.
        strangeness: above it an item is a stranger.
    """

    classes: Sequence[str]
    coverage: float
    quantile: np.ndarray
    strangeness: float

    @classmethod
    def of(
        cls, facts: Mapping[str, Any], reference: Mapping[str, np.ndarray] | None = None, coverage: float | None = None
    ) -> "Limits":
        """The limits of a bundle; at another coverage they are read off its calibration items."""
        told = facts["conformal"]
        share, limit = float(told["coverage"]), np.array([float("inf") if q is None else q for q in told["quantile"]])
        if coverage is not None and coverage != share:
            from unlabeled.confidence import conformal

            if reference is None:
                raise UserError(f"another coverage, {coverage}, was asked for", "open the bundle itself for that")
            limit = class_limits(
                reference["probabilities"], reference["labels"], coverage, told["by"], len(facts["classes"]),
                reference.get("domains"),
            )  # fmt: skip
            conformal.needed(coverage)
            share = coverage
        return cls(tuple(facts["classes"]), share, limit, float(facts["strangers"]["threshold"]))

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes each set holds (N, C) bool."""
        return np.asarray(1 - np.asarray(probabilities, np.float64) <= self.quantile + SLACK)

    def strange(self, strangeness: np.ndarray) -> np.ndarray:
        """Who is a stranger (N,) bool."""
        return np.asarray(strangeness) > self.strangeness + SLACK * max(1.0, abs(self.strangeness))

    def why(self, members: np.ndarray, strange: bool) -> str:
        """Why the model abstains on an item with this set (C,) bool; "" where it answers."""
        if strange:
            return "unlike anything that was learnt from"
        share, count = f"{100 * self.coverage:g} %", int(members.sum())
        if count == 0:
            return f"less sure of every class than of {share} of the known items"
        if count > 1:
            names = [c for c, inside in zip(self.classes, members, strict=True) if inside]
            return f"{share} sure only that it is one of {', '.join(names)}"
        return ""


def class_limits(
    probabilities: np.ndarray,
    labels: np.ndarray,
    coverage: float,
    by: str,
    classes: int,
    domains: np.ndarray | None = None,
) -> np.ndarray:
    """A quantile for each class (C,) from calibration items: the same for all, each class's own, or the most careful of
    the domains', which keeps the promise in each of them without knowing where an item is from.

    Args:
        probabilities: (N, C) of the calibration items.
        labels: (N,) their class numbers.
        coverage: 0 to 1.
        by: `all`, `class` or `domain`.
        classes: C.
        domains: (N,) domain numbers of the items, for `domain`.

    >>> p = np.array([[0.9, 0.1]] * 9 + [[0.6, 0.4]] * 9)
    >>> class_limits(p, np.zeros(18, int), 0.9, "domain", 2, np.repeat([0, 1], 9)).round(1).tolist()
    [0.4, 0.4]
    """
    from unlabeled.confidence import conformal

    held = conformal.scores(probabilities, labels)
    if by == "class":
        return conformal.quantiles(held, labels, classes, coverage)
    if by == "domain":
        numbers = np.unique(np.zeros(0) if domains is None else domains, return_inverse=True)[1].ravel()
        if not len(numbers):
            raise UserError("label sets by domain were asked for, and no domain is known", "take --sets-by all")
        return np.full(classes, conformal.quantiles(held, numbers, int(numbers.max()) + 1, coverage).max())
    return np.full(classes, conformal.quantile(held, coverage))
