"""The diary of a run: every so many steps one line of `metrics.jsonl`, with speed, spread, rank and health in words."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.methods import Method
from unlabeled.training.devices import Device
from unlabeled.training.health import Health
from unlabeled.training.loop import Step
from unlabeled.training.recipe import Recipe

OWN = {"step", "epoch", "loss", "lr", "items_per_second", "seconds", "spread", "rank", "wait", "health"}


class Journal:
    """Gathers the steps of a run and writes a line about them now and then.

    Args:
        file: `metrics.jsonl`; what it holds already is the past of the same run.
        recipe: of the run.
        batch: items a step.
        device: from `open_device`; only the leading rank writes.
        spent: seconds that the run took before.
        pending: what the run had noted since the last line when it was stopped, as `pending` told it.
    """

    def __init__(
        self,
        file: Path,
        recipe: Recipe,
        batch: int,
        device: Device,
        spent: float,
        pending: Sequence[Mapping[str, float]] = (),
    ) -> None:
        self.file, self.steps, self.batch, self.device, self.spent = file, recipe.steps, batch, device, spent
        self.every = min(100, max(10, recipe.steps // 60))
        self.health = Health(recipe.steps)
        for line in file.read_text("utf-8").splitlines() if file.is_file() else []:
            row = json.loads(line)
            self.health.note_loss(row["step"] - 1, row["loss"])
        self.began = self.mark = time.monotonic()
        self.noted: list[dict[str, Tensor]] = [  # of each step its parts, and under "" its loss
            {name: torch.tensor(value, device=device.device) for name, value in one.items()} for one in pending
        ]
        self.made, self.waited = 0, 0.0

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, earlier starts included."""
        return self.spent + time.monotonic() - self.began

    def pending(self) -> list[dict[str, float]]:
        """What was noted since the last line, of each step; it goes into a checkpoint between two lines."""
        return [{name: float(value) for name, value in one.items()} for one in self.noted]

    def observe(self, method: Method, step: Step) -> str:
        """Take note of a step; the words for the progress bar when a line was due, else nothing.

        Raises:
            UserError: when the loss is no number any more, or the method has another number under a name of the
                diary's own.
        """
        _check_names(step.parts)
        self.noted.append({name: part.float() for name, part in {**step.parts, "": step.loss}.items()})
        self.made, self.waited = self.made + 1, self.waited + step.wait
        if (step.number + 1) % self.every and step.number + 1 != self.steps:
            return ""
        names = dict.fromkeys(name for one in self.noted for name in one)  # a method that takes turns has others
        means = {name: float(torch.stack([o[name] for o in self.noted if name in o]).mean()) for name in names}
        loss = means.pop("")
        if not math.isfinite(loss):
            losses = [float(one[""]) for one in self.noted]
            first = next((i for i, one in enumerate(losses) if not math.isfinite(one)), len(losses) - 1)
            self.health.check_loss(step.number + 2 + first - len(losses), losses[first], step.lr)
        self.health.check_loss(step.number + 1, loss, step.lr)
        passed = max(time.monotonic() - self.mark, 1e-9)
        speed, wait = self.made * self.batch / passed, self.waited / passed
        method.eval()
        with self.device.autocast():
            features = method.embedding(step.views)
            with torch.no_grad():
                own, ill = method.watch(step.views)
        method.train()
        _check_names(own)
        wide, rank, words = self.health.observe(step.number, loss, features, wait, ill)
        own |= means
        row = {"step": step.number + 1, "epoch": round(step.epoch, 3), "loss": loss, "lr": step.lr}
        row |= {"items_per_second": speed, "seconds": self.seconds, "spread": wide, "rank": rank, "wait": wait}
        row |= {name.replace(" ", "_"): value for name, value in own.items()}
        if self.device.lead:
            with self.file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row | {"health": words}) + "\n")
        self.noted, self.made, self.waited, self.mark = [], 0, 0.0, time.monotonic()
        return f"loss {loss:.3f} · {speed:.0f} items/s · {words}"


def _check_names(told: Mapping[str, object]) -> None:
    """Refuse what would stand in the diary in place of its own figures: a run goes on from the step that it tells."""
    if taken := sorted(name for name in told if name.replace(" ", "_") in OWN):
        raise UserError(f'the method has a number called "{taken[0]}", as the diary has', "give it another name")
