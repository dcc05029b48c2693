"""The answer: the one sentence that a person needs, the figures that carry it, and what it does not show."""

import math
import shlex
from typing import Any

from unlabeled.progress import count
from unlabeled.report import crossing
from unlabeled.report.folder import Absent, Study
from unlabeled.report.section import Section
from unlabeled.report.words import METHODS, METRICS, Contender, day, duration, interval, signed

TITLE = "Answer"


def section(study: Study) -> Section:
    """Gather sentence, key figures, details and limits."""
    found = study.answer
    sentence = str(found["sentence"])
    head, colon, rest = sentence.partition(": ")
    when = [day(str(found["created"]))] if found.get("created") else []
    took = [f"computed in {duration(float(found['seconds']))}"] if found.get("seconds") else []
    facts = {
        "head": head + colon.strip(),
        "rest": rest,
        "tiles": _tiles(study),
        "details": [str(x) for x in found.get("details", ())],
        "limits": [str(x) for x in found.get("limits", ())],
        "about": when + took,
        "then": shlex.join(["unlabeled", "bundle", str(study.path)]),
    }
    return Section(facts)


def _tiles(study: Study) -> list[dict[str, str]]:
    """Up to four figures: few labels, the gain over the best rival of the other kind, labels saved, all labels."""
    try:
        winner, few, most = study.winner, study.budgets[0], study.budgets[-1]
        out = [_score(study, winner, few)]
        rivals = [c for c in study.contenders if (c.kind == METHODS) != (winner.kind == METHODS)]
        out += _gain(study, winner, rivals, few)
        out += _saved(study)
        if most != few:
            out.append(_score(study, winner, most))
    except Absent:
        return []
    return [tile for tile in out if tile]


def _score(study: Study, winner: Contender, labels: int) -> dict[str, str]:
    row: Any = study.row(winner, labels)
    if row is None:
        return {}
    metric = METRICS["accuracy"]
    return {
        "value": f"{metric.show(row['mean'])} %",
        "what": f"right with {count(labels, 'label')}",
        "note": interval(row["low"], row["high"], metric),
    }


def _gain(study: Study, winner: Contender, rivals: list[Contender], labels: int) -> list[dict[str, str]]:
    rows = [(row["mean"], c) for c in rivals if (row := study.row(c, labels)) is not None]
    if not rows:
        return []
    rival = max(rows, key=lambda pair: pair[0])[1]
    gap = study.difference(winner, rival, labels)
    if gap is None:
        return []
    chance = "" if gap["low"] > 0 or gap["high"] < 0 else "; not beyond chance"
    note = f"{signed(100 * gap['low'])} to {signed(100 * gap['high'])}{chance}"
    note = "too few test items to tell how sure" if math.isnan(gap["low"]) else note
    return [{"value": signed(100 * gap["difference"]), "what": f"points against {rival.phrase}", "note": note}]


def _saved(study: Study) -> list[dict[str, str]]:
    found = crossing.find(study)
    if found is None or found.method != study.winner:
        return []
    what = "the labels for the same by supervised training"
    if found.labels is None:
        note = f"{count(found.most, 'label')} are not enough for it"
        return [{"value": f"> {found.most / found.few:.0f} ×", "what": what, "note": note}]
    times = found.labels / found.few
    if times <= 1:
        return []
    note = f"about {count(round(found.labels), 'label')} instead of {found.few:,}"
    return [{"value": f"{times:.{0 if times >= 3 else 1}f} ×", "what": what, "note": note}]
