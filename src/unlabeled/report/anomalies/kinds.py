"""Each kind of fault: how well its items and its places are found."""

from typing import Any

from unlabeled.report.anomalies.inspected import Inspected, span
from unlabeled.report.section import Section

TITLE = "Kinds of faults"


def section(found: Inspected) -> Section | None:
    """Gather one row for each kind; None where nothing is labelled."""
    images, pixels = found.figures.get("images"), found.figures.get("pixels", {})
    if not images:
        return None
    names = ["all", *(k for k in images if k != "all")]
    rows = [{"name": k, "items": images[k], "places": pixels.get(k)} for k in names]
    return Section({"rows": rows, "show": _show, "span": span, "places": bool(pixels)})


def _show(value: Any, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
