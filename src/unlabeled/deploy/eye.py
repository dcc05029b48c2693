"""What the parts of a bundle are fitted on: features of rows and what the detector of strangers sees, computed once."""

import numpy as np
import torch
from torch import nn

from unlabeled.data.store import Store
from unlabeled.deploy.levels import Levels

MOST = 2000  # items that the reference holds, and that the detector is shown
BATCH = 64


class Eye:
    """Features of rows, computed once each.

    Args:
        view: raw items to views.
        look: the encoder, in evaluation mode, on the CPU, float32, and what the detector sees of it.
        store: decoded items.
        head: weights (classes, D) and bias, where fine-tuning gave them.
    """

    def __init__(
        self, view: nn.Module, look: Levels, store: Store, head: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        self.view, self.look, self.store, self.head = view, look, store, head
        self.known: np.ndarray | None = None
        self.done = np.zeros(len(store), bool)

    @torch.no_grad()
    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Features and what the detector sees behind them (M, D + L) float32 of rows."""
        new = rows[~self.done[rows]]
        for at in range(0, len(new), BATCH):
            some = new[at : at + BATCH]
            seen = self.look(self.view(self.store.batch(some))).numpy()
            if self.known is None:
                self.known = np.zeros((len(self.done), seen.shape[1]), np.float32)
            self.known[some], self.done[some] = seen, True
        return np.zeros((0, self.look.dim), np.float32) if self.known is None else np.asarray(self.known[rows])

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features (M, D) alone."""
        return self(rows)[:, : self.look.dim]

    def learn(self, rows: np.ndarray) -> "Eye":
        """Show known items to what the detector sees, before any is asked for."""
        some = at_most(rows, MOST)
        self.look.learn(self.view(self.store.batch(some[at : at + BATCH])) for at in range(0, len(some), BATCH))
        return self


def at_most(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, drawn by chance: evenly spaced ones may all be of one class where classes alternate."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng([len(rows), 41]).choice(len(rows), most, replace=False))]
