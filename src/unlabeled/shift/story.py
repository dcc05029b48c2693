"""What a person needs of it in a sentence, what else was found, and what the figures do not show."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from unlabeled.progress import count, ends
from unlabeled.shift.domains import LEFT_OUT, Domains
from unlabeled.shift.equal import EqualLoss
from unlabeled.shift.severity import ALL, NEW
from unlabeled.shift.strangers import Strangers

Kinds = Mapping[str, str]  # arm: trained, random or supervised


def sentence(robustness: pd.DataFrame, differences: pd.DataFrame, kinds: Kinds) -> str:
    """Which arm stands corruption best, how well, and how sure that is against the next and against random weights."""
    whole = robustness[robustness["scope"] == ALL].sort_values("accuracy", ascending=False)
    first = whole.iloc[0].to_dict()
    text = (
        f"Under corruption {first['arm']} is right on {_percent(first)} of the test items "
        f"({100 * first['clean']:.0f} % clean, so it loses {100 * first['degradation']:.0f} % of that)"
    )
    rivals = [str(a) for a in whole["arm"] if a != first["arm"]]
    randoms = [a for a in rivals if kinds[a] == "random"]
    named = dict.fromkeys([*rivals[:1], *randoms[:1]])
    gaps = [gap(differences, str(first["arm"]), b, "accuracy", ALL) for b in named]
    return text + (": " + ", ".join(gaps) if gaps else "") + f"; worst under {_word(first['worst_kind'])}."


def details(
    robustness: pd.DataFrame,
    differences: pd.DataFrame,
    equal: EqualLoss | None,
    domains: Domains | None,
    strangers: Strangers | None,
) -> list[str]:
    """Further findings, a sentence each."""
    out = [
        f"{row['arm']}: {100 * row['clean']:.1f} % clean, {100 * row['accuracy']:.1f} % corrupted, {_beside(row)}, "
        f"worst {_word(row['worst_kind'])} ({100 * row['worst_accuracy']:.0f} %)."
        for row in robustness[robustness["scope"] == ALL].to_dict("records")
    ]
    fresh = robustness[robustness["scope"] == NEW].sort_values("accuracy", ascending=False)
    if len(fresh):
        rows = ", ".join(f"{r['arm']} {100 * r['accuracy']:.1f} %" for r in fresh.to_dict("records"))
        kinds = count(fresh["kinds"].iloc[0], "kind")
        out.append(f"Over the {kinds} without a relative in any training: {rows}.")
    if equal is not None:
        out += equal.lines()
    if domains is not None:
        for row in domains.summary.to_dict("records"):
            where = "with its labels left out" if row["setting"] == LEFT_OUT else "with labels of all domains"
            out.append(
                f"{row['arm']}, {where}: mean of the domains {100 * row['mean']:.1f} %, worst {row['worst_domain']} "
                f"{100 * row['worst']:.1f} %, gap {100 * row['gap']:.1f} points."
            )
    if strangers is not None:
        for (arm, name), mine in strangers.summary.groupby(["arm", "strangers"], sort=False):
            part = mine.pivot_table(index="detector", columns="metric", values="mean")
            shares = ", ".join(f"{k} {100 * d:.0f}" for k, d in part["detected"].items())
            kept = f"{100 * part['kept'].min():.0f} to {100 * part['kept'].max():.0f}"
            out.append(f"{arm} flags so many % of {name}: {shares}, while {kept} % of the test items are kept.")
    return out


def limits(facts: Mapping[str, Any], related: Sequence[str]) -> list[str]:
    """What the figures do not show.

    Args:
        facts: `test` items, `units` that they are of (groups, or items), `seeds`, `draws`, `labels`, `warnings`
            (sentences).
        related: sentences on corruptions that training imitated.
    """
    out = list(related)
    out.append(
        f"{count(facts['test'], 'test item')}, {count(facts['seeds'], 'pretraining seed')} and "
        f"{count(facts['draws'], 'draw')} of {facts['labels']:,} labels stand behind the intervals"
        + (": too few seeds for a claim about another training." if facts["seeds"] < 3 else ".")
    )
    if facts["units"] < 2:
        out.append("All test items are of one group, which tells nothing of another one: there is no interval.")
    drawn = "Corruptions are drawn by a program on the items as they are stored"
    out.append(f"{drawn}; no camera, microphone or hand has made them.")
    out.append("Relative degradation flatters arms that are poor on clean items; clean accuracy stands beside it.")
    return out + list(facts["warnings"])


def gap(differences: pd.DataFrame, a: str, b: str, what: str, scope: str) -> str:
    """A paired difference in words: `+6.1 points (+2.0 to +9.7) against simclr`."""
    d = differences
    part = d[(d["arm_a"] == a) & (d["arm_b"] == b) & (d["what"] == what) & (d["scope"] == scope)]
    if part.empty:
        return f"beside {b}"
    row = part.iloc[0]
    points = f"{100 * row['difference']:+.1f} points ({ends(row['low'], row['high'], '+.1f')})"
    return f"{points} against {b}{', which is not beyond chance' if row['low'] <= 0 <= row['high'] else ''}"


def _percent(row: Mapping[Any, Any]) -> str:
    return f"{100 * row['accuracy']:.0f} % ({ends(row['low'], row['high'], '.0f')})"


def _beside(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["mce"]):
        return f"no mCE, as {row['reference']} makes no error under some kind"
    return f"error {row['mce']:.2f} times that of {row['reference']}"


def _word(kind: str) -> str:
    return kind.replace("_", " ")
