"""Faults drawn on good pictures, to choose settings of a detector without looking at a single real fault."""

import numpy as np
from scipy.ndimage import gaussian_filter

KINDS = ("spot", "line", "cut", "cloud")


def plant(pictures: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one fault on each picture.

    Args:
        pictures: (N, 1, S, S) uint8, good ones; another of them lends its texture to `cut`.
        kind: `spot` (a small dark dot), `line` (a thin dark crack), `cut` (a patch of another picture, Li et al. 2021,
            arXiv:2104.04015), `cloud` (a wide soft change of brightness).
        seed: of everything random.

    Returns:
        The pictures with faults, and their masks (N, S, S) bool.
    """
    out, masks = pictures.copy(), np.zeros(pictures[:, 0].shape, bool)
    side = pictures.shape[-1]
    for i in range(len(pictures)):
        chance = np.random.default_rng([seed, KINDS.index(kind), i])
        x = pictures[i, 0].astype(np.float32)
        depth = _shape(kind, side, chance)
        if kind == "cut":
            other = pictures[chance.integers(len(pictures)), 0].astype(np.float32)
            other = np.roll(other * (np.median(x) / max(np.median(other), 1)), chance.integers(0, side, 2), (0, 1))
            changed = x + depth * (other - x)
        else:
            sign = -1 if kind != "cloud" or chance.random() < 0.7 else 1
            changed = x * (1 + sign * depth * chance.uniform(0.25, 0.7) * (0.5 if kind == "cloud" else 1))
        out[i, 0] = changed.clip(0, 255).round()
        masks[i] = depth > 0.3
    return out, masks


def _shape(kind: str, side: int, chance: np.random.Generator) -> np.ndarray:
    """How strong the fault is at each pixel (S, S), 0 to 1."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    cy, cx = chance.uniform(0.1, 0.9, 2)
    turn = chance.uniform(0, np.pi)
    u, v = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn), (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    if kind == "line":
        bend = 0.03 * np.sin(chance.uniform(10, 40) * u + chance.uniform(0, 6)) * chance.random()
        near = (np.abs(v - bend) < chance.uniform(0.5, 1.2) / 128) & (np.abs(u) < chance.uniform(0.08, 0.3))
        soft = gaussian_filter(near.astype(np.float32), 0.4 * side / 128)
    else:
        low, high = {"spot": (0.01, 0.04), "cut": (0.05, 0.15), "cloud": (0.1, 0.3)}[kind]
        a, b = chance.uniform(low, high, 2)
        inside = (np.maximum(np.abs(u) / a, np.abs(v) / b) if kind == "cut" else np.hypot(u / a, v / b)) < 1
        soft = gaussian_filter(inside.astype(np.float32), (0.1 * side if kind == "cloud" else 0.6 * side / 128))
    return np.asarray(soft / max(float(soft.max()), 1e-6))
