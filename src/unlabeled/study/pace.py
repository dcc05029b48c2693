"""From a budget to numbers of steps; minutes are turned into steps by a short timing, and every arm that trains a net
gets an equal share of them: a method to pretrain and to fine-tune, supervised training for its fits alone.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unlabeled.catalog import Spec
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.methods import Method
from unlabeled.protocols.finetune import Finetune
from unlabeled.settings import Budget
from unlabeled.study.plan import Arm, Cell, needs
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items, begin_pass, items_a_step, train
from unlabeled.training.recipe import Recipe

PRETRAINING = 0.75  # of a method's minutes where its net is fine-tuned too
PROBES = 0.15  # of the minutes, for probes on features, where no net is fine-tuned
TRIALS = 3  # learning rates that fine-tuning tries where there is time for it
LEAST, MOST = 20, 1000  # steps of a fine-tuning
SOON = 10.0  # seconds: what takes less is timed again


@dataclass(frozen=True)
class Cost:
    """What fine-tuning takes, in seconds.

    Args:
        step: of a step, however many items it sees.
        item: more for each item of a step.
        label: before the first step for each label, where a probe is the start.
    """

    step: float
    item: float
    label: float

    def of(self, items: int) -> float:
        """Seconds of a step on so many items."""
        return self.step + self.item * items


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
    """Median-like time of a step of this run on this device, and its part of what the method does before each pass,
    measured on a throw-away copy.
    """
    method, looks = recipe.with_steps(count + 3).build(), recipe.looks()
    device.place(method)
    optimizer = optim.build(optim.groups(method, 0.0), recipe.training, 1e-6)
    passing = type(method).before_epoch is not Method.before_epoch
    per_epoch = len(items) // items_a_step(recipe.training.batch_size, len(items), device.world)
    times = []
    mark = time.perf_counter()
    calm = replace(recipe.training, lr=1e-6)
    for step in train(method, optimizer, items, looks, steps=count + 3, training=calm, device=device, seed=recipe.seed):
        float(step.loss)  # waits for the device
        now = time.perf_counter()
        if not passing or step.number % per_epoch or per_epoch == 1 or not step.number:
            times.append(now - mark)
        mark = now
    settled = sorted(times[3:])
    typical = sum(settled[1:-1]) / len(settled[1:-1])
    if not passing or per_epoch == 1:
        return typical
    before = times[0] - typical
    if before < SOON:  # much of it may be what happens once in a process
        mark = time.perf_counter()
        begin_pass(method, looks, items, device)
        before = time.perf_counter() - mark
    return typical + before / per_epoch


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
    known: dict[str, Cost] = {}
    out: dict[str, dict[str, Any]] = {}
    for arm in arms:
        nets = {str(p): p for p in arm.protocols if needs(p) == "encoder"}
        mine = [c for c in todo if c.arm == arm.name and c.protocol in nets]
        if not mine:
            continue
        net = str(arm.recipe.encoder)
        if net not in known:
            known[net] = cost_of_fits(arm.recipe, items, y, device)
        left, rounds = share(minutes, arms, turns) * (1 - PRETRAINING if arm.kind == "method" else 1.0) * 60, {}
        for usual in (TRIALS, 1):  # rates that are tried
            before = once = 0.0  # seconds of all fits: until their first step, and for a step in each
            for c in mine:
                net_of = nets[c.protocol]
                size = min(int(net_of.settings.get("batch_size", Finetune().batch_size)), c.labels)
                made = 1 + (_trials(net_of, usual) if c.seed == mine[0].seed else 0)
                once += made * known[net].of(size)
                before += made * known[net].label * c.labels * (arm.kind == "method")
            rounds[usual] = max(0.0, left - before) / once
        if rounds[TRIALS] >= 60:
            out[arm.name] = {"steps": int(min(MOST, rounds[TRIALS]))}
        else:
            out[arm.name] = {"steps": int(np.clip(rounds[1], LEAST, MOST)), "trials": 1}
    return out


def _trials(protocol: Spec, usual: int) -> int:
    """Rates that a fine-tuning tries before its final fit: its own number of them, else the usual one."""
    given = protocol.settings
    wanted = 1 if given.get("encoder_lr", -1.0) >= 0 else int(given.get("trials", usual))
    return wanted if wanted > 1 else 0


def cost_of_fits(recipe: Recipe, items: Items, y: np.ndarray, device: Device) -> Cost:
    """What fine-tuning this run's encoder on small views of labelled items (y: (N,) class numbers) takes, from a short
    one with a whole batch and one with a quarter of it; steps on large views are as many fewer.
    """
    encoder = recipe.build_encoder()
    device.place(encoder)
    numbers = np.unique(y, return_inverse=True)[1]
    most = min(Finetune().batch_size, len(items))
    least = max(2, most // 4)
    _, whole = _timed_fit(encoder, recipe, items, numbers, device, most)
    before, quarter = _timed_fit(encoder, recipe, items, numbers, device, least)
    item = min(max(0.0, whole - quarter) / max(1, most - least), whole / most)
    return Cost(whole - item * most, item, before / len(items))


def _timed_fit(
    encoder: Encoder, recipe: Recipe, items: Items, y: np.ndarray, device: Device, size: int, count: int = 8
) -> tuple[float, float]:
    """Seconds until the first step of a fit in batches of a size was made, less that step, and the median step's."""
    rule, marks = Finetune(steps=count + 3, batch_size=size, encoder_lr=0.3, views="small"), [time.perf_counter()]
    halfway = Halfway(each=lambda _: marks.append(time.perf_counter()))
    rule.fit(encoder, items, y, recipe.looks(), device, halfway=halfway)
    step = float(np.median(np.diff(marks)[3:]))
    return max(0.0, marks[1] - marks[0] - step), step
