"""A run is a folder: `config.json`, `metrics.jsonl` and an atomic `checkpoint.safetensors`; killed at any moment, it
resumes to the same numbers.
"""

import hashlib
import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unlabeled
from unlabeled import catalog, progress
from unlabeled.alone import alone
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.facts import odd
from unlabeled.methods import Method
from unlabeled.modalities import Modality
from unlabeled.stop import held
from unlabeled.training import checkpoint, optim
from unlabeled.training.devices import Device
from unlabeled.training.health import Diverged
from unlabeled.training.journal import Journal
from unlabeled.training.loop import Items, items_a_step, train
from unlabeled.training.recipe import Recipe

AFRESH = "delete its folder to start afresh, or take another --out"
CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.safetensors"


@dataclass(frozen=True)
class Run:
    """A training on disk.

    Args:
        folder: where it lies.
        config: the content of its `config.json`: `recipe`, `data`, `items`, `versions`.
    """

    folder: Path
    config: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Open an existing run.

        Raises:
            UserError: when the folder holds none, or a damaged one.
        """
        path = Path(folder)
        if not (path / CONFIG).is_file():
            raise UserError(f"{path} is not the folder of a run", 'give the folder that "unlabeled pretrain" wrote')
        config = read_json(path / CONFIG)
        if wrong := odd(config, {"recipe": {}}):
            raise UserError(f"cannot read {path / CONFIG}: {wrong}", AFRESH)
        return cls(path, config)

    @property
    def recipe(self) -> Recipe:
        """What the run is made of."""
        return Recipe.from_json(self.config["recipe"], self.folder / CONFIG)

    @property
    def step(self) -> int:
        """Steps that the last checkpoint holds; 0 when there is none."""
        path = self.folder / CHECKPOINT
        return int(checkpoint.header(path)["step"]) if path.is_file() else 0

    @property
    def finished(self) -> bool:
        """Whether the last step has been made and saved."""
        return self.step >= self.recipe.steps

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, oldest first; one that a kill or a full disk tore is no line."""
        path = self.folder / METRICS
        whole = path.read_text("utf-8").rpartition("\n")[0] if path.is_file() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def modality(self) -> Modality:
        """The views of this run."""
        return self.recipe.looks()

    def method(self) -> Method:
        """The method with the weights of the last checkpoint, or as it starts when there is none."""
        method = self.recipe.build()
        if (self.folder / CHECKPOINT).is_file():
            checkpoint.load(self.folder / CHECKPOINT, method)
        return method

    def encoder(self) -> Encoder:
        """The trained encoder alone, in evaluation mode. A user's own method that is not there any more, or was
        written on, is done without, as long as the weights fit the encoder by themselves.
        """
        try:
            return self.method().encoder.eval()
        except UserError as error:
            path = self.folder / CHECKPOINT
            if not (self.recipe.method.name.endswith(".py") and path.is_file()):
                raise
            encoder = self.recipe.build_encoder()
            weights = checkpoint.weights(path, "encoder")
            if weights.keys() != encoder.state_dict().keys():
                raise
            encoder.load_state_dict(weights)
            progress.say(f"mind: {error.wrong}; the encoder of {self.folder} is read without it")
            return encoder.eval()

    def lines(self) -> list[str]:
        """What a person wants to know of the run."""
        rows = self.metrics()
        last = rows[-1] if rows else {}
        text = [
            f"run {self.folder}: {self.recipe.method} with {self.recipe.encoder}",
            f"step {self.step} of {self.recipe.steps}",
        ]
        if last:
            text.append(f"loss {last['loss']:.4f}, {last['items_per_second']:.0f} items/s, {last['health']}")
        where = shlex.join([str(self.folder), str(self.config["data"])])
        known = self.config.get("labelled", True)  # runs of earlier versions do not say
        verb, more = ("evaluate", "--labels 0.1") if known else ("embed", "-o features.parquet")
        text.append(f"next: unlabeled {verb} {where} {more}")
        return text


def create(folder: Path, recipe: Recipe, facts: Mapping[str, Any]) -> Run:
    """Make a run's folder, or open the one that is there when it was made from the same recipe on the same data.

    Args:
        folder: where to put it.
        recipe: what it is made of.
        facts: `data` (path as given), `items` (fingerprint of the training items), and `labelled` (whether there are
            labels to evaluate it with).

    Raises:
        UserError: when the folder holds another run, or another process is about to put one there.
    """
    config = {"recipe": recipe.to_json(), **facts, "version": unlabeled.__version__, "torch": torch.__version__}
    own = {name: code for name in (recipe.method.name, recipe.encoder.name) if (code := catalog.wording(name))}
    config |= {"wording": own} if own else {}
    if (folder / CONFIG).is_file():
        old = Run.open(folder)
        mine, theirs, texts = recipe.numbers(), old.recipe.numbers(), old.config.get("wording", {})
        differs = _differs(mine, theirs)
        differs += ["items"] if not differs and old.config.get("items") != facts.get("items") else []
        differs += [f"the text of {name}" for name in own if texts.get(name, own[name]) != own[name]]
        if differs:
            raise UserError(
                f"{folder} holds a run that differs in {', '.join(differs)}",
                "take another --out, or delete the folder to start afresh",
            )
        return old
    with alone(folder):  # of two that start at once, one would learn under the settings that the other wrote
        if not (folder / CONFIG).is_file():
            beside = folder / (CONFIG + ".part")
            beside.write_text(json.dumps(config, indent=1), "utf-8")
            beside.replace(folder / CONFIG)
            return Run(folder, json.loads(json.dumps(config)))
    return create(folder, recipe, facts)


def learn(run: Run, items: Items, device: Device, *, save_every: float = 30.0, title: str = "") -> Run:
    """Train a run to its end from wherever it stands.

    Args:
        run: made by `create`.
        items: the items to learn from.
        device: from `open_device`.
        save_every: seconds between checkpoints.
        title: words before the progress bar.

    Returns:
        The same run, finished.

    Raises:
        UserError: when there is one item only, another process is at it, or the loss is no number any more.
        Stopped: when the command line was asked to stop; what was learnt is kept.
    """
    if len(items) < 2:
        raise UserError("there is one item to learn from", "give two items or more")
    with alone(run.folder, device.lead):
        try:
            return _learn(run, items, device, save_every, title)
        except Diverged as fault:
            kept = f"the checkpoint of step {run.step} is kept" if run.step else "there was no checkpoint yet"
            raise UserError(f"{fault.wrong}; {kept}", fault.remedy) from None


def _learn(run: Run, items: Items, device: Device, save_every: float, title: str) -> Run:
    recipe = run.recipe
    batch = items_a_step(recipe.training.batch_size, len(items), device.world)
    path = run.folder / CHECKPOINT
    method = recipe.build(begin=not path.is_file())
    device.place(method)
    parts = optim.groups(method, _decay(recipe, method))
    optimizer = optim.build(parts, recipe.training, optim.peak_lr(recipe.training, method.lr), method.betas)
    start, spent, pending = 0, 0.0, list[dict[str, float]]()
    if path.is_file():
        head = checkpoint.load(path, method, optimizer)
        start, spent, pending = int(head["step"]), float(head["seconds"]), head.get("pending", [])
    if start >= recipe.steps:
        return run
    if device.lead:
        _rewind(run, start)
    journal = Journal(run.folder / METRICS, recipe, batch, device, spent, pending)
    saved = time.monotonic()
    steps = train(
        method,
        optimizer,
        items,
        recipe.looks(),
        steps=recipe.steps,
        training=recipe.training,
        device=device,
        seed=recipe.seed,
        start=start,
    )
    words = title or f"{recipe.method.name} seed {recipe.seed}"
    with held(device.lead) as asked, progress.bar(words, recipe.steps, start) as bar:
        for step in steps:
            note = journal.observe(method, step)
            last = step.number + 1 == recipe.steps
            leaves = asked()
            if device.lead and (last or leaves or time.monotonic() - saved > save_every):
                noted = journal.pending()
                if all(math.isfinite(one[""]) for one in noted) and _sound(method):  # else the last good one is kept
                    told = {"step": step.number + 1, "seconds": journal.seconds, "pending": noted}
                    checkpoint.save(path, method, optimizer, told)
                elif last:
                    raise Diverged(f"the weights are no numbers any more after step {step.number + 1}")
                saved = time.monotonic()
            bar.advance(1, note)
            if leaves:
                break
    return run


def read_json(path: Path) -> dict[str, Any]:
    """What a file of facts holds.

    Raises:
        UserError: when it is damaged.
    """
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (TypeError, ValueError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}", AFRESH) from None


def fingerprint(paths: list[str], rows: np.ndarray) -> str:
    """A short code for the set of training items, so that a run is never continued on others."""
    return hashlib.sha256("\n".join(paths[i] for i in rows).encode()).hexdigest()[:16]


def _differs(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The names of what differs; of settings that stand together their own."""
    out: list[str] = []
    for name, value in mine.items():
        other = theirs[name]
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            own = [k for k in (*value, *(k for k in other if k not in value)) if value.get(k) != other.get(k)]
            out += [f"{name} ({', '.join(own)})"] if own else []
        elif value != other:
            out.append(name)
    return out


def _decay(recipe: Recipe, method: Method) -> float:
    given = recipe.training.weight_decay
    return method.weight_decay if given is None else given


def _sound(method: Method) -> bool:
    """Whether all weights are numbers: the step that spoils them has a loss that still is one."""
    return all(bool(p.isfinite().all()) for p in method.parameters())


def _rewind(run: Run, step: int) -> None:
    """Drop metric lines after the checkpoint that the run continues from."""
    rows = [row for row in run.metrics() if row["step"] <= step]
    beside = run.folder / (METRICS + ".part")
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    beside.replace(run.folder / METRICS)
