"""Write what `unlabeled shift` found as one HTML file that needs nothing else."""

import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from unlabeled.report import page
from unlabeled.report.blocks import colours
from unlabeled.report.folder import Absent, Study
from unlabeled.report.shift import answer, arms, curves, domains, equal, maps, strangers

NAMES = frozenset(
    (
        "arm",
        "arm_a",
        "arm_b",
        "kind",
        "scope",
        "what",
        "worst_kind",
        "reference",
        "domain",
        "setting",
        "worst_domain",
        "strangers",
        "detector",
        "metric",
        "told",
        "target",
        "worst_target",
        "where",
    )
)  # columns of text


class Shift(Study):
    """The folder that `unlabeled shift` wrote.

    Args:
        path: the folder.
    """

    @cached_property
    def answer(self) -> Mapping[str, Any]:
        """`shift.json`: sentence, details, limits, arms (name: kind), kinds, unrelated, related, equal, facts."""
        found = self.json("shift.json")
        return dict(found)

    @cached_property
    def colours(self) -> dict[str, str]:
        """CSS colour of each arm."""
        return colours(self.answer["arms"])

    def frame(self, name: str) -> pd.DataFrame:
        """A table of the folder, by its name without `.csv`; names stay text even where they look like missing values.

        Raises:
            Absent: when it is not there or not whole.
        """
        text = self.text(f"{name}.csv")
        try:
            head = pd.read_csv(io.StringIO(text), nrows=0).columns
            blank = {c: ["", "nan"] for c in head if c not in NAMES}
            types = {c: str for c in head if c in NAMES}
            return pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=False, na_values=blank)
        except ValueError:
            raise Absent(f"{name}.csv is not a whole table") from None


def write(folder: Path) -> Path:
    """Write `shift.html` into the folder and return its path."""
    order = (answer, arms, curves, equal, domains, strangers, maps)
    found = Shift(folder)
    name = Path(str(found.answer["data"])).name
    return page.publish(
        found, order, folder / "shift.html", name=name, title="how the runs stand a change of the world"
    )
