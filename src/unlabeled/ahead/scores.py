"""From the errors of every window to a table with intervals, and a sentence."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from unlabeled import stats
from unlabeled.errors import UserError
from unlabeled.progress import count

RANDOM = "random"  # how the arms of untrained encoders begin


def summary(errors: Sequence[Mapping[str, Any]], groups: Mapping[Any, np.ndarray], by: str, plain: str) -> pd.DataFrame:
    """Mean errors of every arm with 95 % intervals, and the paired difference to the plain rule.

    Args:
        errors: for each arm, `by` and seed the arrays (N,) `mse` and `mae` of the test windows, NaN where none is.
        groups: for each value of `by` (N,) which windows are drawn together.
        by: what was varied: horizon or share.
        plain: the arm that the others are compared with.

    Returns:
        Columns arm, `by`, metric, mean, sd, low, high, n, difference, difference_low, difference_high.

    Raises:
        UserError: when no window has an error at one of the values.
    """
    rows = []
    for value in dict.fromkeys(e[by] for e in errors):
        here = [e for e in errors if e[by] == value]
        [base] = [e for e in here if e["arm"] == plain]
        if np.isnan(base["mse"]).all():
            windows = count(len(base["mse"]), "test window")
            raise UserError(
                f"at the {by} {value:g} nothing that was measured is to be told in {windows}",
                f"ask for a larger {by}, or give recordings in which more was measured",
            )
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


def sentence(
    table: pd.DataFrame, by: str, plain: str, arms: Sequence[str], words: Callable[[Any], str]
) -> tuple[str, list[str]]:
    """What to take and whether learning paid, in a sentence; and one for each value of `by`.

    Args:
        table: from `summary`.
        by: horizon or share.
        plain: the rule to beat.
        arms: the arms that learnt.
        words: what a value of `by` is called.
    """
    part = table[table["metric"] == "mse"]
    details, won, level = [], [], []
    many = max(1, len(set(arms)))
    wider = float(norm.isf(0.025 / many) / norm.isf(0.025))  # it is the best of several that is tested
    for value, rows in part.groupby(by, sort=True):
        best = rows.sort_values("mean").iloc[0]
        mine = rows[rows["arm"].isin(arms)].sort_values("mean").iloc[0]
        gap = f"{mine['difference']:+.3f} ({_ends(mine['difference_low'], mine['difference_high'])})"
        won.append(bool(mine["difference"] + wider * (mine["difference_high"] - mine["difference"]) < 0))
        fresh = rows[rows["arm"].str.startswith(RANDOM) & ~rows["arm"].isin(arms)]
        level.append(won[-1] and bool((fresh["mean"] <= mine["mean"]).any()))
        lucky = bool(mine["difference_high"] < 0) and not won[-1]
        details.append(
            f"{words(value)}: {best['arm']} is best with a squared error of {best['mean']:.3f}; "
            f"{mine['arm']} has {mine['mean']:.3f}, {gap} against {plain}"
            + (f", which the best of {many} arms may have by chance." if lucky else ".")
        )
    if any(won) and level == won:
        where = "everywhere that was tried" if all(won) else "in part"
        verdict = (
            f"That learning pays is not shown: features beat the {plain} rule {where}, and untrained ones are no worse."
        )
    elif all(won):
        verdict = f"What was learnt without labels pays: its features beat the {plain} rule everywhere that was tried."
    elif any(won):
        verdict = f"What was learnt without labels pays in part: see where its features beat the {plain} rule."
    else:
        verdict = _instead(part, plain, arms)
    return verdict, details


def _instead(part: pd.DataFrame, plain: str, arms: Sequence[str]) -> str:
    """What to take where no features are shown to beat the plain rule: what else beats it everywhere, or the rule."""
    others = part[(part["arm"] != plain) & ~part["arm"].isin(arms)]
    ahead = others.groupby("arm").filter(lambda rows: bool((rows["difference_high"] < 0).all()))
    if ahead.empty:
        return f"Take the {plain} rule: no features are shown to beat it here."
    first = str(ahead.groupby("arm")["mean"].mean().idxmin())
    if first.startswith(f"{plain} + "):
        return (
            f"Take {first}: its features add to the {plain} rule everywhere that was tried, and alone do not beat it."
        )
    return f"Take {first}: it beats the {plain} rule everywhere that was tried, and no learnt features are shown to."


def _ends(low: float, high: float) -> str:
    """The ends of an interval; windows of one stretch of time alone have none."""
    return f"{low:+.3f} to {high:+.3f}" if math.isfinite(low) and math.isfinite(high) else "no interval"


def to_draw(table: pd.DataFrame, plain: str, arms: Sequence[str]) -> list[str]:
    """The few arms worth looking at: the best of all, the plain rule, the best that learnt, the best of the others."""
    order = table[table["metric"] == "mse"].groupby("arm")["mean"].mean().sort_values().index.tolist()
    alone = [a for a in order if a != plain and a not in arms and not a.startswith(plain)]
    return list(dict.fromkeys([order[0], plain, *[a for a in order if a in arms][:1], *alone[:1]]))
