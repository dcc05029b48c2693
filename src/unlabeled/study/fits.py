"""The fits of a study: features are computed once an arm and seed, each cell leaves one file of test predictions.

Predictions are stored without looking at the test labels; those are opened once, when all cells stand (`study.record`).
"""

import json
import os
import resource
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import catalog, progress
from unlabeled.arms import Plain
from unlabeled.data.prepare import Prepared
from unlabeled.data.splits import unit_numbers
from unlabeled.encoders import Encoder
from unlabeled.protocols.linear import Linear
from unlabeled.study.plan import PLAIN, Arm, Cell, needs, safe
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items, embed
from unlabeled.training.run import Run

TRAINED = ("method", "trained")
ASKED = 1000  # labelled items at most that a fine-tuned net is asked for again, to see whether it was trained out


@dataclass(frozen=True)
class Bench:
    """Where a study works.

    Args:
        folder: of the study.
        prepared: the data.
        device: from `open_device`.
        pace: by arm, settings of protocols that train an encoder, where the study's minutes set them and the user did
            not.
        elsewhere: runs of arms that were trained outside this folder.
    """

    folder: Path
    prepared: Prepared
    device: Device
    pace: Mapping[str, Mapping[str, Any]]
    elsewhere: Mapping[str, Path]

    def run(self, arm: Arm, seed: int) -> Path:
        """Folder of the pretraining of an arm and seed."""
        return self.elsewhere.get(arm.name) or self.folder / "runs" / f"{safe(arm.name)}-s{seed}"

    def encoder(self, arm: Arm, seed: int) -> Encoder:
        """The encoder that an arm starts from: trained for methods, fresh for all others."""
        if arm.kind in TRAINED:
            return Run.open(self.run(arm, seed)).encoder()
        return arm.for_seed(seed).build_encoder()

    def features(self, arm: Arm, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D) of all items that may be learnt from, and of the test items; computed once and kept."""
        path = self.folder / "features" / f"{safe(arm.name)}-s{seed}.npz"
        found = read_arrays(path)
        if found is None:
            learn, test = self.prepared.learning, self.prepared.test
            looks = arm.recipe.looks()
            if arm.kind == PLAIN:
                looks = looks.usual()
                rule: Plain = catalog.load("arms", arm.name)().fit(self.prepared.store, learn, looks, seed)
                pair = [rule.features(self.prepared.store, rows, looks) for rows in (learn, test)]
            else:
                encoder = self.device.place(self.encoder(arm, seed))
                pair = [embed(encoder, looks, self.prepared.store, rows, self.device).numpy() for rows in (learn, test)]
            found = {"learn": pair[0], "test": pair[1]}
            write_arrays(path, found)
        return found["learn"], found["test"]


def fit(
    bench: Bench,
    arm: Arm,
    cell: Cell,
    rows: np.ndarray,
    rate: float | None = None,
    each: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Fit one cell and store its test predictions; a cell that stands already is read, not made again.

    Args:
        bench: where to work.
        arm: the cell's arm.
        cell: what to fit.
        rows: row numbers of its labelled items.
        rate: encoder learning-rate share found for the same labels with another seed, to spare the trials.
        each: called after each fine-tuning step with 1, and with the number of those that an earlier call had made.

    Returns:
        The cell's facts: minutes, steps, chosen settings.
    """
    path = bench.folder / "predictions" / cell.file
    if (stands := read_arrays(path)) is not None:
        return dict(json.loads(str(stands["facts"])))
    began = time.monotonic()
    data = bench.prepared
    y = data.table.labels[rows]
    halfway = Halfway(bench.folder / "halfway" / f"{path.stem}.safetensors", each)
    facts: dict[str, Any] = {**asdict(cell), "threads": bench.device.threads, "device": str(bench.device.device)}
    spec = next(p for p in arm.protocols if str(p) == cell.protocol)
    if needs(spec) == "features":
        learn, test = bench.features(arm, cell.seed)
        x = learn[np.searchsorted(data.learning, rows)]
        protocol = catalog.load("protocols", spec.name)(**spec.settings)
        protocol.fit(x, y, groups=groups(data, rows), seed=cell.draw, unlabelled=learn)
        if isinstance(protocol, Linear):
            facts |= {"strength": float(protocol.strength), "convergence": protocol.convergence}
        probabilities = protocol.predict(test)
    elif needs(spec) == "views":
        protocol = catalog.load("protocols", spec.name)(**spec.settings)
        encoder, looks = bench.device.place(bench.encoder(arm, cell.seed)), arm.recipe.looks()
        model = protocol.fit(
            encoder, Items(data.store, rows), y, looks, bench.device, groups=groups(data, rows), seed=cell.draw
        )
        probabilities = model.predict(Items(data.store, data.test), looks, bench.device)
    else:
        found = {} if rate is None else {"encoder_lr": rate}
        protocol = catalog.load("protocols", spec.name)(**{**bench.pace.get(arm.name, {}), **found, **spec.settings})
        store = data.store
        looks = arm.recipe.looks()
        encoder = bench.encoder(arm, cell.seed)
        bench.device.place(encoder)
        fresh = arm.kind not in TRAINED
        items = Items(store, rows, groups=groups(data, rows))
        model = protocol.fit(encoder, items, y, looks, bench.device, seed=cell.seed, fresh=fresh, halfway=halfway)
        probabilities = model.predict(Items(store, data.test), looks, bench.device)
        own = np.random.default_rng(cell.seed).permutation(len(rows))[:ASKED]
        fitted = (model.predict(Items(store, rows[own]), looks, bench.device).argmax(1) == y[own]).mean()
        steps = protocol.length(len(rows))
        facts |= {"rate": model.rate, "steps": steps, "items_seen": steps * min(protocol.batch_size, len(rows))}
        facts |= {"fitted": float(fitted)}
    facts |= {"minutes": (halfway.spent + time.monotonic() - began) / 60, "peak_memory_mb": peak_memory()}
    write_arrays(
        path, {"probabilities": full(probabilities, y, len(data.table.classes)), "facts": np.array(json.dumps(facts))}
    )
    halfway.done()
    return facts


def fit_all(
    bench: Bench, arms: Sequence[Arm], todo: Sequence[Cell], draws: Sequence[Mapping[float, np.ndarray]]
) -> list[dict[str, Any]]:
    """Fit every cell that does not stand yet and return what each arm, protocol and seed cost.

    A learning rate that was tuned with one seed serves the other seeds of the same labels.
    """
    by_name = {a.name: a for a in arms}
    rates: dict[tuple[str, float, int, str], float] = {}
    costs: dict[tuple[str, int], dict[str, Any]] = {}
    made = Counter[str]()
    with progress.bar("fit and predict", len(todo)) as bar:

        def each(words: str, steps: int) -> None:
            made[words] += steps
            bar.advance(0, f"{words} · step {made[words]}")

        for cell in todo:
            arm, key = by_name[cell.arm], (cell.arm, cell.share, cell.draw, cell.protocol)
            words = f"{cell.arm} · {cell.labels} labels · {cell.protocol}"
            made[words] = 0
            facts = fit(bench, arm, cell, draws[cell.draw][cell.share], rates.get(key), partial(each, words))
            if "rate" in facts:
                rates.setdefault(key, facts["rate"])
            name = f"{cell.arm} ({cell.protocol})"
            cost = costs.setdefault((name, cell.seed), empty_cost(bench.device, name, arm, cell.seed, "fit"))
            for what in ("minutes", "steps", "items_seen"):
                cost[what] += facts.get(what, 0)
            cost["peak_memory_mb"] = max(cost["peak_memory_mb"], facts["peak_memory_mb"])
            bar.advance(1, words)
    return list(costs.values())


def empty_cost(device: Device, name: str, arm: Arm, seed: int, stage: str) -> dict[str, Any]:
    """One line of the cost table, with nothing spent yet."""
    where = {"device": str(device.device), "threads": device.threads}
    spent = {"minutes": 0.0, "items_per_second": None, "peak_memory_mb": 0.0, "steps": 0, "items_seen": 0}
    return {"arm": name, "encoder": str(arm.recipe.encoder), "seed": seed, "stage": stage} | spent | where


def groups(data: Prepared, rows: np.ndarray) -> np.ndarray | None:
    """Group number of each row where the data name groups (patients, parts), items without one being one each; else
    None.
    """
    return unit_numbers(data.table, rows)


def full(probabilities: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities over all classes, 0 for those that the labelled items do not hold."""
    seen = np.unique(y)
    if probabilities.shape[1] == classes:
        return probabilities.astype(np.float32)
    out = np.zeros((len(probabilities), classes), np.float32)
    out[:, seen] = probabilities[:, : len(seen)] if probabilities.shape[1] == len(seen) else probabilities[:, seen]
    return out


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz, None where there is none or a power cut tore it, so that it is made anew."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile):
        return None


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz beside, and rename it into place when the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(path)
