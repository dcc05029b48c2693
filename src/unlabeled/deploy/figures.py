"""What a card says of a model: figures on labelled items that nothing was fitted to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import beta, betabinom

from unlabeled import metrics
from unlabeled.confidence import calibration, conformal, selective
from unlabeled.deploy.decide import Limits

Figure = dict[str, float]
ERRORS = ("ece", "ece_mass", "ece_class")


def figures(
    found: Mapping[str, np.ndarray], labels: np.ndarray, limits: Limits, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """All figures with their intervals.

    Args:
        found: `probabilities` (N, C) and `strangeness` (N,).
        labels: (N,) class numbers.
        limits: of the model.
        groups: (N,) patients, parts ...: whole groups are resampled.

    Returns:
        `n`, and `units`, the groups that they are of; each of `accuracy`, `macro_f1`, `ece`, `ece_mass`, `ece_class`,
        `nll`, `brier`, `aurc`, `coverage`, `size`, `flagged`, `abstained`, `answered_accuracy` as `{value, low, high}`;
        `sets`, `reliability`, `risk`, `by_class`, and `ece_chance`, what an honest model would show on so many items.
    """
    p, y = np.asarray(found["probabilities"], np.float64), np.asarray(labels)
    strange, members = limits.strange(found["strangeness"]), limits.sets(p)
    silent = strange | (members.sum(1) != 1)
    right = p.argmax(1) == y

    def at(rows: np.ndarray) -> dict[str, float]:
        top, hit, answered = p[rows].max(1), right[rows], ~silent[rows]
        return {
            **metrics.brief(p[rows], y[rows]),
            "ece_mass": calibration.error(top, hit, mass=True),
            "ece_class": calibration.classwise(p[rows], y[rows]),
            "aurc": selective.aurc(top, hit),
            "coverage": float(members[rows, y[rows]].mean()),
            "size": float(members[rows].sum(1).mean()),
            "flagged": float(strange[rows].mean()),
            "abstained": float((~answered).mean()),
            "answered_accuracy": float(hit[answered].mean()) if answered.any() else float("nan"),
        }

    whole = at(np.arange(len(y)))
    some = np.flatnonzero(~silent)
    answered = {"answered_accuracy": units(len(some), _of(groups, some))}
    ends = bootstrap(at, len(y), groups, of=answered, most={"size": p.shape[1]})
    out: dict[str, Any] = {k: _figure(v, *ends[k]) for k, v in whole.items()}
    coverage, risk = selective.curve(p.max(1), right)
    shown = np.unique(np.linspace(0, len(coverage) - 1, min(21, len(coverage))).astype(int))
    out |= {"n": len(y), "units": units(len(y), groups), "sets": conformal.report(members, y)}
    out["ece_chance"] = dict(zip(("mean", "most"), calibration.chance(p.max(1)), strict=True))
    out["reliability"] = [vars(b) for b in calibration.table(p.max(1), right)]
    out["risk"] = [[float(coverage[i]), float(risk[i])] for i in shown]
    out["by_class"] = [
        {
            "class": name,
            "n": int((y == c).sum()),
            "recall": _share(right[y == c]),
            "coverage": _share(members[y == c, c]),
        }
        for c, name in enumerate(limits.classes)
    ]
    return out


def doubts(test: Mapping[str, Any], sets: Mapping[str, Any], strangers: Mapping[str, Any]) -> list[str]:
    """What the test items say against the promises, a sentence each: where chance would not explain it.

    Groups count as one item each, on either side, where `units` tells how many there are.
    """
    out = []
    sizes = int(test.get("units", test["n"])), int(sets.get("units", sets["items"]))
    covered, promised = test["coverage"]["value"], float(sets["coverage"])
    if _beyond_chance(covered, promised, *sizes):
        out.append(
            f"On the test items label sets hold the truth in {100 * covered:.1f} %, and not in the promised "
            f"{100 * promised:g} %: these items are not like those it was calibrated on (other patients, parts or "
            "days?). Name such groups in the data, so that whole groups are kept back, or calibrate where it is used."
        )
    flagged, keep = test["flagged"]["value"], float(strangers["keep"])
    if _beyond_chance(1 - flagged, keep, *sizes):
        out.append(
            f"{100 * flagged:.1f} % of the test items are flagged as strangers, more than the {100 * (1 - keep):g} % "
            "that were asked for."
        )
    return out


def units(items: int, groups: np.ndarray | None) -> int:
    """How many things stand by themselves: the groups (N,), or the items where there are none."""
    return items if groups is None else len(np.unique(groups))


def _beyond_chance(share: float, promised: float, test: int, calibrated: int) -> bool:
    """Whether a limit that few items set, on which a share was promised, keeps less of the test items than chance
    explains in all but 0.5 % of cases; the share that it keeps in truth is Beta(calibrated + 1 - spare, spare).

    >>> [_beyond_chance(0.87, 0.95, 500, calibrated) for calibrated in (19, 250)]
    [False, True]
    """
    spare = max(1, int(np.floor((calibrated + 1) * (1 - promised) + 1e-9)))
    return bool(betabinom.cdf(round(share * test), test, calibrated + 1 - spare, spare) < 0.005)


def bootstrap(
    measure: Any,
    items: int,
    groups: np.ndarray | None,
    *,
    resamples: int = 500,
    of: Mapping[str, int] | None = None,
    most: Mapping[str, float] | None = None,
) -> dict[str, tuple[float, float]]:
    """95 % intervals of all the figures that `measure(rows)` gives, each resample serving all of them.

    Args:
        measure: from row numbers to figures by name.
        items: how many rows there are.
        groups: (N,) patients, parts ...: whole groups are resampled.
        resamples: of the bootstrap.
        of: items or groups behind those figures that not all of them count for.
        most: what one item can have at most of those figures that are no shares.
    """
    found: dict[str, list[float]] = {}

    def keep(rows: np.ndarray) -> float:
        for name, value in measure(rows).items():
            found.setdefault(name, []).append(value)
        return 0.0

    calibration.interval(keep, items, groups=groups, resamples=resamples)
    many, fewer = units(items, groups), of or {}
    whole = measure(np.arange(items))
    drawn = {
        k: np.array(v) if k not in ERRORS else calibration.centred(np.array(v), whole[k]) for k, v in found.items()
    }
    top = most or {}
    return {name: calibration.ends(v, fewer.get(name, many), top.get(name, 1.0)) for name, v in drawn.items()}


def _of(groups: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if groups is None else groups[rows]


def _figure(value: float, low: float, high: float) -> dict[str, float | None]:
    return {k: v if np.isfinite(v) else None for k, v in (("value", value), ("low", low), ("high", high))}


def _share(hits: np.ndarray) -> dict[str, float | None]:
    """A share with its Clopper-Pearson interval."""
    n, k = len(hits), int(np.sum(hits))
    if n == 0:
        return _figure(float("nan"), float("nan"), float("nan"))
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return _figure(k / n, low, high)
