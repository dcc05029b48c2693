"""How good are predicted probabilities? Accuracy, and what it hides: each class on its own, ranking, honest confidence.

Averages over classes are macro averages over the classes that have items; a figure that is not defined (no item of a
class, one class alone) is nan, never 0. Numbers follow scikit-learn where it has them. References: Brier (1950), ECE of
Guo et al. (2017, arXiv:1706.04599).
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from unlabeled.errors import UserError

NLL_CLIP = 1e-7  # probabilities below it count as it: about the resolution of float32, 16.1 nats
SURE = 0.99  # probability above which items are ranked by what is left for the other classes
ECE_BINS = 15  # Guo et al. (2017), section 2


def report(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Score predictions against labels.

    Args:
        probabilities: (N, C), rows summing to 1. If any is not finite, all figures but the supports are nan.
        labels: (N,) class numbers 0..C-1.
        classes: the C names.

    Returns:
        `accuracy`; `macro_f1`, `sensitivity` (macro recall), `specificity`; `auroc` (one class against the rest,
        macro); `auprc` (average precision, of two classes that of the rarer, else macro); `nmi` and `ari`, of the most
        probable classes with the truth; `nll` (nats, probabilities clipped at 1e-7); `brier` (sum over classes, 0..2);
        `ece` (top label, 15 bins of equal width); and `precision/<class>`, `recall/<class>`, `f1/<class>`,
        `support/<class>`.

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
    hits, support, called = _counts(probabilities, labels)
    there = support > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / support
        precision = np.where(called > 0, hits / called, np.where(there, 0.0, np.nan))
        f1 = 2 * hits / (support + called)
        specificity = 1 - (called - hits) / (len(labels) - support)
    out = {
        **brief(probabilities, labels),
        "auroc": _auroc(probabilities, labels, support),
        "auprc": _auprc(probabilities, labels, support),
        "sensitivity": float(recall[there].mean()),
        "specificity": float(specificity[there].mean()),
        "nmi": float(normalized_mutual_info_score(labels, probabilities.argmax(1))),
        "ari": float(adjusted_rand_score(labels, probabilities.argmax(1))),
    }
    for i, name in enumerate(classes):
        out[f"precision/{name}"], out[f"recall/{name}"] = float(precision[i]), float(recall[i])
        out[f"f1/{name}"], out[f"support/{name}"] = float(f1[i]), float(support[i])
    if not np.isfinite(probabilities).all():
        out = {key: value if key.startswith("support/") else float("nan") for key, value in out.items()}
    return out


def brief(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The figures of `report` that need neither a ranking nor a name, for those who measure many resamples.

    Args:
        probabilities: (N, C) float64, rows summing to 1, finite.
        labels: (N,) class numbers 0..C-1.

    Returns:
        `accuracy`, `macro_f1`, `nll`, `brier`, `ece`.

    >>> brief(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1]))["accuracy"]
    1.0
    """
    hits, support, called = _counts(probabilities, labels)
    there = support > 0
    truth = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "macro_f1": float((2 * hits[there] / (support + called)[there]).mean()),
        "nll": float(-np.log(truth.clip(NLL_CLIP)).mean()),
        "brier": float((np.square(probabilities).sum(1) - 2 * truth + 1).mean()),
        "ece": _ece(probabilities.max(1), probabilities.argmax(1) == labels),
    }


def confusion(probabilities: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """Count items by true class (rows) and most probable class (columns), (n, n) int64; of equals the first wins.

    >>> confusion(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 1, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(np.asarray(labels) * n + np.asarray(probabilities).argmax(1), minlength=n * n).reshape(n, n)


def right(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which items (N,) bool the most probable class is right on; a row that is not finite is right on nothing.

    >>> right(np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]]), np.array([0, 0, 0])).tolist()
    [True, False, False]
    """
    return np.asarray((probabilities.argmax(1) == labels) & np.isfinite(probabilities).all(1))


def weighted(name: str, labels: np.ndarray, n: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A figure of `report` for the bootstrap of `stats`: from probabilities (N, C) and item weights (R, N) to (R,).

    Args:
        name: macro_f1, sensitivity, specificity, auroc or auprc.
        labels: (N,) class numbers.
        n: number of classes.

    >>> measure = weighted("macro_f1", np.array([0, 1, 1]), 2)
    >>> measure(np.eye(2)[[0, 1, 0]], np.array([[1.0, 1, 1], [1, 1, 0]])).round(3).tolist()
    [0.667, 1.0]
    """
    truth = np.eye(n)[np.asarray(labels)]
    counted = {"macro_f1": _f1, "sensitivity": _recall, "specificity": _spared}

    def measure(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            if name in counted:
                called = np.eye(n)[probabilities.argmax(1)]
                support = weights @ truth
                each = counted[name](weights @ (truth * called), support, weights @ called)
                return np.asarray(np.where(support > 0, each, 0.0).sum(1) / (support > 0).sum(1))
            rank = _area if name == "auroc" else _average
            there = np.flatnonzero((truth.sum(0) > 0) & (truth.sum(0) < len(truth)))
            if name == "auprc" and n == 2 and len(there):
                there = there[[truth.sum(0)[there].argmin()]]
            scores = ranked(probabilities)
            found = np.array([rank(scores[:, c], truth[:, c], weights) for c in there]).reshape(-1, len(weights))
            return np.asarray(np.nansum(found, 0) / np.isfinite(found).sum(0))  # nan where no class is defined

    return measure


def ranked(probabilities: np.ndarray) -> np.ndarray:
    """Scores (N, C) float64 in the order of the probabilities (N, C) of each class: near 1, where float32 makes items
    equal that differ in what is left for the other classes, they are parted by that.

    >>> p = np.array([[1, 1e-9], [1, 1e-12], [0.5, 0.5]], np.float32)
    >>> ranked(p)[:, 0].argsort().tolist(), ranked(p)[2].tolist()
    ([2, 0, 1], [0.5, 0.5])
    """
    p = np.asarray(probabilities, np.float64)
    before, after = (np.pad(s[:, :-1].cumsum(1), ((0, 0), (1, 0))) for s in (p, p[:, ::-1]))
    left = before + after[:, ::-1]
    return np.where(p > SURE, -np.log(left.clip(1e-300)), p)


def _f1(hits: np.ndarray, support: np.ndarray, called: np.ndarray) -> np.ndarray:
    return np.asarray(2 * hits / (support + called))


def _recall(hits: np.ndarray, support: np.ndarray, called: np.ndarray) -> np.ndarray:
    return np.asarray(hits / support)


def _spared(hits: np.ndarray, support: np.ndarray, called: np.ndarray) -> np.ndarray:
    return np.asarray(1 - (called - hits) / (support.sum(1, keepdims=True) - support))


def _area(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve (R,) for item weights (R, N), ties half."""
    own, others = _by_score(scores, weights * positive), _by_score(scores, weights * (1 - positive))
    below = others.cumsum(1) - others / 2
    return np.asarray((own * below).sum(1) / (own.sum(1) * others.sum(1)))


def _average(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision (R,) for item weights (R, N), as `_precision` has it."""
    own, every = _by_score(-scores, weights * positive), _by_score(-scores, weights)
    hits = own.cumsum(1)
    return np.asarray(np.nansum(own * hits / every.cumsum(1), 1) / hits[:, -1])


def _by_score(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights (R, N) summed over equal scores, the lowest first."""
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))
    mine = weights[:, order]
    return mine if len(first) == len(order) else np.asarray(np.add.reduceat(mine, first, axis=1))


def separation(known: np.ndarray, strange: np.ndarray) -> dict[str, float]:
    """How well scores (higher = stranger) part items that belong from items that do not.

    Args:
        known: (N,) scores of items that belong.
        strange: (M,) scores of items that do not.

    Returns:
        `auroc`; `fpr95`, the share of strangers that are accepted when 95 % of the known are (the papers' convention,
        known = positive); `aupr_in` with the known as positives and its `base_in`, the share of known items, which
        chance would give; `aupr_out` with the strangers as positives and its `base_out`. All nan where a score is not
        finite.

    Raises:
        UserError: when one of the two is empty.

    >>> {k: round(v, 3) for k, v in separation(np.array([0.1, 0.2, 0.3, 0.6]), np.array([0.5, 0.9])).items()}
    {'auroc': 0.875, 'fpr95': 0.5, 'aupr_in': 0.95, 'base_in': 0.667, 'aupr_out': 0.833, 'base_out': 0.333}
    """
    known, strange = np.asarray(known, np.float64), np.asarray(strange, np.float64)
    if not len(known) or not len(strange):
        raise UserError(f"{len(known)} known and {len(strange)} strange items were given", "give one or more of each")
    both = np.concatenate([known, strange])
    names = ("auroc", "fpr95", "aupr_in", "base_in", "aupr_out", "base_out")
    if not np.isfinite(both).all():
        return dict.fromkeys(names, float("nan"))
    odd = np.repeat([False, True], [len(known), len(strange)])
    share = len(strange) / len(both)
    area = (rankdata(both)[odd].sum() - len(strange) * (len(strange) + 1) / 2) / (len(known) * len(strange))
    accepted = float((strange <= np.sort(known)[_rank(0.95 * len(known)) - 1]).mean())
    found = (float(area), accepted, _precision(-both, ~odd), 1 - share, _precision(both, odd), share)
    return dict(zip(names, found, strict=True))


def detection(
    held: np.ndarray, known: np.ndarray, strange: np.ndarray, *, keep: float = 0.95
) -> tuple[float, np.ndarray, np.ndarray]:
    """Flag items at a threshold that was set on other items that belong, as it would be in use.

    The threshold is the score of rank ceil((n + 1) * keep) of the n held-out items (the largest where there are fewer),
    so that new items of the same kind are kept with that probability or more.

    Args:
        held: (n,) scores of items that belong, never learnt from, never tested on.
        known: (N,) scores of test items that belong.
        strange: (M,) scores of test items that do not.
        keep: share of the items that belong that is to be kept, 0 to 1.

    Returns:
        The threshold, which known items are kept (N,) bool, and which strangers are flagged (M,) bool.

    >>> threshold, kept, flagged = detection(np.arange(99.0), np.array([50.0, 97]), np.array([94.0, 95]))
    >>> threshold, kept.tolist(), flagged.tolist()
    (94.0, [True, False], [False, True])
    """
    held = np.sort(np.asarray(held, np.float64))
    if not len(held) or not 0 < keep < 1:
        raise UserError(f"{len(held)} held-out items and keep={keep}", "give one item or more, and a share 0 to 1")
    threshold = float(held[min(len(held), _rank((len(held) + 1) * keep)) - 1])
    return threshold, np.asarray(known) <= threshold, np.asarray(strange) > threshold


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two rows of numbers (N,), ties at their mean rank; nan where one does not vary.

    >>> round(spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 9])), 3)
    0.8
    """
    x, y = (rankdata(v) - (len(v) + 1) / 2 for v in (a, b))
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / size) if size > 0 and np.isfinite([*a, *b]).all() else float("nan")


def retrieval(similarity: np.ndarray) -> dict[str, float]:
    """How well the partner of each item is found among all: row i of (N, N) belongs to column i.

    Returns:
        `r@1`, `r@5`, `r@10` (share of rows whose partner is among so many, of equals the worst place counts), `median
        rank`, `gallery` (N) and `chance` (1 / N), without which the others say little.

    >>> {k: round(v, 2) for k, v in retrieval(np.array([[0.9, 0.1], [0.8, 0.2]])).items()}
    {'r@1': 0.5, 'r@5': 1.0, 'r@10': 1.0, 'median rank': 1.5, 'gallery': 2.0, 'chance': 0.5}
    """
    rank = len(similarity) - (similarity < np.diag(similarity)[:, None]).sum(1)  # what is not a number finds nothing
    out = {f"r@{k}": float((rank <= k).mean()) for k in (1, 5, 10)}
    return out | {"median rank": float(np.median(rank)), "gallery": float(len(rank)), "chance": 1 / len(rank)}


def _counts(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class (C,): items that are rightly called so, that are of it, and that are called so."""
    table = confusion(probabilities, labels, probabilities.shape[1]).astype(np.float64)
    return np.diag(table), table.sum(1), table.sum(0)


def _rank(exact: float) -> int:
    """The next whole number, where 0.95 * 20 is 19 though floats make it a little more."""
    return int(np.ceil(exact - 1e-9))


def _precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Average precision: precision at each distinct score, weighted by the recall it adds."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each run of equal scores
    gained = np.diff(hits[last], prepend=0) / hits[-1]
    return float((gained * hits[last] / (last + 1)).sum())


def _auroc(probabilities: np.ndarray, labels: np.ndarray, support: np.ndarray) -> float:
    """Mean over classes of the share of (own, other) pairs in the right order, ties half (Mann-Whitney)."""
    both = (support > 0) & (support < len(labels))
    if not both.any():
        return float("nan")
    ranks = rankdata(ranked(probabilities), axis=0)
    own = np.bincount(labels, ranks[np.arange(len(labels)), labels], len(support))
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (own - support * (support + 1) / 2) / (support * (len(labels) - support))
    return float(area[both].mean())


def _auprc(probabilities: np.ndarray, labels: np.ndarray, support: np.ndarray) -> float:
    """Average precision: of two classes that of the rarer, else the mean over the classes that are there."""
    there = np.flatnonzero((support > 0) & (support < len(labels)))
    if not len(there) or not np.isfinite(probabilities).all():
        return float("nan")
    chosen = there[[support[there].argmin()]] if len(support) == 2 else there
    scores = ranked(probabilities)
    return float(np.mean([_precision(scores[:, c], labels == c) for c in chosen]))


def _ece(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, each open below and closed above."""
    bins = (np.ceil(np.nan_to_num(confidence) * ECE_BINS) - 1).clip(0, ECE_BINS - 1).astype(np.int64)
    return float(np.abs(np.bincount(bins, confidence - right, ECE_BINS)).sum() / len(confidence))
