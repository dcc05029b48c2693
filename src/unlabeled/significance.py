"""Tests of paired differences, and what many of them at once are worth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats


def paired_t(differences: np.ndarray, *, test_share: float = 0.0) -> float:
    """Two-sided p of a mean difference of 0.

    Args:
        differences: (n,) one for each seed, or for each split of a cross-validation.
        test_share: for splits that overlap, test items per training item (Nadeau & Bengio 2003); 0 for independent
            values.

    >>> round(paired_t(np.array([0.1, 0.2, 0.15, 0.05, 0.1])), 4)
    0.0093
    """
    d = np.asarray(differences, np.float64)
    n, mean, spread = len(d), float(np.mean(d)), float(np.std(d, ddof=1))
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * scipy_stats.t.sf(abs(mean) / (spread * (1 / n + test_share) ** 0.5), n - 1))


def holm(p: Sequence[float]) -> np.ndarray:
    """P values corrected for several comparisons (Holm 1979); nan, a test not made, stays nan and does not count.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    out = np.asarray(p, np.float64).copy()
    made = np.flatnonzero(~np.isnan(out))
    order = made[np.argsort(out[made], kind="stable")]
    out[order] = np.maximum.accumulate(out[order] * np.arange(len(order), 0, -1)).clip(max=1)
    return out


def holm_of_pairs(differences: pd.DataFrame, by: Sequence[str]) -> np.ndarray:
    """The p values (N,) of a table of differences (arm_a, arm_b, p), corrected for all pairs that are compared under
    the same heads; both directions of a pair count once.

    >>> table = pd.DataFrame({"arm_a": list("abac"), "arm_b": list("baca"), "p": [0.01, 0.01, 0.04, 0.04], "at": 1})
    >>> holm_of_pairs(table, ["at"]).tolist()
    [0.02, 0.02, 0.04, 0.04]
    """
    out: np.ndarray = np.full(len(differences), np.nan)
    pair = [" | ".join(sorted(names)) for names in zip(differences["arm_a"], differences["arm_b"], strict=True)]
    rows = differences.assign(pair=pair, row=np.arange(len(differences)))
    for _, part in rows.groupby(list(by), sort=False):
        once = part.drop_duplicates("pair")
        corrected = dict(zip(once["pair"], holm(once["p"].to_list()), strict=True))
        out[part["row"].to_numpy()] = part["pair"].map(corrected).to_numpy(np.float64)
    return out
