"""What a few labelled faults would add."""

import numpy as np

from unlabeled.report.anomalies.inspected import Inspected
from unlabeled.report.section import Section

TITLE = "A few labelled faults"


def section(found: Inspected) -> Section | None:
    """Gather one row for each number of labelled faults; None where none was tried."""
    every = [s for s in found.figures.get("shots", ()) if s["shots"]]
    if not every:
        return None
    rows = []
    for k in dict.fromkeys(s["shots"] for s in every):
        mine = [s for s in every if s["shots"] == k]
        gains = [s["after"] - s["before"] for s in mine]
        rows.append({
            "shots": k, "before": f"{np.mean([s['before'] for s in mine]):.3f}",
            "after": f"{np.mean([s['after'] for s in mine]):.3f}", "worst": f"{min(gains):+.3f}",
            "best": f"{max(gains):+.3f}", "draws": len(mine),
        })  # fmt: skip
    return Section({"rows": rows})
