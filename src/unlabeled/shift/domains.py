"""Accuracy in each domain (site, scanner, camera), and in a domain whose labels nobody has seen.

`all domains`: the probe has labels of every domain. `domain left out`: its labels come from the other domains alone
(the encoder has seen pictures of that domain without labels, unless its run left them out). Worst domain and gap stand
beside the mean (DomainBed, Gulrajani & Lopez-Paz 2021, arXiv:2007.01434).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import metrics, stats
from unlabeled.data.prepare import Prepared
from unlabeled.shift import severity
from unlabeled.shift.bench import Bench
from unlabeled.shift.subjects import SUPERVISED, Subject
from unlabeled.study.fits import full, groups, write_arrays

SEEN, LEFT_OUT = "all domains", "domain left out"
Hits = dict[tuple[str, str], list[stats.Cell]]  # (setting, arm): right or wrong over all test items of a domain


@dataclass(frozen=True, eq=False)
class Domains:
    """What was found.

    Args:
        table: one row an arm, setting and domain: arm, setting, domain, items, accuracy, low, high, n (fits).
        summary: one row an arm and setting: mean over domains, worst, worst_domain, gap (best less worst).
        differences: paired, first minus second: arm_a, arm_b, setting, domain (or `all` test items), difference, low,
            high, n, seeds.
        notes: sentences.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    notes: tuple[str, ...]


def names_of(prepared: Prepared) -> tuple[np.ndarray, list[str]]:
    """The domain number of every item (N,) int64, -1 where unknown, and the names of the domains.

    The names are empty where the data have fewer than two domains with labelled test items.
    """
    column = prepared.table.items["domain"]
    names = sorted(column.iloc[prepared.test].dropna().unique().tolist())
    if len(names) < 2:
        return np.full(len(column), -1, np.int64), []
    every = sorted(column.dropna().unique().tolist())
    every = names + [d for d in every if d not in names]  # domains without test items come last
    return np.asarray(pd.Categorical(column, categories=every).codes, np.int64), names


def measure(bench: Bench, subjects: Sequence[Subject]) -> Domains | None:
    """Score every arm in every domain; None where the data have fewer than two domains.

    Args:
        bench: where the features lie; its `clean` cells must stand.
        subjects: the arms; a supervised one is left out where a domain's labels are.
    """
    domain, names = names_of(bench.prepared)
    if not names:
        return None
    data, truth = bench.prepared, bench.prepared.table.labels
    known = data.test[domain[data.test] >= 0]
    hits: Hits = {}
    notes: list[str] = []
    for s in subjects:
        with np.load(bench.cell(s, "clean")) as arrays:
            right = np.stack([metrics.right(p, truth[data.test]) for p in arrays["probabilities"]])
        inside = domain[data.test] >= 0
        hits.setdefault((SEEN, s.arm), []).extend((s.seed, d, row[inside]) for d, row in enumerate(right))
        if s.kind == SUPERVISED:
            continue
        for draw in range(len(bench.draws)):
            row = np.zeros(len(known), bool)
            for number, name in enumerate(names):
                predicted, lacking = _left_out(bench, s, draw, number, domain)
                mine = domain[known] == number
                row[mine] = metrics.right(predicted, truth[known[mine]]) & predicted.any(1)
                notes += _lacks(name, data.table.classes, lacking)
            hits.setdefault((LEFT_OUT, s.arm), []).append((s.seed, draw, row))
    table = _table(hits, domain[known], names, data, known)
    told = (
        "With a domain left out the probe has no label of it; the encoder has seen its pictures without labels, "
        "unless the run left them out.",
    )
    differences = _differences(hits, domain[known], names, data, known)
    return Domains(table, summarise(table), differences, (*told, *dict.fromkeys(notes)))


def _left_out(bench: Bench, s: Subject, draw: int, number: int, domain: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Probabilities of a domain's test items by a probe on the others' labels, and the classes that these lack.

    Where the others' labels show one class alone, it is the answer to every item; where they show none, nothing is.
    """
    data = bench.prepared
    rows = bench.draws[draw]
    rows = rows[(domain[rows] >= 0) & (domain[rows] != number)]
    y = data.table.labels[rows]
    lacking = [c for i, c in enumerate(data.table.classes) if i not in y]
    path = bench.cell(s, f"without-{number}-d{draw}")
    if not path.is_file():
        learn, test = bench.features(s)
        here, others = test[domain[data.test] == number], learn[domain[data.pool] != number]
        found = np.ones((len(here), len(np.unique(y))), np.float32)
        if found.shape[1] > 1:
            found = bench.fitted(s, rows, draw, others).predict(here)
        write_arrays(path, {"probabilities": full(found, y, bench.classes)})
    with np.load(path) as arrays:
        return arrays["probabilities"], lacking


def _lacks(name: str, classes: Sequence[str], lacking: Sequence[str]) -> list[str]:
    """What is to be said where a domain is left out and classes are lacking."""
    if not lacking:
        return []
    one = [c for c in classes if c not in lacking]
    only = f", and {one[0]}, the one that is left, is the answer to every item" if len(one) == 1 else ""
    return [f"Without {name} no label shows {', '.join(lacking)}: such items count as wrong there{only}."]


def _table(hits: Hits, domain: np.ndarray, names: Sequence[str], data: Prepared, rows: np.ndarray) -> pd.DataFrame:
    out = []
    units = groups(data, rows)
    for (setting, arm), cells in hits.items():
        for number, name in enumerate(names):
            mine = domain == number
            some = None if units is None else units[mine]
            found = stats.summarise([(s, d, v[mine]) for s, d, v in cells], groups=some)
            row = {"arm": arm, "setting": setting, "domain": name, "items": int(mine.sum()), "accuracy": found.mean}
            out.append(row | {"low": found.low, "high": found.high, "n": found.n})
    return pd.DataFrame(out)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """From accuracies by arm, setting and domain: mean, worst, worst_domain and gap, every domain counting the same.

    >>> rows = [("a", "s", "left", 0.9), ("a", "s", "right", 0.6)]
    >>> found = summarise(pd.DataFrame(rows, columns=["arm", "setting", "domain", "accuracy"]))
    >>> found[["mean", "worst", "worst_domain", "gap"]].round(2).values.tolist()
    [[0.75, 0.6, 'right', 0.3]]
    """
    out: list[dict[str, Any]] = []
    for (setting, arm), part in table.groupby(["setting", "arm"], sort=False):
        scores = part["accuracy"].to_numpy(float)
        worst = int(scores.argmin())
        row = {"arm": arm, "setting": setting, "mean": scores.mean(), "worst": scores[worst]}
        out.append(row | {"worst_domain": part["domain"].iloc[worst], "gap": scores.max() - scores.min()})
    return pd.DataFrame(out)


def _differences(
    hits: Hits, domain: np.ndarray, names: Sequence[str], data: Prepared, rows: np.ndarray
) -> pd.DataFrame:
    out = []
    units = groups(data, rows)
    places: Mapping[str, np.ndarray] = {"all": domain >= 0} | {n: domain == i for i, n in enumerate(names)}
    for (one, a), (other, b) in itertools.permutations(hits, 2):
        if one != other or not severity.paired(hits[one, a], hits[other, b]):
            continue
        for name, mine in places.items():
            pair = [[(s, d, v[mine]) for s, d, v in hits[one, arm]] for arm in (a, b)]
            found = stats.paired_difference(*pair, groups=None if units is None else units[mine])
            row = {"arm_a": a, "arm_b": b, "setting": one, "domain": name, "difference": found.difference}
            out.append(row | {"low": found.low, "high": found.high, "n": found.n, "seeds": found.seeds})
    columns = ["arm_a", "arm_b", "setting", "domain", "difference", "low", "high", "n", "seeds"]
    return pd.DataFrame(out, columns=columns)
