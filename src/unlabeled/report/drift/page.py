"""Write what `unlabeled drift` found as one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled.report import page
from unlabeled.report.drift import checks, gallery
from unlabeled.report.shift import answer


@dataclass(frozen=True, eq=False)
class Found:
    """What the page shows.

    Args:
        answer: `sentence`, `details`, `limits`.
        drift: a `deploy.drift.Drift` as plain values.
        pictures: (K, H, W, 3) uint8, the strangest items.
        told: of each: path, label, confidence, why.
    """

    answer: Mapping[str, Any]
    drift: Mapping[str, Any]
    pictures: np.ndarray
    told: Sequence[Mapping[str, Any]]


def write(found: Found, target: Path, name: str) -> Path:
    """Write the page and return its path."""
    return page.publish(found, (answer, checks, gallery), target, name=name, title="is it still what was learnt from")
