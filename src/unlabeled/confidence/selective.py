"""What is gained by answering only when sure? Risk against coverage (Geifman & El-Yaniv 2017, arXiv:1705.08500)."""

import numpy as np


def curve(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of items that are answered, surest first, and share of wrong ones among them.

    Args:
        confidence: (N,) higher is answered first; of equals all are answered together.
        right: (N,) whether the answer is right.

    Returns:
        Coverage (K,) and risk (K,), K distinct confidences.

    >>> [v.tolist() for v in curve(np.array([0.9, 0.8, 0.7, 0.7]), np.array([1, 1, 0, 1]))]
    [[0.25, 0.5, 1.0], [0.0, 0.0, 0.25]]
    """
    c = np.asarray(confidence, np.float64)
    order = np.argsort(-c, kind="stable")
    wrong = np.cumsum(1 - np.asarray(right, np.float64)[order])
    last = np.flatnonzero(np.append(np.diff(c[order]) != 0, True))
    return (last + 1) / len(c), wrong[last] / (last + 1)


def aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    """Area under the risk-coverage curve: the mean risk over all numbers of answered items; 0 is best.

    >>> aurc(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 1]))
    0.14583333333333331
    """
    coverage, risk = curve(confidence, right)
    return float((np.diff(coverage, prepend=0.0) * risk).sum())


def excess(confidence: np.ndarray, right: np.ndarray) -> float:
    """The same less what a confidence that knows all mistakes would reach (E-AURC, Geifman et al. 2019)."""
    right = np.asarray(right, np.float64)
    return aurc(confidence, right) - aurc(right - np.arange(len(right)) * 1e-9, right)
