"""What a fit goes on from when it was stopped: a file, written now and then, that goes when the result stands."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unlabeled import progress
from unlabeled.errors import UserError
from unlabeled.training import checkpoint

EVERY = 30.0  # seconds between writings


class Halfway:
    """The state of a fit between two of its steps, kept in a file, and told to who waits.

    A fit may consist of several trainings, one after the other: trials, of which each ends with a loss, and the last.

    Args:
        path: of the file; None keeps nothing.
        each: called after each step with 1, and with the number of those that were made before, for a progress bar.
        every: seconds between writings, 0 or more.

    Attributes:
        spent: seconds that the fit had taken before it was stopped.
    """

    def __init__(
        self, path: Path | None = None, each: Callable[[int], None] | None = None, every: float = EVERY
    ) -> None:
        self.path, self.each, self.every, self.spent = path, each, every, 0.0
        self._of, self._losses, self._found = "", list[float](), dict[str, Any]()
        self._began = self._written = time.monotonic()

    def begin(self, of: str) -> None:
        """Take up what the file holds if it is of the fit with this code; what another fit left is written over."""
        self._of, self._losses, self._found, self.spent = of, [], {}, 0.0
        self._began = self._written = time.monotonic()
        if self.path is None or not self.path.is_file():
            return
        try:
            head = checkpoint.header(self.path)
        except UserError:
            return
        if head.get("of") == of:
            self._found, self._losses, self.spent = head, list(head["losses"]), float(head["seconds"])

    def loss(self, trial: int, steps: int) -> float | None:
        """The loss that a trial of so many steps ended with, or None if it has not ended."""
        if trial >= len(self._losses):
            return None
        self._tell(steps)
        return self._losses[trial]

    def ended(self, loss: float) -> None:
        """Note the loss of the trial that has just ended."""
        self._losses.append(loss)

    def resume(self, trial: int, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> int:
        """Put what the file holds of this training into model and optimizer.

        Returns:
            The number of steps that it has made; 0 when nothing is kept of it.
        """
        if self.path is None or self._found.get("trial") != trial:
            return 0
        checkpoint.load(self.path, model, optimizer)
        step = int(self._found["step"])
        progress.say(f"goes on from step {step} of {steps}")
        self._tell(step)
        return step

    def keep(
        self,
        trial: int,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        last: bool,
        leaves: bool = False,
    ) -> None:
        """Tell that this step was made, and write the state after so many if it is time, or the program leaves; the
        last one is kept wherever one was kept before.
        """
        now = time.monotonic()
        due = leaves or now - self._written > self.every or (last and self._written > self._began)
        if self.path is not None and due:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            told = {"of": self._of, "trial": trial, "step": step, "losses": self._losses}
            checkpoint.save(self.path, model, optimizer, told | {"seconds": self.spent + now - self._began})
            self._written = time.monotonic()
        self._tell(1)

    def done(self) -> None:
        """Take the file away: the result stands."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _tell(self, steps: int) -> None:
        if self.each is not None:
            self.each(steps)
