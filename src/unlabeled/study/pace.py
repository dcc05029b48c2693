"""From a budget to numbers of steps that every arm gets alike; minutes are turned into steps by a short timing."""

import time
from dataclasses import replace

from unlabeled.errors import UserError
from unlabeled.settings import Budget
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items, train
from unlabeled.training.recipe import Recipe


def steps(budget: Budget, recipe: Recipe, items: Items, device: Device) -> int:
    """Optimizer steps that a budget gives a run.

    Without a budget: 200 passes over the data, but at least 2,000 and at most 20,000 steps.

    Raises:
        UserError: when more than one kind of budget is given, or none of it is left.
    """
    given = [k for k in ("epochs", "steps", "minutes") if getattr(budget, k) is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} were given together", "give one of --epochs, --steps and --minutes")
    for name in given:
        if getattr(budget, name) <= 0:
            raise UserError(f"{name} must be above 0, not {getattr(budget, name)}", f"give a positive number of {name}")
    per_epoch = max(1, len(items) // min(recipe.training.batch_size, len(items)))
    if budget.steps is not None:
        return budget.steps
    if budget.epochs is not None:
        return max(1, round(budget.epochs * per_epoch))
    if budget.minutes is not None:
        return max(1, int(budget.minutes * 60 / seconds_per_step(recipe, items, device)))
    return min(20_000, max(2_000, 200 * per_epoch))


def seconds_per_step(recipe: Recipe, items: Items, device: Device, count: int = 8) -> float:
    """Median-like time of a step of this run on this device, measured on a throw-away copy."""
    method = recipe.with_steps(count + 3).build()
    device.place(method)
    optimizer = optim.build(optim.groups(method, 0.0), recipe.training, 1e-6)
    times = []
    mark = time.perf_counter()
    calm = replace(recipe.training, lr=1e-6)
    for step in train(
        method, optimizer, items, recipe.looks(), steps=count + 3, training=calm, device=device, seed=recipe.seed
    ):
        float(step.loss)  # waits for the device
        now = time.perf_counter()
        times.append(now - mark)
        mark = now
    settled = sorted(times[3:])
    return sum(settled[1:-1]) / len(settled[1:-1])
