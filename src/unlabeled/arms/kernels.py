"""Random convolutions over time, of each of which two numbers are kept: the share of places above 0 and the maximum
(ROCKET, Dempster et al. 2019, arXiv:1910.13051). Nothing is learnt but the linear probe on top.
"""

import math
from typing import ClassVar, Self

import numpy as np
import torch
from torch.nn import functional

from unlabeled.arms import Plain, batches
from unlabeled.data.store import Store
from unlabeled.modalities import Modality

LENGTHS = (7, 9, 11)


class Kernels(Plain):
    """Random kernels over time, as ROCKET draws them.

    Args:
        count: how many kernels; each gives two features.
    """

    modalities: ClassVar[tuple[str, ...]] = ("series",)
    random: ClassVar[bool] = True

    def __init__(self, *, count: int = 1_000) -> None:
        self.count = count

    def fit(self, store: Store, rows: np.ndarray, modality: Modality, seed: int) -> Self:
        """Draw the kernels: length, weights, bias, dilation, padding and variables."""
        channels, steps = store.shape[0] - 1, store.shape[1]
        random = np.random.default_rng([seed, 21])
        drawn: dict[tuple[int, int, bool], list[tuple[np.ndarray, float]]] = {}
        for _ in range(self.count):
            length = int(random.choice([n for n in LENGTHS if n <= steps] or [max(1, steps)]))
            some = random.permutation(channels)[: round(2 ** random.uniform(0, math.log2(channels + 1)))]
            weight = np.zeros((channels, length), np.float32)
            own = random.normal(size=(max(1, len(some)), length))
            weight[some if len(some) else [0]] = own - own.mean(1, keepdims=True)
            longest = math.log2(max(1.0, (steps - 1) / max(1, length - 1)))
            dilation, padded = int(2 ** random.uniform(0, longest)), bool(random.integers(2))
            drawn.setdefault((length, dilation, padded), []).append((weight, float(random.uniform(-1, 1))))
        self.alike = [  # kernels of one shape are computed together
            (torch.from_numpy(np.stack([w for w, _ in own])), torch.tensor([b for _, b in own]), dilation, padded)
            for (_, dilation, padded), own in drawn.items()
        ]
        return self

    def features(self, store: Store, rows: np.ndarray, modality: Modality) -> np.ndarray:
        """Share of places above 0 and maximum of each kernel (N, 2 * count) float32."""
        out = []
        for part in batches(np.asarray(rows)):
            x = modality.plain(store.batch(part))[:, 1 : store.shape[0]]
            columns = []
            for weight, bias, dilation, padded in self.alike:
                pad = (weight.shape[2] - 1) * dilation // 2 if padded else 0
                y = functional.conv1d(x, weight, bias, padding=pad, dilation=dilation)
                columns += [(y > 0).float().mean(2), y.amax(2)]
            out.append(torch.cat(columns, 1).numpy())
        return np.asarray(np.concatenate(out), np.float32)
