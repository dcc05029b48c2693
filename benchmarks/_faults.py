"""Faults drawn on good pictures, to choose settings of a detector without looking at a single real fault.

They are what books on surface inspection tell of, drawn in other ways than those that the detector learns from.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

KINDS = ("hole", "crack", "chip", "cut", "shade", "worn", "rough")
SIZES = {"hole": (0.008, 0.035), "cut": (0.05, 0.18), "shade": (0.1, 0.4), "worn": (0.08, 0.35), "rough": (0.05, 0.25)}


def plant(pictures: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one fault on each picture.

    Args:
        pictures: (N, 1, S, S) uint8, good ones; another of them lends its texture to `cut` and `chip`.
        kind: `hole` (small, dark, perhaps with a bright rim), `crack` (a thin dark walk), `chip` (a piece broken out
            of an edge), `cut` (a patch of another picture, Li et al. 2021, arXiv:2104.04015), `shade` (a wide faint
            change of brightness), `worn` (texture that is gone), `rough` (grain that is not usual).
        seed: of everything random.

    Returns:
        The pictures with faults, and their masks (N, S, S) bool.
    """
    out, masks = pictures.copy(), np.zeros(pictures[:, 0].shape, bool)
    for i in range(len(pictures)):
        chance = np.random.default_rng([seed, KINDS.index(kind), i])
        x = pictures[i, 0].astype(np.float32)
        depth = _walk(len(x), chance) if kind == "crack" else _region(kind, len(x), chance)
        lent = np.roll(
            pictures[chance.integers(len(pictures)), 0].astype(np.float32), chance.integers(0, len(x), 2), (0, 1)
        )
        out[i, 0] = _changed(x, depth, lent, kind, chance).clip(0, 255).round()
        masks[i] = depth > 0.3
    return out, masks


def _changed(x: np.ndarray, depth: np.ndarray, lent: np.ndarray, kind: str, chance: np.random.Generator) -> np.ndarray:
    """A picture with the fault in it (S, S)."""
    noise, middle = chance.standard_normal(x.shape), max(float(np.median(x)), 1.0)
    if kind == "hole":
        rim = np.clip(2 * gaussian_filter(depth, 1.5) - 2 * depth, 0, 1)
        return np.asarray(x * (1 - depth * chance.uniform(0.12, 0.6)) * (1 + rim * chance.uniform(0, 0.5)))
    if kind == "crack":
        return np.asarray(x * (1 - depth * chance.uniform(0.12, 0.5)))
    if kind == "chip":
        return np.asarray(
            x + depth * (lent.T * chance.uniform(0.3, 1.2) + 0.3 * middle * gaussian_filter(noise, 1.2) - x)
        )
    if kind == "cut":
        return np.asarray(x + depth * (lent * middle / max(float(np.median(lent)), 1.0) - x))
    if kind == "shade":
        return np.asarray(x * (1 + (-1 if chance.random() < 0.6 else 1) * depth * chance.uniform(0.08, 0.3)))
    if kind == "worn":
        return np.asarray(
            x + depth * (gaussian_filter(x, chance.uniform(1.5, 5)) * (1 + chance.uniform(-0.2, 0.2)) - x)
        )
    return np.asarray(x * (1 + depth * chance.uniform(0.15, 0.6) * gaussian_filter(noise, 1.0)))


def _walk(side: int, chance: np.random.Generator) -> np.ndarray:
    """A walk whose direction drifts (S, S), 0 to 1."""
    marks, turn = np.zeros((side, side), np.float32), chance.uniform(0, 2 * np.pi)
    at = chance.uniform(0.1, 0.9, 2) * side
    for _ in range(2 * int(chance.integers(side // 8, side))):
        turn += chance.normal(0, 0.25)
        at = at + 0.5 * np.array([np.sin(turn), np.cos(turn)])
        if (at < 0).any() or (at >= side).any():
            break
        marks[int(at[0]), int(at[1])] = 1
    return _soft(marks, chance.uniform(0.5, 1.1))


def _region(kind: str, side: int, chance: np.random.Generator) -> np.ndarray:
    """A piece of an edge, or a bulging region anywhere (S, S), 0 to 1."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    if kind == "chip":
        edge = int(chance.integers(4))
        inward, along = (y, 1 - y, x, 1 - x)[edge], (x, x, y, y)[edge]
        reach = chance.uniform(0.03, 0.15) * (
            1 - ((along - chance.uniform(0.1, 0.9)) / chance.uniform(0.05, 0.25)) ** 2
        )
        jagged = 0.02 * np.interp(along, np.linspace(0, 1, 30), chance.standard_normal(30))
        return _soft((inward < reach + jagged).astype(np.float32), 0.5)
    cy, cx = chance.uniform(0.1, 0.9, 2)
    corners = int(chance.integers(5, 12))
    far = chance.uniform(*SIZES[kind], corners)
    far = 0.6 * far + 0.4 * far.mean()
    turn = (np.arctan2(y - cy, x - cx) + np.pi) / (2 * np.pi) * corners
    radius = np.interp(turn, np.arange(corners + 1), np.append(far, far[0]))
    inside = (np.hypot(y - cy, (x - cx) * chance.uniform(0.5, 1)) < radius).astype(np.float32)
    widths = {"hole": (0.6, 0.6), "cut": (0.7, 0.7), "shade": (1, 0.08 * side), "worn": (0.7, 5), "rough": (0.7, 4)}
    return _soft(inside, chance.uniform(*widths[kind]))


def _soft(marks: np.ndarray, width: float) -> np.ndarray:
    soft = gaussian_filter(marks, width)
    return np.asarray(soft / max(float(soft.max()), 1e-6))
