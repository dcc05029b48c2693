"""Write what `unlabeled audit` found as one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from unlabeled.report import page
from unlabeled.report.audit import confidence, parts, worse
from unlabeled.report.shift import answer


@dataclass(frozen=True, eq=False)
class Found:
    """What the page shows.

    Args:
        answer: `sentence`, `details`, `limits`.
        figures: of `deploy.figures`, over all items.
        promised: share of label sets that were to hold the truth.
        kept: share of known items that were not to be flagged.
        parts: of `deploy.fairness`.
        asked: columns that were asked for.
        worse: of `deploy.worse`, None where nothing was made worse.
        curves: its risk-coverage curves by severity.
    """

    answer: Mapping[str, Any]
    figures: Mapping[str, Any]
    promised: float
    kept: float
    parts: pd.DataFrame
    asked: Sequence[str] = ()
    worse: pd.DataFrame | None = None
    curves: Mapping[int, Sequence[Sequence[float]]] = field(default_factory=dict)


def write(found: Found, target: Path, name: str) -> Path:
    """Write the page and return its path."""
    return page.publish(found, (answer, confidence, worse, parts), target, name=name, title="can it be believed")
