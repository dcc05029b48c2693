"""What was measured, how often and when, but never its value: in records of patients this alone tells much, because
who is ill is measured more (Agniel et al. 2018, doi:10.1136/bmj.k1479).
"""

from typing import ClassVar

import numpy as np

from unlabeled.arms import Plain, batches
from unlabeled.data.store import Store
from unlabeled.modalities import Modality


class Gaps(Plain):
    """How often each variable was measured, in all and in each quarter of the time, and when first and last."""

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    needs_gaps: ClassVar[bool] = True

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Counts and times (N, V * 7) float32 of the given rows."""
        out = []
        for part in batches(np.asarray(rows)):
            known = ~np.isnan(store.array[part][:, 1:])
            length = known.shape[2]
            quarters = [q.mean(2) for q in np.array_split(known, 4, axis=2)]
            any_ = known.any(2)
            first = np.where(any_, known.argmax(2), length) / length
            last = np.where(any_, known[..., ::-1].argmax(2), length) / length
            out.append(np.stack([known.mean(2), *quarters, first, last], 2).reshape(len(part), -1))
        return np.concatenate(out).astype(np.float32)
