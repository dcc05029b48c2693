"""What a few labelled faults would add."""

import numpy as np

from unlabeled.report.anomalies.inspected import Inspected
from unlabeled.report.section import Section

TITLE = "A few labelled faults"
NONE = "–"


def section(found: Inspected) -> Section | None:
    """Gather one row for each number of labelled faults; None where none was tried."""
    every = [s for s in found.figures.get("shots", ()) if s["shots"]]
    if not every:
        return None
    rows = []
    for k in dict.fromkeys(s["shots"] for s in every):
        mine = [s for s in every if s["shots"] == k]
        able = [s for s in mine if s["after"] is not None]  # nothing was left to test the others on
        gains = [s["after"] - s["before"] for s in able]
        rows.append({
            "shots": k, "before": _mean([s["before"] for s in able]), "after": _mean([s["after"] for s in able]),
            "gained": f"{min(gains):+.3f} to {max(gains):+.3f}" if gains else NONE,
            "draws": len(mine) if len(able) == len(mine) else f"{len(able)} of {len(mine)}",
        })  # fmt: skip
    lacking = any(s["after"] is None for s in every)
    return Section({"rows": rows, "lacking": lacking})


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):.3f}" if values else NONE
