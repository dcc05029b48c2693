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
SPENT = ("minutes", "steps", "items_seen")
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

    def features(self, arm: Arm, seed: int, each: Callable[[int], None] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D) of the data's `pool`, and of the test items; computed once and kept.

        Args:
            arm: whose features.
            seed: of its training.
            each: called with the number of items that were read, for a progress bar.
        """
        path = self.folder / "features" / f"{safe(arm.name)}-s{seed}.npz"
        found = read_arrays(path)
        if found is None or len(found["learn"]) != len(self.prepared.pool):
            learn, test = self.prepared.pool, self.prepared.test
            looks = arm.recipe.looks()
            if arm.kind == PLAIN:
                looks = looks.usual()
                rule: Plain = catalog.load("arms", arm.name)().fit(self.prepared.store, learn, looks, seed)
                pair = [rule.features(self.prepared.store, rows, looks) for rows in (learn, test)]
            else:
                encoder = self.device.place(self.encoder(arm, seed))
                store, device = self.prepared.store, self.device
                pair = [embed(encoder, looks, store, rows, device, each=each).numpy() for rows in (learn, test)]
            found = {"learn": pair[0], "test": pair[1]}
            write_arrays(path, found)
        return found["learn"], found["test"]


def fit(
    bench: Bench,
    arm: Arm,
    cell: Cell,
    rows: Sequence[np.ndarray],
    rates: Sequence[float] | None = None,
    each: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Fit one cell and store its test predictions; a cell that stands already is read, not made again.

    Args:
        bench: where to work.
        arm: the cell's arm.
        cell: what to fit.
        rows: row numbers of its labelled items, for each turn in which test items are asked; mostly that is one.
        rates: for each turn the encoder learning-rate share found for the same labels with another seed, to spare the
            trials.
        each: called after each fine-tuning step with 1, and with the number of those that an earlier call had made;
            where features are read, with the number of items.

    Returns:
        The cell's facts: minutes, steps, chosen settings (of several turns a list of each).
    """
    path = bench.folder / "predictions" / cell.file
    if (stands := read_arrays(path)) is not None:
        return dict(json.loads(str(stands["facts"])))
    data = bench.prepared
    whole = np.zeros((len(data.test), len(data.table.classes)), np.float32)
    told: list[dict[str, Any]] = []
    done: list[Path] = []
    for turn, some in enumerate(rows):
        place = np.arange(len(data.test)) if data.turns is None else np.flatnonzero(data.turns == turn)
        name = path.stem if len(rows) == 1 else f"{path.stem}-turn{turn}"
        beside, half = (bench.folder / "halfway" / f"{name}.{end}" for end in ("npz", "safetensors"))
        stored = read_arrays(beside)
        if stored is None:
            rate = None if rates is None else rates[turn]
            found, facts = _fitted(bench, arm, cell, some, place, rate, Halfway(half, each))
            stored = {"probabilities": full(found, data.table.labels[some], whole.shape[1])}
            stored |= {"facts": np.array(json.dumps(facts))}
            if len(rows) > 1:
                write_arrays(beside, stored)
        whole[place] = stored["probabilities"]
        told.append(json.loads(str(stored["facts"])))
        done += [beside, half]
    facts = {**asdict(cell), "threads": bench.device.threads, "device": str(bench.device.device)} | _together(told)
    write_arrays(path, {"probabilities": whole, "facts": np.array(json.dumps(facts))})
    for file in done:
        file.unlink(missing_ok=True)
    return facts


def _together(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of several turns as one: what was spent is added up, shares are means, the rest stands side by side."""
    if len(told) == 1:
        return dict(told[0])
    out: dict[str, Any] = {}
    for name in told[0]:
        values = [facts[name] for facts in told]
        out[name] = sum(values) if name in SPENT else float(np.mean(values)) if name == "fitted" else values
    return out | {"peak_memory_mb": max(facts["peak_memory_mb"] for facts in told)}


def _fitted(
    bench: Bench, arm: Arm, cell: Cell, rows: np.ndarray, place: np.ndarray, rate: float | None, halfway: Halfway
) -> tuple[np.ndarray, dict[str, Any]]:
    """Probabilities of the test items at these places by a fit on these labelled rows, and its facts."""
    began = time.monotonic()
    data = bench.prepared
    y, test = data.table.labels[rows], data.test[place]
    facts: dict[str, Any] = {}
    spec = next(p for p in arm.protocols if str(p) == cell.protocol)
    if needs(spec) == "features":
        pool, asked = bench.features(arm, cell.seed, halfway.each)
        x = (
            asked[np.searchsorted(data.test, rows)]
            if data.turns is not None
            else pool[np.searchsorted(data.pool, rows)]
        )
        protocol = catalog.load("protocols", spec.name)(**spec.settings)
        protocol.fit(x, y, groups=groups(data, rows), seed=cell.draw, unlabelled=pool)
        if isinstance(protocol, Linear):
            facts |= {"strength": float(protocol.strength), "convergence": protocol.convergence}
        probabilities = protocol.predict(asked[place])
    elif needs(spec) == "views":
        protocol = catalog.load("protocols", spec.name)(**spec.settings)
        encoder, looks = bench.device.place(bench.encoder(arm, cell.seed)), arm.recipe.looks()
        model = protocol.fit(
            encoder, Items(data.store, rows), y, looks, bench.device, groups=groups(data, rows), seed=cell.draw
        )
        probabilities = model.predict(Items(data.store, test), looks, bench.device)
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
        probabilities = model.predict(Items(store, test), looks, bench.device)
        own = np.random.default_rng(cell.seed).permutation(len(rows))[:ASKED]
        fitted = (model.predict(Items(store, rows[own]), looks, bench.device).argmax(1) == y[own]).mean()
        steps = protocol.length(len(rows), looks, fresh)
        facts |= {"rate": model.rate, "steps": steps, "items_seen": steps * min(protocol.batch_size, len(rows))}
        facts |= {"fitted": float(fitted)}
    facts |= {"minutes": (halfway.spent + time.monotonic() - began) / 60, "peak_memory_mb": peak_memory()}
    return probabilities, facts


def fit_all(
    bench: Bench,
    arms: Sequence[Arm],
    todo: Sequence[Cell],
    draws: Sequence[Sequence[Mapping[float, np.ndarray]]],
) -> list[dict[str, Any]]:
    """Fit every cell that does not stand yet and return what each arm, protocol and seed cost.

    A learning rate that was tuned with one seed serves the other seeds of the same labels.

    Args:
        bench: where to work.
        arms: all arms.
        todo: the cells.
        draws: for each turn in which test items are asked, the labelled rows of each draw and share.
    """
    by_name = {a.name: a for a in arms}
    rates: dict[tuple[str, float, int, str], list[float]] = {}
    costs: dict[tuple[str, int], dict[str, Any]] = {}
    made = Counter[str]()
    items = f" of {len(bench.prepared.pool) + len(bench.prepared.test):,}"
    with progress.bar("fit and predict", len(todo)) as bar:

        def each(words: str, steps: int) -> None:
            made[words] += steps
            bar.advance(0, f"{words} {made[words]:,}{items if words.endswith('item') else ''}")

        for cell in todo:
            arm, key = by_name[cell.arm], (cell.arm, cell.share, cell.draw, cell.protocol)
            words = f"{cell.arm} · {cell.labels} labels · {cell.protocol}"
            [unit] = {needs(p) for p in arm.protocols if str(p) == cell.protocol}
            doing = f"{words} · {'step' if unit == 'encoder' else 'item'}"
            made[doing] = 0
            rows = [turn[cell.draw][cell.share] for turn in draws]
            facts = fit(bench, arm, cell, rows, rates.get(key), partial(each, doing))
            if "rate" in facts:
                rates.setdefault(key, facts["rate"] if len(rows) > 1 else [facts["rate"]])
            name = f"{cell.arm} ({cell.protocol})"
            cost = costs.setdefault((name, cell.seed), empty_cost(bench.device, name, arm, cell.seed, "fit"))
            for what in SPENT:
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
