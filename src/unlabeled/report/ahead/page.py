"""Write what `unlabeled forecast` or `unlabeled impute` found as one HTML file that needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.report import page
from unlabeled.report.ahead import curves, errors
from unlabeled.report.blocks import colours
from unlabeled.report.shift import answer


@dataclass(frozen=True, eq=False)
class Told:
    """What the page shows.

    Args:
        answer: `sentence`, `details`, `limits`.
        table: of `ahead.scores.summary`.
        by: the column of what was varied: horizon or share.
        true: (K, V, T) what happened in some windows.
        drawn: what the arms told of them (K, V, T).
        past: (K, V, L) what went before, or None.
        lead: a sentence over the curves.
        variables: their names.
    """

    answer: Mapping[str, Any]
    table: pd.DataFrame
    by: str
    true: np.ndarray
    drawn: Mapping[str, np.ndarray]
    past: np.ndarray | None
    lead: str
    variables: tuple[str, ...]

    @property
    def colours(self) -> dict[str, str]:
        """A colour for each arm; those that are drawn come first, so that no two of them share one."""
        arms = dict.fromkeys([*self.drawn, *self.table["arm"].unique()])
        return colours({a: "random" if a == "random" else "trained" for a in arms})

    @property
    def before(self) -> int:
        """Steps before the first that was told."""
        return 0 if self.past is None else self.past.shape[2]

    def head(self, value: float) -> str:
        """A column's heading."""
        return progress.count(value, "step") if self.by == "horizon" else f"{100 * value:g} % hidden"


def write(found: Told, target: Path, name: str) -> Path:
    """Write the page and return its path."""
    title = "what comes next" if found.by == "horizon" else "what is missing"
    return page.publish(found, (answer, errors, curves), target, name=name, title=title)
