"""Does the interval of a study that tests in turns hold the accuracy that its models have on all other items?

    python benchmarks/turns.py

Of scikit-learn's digits 60 are labelled, at random or as many of each class; a linear probe on 16 principal components
with noise, so that it errs. Five turns, as `compare` deals them, beside a fifth held out; 300 repeats.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from unlabeled import stats
from unlabeled.data.splits import deal
from unlabeled.protocols.linear import Linear

LABELS, REPEATS, TURNS = 60, 300, 5


def repeat(x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int, turns: int) -> tuple[float, float, float]:
    """Whether the interval holds the truth, its width, and how far the figure is above it.

    Args:
        x: features (N, D) of all items.
        y: (N,) class numbers.
        rows: the labelled ones.
        seed: of the turns.
        turns: that are tested on.
    """
    rest = np.setdiff1d(np.arange(len(y)), rows)
    part = deal(y[rows], np.arange(len(rows)), TURNS, seed)
    hits, truth = np.zeros(len(rows), bool), []
    for turn in range(turns):
        learn, test = rows[part != turn], rows[part == turn]
        probe = Linear(strength=1e-2).fit(x[learn], y[learn], seed=0)
        names = np.unique(y[learn])
        hits[part == turn] = names[probe.predict(x[test]).argmax(1)] == y[test]
        truth.append(float((names[probe.predict(x[rest]).argmax(1)] == y[rest]).mean()))
    told = stats.summarise([(0, 0, hits[part < turns])], turns=turns)
    return float(told.low <= np.mean(truth) <= told.high), told.high - told.low, told.mean - float(np.mean(truth))


def main() -> None:
    print("| classes | labelled | tested | 95 % intervals that hold the truth | width, points | off by | too high by |")
    print("|---" * 7 + "|")
    for classes, noise in ((10, 3.0), (4, 8.0)):
        data = load_digits(n_class=classes)
        clean = PCA(16, random_state=0).fit_transform(data.data)
        x = (clean + np.random.default_rng(5).normal(0, noise, clean.shape)).astype(np.float32)
        y = data.target
        for even in (False, True):
            for turns, words in ((TURNS, "all, in five turns"), (1, "a fifth")):
                found = []
                for seed in range(REPEATS):
                    order = np.random.default_rng(seed).permutation(len(y))
                    ranks = np.zeros(len(y), np.int64)
                    for c in range(classes if even else 0):
                        ranks[order[y[order] == c]] = np.arange((y == c).sum())
                    rows = order[np.argsort(ranks[order], kind="stable")[:LABELS]]
                    found.append(repeat(x, y, rows, seed, turns))
                held, width, off = np.array(found).T
                drawn = "evenly" if even else "at random"
                print(
                    f"| {classes} | {drawn} | {words} | {held.mean():.0%} | {100 * width.mean():.0f} | "
                    f"{100 * np.abs(off).mean():.1f} | {100 * off.mean():+.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
