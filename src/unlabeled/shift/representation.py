"""What the features of the test items tell: the class, which they should, and the domain, which they should not.

Told by nearest neighbours in cross-validation, as balanced accuracy beside chance; no group (or picture) stands on
both sides. Where the data have no domains, clean and corrupted copies of the test items take their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from unlabeled.data.splits import inner_folds
from unlabeled.data.store import Store
from unlabeled.shift.bench import Bench
from unlabeled.shift.domains import names_of
from unlabeled.shift.subjects import LINEAR, Subject
from unlabeled.study.fits import groups, write_arrays
from unlabeled.study.gallery import plane
from unlabeled.training.loop import embed
from unlabeled.training.run import fingerprint

MOST = 1_500  # items on a map
SEVERITY = 3  # of the corrupted copies
NEIGHBOURS = 5
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Representation:
    """What was found.

    Args:
        table: one row an arm, seed and question: arm, seed, told (`class`, `domain` or `corruption`), accuracy
            (balanced), chance, items.
        what: `domain` or `corruption`.
        names: of the domains, or clean and corrupted.
    """

    table: pd.DataFrame
    what: str
    names: tuple[str, ...]


def measure(bench: Bench, subjects: Sequence[Subject], kinds: Sequence[str]) -> Representation:
    """Ask every arm's features; write `maps.npz` with a t-SNE map for the first seed of each arm.

    The arrays are `<arm>/plane` (M, 2), `labels` (M,), `sides` (M,) numbers of domain or corruption, and `names`.

    Args:
        bench: where the features lie.
        subjects: the arms.
        kinds: of corruption, which the copies take in turn where the data have no domains.
    """
    data = bench.prepared
    domain, names = names_of(data)
    rows = data.test if not names else data.test[domain[data.test] >= 0]
    labels = data.table.labels[rows]
    units = groups(data, rows)
    side = domain[rows]
    if not names:
        worse = _copies(bench, kinds, subjects[0])
        labels, side = np.tile(labels, 2), np.repeat([0, 1], len(rows))
        units = np.tile(np.arange(len(rows)) if units is None else units, 2)
    code = "domains" if names else fingerprint(list(kinds), np.arange(len(kinds)))
    what, called = ("domain", tuple(names)) if names else ("corruption", ("clean", "corrupted"))
    chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST])
    maps: dict[str, np.ndarray] = {"labels": labels[chosen], "sides": side[chosen], "names": np.array(called, str)}
    found: list[dict[str, Any]] = []
    for s in (s for s in subjects if s.probe == LINEAR):  # another probe reads the same features
        x = bench.features(s)[1]
        x = x[np.isin(data.test, rows)] if names else np.concatenate([x, _worse(bench, s, worse, code)])
        for told, y in (("class", labels), (what, side)):
            accuracy = tell(x, y, units)
            chance = 1 / len(np.unique(y))
            found.append(
                {"arm": s.arm, "seed": s.seed, "told": told, "accuracy": accuracy, "chance": chance, "items": len(y)}
            )
        if f"{s.arm}/plane" not in maps:
            maps[f"{s.arm}/plane"] = _map(bench, s, x[chosen], code)
    write_arrays(bench.folder / "maps.npz", maps)
    return Representation(pd.DataFrame(found), what, called)


def tell(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> float:
    """How well features tell something: balanced accuracy of 5 nearest neighbours in 5-fold cross-validation.

    Args:
        x: (N, D) features, standardised here by each fold's own training part.
        y: (N,) numbers of what is to be told.
        groups: (N,) which never stand on both sides of a fold.

    Returns:
        The accuracy, 0 to 1; nan where there is nothing to tell apart, too little to cross-validate, or no number.

    >>> random = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> tell(random.normal(size=(40, 2)) + 9 * y[:, None], y)
    1.0
    """
    folds = inner_folds(y, groups, FOLDS, 0)
    if not folds or len(np.unique(y)) < 2 or not np.isfinite(x).all():
        return float("nan")
    truth, said = [], []
    for learn, check in folds:
        mean, spread = x[learn].mean(0), x[learn].std(0) + 1e-6
        near = KNeighborsClassifier(min(NEIGHBOURS, len(learn))).fit((x[learn] - mean) / spread, y[learn])
        truth.append(y[check])
        said.append(near.predict((x[check] - mean) / spread))
    if len(np.unique(np.concatenate(truth))) < 2:  # of the others there was one item (group) each, to learn from
        return float("nan")
    return float(balanced_accuracy_score(np.concatenate(truth), np.concatenate(said)))


def _copies(bench: Bench, kinds: Sequence[str], subject: Subject) -> Store:
    """The test items, each under one of the kinds in turn."""
    looks = subject.recipe.looks()
    out = np.empty(0)
    for i, kind in enumerate(kinds):
        whole = bench.corrupted(kind, SEVERITY, looks).array
        out = out if i else np.empty_like(whole)
        out[i :: len(kinds)] = whole[i :: len(kinds)]
    return Store(out)


def _worse(bench: Bench, s: Subject, copies: Store, code: str) -> np.ndarray:
    path = bench.cell(s, f"copies-{code}")
    if not path.is_file():
        encoder = bench.models(s)[0][0]
        x = embed(encoder, bench.looks(s), copies, np.arange(len(copies)), bench.device).numpy()
        write_arrays(path, {"features": x})
    with np.load(path) as arrays:
        return np.asarray(arrays["features"])


def _map(bench: Bench, s: Subject, x: np.ndarray, code: str) -> np.ndarray:
    path = bench.cell(s, f"map-{code}")
    if not path.is_file():
        write_arrays(path, {"plane": plane(x, 0)})
    with np.load(path) as arrays:
        return np.asarray(arrays["plane"])
