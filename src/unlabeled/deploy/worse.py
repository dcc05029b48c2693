"""What are a model's promises worth when its items get worse? The same items at severity 0 (as they are) to 5.

No promise covers this: label sets and the share of strangers are calibrated on items like those that were learnt from.
Safe is a model that answers less where it is right less; what harms is a wrong answer that it does not hold back.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from unlabeled import stats
from unlabeled.confidence import calibration, selective
from unlabeled.deploy.model import Model
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.training.recipe import Recipe

SEVERITIES = 5
ALL = "all kinds"
MEASURES = ("accuracy", "coverage", "answered", "misled", "flagged")
SEED = 0  # of the corruptions' chance
BATCH = 64


def known(model: Model, asked: Sequence[str]) -> list[str]:
    """The kinds of corruption that were asked for, `all` for every one that suits the model's items.

    Raises:
        UserError: when one of them is not there, or the model does not know its modality.
    """
    if "recipe" not in model.facts:
        raise UserError("an .onnx file alone does not know how its items get worse", "give the .ul folder")
    there = Recipe.from_json(model.facts["recipe"]).looks().corruptions()
    wrong = [kind for kind in asked if kind not in (*there, "all")]
    if wrong:
        raise UserError(f'there is no corruption "{wrong[0]}"', f"take all, or some of {', '.join(there)}")
    return [kind for kind in there if "all" in asked or kind in asked]


def measure(
    model: Model,
    raw: np.ndarray,
    labels: np.ndarray,
    kinds: Sequence[str],
    *,
    groups: np.ndarray | None = None,
    each: Callable[[int, str], object] = lambda n, what: None,
) -> tuple[pd.DataFrame, dict[int, list[list[float]]]]:
    """Let the model answer on items under every kind and severity.

    Args:
        model: any.
        raw: (N, ...) as the reader gives them.
        labels: (N,) class numbers.
        kinds: from `known`.
        groups: (N,) patients, parts ...: whole groups are resampled.
        each: told of every step that is done, with its name.

    Returns:
        One row a kind (and `all kinds`, their mean) and severity 0 to 5: kind, severity, n, and as shares of all items
        `accuracy`, `coverage` (label sets that hold the truth), `answered`, `misled` (answered, and wrong), `flagged`
        (strangers), each with `_low` and `_high` (95 %) for the mean; `answered_accuracy`, `size` and `ece`. And for
        every severity a risk-coverage curve [[share answered, share wrong of them], ...] over all kinds.
    """
    looks = Recipe.from_json(model.facts["recipe"]).looks()
    clean = _of(model, raw, labels)
    each(1, "as they are")
    found: dict[tuple[str, int], Mapping[str, np.ndarray]] = {}
    for kind in kinds:
        found[kind, 0] = clean
        for severity in range(1, SEVERITIES + 1):
            parts = [_of(model, corrupted(looks, raw, at, kind, severity), labels[at : at + BATCH])
                     for at in range(0, len(raw), BATCH)]  # fmt: skip
            found[kind, severity] = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
            each(1, f"{kind.replace('_', ' ')} {severity}")
    rows: list[dict[str, Any]] = [_row(kind, s, [one]) for (kind, s), one in found.items()]
    curves: dict[int, list[list[float]]] = {}
    for severity in range(SEVERITIES + 1):
        mine = [found[kind, severity] for kind in kinds]
        row = _row(ALL, severity, mine)
        for name in MEASURES:
            mean = stats.summarise([(0, 0, np.mean([m[name] for m in mine], 0))], groups=groups)
            row |= {f"{name}_low": mean.low, f"{name}_high": mean.high}
        rows.append(row)
        share, risk = selective.curve(*(np.concatenate([m[k] for m in mine]) for k in ("top", "accuracy")))
        some = np.unique(np.linspace(0, len(share) - 1, min(41, len(share))).astype(int))
        curves[severity] = [[float(share[i]), float(risk[i])] for i in some]
    return pd.DataFrame(rows), curves


def corrupted(looks: Modality, raw: np.ndarray, at: int, kind: str, severity: int) -> np.ndarray:
    """At most a batch of raw items from row `at` on, made worse; the same whenever it is asked for."""
    some = torch.from_numpy(raw[at : at + BATCH])
    return np.asarray(looks.at(SEED, at).corrupt(some, kind, severity).numpy())


def _of(model: Model, raw: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """What came of each item (N,), 0 or 1 but for the size of its set and its confidence."""
    told = model.answer(raw)
    members, odd = model.limits.sets(told.probabilities), model.limits.strange(told.strangeness)
    right = told.probabilities.argmax(1) == y
    answered = ~odd & (members.sum(1) == 1)
    out = {"accuracy": right, "coverage": members[np.arange(len(y)), y], "answered": answered, "flagged": odd}
    out |= {"misled": answered & ~right, "size": members.sum(1), "top": told.probabilities.max(1)}
    return {k: v.astype(np.float64) for k, v in out.items()}


def _row(kind: str, severity: int, found: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any]:
    whole = {k: np.concatenate([f[k] for f in found]) for k in found[0]}
    out: dict[str, Any] = {"kind": kind, "severity": severity, "n": len(found[0]["accuracy"])}
    out |= {name: float(whole[name].mean()) for name in (*MEASURES, "size")}
    share = out["answered"]
    out["answered_accuracy"] = 1 - out["misled"] / share if share else float("nan")
    return out | {"ece": calibration.error(whole["top"], whole["accuracy"])}
