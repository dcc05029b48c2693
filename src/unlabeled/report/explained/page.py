"""Write what `unlabeled explain` found as one HTML file that needs nothing else."""

import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from unlabeled.report import page
from unlabeled.report.blocks import colours
from unlabeled.report.explained import answer, faith, near, places, sanity
from unlabeled.report.folder import Absent, Study
from unlabeled.report.sections import causal


class Explanation(Study):
    """The folder that `unlabeled explain` wrote.

    Args:
        path: the folder.
    """

    @cached_property
    def figures(self) -> Mapping[str, Any]:
        """`explained.json`: sentence, details, limits, kind, items, explainers, neighbours and more."""
        found = self.json("explained.json")
        if not isinstance(found, dict) or "sentence" not in found:
            raise Absent("explained.json holds no sentence")
        return found

    @cached_property
    def names(self) -> list[str]:
        """The explainers."""
        return list(dict.fromkeys(r["explainer"] for r in self.figures["explainers"]))

    @cached_property
    def colours(self) -> dict[str, str]:
        """CSS colour of each explainer."""
        return colours(dict.fromkeys(self.names, "trained"))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """`curves.csv`: item, explainer, curve, share, value, moved, scattered."""
        try:
            return pd.read_csv(io.StringIO(self.text("curves.csv")), dtype={"explainer": str, "curve": str})
        except ValueError:
            raise Absent("curves.csv is not a whole table") from None


def write(folder: Path) -> Path:
    """Write `report.html` into the folder and return its path."""
    found = Explanation(folder)
    name = PurePath(found.figures["items"][0]["name"]).name
    order = (answer, places, near, faith, sanity, causal)
    return page.publish(found, order, folder / "report.html", name=name, title="why the model says so")
