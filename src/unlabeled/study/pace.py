"""From a budget to numbers of steps; minutes are turned into steps by a short timing, and every arm that trains a net
gets an equal share of them: a method to pretrain and to fine-tune, supervised training for its fits alone.
"""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unlabeled.catalog import Spec
from unlabeled.errors import UserError
from unlabeled.protocols.finetune import Finetune
from unlabeled.settings import Budget
from unlabeled.study.plan import Arm, Cell, needs
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items, items_a_step, train
from unlabeled.training.recipe import Recipe

PRETRAINING = 0.75  # of a method's minutes where its net is fine-tuned too
PROBES = 0.15  # of the minutes, for probes on features, where no net is fine-tuned
TRIALS = 3  # learning rates that fine-tuning tries where there is time for it
LEAST, MOST = 20, 1000  # steps of a fine-tuning


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
        if not 0 < getattr(budget, name) < math.inf:
            raise UserError(
                f"{name} must be above 0 and finite, not {getattr(budget, name)}", f"give a positive number of {name}"
            )
    per_epoch = len(items) // items_a_step(recipe.training.batch_size, len(items), device.world)
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


def share(minutes: float, arms: Sequence[Arm], turns: int = 1) -> float:
    """The minutes of each arm that trains a net, all its seeds and the fits of one turn together."""
    fits = any(needs(p) == "encoder" for a in arms for p in a.protocols)
    method = PRETRAINING + (1 - PRETRAINING) * turns if fits else 1.0
    count = sum({"method": method, "supervised": turns}.get(a.kind, 0) for a in arms)
    return minutes / max(1.0, count) * (1.0 if fits else 1 - PROBES)


def pretraining(minutes: float, arms: Sequence[Arm], seeds: int, turns: int = 1) -> Budget:
    """The budget of one pretraining, from the minutes of the whole study."""
    fits = any(needs(p) == "encoder" for a in arms for p in a.protocols)
    return Budget(minutes=share(minutes, arms, turns) * (PRETRAINING if fits else 1.0) / seeds)


def fits(
    minutes: float,
    arms: Sequence[Arm],
    todo: Sequence[Cell],
    items: Items,
    y: np.ndarray,
    device: Device,
    turns: int = 1,
) -> dict[str, dict[str, Any]]:
    """Settings of each arm's fine-tunings that keep to the minutes of the study, by the arm's name.

    One learning rate is tried where there is no time to try three for at least 60 steps.

    Args:
        minutes: of the whole study.
        arms: all arms.
        todo: all cells.
        items: some labelled items, to time a step on.
        y: (N,) their class numbers.
        device: from `open_device`.
        turns: how often each cell is fitted.
    """
    seconds: dict[str, float] = {}
    out: dict[str, dict[str, Any]] = {}
    batch = Finetune().batch_size
    for arm in arms:
        nets = {str(p): p for p in arm.protocols if needs(p) == "encoder"}
        mine = [c for c in todo if c.arm == arm.name and c.protocol in nets]
        if not mine:
            continue
        net = str(arm.recipe.encoder)
        if net not in seconds:
            seconds[net] = seconds_per_fit_step(arm.recipe, items, y, device)
        cost = dict.fromkeys((TRIALS, 1), 0.0)  # of all fits in units of the timed step, by the rates that are tried
        for c, usual in itertools.product(mine, cost):
            net_of = nets[c.protocol]
            size = min(int(net_of.settings.get("batch_size", batch)), c.labels) / min(batch, len(items))
            cost[usual] += size * (1 + (_trials(net_of, usual) if c.seed == mine[0].seed else 0))
        part = share(minutes, arms, turns) * (1 - PRETRAINING if arm.kind == "method" else 1.0)
        rounds = part * 60 / seconds[net]
        if rounds / cost[TRIALS] >= 60:
            out[arm.name] = {"steps": int(min(MOST, rounds / cost[TRIALS]))}
        else:
            out[arm.name] = {"steps": int(np.clip(rounds / cost[1], LEAST, MOST)), "trials": 1}
    return out


def _trials(protocol: Spec, usual: int) -> int:
    """Rates that a fine-tuning tries before its final fit: its own number of them, else the usual one."""
    given = protocol.settings
    wanted = 1 if given.get("encoder_lr", -1.0) >= 0 else int(given.get("trials", usual))
    return wanted if wanted > 1 else 0


def seconds_per_fit_step(recipe: Recipe, items: Items, y: np.ndarray, device: Device, count: int = 8) -> float:
    """Median time of a step of fine-tuning this run's encoder on small views of labelled items (y: (N,) class numbers);
    steps on large ones are as many fewer.
    """
    encoder, marks = recipe.build_encoder(), list[float]()
    device.place(encoder)
    numbers = np.unique(y, return_inverse=True)[1]
    rule = Finetune(steps=count + 3, encoder_lr=0.3, views="small")
    rule.fit(
        encoder,
        items,
        numbers,
        recipe.looks(),
        device,
        halfway=Halfway(each=lambda _: marks.append(time.perf_counter())),
    )
    return float(np.median(np.diff(marks)[2:]))
