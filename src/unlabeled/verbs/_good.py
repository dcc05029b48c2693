"""Good items made ready for `detect`: parted, decoded, and an encoder taught on those that may be learnt from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import progress
from unlabeled.anomaly import Crossed, Detector, Eye, _inspect, _kept, _threshold
from unlabeled.anomaly._kept import Judge
from unlabeled.anomaly._strips import faulty, parted, stem, strips
from unlabeled.catalog import Spec
from unlabeled.data import series
from unlabeled.data.doctor import flips
from unlabeled.data.kinds import kind
from unlabeled.data.prepare import LEARN, Prepared
from unlabeled.data.scan import scan
from unlabeled.data.series import SeriesPrep
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Prep, Preparation, Store, build
from unlabeled.data.survey import survey
from unlabeled.data.table import Table
from unlabeled.encoders import _build
from unlabeled.errors import UserError
from unlabeled.methods import Method
from unlabeled.progress import count
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.pace import steps
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import CONFIG, Run, create, fingerprint, learn

APART = 0.3  # share of the good items that set the threshold, where an encoder learns from the others
FIRST: Mapping[str, str] = {"painting": "autoencoder"}  # what is pretrained where nothing is said; else simclr
FOLDS = 3  # parts of the good items, where each is judged by what learnt from the others
SIZE = 64  # side of the training views in pixels
WIDER: Mapping[str, int] = {"features": 3, "items": 3, "painting": 1}  # the detector sees so many times that


@dataclass(frozen=True, eq=False)
class Ready:
    """Good items, parted.

    Args:
        table: the good items, and after them further unlabelled ones to pretrain on.
        store: their decoded form.
        fit: rows that are learnt from.
        held: good rows that set the threshold.
        folds: parts of `held`, each to be judged by what has not seen it; none where `held` is kept apart from all.
        more: further rows that only pretraining sees.
        recipe: of the run.
        run: the run that was given, if one was.
        unseen: whether the encoder has surely not seen the rows in `held`.
        stride: steps from one window to the next; 0 for pictures.
    """

    table: Table
    store: Store
    fit: np.ndarray
    held: np.ndarray
    folds: list[np.ndarray]
    more: np.ndarray
    recipe: Recipe
    run: Run | None
    unseen: bool
    stride: int = 0

    @property
    def judged(self) -> np.ndarray:
        """The rows that set the threshold, in the order in which they are judged."""
        return np.concatenate(self.folds) if self.folds else self.held

    def shortest(self) -> int:
        """Steps of the shortest window of a recording; 0 for pictures."""
        if self.recipe.modality != "series":
            return 0
        raw = (self.store.batch(self.judged[at : at + 1024]) for at in range(0, len(self.judged), 1024))
        return min(int(x[:, 0].sum(1).min()) for x in raw)

    def vouch(self, rate: float) -> None:
        """Refuse a rate of false alarms for which there are too few good items, before the work."""
        weight = _threshold.weights(unit_numbers(self.table, self.judged), len(self.judged), rate)
        _threshold.threshold(np.arange(len(weight)), rate, weight)

    def side(self, needs: str) -> int:
        """Side of the view that the detector sees in pixels, or its time steps."""
        return self.recipe.size if needs == "painting" else self.recipe.plain_size


def ready(
    good: str,
    run: str | None,
    needs: str,
    method: str | Mapping[str, Any] | None,
    setup: Setup,
    training: Training,
    *,
    crossed: bool = False,
) -> Ready:
    """Scan, decode and part the good items, and say what the run is made of.

    With `crossed` all good items are learnt from, in folds, and all set the threshold.

    Raises:
        UserError: when there is nothing to learn from, or the run is not finished.
    """
    given = Run.open(run) if run else None
    if given and not given.finished:
        raise UserError(f"{run} stopped at step {given.step} of {given.recipe.steps}", "let its training finish")
    mine = scan(good)
    known = {str(mine.folder / stem(p)) for p in mine.items["path"].iloc[mine.rows(*LEARN)]}
    table = scan(good, unlabeled=setup.unlabeled)
    if given and given.recipe.modality != table.modality:
        raise UserError(f"{run} has learnt from items of {given.recipe.modality}, not of {table.modality}", "give such")
    first = FIRST.get(needs, "simclr")
    prep: Preparation
    if table.modality == "series":
        table, prep, size = _windows(table, given, setup)
        spec, encoder = method_and_encoder(method or first, setup.encoder, "series", kind("series").encoder(prep))
    else:
        spec, encoder = method_and_encoder(method or first, setup.encoder, table.modality)
        prep, size = _plan(table, given, needs, encoder, setup)
        table = _blind(table)
    table, store = build(table, prep)
    is_good = np.array([str(table.folder / stem(p)) in known for p in table.items["path"]], dtype=bool)
    is_good &= np.isin(np.arange(len(table)), table.rows(*LEARN))  # parts of a recording may be there to test on
    fit, held, folds = _parts(table, np.flatnonzero(is_good), prep, crossed, setup.seed)
    more = np.setdiff1d(table.rows(*LEARN), np.flatnonzero(is_good))
    seen_by = np.concatenate([fit, more])
    gap = stride(prep, setup) if isinstance(prep, SeriesPrep) else 0
    if given:
        unseen = given.config.get("items") == fingerprint(_paths(table), seen_by)
        return Ready(table, store, fit, held, folds, more, given.recipe, given, unseen, gap)
    mean, std = kind(table.modality).measure(store, fit, prep)
    mirrors = flips(table, store) if table.modality == "image" else {}
    prepared = Prepared(table, store, prep, size, mean, std, mirrors)
    recipe = compose(prepared, spec, encoder, Augmentation(), training, 0, setup.seed)
    return Ready(table, store, fit, held, folds, more, replace(recipe, items=len(seen_by)), None, True, gap)


def _plan(table: Table, given: Run | None, needs: str, encoder: Spec, setup: Setup) -> tuple[Prep, int]:
    """How pictures are decoded, and the side of the training views."""
    if given:
        return Prep(**given.recipe.prep), given.recipe.size
    seen, size = survey(table), setup.size or SIZE
    wide = size * (WIDER[needs] if _build.any_size(encoder) else 1)
    side = max(size, min(wide, -(-seen.side // 32) * 32))
    return Prep(side, seen.channels, dtype="uint16" if seen.bits == 16 else "uint8"), size


def _windows(table: Table, given: Run | None, setup: Setup) -> tuple[Table, SeriesPrep, int]:
    """Windows of good recordings, a quarter of their length apart where nothing else is asked for, without those in
    which marks name a fault; how they are stored, and their steps.
    """
    own = dict(given.recipe.prep) if given else {}
    prep = SeriesPrep(**own) if own else series.ready(table, setup.size, setup.stride, setup.step)[1]
    cut = series.again(table, prep, stride(prep, setup))
    ill = np.array([bool(k) for k in faulty(cut, strips(cut, prep), prep.size)])
    if ill.any():
        progress.say(f"mind: {count(int(ill.sum()), 'window')} of {table.root} hold marked faults and are left out")
        cut = replace(cut, items=cut.items[~ill].reset_index(drop=True))
    alone = cut.items["group"].eq(pd.Series([stem(p) for p in cut.items["path"]], index=cut.items.index))
    cut = replace(cut, items=cut.items.assign(group=cut.items["group"].mask(alone)))  # groups are those the user gave
    return _blind(cut), prep, prep.size


def stride(prep: SeriesPrep, setup: Setup) -> int:
    """Steps from one window to the next."""
    return setup.stride or max(1, prep.size // 4)


def _parts(
    table: Table, every: np.ndarray, prep: Preparation, crossed: bool, seed: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Rows to learn from, rows that set the threshold, and the folds of those that do both."""
    if isinstance(prep, SeriesPrep):
        folds = parted(table, every, prep.size, FOLDS, seed)
        if crossed:
            both = np.concatenate(folds)
            return both, both, folds
        held = folds.pop(seed % len(folds))
        return np.concatenate(folds), held, []
    if crossed:
        return every, every, _threshold.folds(table, every, FOLDS, seed)
    return *_threshold.apart(table, every, APART, seed), []


def _blind(table: Table) -> Table:
    """The table without its labels: every item is taken for good."""
    return replace(table, items=table.items.assign(label=pd.Series(pd.NA, index=table.items.index, dtype="str")))


def learnt(ready: Ready, folder: Path, needs: str, budget: Budget, device: Device) -> Method | None:
    """The trained method at rest: of the given run, or of one that is trained now, or goes on where it was stopped.

    A detector that needs items alone gets none: building one that is not used takes seconds.
    """
    if needs == "items":
        return None
    if ready.run:
        return device.place(ready.run.method()).eval()
    items = Items(ready.store, np.concatenate([ready.fit, ready.more]))
    facts = {"data": str(ready.table.root), "items": fingerprint(_paths(ready.table), items.rows)}
    old = Run.open(folder) if (folder / CONFIG).is_file() else None
    timed = old is not None and old.config.get("budget") == asdict(budget)
    count = old.recipe.steps if old and timed else device.agreed(steps(budget, ready.recipe, items, device))
    made = create(folder, ready.recipe.with_steps(count), facts | {"budget": asdict(budget)})
    return device.place(learn(made, items, device).method()).eval()


def judge(
    ready: Ready, spec: Spec, finder: Detector, folder: Path, budget: Budget, device: Device, *, shots: bool, seed: int
) -> Judge:
    """Teach a detector the good items, and let it judge those that set the threshold.

    Args:
        ready: the good items.
        spec: the detector by name.
        finder: the detector.
        folder: of the results; an encoder that has to learn goes to `run` in it.
        budget: how long that learns.
        device: from `open_device`.
        shots: whether places are kept, to learn from labelled faults later.
        seed: of everything random.
    """
    needs = _kept.needs(str(spec))
    eye = Eye(learnt(ready, folder / "run", needs, budget, device), ready.recipe.looks(), device)
    if ready.folds and isinstance(finder, Crossed):
        finder.cross(eye, ready.store, ready.folds, seed=seed)
    elif needs == "items":  # it learns over many passes and shows them itself
        finder.fit(eye, ready.store, ready.fit, seed=seed)
    with progress.bar(f"{spec}, good items", len(ready.held) + (0 if needs == "items" else len(ready.fit))) as bar:
        eye = replace(eye, each=bar.advance)
        if needs != "items":
            finder.fit(eye, ready.store, ready.fit, seed=seed)
        usual = _inspect.usual(finder, eye, ready.store, ready.held, folds=ready.folds, shots=shots)
    about = {
        "run": str(ready.run.folder) if ready.run else "" if needs == "items" else str(folder / "run"), "seed": seed,
        "method": str(ready.recipe.method), "encoder": str(ready.recipe.encoder), "view": ready.side(needs),
        "learnt_from": len(ready.fit), "kept_apart": len(ready.held), "folds": len(ready.folds), "unseen": ready.unseen,
        "good": str(ready.table.root.resolve()), "stride": ready.stride, "shortest": ready.shortest(),
    }  # fmt: skip
    units = unit_numbers(ready.table, ready.judged)
    return Judge(str(spec), finder, replace(eye, each=None), ready.recipe, usual, units, about)


def _paths(table: Table) -> list[str]:
    return [str(p) for p in table.items["path"]]
