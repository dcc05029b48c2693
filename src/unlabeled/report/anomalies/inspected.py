"""What `detect` left in its folder, read when a section asks for it."""

import io
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from unlabeled.report.folder import Absent, Study


class Inspected(Study):
    """The folder of `detect`; a file that is missing or broken raises `Absent`.

    Args:
        path: the folder.
    """

    @cached_property
    def figures(self) -> Mapping[str, Any]:
        """`figures.json`: sentence, details, limits, images, pixels, false_alarms and more."""
        found = self.json("figures.json")
        if not isinstance(found, dict) or "sentence" not in found:
            raise Absent("figures.json holds no sentence")
        return found

    @cached_property
    def scores(self) -> pd.DataFrame:
        """`scores.csv`: path, score, p_value, flagged, label, map; a kind of fault may be called `None`."""
        words = dict.fromkeys(("path", "label", "map"), str)
        blank = {"label": [""], "score": ["", "nan"]}
        return pd.read_csv(io.StringIO(self.text("scores.csv")), dtype=words, keep_default_na=False, na_values=blank)

    @cached_property
    def kept_apart(self) -> np.ndarray:
        """Scores (N,) of the good items that set the threshold."""
        return pd.read_csv(io.StringIO(self.text("kept-apart.csv")))["score"].to_numpy(float)


def span(figures: Mapping[str, Any], name: str, digits: int, scale: float = 1.0) -> str:
    """The 95 % interval of a figure in words; nothing where it has none, as in a folder of an earlier version.

    >>> span({"found_low": 0.468, "found_high": 0.571}, "found", 0, 100), span({"found_low": None}, "found", 0)
    ('47 to 57', '')
    """
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    return "" if low is None or high is None else f"{scale * low:.{digits}f} to {scale * high:.{digits}f}"
