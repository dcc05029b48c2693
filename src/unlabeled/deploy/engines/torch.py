"""PyTorch, from the weights in the bundle."""

import numpy as np
import torch

from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.engines import Answers
from unlabeled.deploy.net import Net, load


class Torch:
    """The bundle's module in float32 on the CPU.

    Args:
        bundle: to take the weights from.
        threads: CPU threads; 0 leaves torch's own number.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.net: Net = load(bundle)

    @torch.no_grad()
    def run(self, raw: np.ndarray) -> Answers:
        """Answers on raw items (N, ...)."""
        return Answers(*(t.numpy() for t in self.net(torch.from_numpy(np.ascontiguousarray(raw)))))
