"""What computes: `torch` from the bundle's weights, `onnx` from the exported file without torch."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says of some items.

    Args:
        probabilities: (N, classes) float32.
        features: (N, D) float32.
        strangeness: (N,) float32, higher is stranger.
    """

    probabilities: np.ndarray
    features: np.ndarray
    strangeness: np.ndarray

    def __getitem__(self, part: slice) -> "Answers":
        """The answers on these items alone."""
        return Answers(self.probabilities[part], self.features[part], self.strangeness[part])


class Engine(Protocol):
    """Raw items in, answers out."""

    def run(self, raw: np.ndarray) -> Answers:
        """Answers on raw items (N, ...) as the reader gives them."""
        ...


def gathered(parts: list[Answers]) -> Answers:
    """Several answers as one."""
    joined = [
        np.concatenate([getattr(p, name) for p in parts]) for name in ("probabilities", "features", "strangeness")
    ]
    return Answers(*joined)
