"""How many labels supervised training needs for what the best method reaches with the fewest."""

from dataclasses import dataclass

import numpy as np

from unlabeled import stats
from unlabeled.progress import count, in_percent
from unlabeled.report.folder import Absent, Study
from unlabeled.report.words import METHODS, Contender
from unlabeled.study.short import too_short


@dataclass(frozen=True)
class Crossing:
    """Where the supervised curve reaches a method's first point.

    Args:
        method: the method.
        supervised: the supervised contender.
        few: labels of the method's first point.
        score: accuracy there, 0 to 1.
        labels: labels that supervised training needs for it, read off between its points on a logarithmic scale;
            None when it never gets there.
        most: the most labels that were tried with supervised training.
    """

    method: Contender
    supervised: Contender
    few: int
    score: float
    labels: float | None
    most: int

    def sentence(self) -> str:
        """The same in words."""
        start = f"With {count(self.few, 'label')} {self.method.phrase} is right on {in_percent(self.score)} %. "
        rival = self.supervised.phrase[:1].upper() + self.supervised.phrase[1:]  # names keep their capitals
        if self.labels is None:
            return start + f"{rival} does not get there with all {count(self.most, 'label')}."
        if self.labels <= self.few:
            return start + f"{rival} gets there with no more labels."
        times = self.labels / self.few
        return (
            start + f"{rival} needs about {count(round(self.labels), 'label')} for that, "
            f"{times:.{0 if times >= 3 else 1}f} times as many, read off between the points of its mean curve."
        )


def find(study: Study) -> Crossing | None:
    """Find the crossing, or None where the study has no method or no supervised arm that was trained out.

    The winner is taken when it is a method, else the best method.
    """
    try:
        methods = [c for c in study.contenders if c.kind == METHODS]
        supervised = [c for c in study.contenders if c.kind == "supervised"]
    except Absent:
        return None
    if not methods or not supervised:
        return None
    method = study.winner if study.winner.kind == METHODS else methods[0]
    few = study.budgets[0]
    mine = study.row(method, few)
    curve = [(n, row["mean"]) for n in study.budgets if (row := study.row(supervised[0], n)) is not None]
    short = too_short(study.summary, (study.winner.arm, study.winner.protocol))
    if mine is None or not curve or (supervised[0].arm, supervised[0].protocol) in short:
        return None
    counts, scores = (np.array(v, float) for v in zip(*curve, strict=True))
    need = stats.crossing(counts, scores, float(mine["mean"]))
    return Crossing(method, supervised[0], few, float(mine["mean"]), need, int(counts[-1]))
