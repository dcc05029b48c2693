"""A handful of plain statistics of every variable, or of every log-mel band of a sound and of its changes: what an
engineer would try before any learning.
"""

import itertools
from typing import ClassVar

import numpy as np

from unlabeled.arms import Plain, batches
from unlabeled.data.store import Store
from unlabeled.modalities import Modality

BANDS = 8  # of the spectrum
LAGS = (1, 2, 4, 8)


class Statistics(Plain):
    """Mean, spread, extremes, quartiles, slope, last value, autocorrelation and spectrum of each variable.

    Missing values are left out; a variable without a value has 0 everywhere and says so in a column of its own.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series", "audio")

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Statistics (N, V * 23) float32 of the given rows."""
        return np.concatenate(
            [self._of(modality.measurements(store.batch(part)).double().numpy()) for part in batches(np.asarray(rows))]
        )

    def _of(self, x: np.ndarray) -> np.ndarray:
        known = ~np.isnan(x)
        count = known.sum(2)
        some = np.maximum(count, 1)
        filled = np.where(known, x, 0)
        mean = filled.sum(2) / some
        centred = np.where(known, x - mean[..., None], 0)
        spread = np.sqrt((centred**2).sum(2) / some)
        ordered = np.sort(np.where(known, x, np.inf), 2)  # what is missing goes to the end
        at = [np.minimum((q * (some - 1)).round().astype(int), x.shape[2] - 1) for q in (0, 0.25, 0.5, 0.75, 1)]
        quantiles = [np.take_along_axis(ordered, a[..., None], 2)[..., 0] for a in at]
        time = np.arange(x.shape[2])
        when = np.where(known, time - ((known * time).sum(2) / some)[..., None], 0)  # about the middle of what is known
        slope = (centred * when).sum(2) / np.maximum((when**2).sum(2), 1e-9)
        end = x.shape[2] - 1 - known[..., ::-1].argmax(2)
        last = np.take_along_axis(filled, end[..., None], 2)[..., 0]
        rms = np.sqrt((filled**2).sum(2) / some)
        step = np.abs(np.diff(centred, axis=2)).sum(2) / some
        unit = centred / np.maximum(spread, 1e-9)[..., None]
        lags = [(unit[..., lag:] * unit[..., :-lag]).sum(2) / some for lag in LAGS if lag < x.shape[2]]
        lags += [np.zeros_like(mean)] * (len(LAGS) - len(lags))
        power = np.abs(np.fft.rfft(centred, axis=2)) ** 2
        edges = np.unique(np.geomspace(1, power.shape[2], BANDS + 1).round().astype(int))
        bands = [np.log1p(power[..., a:b].sum(2)) for a, b in itertools.pairwise(edges)]
        bands += [np.zeros_like(mean)] * (BANDS - len(bands))
        columns = [mean, spread, *quantiles, slope, last, rms, step, *lags, *bands]
        told = [np.where(count > 0, c, 0) for c in columns] + [count / x.shape[2]]
        return np.stack(told, 2).reshape(len(x), -1).astype(np.float32)
