"""The page of `detect`: the answer, each kind of fault, the scores with the threshold, where, and when."""

from types import ModuleType

from unlabeled.report.anomalies import answer, course, few, heat, kinds, scores
from unlabeled.report.anomalies.inspected import Inspected as Inspected

ORDER: tuple[ModuleType, ...] = (answer, course, kinds, scores, heat, few)
