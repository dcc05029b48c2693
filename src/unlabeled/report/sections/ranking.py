"""The methods in order at each number of labels, and how far each is behind the first, by paired intervals."""

import math
from typing import Any

from unlabeled.report.folder import Study
from unlabeled.report.section import Section
from unlabeled.report.words import METRICS, Contender

TITLE = "Ranking"
FEWEST = 4  # arms from which on an order is worth a section


def section(study: Study) -> Section | None:
    """Gather one list for each number of labels; None where there are few arms or no differences."""
    if len({c.arm for c in study.contenders}) < FEWEST:
        return None
    lists = [{"labels": n, "rows": _rows(study, n)} for n in study.budgets]
    return Section({"lists": [x for x in lists if x["rows"]]}) if any(x["rows"] for x in lists) else None


def _rows(study: Study, labels: int) -> list[dict[str, Any]]:
    """Each arm with the protocol that serves it best at this number of labels, the best arm first."""
    best: dict[str, tuple[float, Contender]] = {}
    for contender in study.contenders:
        row = study.row(contender, labels)
        if row is not None and row["mean"] > best.get(contender.arm, (-1.0, contender))[0]:
            best[contender.arm] = (row["mean"], contender)
    order = sorted(best.values(), key=lambda pair: -pair[0])
    out: list[dict[str, Any]] = []
    for mean, contender in order:
        gap = study.difference(order[0][1], contender, labels) if out else None
        out.append(
            {"contender": contender, "value": METRICS["accuracy"].show(mean), "gap": "", "interval": "", "level": False}
        )
        if gap is not None:
            out[-1]["gap"] = f"{100 * gap['difference']:.1f}".replace("-", "−")
            known = math.isfinite(gap["low"]) and math.isfinite(gap["high"])
            ends = f"{100 * gap['low']:.1f} to {100 * gap['high']:.1f}".replace("-", "−")
            out[-1]["interval"] = ends if known else ""
            out[-1]["level"] = not gap["low"] > 0  # without an interval nothing is beaten
    return out
