"""Linear maps to many numbers at once; how strongly they are held back is chosen on items kept apart."""

from dataclasses import dataclass

import numpy as np

STRENGTHS = tuple(10.0**k for k in range(-4, 4))  # of the penalty, in units of the inputs' mean variance
UNTOLD = 1.0  # the one where nothing is known of the held items


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of many maps, decomposed once.

    Args:
        mean: (P,) of the inputs.
        scale: (P,) their spread, 1 where they never change.
        x: (N, P) standardised.
        basis: (P, P) eigenvectors of the covariance.
        values: (P,) eigenvalues.
    """

    mean: np.ndarray
    scale: np.ndarray
    x: np.ndarray
    basis: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> "Inputs":
        """Standardise and decompose inputs (N, P)."""
        x = np.asarray(x, np.float64)
        mean, spread = x.mean(0), x.std(0)
        scale = np.where(spread > 1e-8, spread, 1.0)
        x = (x - mean) / scale
        values, basis = np.linalg.eigh(x.T @ x / len(x))
        return cls(mean, scale, x, basis, np.maximum(values, 0))

    def standard(self, x: np.ndarray) -> np.ndarray:
        """Other inputs (M, P) in the same units."""
        return np.asarray((np.asarray(x, np.float64) - self.mean) / self.scale)


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear map from inputs (N, P) to targets (N, K).

    Args:
        inputs: that it was fitted on.
        weights: (P, K) for standardised inputs.
        bias: (K,).
        strength: of the penalty, as chosen.
    """

    inputs: Inputs
    weights: np.ndarray
    bias: np.ndarray
    strength: float

    @classmethod
    def fit(cls, inputs: Inputs, y: np.ndarray, x_held: np.ndarray, y_held: np.ndarray) -> "Ridge":
        """Fit with every strength and keep the one whose error on the held items is least; NaN targets do not count.
        Where none of theirs is known it is 1.

        Args:
            inputs: of the items that are learnt from.
            y: (N, K) their targets; which are missing must not hang on their values.
            x_held: (M, P) inputs of items kept apart.
            y_held: (M, K) their targets.

        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> y = x @ np.array([[1.0], [2.0]])
        >>> bool(np.abs(Ridge.fit(Inputs.of(x[:40]), y[:40], x[40:], y[40:]).predict(x) - y).max() < 0.01)
        True
        """
        y = np.asarray(y, np.float64)
        known = np.maximum((~np.isnan(y)).sum(0), 1)
        bias = np.nansum(y, 0) / known
        turned = inputs.basis.T @ (inputs.x.T @ np.nan_to_num(y - bias) / known)
        held, unit = inputs.standard(x_held) @ inputs.basis, max(float(inputs.values.mean()), 1e-12)
        errors = []
        for strength in STRENGTHS if np.isfinite(y_held).any() else ():
            guess = held @ (turned / (inputs.values + strength * unit)[:, None]) + bias
            errors.append(float(np.nanmean((guess - y_held) ** 2)))
        best = STRENGTHS[int(np.argmin(errors))] if errors else UNTOLD
        weights = inputs.basis @ (turned / (inputs.values + best * unit)[:, None])
        return cls(inputs, weights, bias, best)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Targets (M, K) of inputs (M, P)."""
        return np.asarray(self.inputs.standard(x) @ self.weights + self.bias)
