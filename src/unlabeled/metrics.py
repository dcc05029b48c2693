"""How good are predicted probabilities? Accuracy, and what it hides: each class on its own, ranking, honest confidence.

Averages over classes are macro averages over the classes that have items; a figure that is not defined (no item of a
class, one class alone) is nan, never 0. Numbers follow scikit-learn where it has them. References: Brier (1950), ECE of
Guo et al. (2017, arXiv:1706.04599).
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from unlabeled.errors import UserError

NLL_CLIP = 1e-7  # probabilities below it count as it: about the resolution of float32, 16.1 nats
ECE_BINS = 15  # Guo et al. (2017), section 2


def report(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Score predictions against labels.

    Args:
        probabilities: (N, C), rows summing to 1. If any is not finite, all figures but the supports are nan.
        labels: (N,) class numbers 0..C-1.
        classes: the C names.

    Returns:
        `accuracy`; `macro_f1`, `sensitivity` (macro recall), `specificity`; `auroc` (one class against the rest,
        macro); `nll` (nats, probabilities clipped at 1e-7); `brier` (sum over classes, 0..2); `ece` (top label, 15 bins
        of equal width); and `precision/<class>`, `recall/<class>`, `f1/<class>`, `support/<class>`.

    Raises:
        UserError: when shapes do not fit together.

    >>> figures = report(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 1, 1]), ["good", "bad"])
    >>> round(figures["accuracy"], 3), round(figures["recall/bad"], 3), round(figures["auroc"], 3)
    (0.667, 0.5, 1.0)
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.shape != (len(labels), len(classes)) or not len(labels):
        raise UserError(
            f"probabilities of shape {probabilities.shape} came with {len(labels)} labels and {len(classes)} names",
            "give (items, classes), and at least one item",
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise UserError(
            f"labels run from {labels.min()} to {labels.max()}, with {len(classes)} classes",
            "number the classes from 0",
        )
    table = confusion(probabilities, labels, len(classes)).astype(np.float64)
    hits, support, called = np.diag(table), table.sum(1), table.sum(0)
    there = support > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / support
        precision = np.where(called > 0, hits / called, np.where(there, 0.0, np.nan))
        f1 = 2 * hits / (support + called)
        specificity = 1 - (called - hits) / (len(labels) - support)
    top = probabilities.max(1)
    truth = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
    out = {
        "accuracy": float(hits.sum() / len(labels)),
        "macro_f1": float(f1[there].mean()),
        "auroc": _auroc(probabilities, labels, support),
        "sensitivity": float(recall[there].mean()),
        "specificity": float(specificity[there].mean()),
        "nll": float(-np.log(truth.clip(NLL_CLIP)).mean()),
        "brier": float((np.square(probabilities).sum(1) - 2 * truth + 1).mean()),
        "ece": _ece(top, probabilities.argmax(1) == labels),
    }
    for i, name in enumerate(classes):
        out[f"precision/{name}"], out[f"recall/{name}"] = float(precision[i]), float(recall[i])
        out[f"f1/{name}"], out[f"support/{name}"] = float(f1[i]), float(support[i])
    if not np.isfinite(probabilities).all():
        out = {key: value if key.startswith("support/") else float("nan") for key, value in out.items()}
    return out


def confusion(probabilities: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """Count items by true class (rows) and most probable class (columns), (n, n) int64; of equals the first wins.

    >>> confusion(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 1, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(np.asarray(labels) * n + np.asarray(probabilities).argmax(1), minlength=n * n).reshape(n, n)


def weighted_macro_f1(labels: np.ndarray, n: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Macro-F1 for the bootstrap of `stats`: from predicted class numbers (N,) and item weights (R, N) to (R,) figures.

    >>> measure = weighted_macro_f1(np.array([0, 1, 1]), 2)
    >>> measure(np.array([0, 1, 0]), np.array([[1.0, 1, 1], [1, 1, 0]])).round(3).tolist()
    [0.667, 1.0]
    """
    truth = np.eye(n)[np.asarray(labels)]

    def measure(predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
        called = np.eye(n)[np.asarray(predicted)]
        support = weights @ truth
        total = support + weights @ called
        f1 = np.divide(2 * (weights @ (truth * called)), total, out=np.zeros_like(total), where=total > 0)
        return np.asarray((f1 * (support > 0)).sum(1) / (support > 0).sum(1))

    return measure


def _auroc(probabilities: np.ndarray, labels: np.ndarray, support: np.ndarray) -> float:
    """Mean over classes of the share of (own, other) pairs in the right order, ties half (Mann-Whitney)."""
    both = (support > 0) & (support < len(labels))
    if not both.any():
        return float("nan")
    ranks = rankdata(probabilities, axis=0)
    own = np.bincount(labels, ranks[np.arange(len(labels)), labels], len(support))
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (own - support * (support + 1) / 2) / (support * (len(labels) - support))
    return float(area[both].mean())


def _ece(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, each open below and closed above."""
    bins = (np.ceil(np.nan_to_num(confidence) * ECE_BINS) - 1).clip(0, ECE_BINS - 1).astype(np.int64)
    return float(np.abs(np.bincount(bins, confidence - right, ECE_BINS)).sum() / len(confidence))
