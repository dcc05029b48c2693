"""Write what `unlabeled transfer` found as one HTML file that needs nothing else."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from unlabeled.report import page
from unlabeled.report.shift import answer
from unlabeled.report.shift.page import Shift
from unlabeled.report.transfer import gaps, targets


class Transfer(Shift):
    """The folder that `unlabeled transfer` wrote.

    Args:
        path: the folder.
    """

    @cached_property
    def answer(self) -> Mapping[str, Any]:
        """`transfer.json`: sentence, details, limits, arms (name: kind), targets, steps, detector."""
        return dict(self.json("transfer.json"))


def write(folder: Path) -> Path:
    """Write `transfer.html` into the folder and return its path."""
    found = Transfer(folder)
    name = Path(str(found.answer["data"])).name
    title = "from the domains that were seen to others"
    return page.publish(found, (answer, targets, gaps), folder / "transfer.html", name=name, title=title)
