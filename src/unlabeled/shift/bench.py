"""Where the work is kept: features, probes and predictions of every arm and cell, each made once.

A folder under `--out` holds `features/`, `probes/` and `cells/`; a call that was stopped goes on. Corrupted pictures
of the test items are made once for each kind and severity and shown to all encoders that still need them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unlabeled import catalog, metrics, progress
from unlabeled.data.prepare import Prepared
from unlabeled.data.store import Store
from unlabeled.encoders import Encoder
from unlabeled.modalities import Modality
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.styled import Styled
from unlabeled.shift.severity import SEVERITIES, Curve
from unlabeled.shift.subjects import LINEAR, SUPERVISED, Subject
from unlabeled.study.fits import full, groups, read_arrays, write_arrays
from unlabeled.training import checkpoint
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items, embed

SEED = 61  # of all corruptions
BATCH = 256  # test items that are corrupted at a time; an item's corruption is fixed by its place among them

Predict = Callable[[np.ndarray], np.ndarray]  # features (N, D) to probabilities (N, classes)


@dataclass(frozen=True)
class Bench:
    """The data, the labels and the place to work in.

    Args:
        folder: of the results.
        prepared: the data, uncorrupted.
        draws: row numbers of the labelled items of each draw of labels.
        device: from `open_device`.
        supervised: how the supervised arm is trained: `finetune(steps=300)`.
        open: encoders and probes that are in use.
    """

    folder: Path
    prepared: Prepared
    draws: Sequence[np.ndarray]
    device: Device
    supervised: str = "finetune"
    open: dict[str, list[tuple[Encoder, Predict]]] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.prepared.table.classes)

    def features(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D) of the data's `pool`, and of the clean test items; computed once and kept.

        Of a supervised arm those of its first draw of labels.
        """
        path = self.folder / "features" / f"{subject.source}.npz"
        found = read_arrays(path)
        if found is None or len(found["learn"]) != len(self.prepared.pool):
            encoder = self._encoder(subject, 0)
            looks, store, data = self.looks(subject), self.prepared.store, self.prepared
            pair = [embed(encoder, looks, store, rows, self.device).numpy() for rows in (data.pool, data.test)]
            found = {"learn": pair[0], "test": pair[1]}
            write_arrays(path, found)
        return found["learn"], found["test"]

    def probe(self, subject: Subject, draw: int) -> Linear:
        """The probe on a draw of labels, clean or as its protocol shows them; fitted once and kept."""
        path = self.folder / "probes" / f"{subject.key}-d{draw}.npz"
        if not path.is_file():
            learn, _ = self.features(subject)
            write_arrays(path, self.fitted(subject, self.draws[draw], draw, learn).state())
        with np.load(path) as arrays:
            return Linear.from_state(dict(arrays))

    def fitted(self, subject: Subject, rows: np.ndarray, draw: int, base: np.ndarray) -> Linear:
        """A probe fitted on these labelled rows as the subject's protocol has it.

        Args:
            subject: whose features.
            rows: row numbers of the labelled items.
            draw: number of the draw, the seed of inner folds and of styles.
            base: features (M, D) whose mean and spread standardise those of a plain linear probe.
        """
        y, units = self.prepared.table.labels[rows], groups(self.prepared, rows)
        if subject.probe == LINEAR:
            learn, _ = self.features(subject)
            x = learn[np.searchsorted(self.prepared.pool, rows)]
            return Linear().fit(x, y, groups=units, seed=draw, unlabelled=base)
        how = catalog.parse("protocols", subject.probe)
        protocol: Styled = catalog.load("protocols", how.name)(**how.settings)
        items, looks = Items(self.prepared.store, rows), subject.recipe.looks()
        return protocol.fit(self._shared(subject), items, y, looks, self.device, groups=units, seed=draw).probe

    def models(self, subject: Subject) -> list[tuple[Encoder, Predict]]:
        """An encoder with its way from features to class probabilities, for each draw of labels."""
        if subject.key not in self.open:
            found: list[tuple[Encoder, Predict]] = []
            shared = None if subject.kind == SUPERVISED else self._shared(subject)
            for draw, rows in enumerate(self.draws):
                if shared is None:
                    encoder, head = self._supervised(subject, draw)
                    found.append((encoder, _head(head, self.device)))
                else:
                    found.append(
                        (shared, _probe(self.probe(subject, draw), self.prepared.table.labels[rows], self.classes))
                    )
            self.open[subject.key] = found
        return self.open[subject.key]

    def predict(self, subjects: Sequence[Subject], store: Store, rows: np.ndarray) -> list[np.ndarray]:
        """Class probabilities (draws, N, classes) float32 of rows of any store, for each of the subjects.

        Subjects of one encoder share its features.
        """
        out: list[np.ndarray] = []
        last: tuple[Encoder, np.ndarray] | None = None
        for subject in subjects:
            mine: list[np.ndarray] = []
            for encoder, predict in self.models(subject):
                if last is None or last[0] is not encoder:
                    last = encoder, embed(encoder, self.looks(subject), store, rows, self.device).numpy()
                mine.append(predict(last[1]))
            out.append(np.stack(mine))
        return out

    def looks(self, subject: Subject) -> Modality:
        """How a subject's encoder looks at items: one that learnt its classes with it, as large as it has seen them."""
        looks = subject.recipe.looks()
        if subject.kind != SUPERVISED:
            return looks
        how = catalog.parse("protocols", self.supervised)
        protocol: Any = catalog.load("protocols", how.name)(**how.settings)
        seen: Modality = protocol.looks(looks, len(self.draws[0]), True)
        return seen

    def cell(self, subject: Subject, name: str) -> Path:
        """Where the predictions of a cell lie: `clean`, `haze-3`."""
        return self.folder / "cells" / subject.key / f"{name}.npz"

    def corrupted(self, kind: str, severity: int, looks: Modality) -> Store:
        """The test items under one corruption, in the order of `prepared.test`."""
        rows, store = self.prepared.test, self.prepared.store
        out = []
        for at in range(0, len(rows), BATCH):
            raw = store.batch(rows[at : at + BATCH])
            out.append(looks.at(SEED, at).corrupt(raw, kind, severity).numpy())
        return Store(np.concatenate(out))

    def fill(self, subjects: Sequence[Subject], kinds: Sequence[str]) -> None:
        """Predict every test item under every kind and severity, and clean, for every subject; what stands is left."""
        looks, rows = subjects[0].recipe.looks(), self.prepared.test
        names = ["clean", *(f"{kind}-{s}" for kind in kinds for s in range(1, SEVERITIES + 1))]
        with progress.bar("corrupt and predict", len(names) * len(subjects)) as bar:
            for name in names:
                missing = [s for s in subjects if not self.cell(s, name).is_file()]
                bar.advance(len(subjects) - len(missing))
                if not missing:
                    continue
                kind, _, severity = name.rpartition("-")
                store = self.corrupted(kind, int(severity), looks) if kind else self.prepared.store
                which = np.arange(len(rows)) if kind else rows
                for source in dict.fromkeys(s.source for s in missing):
                    mine = [s for s in missing if s.source == source]
                    for s, found in zip(mine, self.predict(mine, store, which), strict=True):
                        write_arrays(self.cell(s, name), {"probabilities": found})
                        bar.advance(1, f"{name} · {s.arm} s{s.seed}")

    def curves(self, subjects: Sequence[Subject], kinds: Sequence[str]) -> dict[str, Curve]:
        """Right or wrong for every arm, from the cells; the test labels are opened here."""
        truth = self.prepared.table.labels[self.prepared.test]
        out: dict[str, Curve] = {}
        for arm in dict.fromkeys(s.arm for s in subjects):
            cells: list[tuple[int, int]] = []
            hits = []
            for s in (s for s in subjects if s.arm == arm):
                clean = self._right(s, "clean", truth)
                by_kind = [
                    np.stack([clean, *(self._right(s, f"{kind}-{v}", truth) for v in range(1, SEVERITIES + 1))], 1)
                    for kind in kinds
                ]  # of each kind (draws, 6, N)
                hits.append(np.stack(by_kind, 1))
                cells += [(s.seed, draw) for draw in range(len(clean))]
            out[arm] = Curve(tuple(cells), np.concatenate(hits))
        return out

    def _right(self, subject: Subject, name: str, truth: np.ndarray) -> np.ndarray:
        with np.load(self.cell(subject, name)) as arrays:
            return np.stack([metrics.right(p, truth) for p in arrays["probabilities"]])

    def _encoder(self, subject: Subject, draw: int) -> Encoder:
        if subject.kind == SUPERVISED:
            return self._supervised(subject, draw)[0]
        encoder = subject.encoder().eval()
        self.device.place(encoder)
        return encoder

    def _shared(self, subject: Subject) -> Encoder:
        """The encoder that another probe has opened, or opened now."""
        name = f"encoder {subject.source}"
        if name not in self.open:
            self.open[name] = [(self._encoder(subject, 0), _nothing)]
        return self.open[name][0][0]

    def _supervised(self, subject: Subject, draw: int) -> tuple[Encoder, nn.Module]:
        """The encoder trained from scratch on a draw of labels, and its head; trained once and kept."""
        path = self.folder / "supervised" / f"{subject.key}-d{draw}.safetensors"
        encoder = subject.recipe.build_encoder()
        head: nn.Sequential = nn.Sequential(
            nn.BatchNorm1d(encoder.dim, eps=1e-8, affine=False), nn.Linear(encoder.dim, self.classes)
        )
        both = nn.ModuleDict({"encoder": encoder, "head": head})
        self.device.place(both)
        if not path.is_file():
            rows = self.draws[draw]
            y = self.prepared.table.labels[rows]
            how = catalog.parse("protocols", self.supervised)
            protocol: Any = catalog.load("protocols", how.name)(**how.settings)
            items, looks = Items(self.prepared.store, rows, groups=groups(self.prepared, rows)), subject.recipe.looks()
            with progress.bar(
                f"train {subject.arm} seed {subject.seed}", protocol.length(len(rows), looks, True)
            ) as bar:
                halfway = Halfway(path.with_suffix(".halfway"), progress.steps(bar))
                found = protocol.fit(
                    encoder, items, y, looks, self.device, seed=subject.seed, fresh=True, halfway=halfway
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            trained = nn.ModuleDict({"encoder": found.encoder, "head": found.head})
            checkpoint.save(path, trained, None, {"rate": found.rate})
            halfway.done()
        checkpoint.load(path, both)
        both.eval()
        return encoder, head


def _nothing(x: np.ndarray) -> np.ndarray:
    return x


def _probe(probe: Linear, y: np.ndarray, classes: int) -> Predict:
    return lambda x: full(probe.predict(x), y, classes)


def _head(head: nn.Module, device: Device) -> Predict:
    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(head(torch.from_numpy(x).to(device.device)).softmax(1).cpu().numpy(), np.float32)

    return predict
