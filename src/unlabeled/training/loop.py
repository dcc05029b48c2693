"""The one loop: a generator of optimizer steps, in reading order = time order.

What other frameworks do by callbacks (logging, checkpoints, early stops) is the body of the caller's `for`.
Everything random is
drawn from (seed, step, rank), so that a run continued from step n gives the numbers of the run that was never stopped.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.settings import Training
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.health import Diverged


@dataclass(frozen=True)
class Items:
    """The items that a run learns from: rows of a store, and their domain numbers where known.

    Args:
        store: decoded items.
        rows: (N,) row numbers in the store.
        domains: (N,) int64, -1 where unknown, or None.
        groups: (N,) int64, which of them belong together (a patient, a part), or None.
    """

    store: Store
    rows: np.ndarray
    domains: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Step:
    """One optimizer step as the caller sees it.

    Args:
        number: step number from 0.
        epoch: passes over the data so far, with fraction.
        loss: the scalar loss, still a tensor: reading it waits for the device.
        parts: the named scalars that it is the sum of, where a method has several.
        lr: learning rate of this step.
        wait: seconds spent waiting for data.
        views: what the method looked at, of the last micro-batch.
    """

    number: int
    epoch: float
    loss: Tensor
    parts: Mapping[str, Tensor]
    lr: float
    wait: float
    views: object


def order(count: int, batch: int, seed: int, step: int) -> np.ndarray:
    """Positions 0..count-1 of the items in a step's batch: a fresh permutation each epoch, the odd rest left out.

    >>> sorted(int(i) for s in range(2) for i in order(4, 2, seed=0, step=s))
    [0, 1, 2, 3]
    """
    batch = min(batch, count)
    epoch, place = divmod(step, count // batch)
    permutation = np.random.default_rng([seed, 7, epoch]).permutation(count)
    return permutation[place * batch : (place + 1) * batch]


def items_a_step(batch: int, count: int, world: int) -> int:
    """Items in a step's batch over all processes: no more than there are, and as many for each process.

    Raises:
        UserError: when a process would get none.

    >>> items_a_step(64, 1000, 3), items_a_step(64, 50, 1)
    (63, 50)
    """
    most = min(batch, count)
    if most < world:
        what = "1 item" if most == 1 else f"{most} items"
        raise UserError(
            f"{what} a step cannot be shared by {world} processes", "give a larger --batch-size, or start fewer"
        )
    return most - most % world


def train(
    method: Method,
    optimizer: torch.optim.Optimizer,
    items: Items,
    modality: Modality,
    *,
    steps: int,
    training: Training,
    device: Device,
    seed: int,
    start: int = 0,
) -> Iterator[Step]:
    """Train a method, yielding after each optimizer step.

    Args:
        method: already on the device; it is changed in place.
        optimizer: over its parameters; its learning rate is set here from the schedule.
        items: what to learn from.
        modality: gives the views.
        steps: length of the whole run; the schedule is a function of step / steps.
        training: batch size, schedule, accumulation.
        device: from `open_device`.
        seed: of everything random.
        start: first step to make, for a run that is continued.

    Yields:
        A `Step` after each step; the caller may stop at any.
    """
    peak = optim.peak_lr(training, method.lr)
    batch = items_a_step(training.batch_size, len(items), device.world)
    per_epoch = len(items) // batch
    model = method if device.world == 1 else DistributedDataParallel(method)
    method.train()

    def fetch(step: int) -> tuple[Tensor, np.ndarray]:
        mine = order(len(items), batch, seed, step)[device.rank :: device.world]
        raw = items.store.batch(items.rows[mine])
        return (raw.pin_memory() if device.device.type == "cuda" else raw), mine

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(fetch, start)
        for step in range(start, steps):
            if step % per_epoch == 0:
                _seed(seed, step, 0, 1)  # the same on all ranks
                begin_pass(method, modality, items, device)
            began = time.perf_counter()
            raw, mine = coming.result()
            wait = time.perf_counter() - began
            if step + 1 < steps:
                coming = pool.submit(fetch, step + 1)
            _seed(seed, step, device.rank)
            lr = peak * optim.factor(step, steps, training.warmup, training.schedule)
            optim.set_lr(optimizer, lr)
            optimizer.zero_grad(set_to_none=True)
            looks = modality.at(seed, step, device.rank)
            total, sums = torch.zeros((), device=device.device), dict[str, Tensor]()
            views: object = None
            pieces = np.array_split(np.arange(len(mine)), min(training.accumulate, len(mine)))
            for number, piece in enumerate(pieces):
                views = method.views(_batch(raw, mine, piece, items, device), looks)
                last, share = number == len(pieces) - 1, len(piece) / len(mine)
                wait_for_ranks = (
                    nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()
                )
                with wait_for_ranks:
                    with device.autocast():
                        parts = _told(model, views, len(piece))
                    loss = _sum(method, parts) * share
                    torch.autograd.backward(loss if device.world == 1 else loss + _untouched(method))
                total += loss.detach()
                for name, part in parts.items():
                    sums[name] = sums.get(name, 0) + part.detach() * share
            optimizer.step()
            method.after_step((step + 1) / steps)
            sums.pop("", None)
            yield Step(step, (step + 1) / per_epoch, total, sums, lr, wait, views)


def _told(model: torch.nn.Module, views: object, items: int) -> dict[str, Tensor]:
    """The named scalars that a model's loss is the sum of, from the views of so many items.

    Raises:
        UserError: when it has one item to learn from and needs more, as batch norm does.
    """
    try:
        parts = model(views)
    except ValueError as error:
        if items > 1:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"a micro-batch holds 1 item, which is too few here ({reason})",
            "give a larger --batch-size or a smaller --accumulate",
        ) from error
    return parts if isinstance(parts, dict) else {"": parts}


def _sum(method: Method, parts: Mapping[str, object]) -> Tensor:
    """What is minimised: the sum of the named scalars. Of several numbers, one an item, nobody has said whether their
    mean is meant, and what hangs on no weight would train nothing.

    Raises:
        UserError: when the loss is not made of scalars, or has no gradient.
    """
    name, scalars = type(method).__name__, list[Tensor]()
    for part, value in parts.items():
        what = f'"{part}" of the loss of {name}' if part else f"the loss of {name}"
        if not isinstance(value, Tensor):
            got = "none" if value is None else f"a {type(value).__name__}"
            raise UserError(f"{what} is {got}", "return a scalar tensor, or a dict of named ones")
        if value.numel() != 1:
            raise UserError(f"{what} has the shape {tuple(value.shape)}", "return a scalar, such as its mean")
        scalars.append(value.float().reshape(()))
    if not any(scalar.requires_grad for scalar in scalars):
        what = "has no gradient" if scalars else "is an empty dict"
        raise UserError(f"the loss of {name} {what}", "return what was computed from the encoder's features")
    return torch.stack(scalars).sum()


def _untouched(method: Method) -> Tensor:
    """Nothing, as a scalar that every learning parameter has a part in: DDP waits for the slope of each one, and there
    are encoders whose places do without the last layers of their features.
    """
    return torch.stack([0 * p.sum() for p in method.parameters() if p.requires_grad]).sum()


def begin_pass(method: Method, modality: Modality, items: Items, device: Device) -> None:
    """What a method does before each pass over the items."""
    method.before_epoch(lambda: _features(method, modality, items, device))
    method.train()


def _features(method: Method, modality: Modality, items: Items, device: Device) -> Tensor:
    """Features (N, D) of all items as they are, at the size of random views, as methods look at them before a pass.

    Raises:
        UserError: when they are no numbers any more.
    """
    found = embed(method.encoder, modality.even(), items.store, items.rows, device)
    if not bool(found.isfinite().all()):
        raise Diverged("the features are no numbers any more")
    return found


def _seed(*of: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(of).generate_state(1)[0]))


def _batch(raw: Tensor, mine: np.ndarray, piece: np.ndarray, items: Items, device: Device) -> Batch:
    x = raw[piece[0] : piece[-1] + 1].to(device.device, non_blocking=True)
    index = torch.from_numpy(mine[piece])
    domain = None if items.domains is None else torch.from_numpy(items.domains[mine[piece]]).to(device.device)
    return Batch(x, index.to(device.device), domain)


@torch.no_grad()
def embed(
    encoder: torch.nn.Module,
    modality: Modality,
    store: Store,
    rows: np.ndarray,
    device: Device,
    *,
    batch: int = 256,
    each: Callable[[int], None] | None = None,
) -> Tensor:
    """Features (N, D) float32 on the CPU of the given rows, from the plain view, with dropout and batch norm at rest.

    Args:
        encoder: any module that maps views to features.
        modality: gives the plain view.
        store: decoded items.
        rows: (N,) row numbers.
        device: from `open_device`.
        batch: items at a time.
        each: called with the number of items after each batch, for a progress bar.
    """
    was = encoder.training
    encoder.eval()
    out = []
    try:
        for at in range(0, len(rows), batch):
            raw = store.batch(rows[at : at + batch]).to(device.device)
            with device.autocast():
                out.append(encoder(modality.plain(raw)).float().cpu())
            if each is not None:
                each(len(raw))
    finally:
        encoder.train(was)
    return torch.cat(out) if out else torch.zeros(0, 1)
