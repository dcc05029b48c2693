"""From the errors of every window to a table with intervals, and a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import stats


def summary(errors: Sequence[Mapping[str, Any]], groups: Mapping[Any, np.ndarray], by: str, plain: str) -> pd.DataFrame:
    """Mean errors of every arm with 95 % intervals, and the paired difference to the plain rule.

    Args:
        errors: for each arm, `by` and seed the arrays (N,) `mse` and `mae` of the test windows, NaN where none is.
        groups: for each value of `by` (N,) which windows are drawn together.
        by: what was varied: horizon or share.
        plain: the arm that the others are compared with.

    Returns:
        Columns arm, `by`, metric, mean, sd, low, high, n, difference, difference_low, difference_high.
    """
    rows = []
    for value in dict.fromkeys(e[by] for e in errors):
        here = [e for e in errors if e[by] == value]
        [base] = [e for e in here if e["arm"] == plain]
        for arm in dict.fromkeys(e["arm"] for e in here):
            for metric in ("mse", "mae"):
                ok = ~np.isnan(base[metric])
                cells = [(int(e["seed"]), 0, e[metric][ok]) for e in here if e["arm"] == arm]
                own = groups[value][ok]
                told = stats.summarise(cells, groups=own)
                apart = stats.paired_difference(cells, [(s, d, base[metric][ok]) for s, d, _ in cells], groups=own)
                row = {"arm": arm, by: value, "metric": metric, "mean": told.mean, "sd": told.sd, "low": told.low}
                row |= {"high": told.high, "n": told.n, "difference": apart.difference}
                rows.append(row | {"difference_low": apart.low, "difference_high": apart.high})
    return pd.DataFrame(rows)


def sentence(table: pd.DataFrame, by: str, plain: str, arms: Sequence[str], words: str) -> tuple[str, list[str]]:
    """What is best and whether learning paid, in a sentence; and one for each value of `by`.

    Args:
        table: from `summary`.
        by: horizon or share.
        plain: the rule to beat.
        arms: the arms that learnt.
        words: what a value of `by` is called, with {} for it.
    """
    part = table[table["metric"] == "mse"]
    details, won = [], []
    for value, rows in part.groupby(by, sort=True):
        best = rows.sort_values("mean").iloc[0]
        mine = rows[rows["arm"].isin(arms)].sort_values("mean").iloc[0]
        gap = f"{mine['difference']:+.3f} ({mine['difference_low']:+.3f} to {mine['difference_high']:+.3f})"
        won.append(bool(mine["difference_high"] < 0))
        details.append(
            f"{words.format(value)}: {best['arm']} is best with a squared error of {best['mean']:.3f}; "
            f"{mine['arm']} has {mine['mean']:.3f}, {gap} against {plain}."
        )
    if all(won):
        verdict = f"What was learnt without labels pays: its features beat the {plain} rule everywhere that was tried."
    elif any(won):
        verdict = f"What was learnt without labels pays in part: see where its features beat the {plain} rule."
    else:
        verdict = f"Take the {plain} rule: no features are shown to beat it here."
    return verdict, details


def to_draw(table: pd.DataFrame, plain: str, arms: Sequence[str]) -> list[str]:
    """The few arms worth looking at: the best of all, the plain rule, the best that learnt, the best of the others."""
    order = table[table["metric"] == "mse"].groupby("arm")["mean"].mean().sort_values().index.tolist()
    alone = [a for a in order if a != plain and a not in arms and not a.startswith(plain)]
    return list(dict.fromkeys([order[0], plain, *[a for a in order if a in arms][:1], *alone[:1]]))
