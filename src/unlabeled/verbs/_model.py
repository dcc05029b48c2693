"""From a finished run to what can be asked about: encoder, training items and, with labels, a linear probe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unlabeled import progress
from unlabeled.data.prepare import Prepared, as_stored, prepare, read_prep
from unlabeled.data.scan import scan
from unlabeled.data.source import file_of
from unlabeled.data.splits import nested_draws, unit_numbers
from unlabeled.data.store import build
from unlabeled.data.table import Table
from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.committee import one_of
from unlabeled.deploy.net import load
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.explain._questions import Lens
from unlabeled.modalities import Modality
from unlabeled.protocols.linear import Linear
from unlabeled.shift.subjects import Subject, data_for
from unlabeled.training.devices import Device
from unlabeled.training.loop import embed
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import Run

USUAL = 256  # training items that say what is usual to an encoder with random weights


@dataclass(frozen=True)
class Item:
    """An item as the encoder sees it.

    Args:
        name: as it is called.
        view: (1, C, ...).
        label: its own, "" where it is not known.
        row: in the data's table, -1 where it lies elsewhere.
        learnt: whether it was learnt from.
        known: whether its label was learnt as well; None where that is not known.
    """

    name: str
    view: Tensor
    label: str
    row: int
    learnt: bool
    known: bool | None = False


@dataclass(frozen=True, eq=False)
class Model:
    """What can be asked about, wherever it came from.

    Args:
        name: what made it: `simclr`.
        lens: the encoder with what is usual among its features.
        looks: gives its views.
        device: where it is.
        prepared: its data.
        rows: (N,) of the training items.
        bank: (N, D) their features, standardised.
        weights: (classes, D) of the linear probe on standardised features, (members, classes, D) of an ensemble; None
            where there are no labels.
        bias: (classes,), or (members, classes).
        classes: names of the classes that the probe knows.
        labels: how many labels it was fitted on.
        notes: what is to be minded, in sentences.
        fresh: from a seed to the same encoder with random weights.
        temperature: that the scores of the classes are divided by.
        known: rows whose labels were learnt; None where that is not known.
    """

    name: str
    lens: Lens
    looks: Modality
    device: Device
    prepared: Prepared
    rows: np.ndarray
    bank: Tensor
    weights: Tensor | None
    bias: Tensor | None
    classes: tuple[str, ...]
    labels: int
    notes: tuple[str, ...]
    fresh: Callable[[int], Encoder]
    temperature: float = 1.0
    known: np.ndarray | None = None

    def random(self, seed: int) -> Lens:
        """A lens of the same kind with random weights, and what is usual among its own features."""
        encoder = still(self.device.place(self.fresh(seed)))
        some = self.rows[np.linspace(0, len(self.rows) - 1, min(USUAL, len(self.rows))).astype(np.int64)]
        return Lens.of(encoder, embed(encoder, self.looks, self.prepared.store, some, self.device))

    def item(self, name: str) -> Item:
        """An item by its path, or by its name in the data.

        Raises:
            UserError: when there is no such item, or it is several.
        """
        table, store, label = self.prepared.table, self.prepared.store, ""
        row, foreign = _place(self.prepared, name)
        if foreign is not None:
            _, store = build(foreign, self.prepared.prep, progress=False)
        elif table.labels[row] >= 0:
            label = table.classes[table.labels[row]]
        raw = store.batch(np.array([max(row, 0)])).to(self.device.device)
        learnt = bool(row >= 0 and row in self.rows)
        known = bool(learnt and row in self.known) if self.known is not None else None if learnt else False
        return Item(name, self.looks.plain(raw), label, row, learnt, known)


def _row(prepared: Prepared, name: str) -> int:
    """Where an item stands in the data's table: -1 for a file that is not among them."""
    table = prepared.table
    paths = table.items["path"].astype(str)
    if name in set(paths):
        return int(np.flatnonzero(paths == name)[0])
    if not Path(name).is_file():
        raise UserError(
            f"there is no item {name}, neither as a file nor in {table.root}",
            f"give a path, or a name such as {paths.iloc[0]}",
        )
    real = Path(name).resolve()
    same = [i for i, p in enumerate(paths) if p.endswith(real.name) and (table.folder / p).resolve() == real]
    return same[0] if same else -1


def _place(prepared: Prepared, name: str) -> tuple[int, Table | None]:
    """Where an item stands in the data's table; of a file that is not among them -1 and a table of it alone.

    Raises:
        UserError: when there is no such item, or it is several: a recording longer than one, a file of many.
    """
    row = _row(prepared, name)
    if row >= 0:
        return row, None
    own = as_stored(scan(name), prepared.prep)
    if len(own) == 1:
        return row, own
    table, real = prepared.table, Path(name).resolve()
    near = [p for p in table.items["path"] if file_of(p) != p and file_of(p).endswith(real.name)]
    parts = [p for p in near if (table.folder / file_of(p)).resolve() == real]
    remedy = f"name one of them, such as {parts[0]}" if parts else "give a file of one"
    raise UserError(f"{name} holds {len(own):,} items, and one is explained", remedy)


def of_run(folder: str, data: str | None, labels: float, device: Device, names: Sequence[str] = ()) -> Model:
    """A finished run with its training items, and a linear probe on their labels where there are any.

    Args:
        folder: of the run.
        data: the training items; where the run found them when None.
        labels: share of the training labels, or their number; 0 for none.
        device: from `open_device`.
        names: of items that will be asked for; one that is not there is told before the work.

    Raises:
        UserError: when the run is not finished, or its items are not there.
    """
    run = Run.open(folder)
    if not run.finished:
        raise UserError(f"{folder} stopped at step {run.step} of {run.recipe.steps}", "let its training finish")
    place = data or str(run.config["data"])
    if not Path(place).exists():
        raise UserError(f"{folder} learnt from {place}, which is not there", "say where its items are: --data")
    recipe = run.recipe
    prepared, notes = data_for(place, [Subject(recipe.method.name, recipe.seed, "trained", recipe, run.folder)])
    for name in names:
        _place(prepared, name)
    encoder, looks, rows = still(device.place(run.encoder())), run.modality(), prepared.learning
    if not len(rows):
        raise UserError(f"{place} holds no item to learn from", "give the items that the run learnt from")
    with progress.bar("embed the training items", len(rows)) as bar:
        features = embed(encoder, looks, prepared.store, rows, device, each=bar.advance)
    lens = Lens.of(encoder, features)
    weights = bias = None
    known: np.ndarray = np.zeros(0, np.int64)
    y, names = prepared.table.labels, prepared.table.classes
    if labels > 0 and len(np.unique(y[prepared.labelled])) > 1:
        known = nested_draws(y, prepared.labelled, [labels], 1, 0)[0][labels]
        mine = features[np.searchsorted(rows, known)].numpy()
        units = unit_numbers(prepared.table, known)
        probe = Linear().fit(mine, y[known], groups=units, unlabelled=features.numpy())
        weights, bias = (torch.from_numpy(a).float() for a in (probe.weights, probe.bias))
        names = [names[c] for c in probe.classes]
    return Model(
        recipe.method.name, lens, looks, device, prepared, rows, lens.standard(features), weights, bias,
        tuple(names) if weights is not None else (), len(known), tuple(notes),
        lambda seed: replace(recipe, seed=seed).build_encoder(), known=known,
    )  # fmt: skip


def of_bundle(folder: str, data: str | None, device: Device, names: Sequence[str] = ()) -> Model:
    """A model that was handed over, with its own head, beside the items that it learnt from.

    Args:
        folder: of the bundle.
        data: the items that it learnt from, which a bundle does not hold.
        device: from `open_device`.
        names: of items that will be asked for.

    Raises:
        UserError: when the bundle cannot be read, or no items are given.
    """
    bundle = Bundle.open(folder)
    if data is None:
        raise UserError(f"{folder} does not hold the items that it learnt from", "say where they are: --data")
    recipe = Recipe.from_json(bundle.facts["recipe"])
    split = int(bundle.facts["data"].get("split", 0))
    prepared = prepare(data, size=recipe.size, seed=split, prep=read_prep(recipe.modality, recipe.prep))
    for name in names:
        _place(prepared, name)
    net = device.place(load(bundle))
    encoder, looks, rows = still(net.encoder), recipe.looks(), prepared.learning
    if not len(rows):
        raise UserError(f"{data} holds no item to learn from", "give the items that the model learnt from")
    with progress.bar("embed the training items", len(rows)) as bar:
        features = embed(encoder, looks, prepared.store, rows, device, each=bar.advance)
    lens, head = Lens.of(encoder, features), net.weight.cpu().float()
    weights = head * lens.scale  # the head reads features as they come, the lens gives them in units of their spread
    bias = net.bias.cpu().float() + head @ lens.mean
    classes, learnt = tuple(bundle.facts["classes"]), sum(bundle.facts["data"]["counts"]["learnt"].values())

    def fresh(seed: int) -> Encoder:
        seeds = range(1000 * seed, 1000 * seed + int(bundle.facts.get("members", 1)))
        return one_of([replace(recipe, seed=one).build_encoder() for one in seeds])

    return Model(
        str(bundle.facts["name"]), lens, looks, device, prepared, rows, lens.standard(features), weights, bias, classes,
        learnt, (), fresh, float(bundle.facts["temperature"]),
    )  # fmt: skip


def still(encoder: Encoder) -> Encoder:
    """The encoder at rest, its weights held: slopes are asked of items alone."""
    return encoder.eval().requires_grad_(False)
