"""The page of `detect`: the answer, each kind of fault, the scores with the threshold, heat maps beside masks."""

from types import ModuleType

from unlabeled.report.anomalies import answer, few, heat, kinds, scores
from unlabeled.report.anomalies.inspected import Inspected as Inspected

ORDER: tuple[ModuleType, ...] = (answer, kinds, scores, heat, few)
