"""Good items made ready for `detect`: parted, decoded, and an encoder taught on those that may be learnt from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled.anomaly import _threshold
from unlabeled.data.doctor import flips
from unlabeled.data.prepare import LEARN, Prepared
from unlabeled.data.scan import scan
from unlabeled.data.store import Prep, Store, build, survey
from unlabeled.data.table import Table
from unlabeled.encoders import _build
from unlabeled.errors import UserError
from unlabeled.methods import Method
from unlabeled.modalities.image import Image
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.pace import steps
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import CONFIG, Run, create, fingerprint, learn

APART = 0.3  # share of the good items that set the threshold, where an encoder learns from the others
FOLDS = 3  # parts of the good items, where each is judged by what learnt from the others
SIZE = 64  # side of the training views in pixels
WIDER: Mapping[str, int] = {"features": 3, "pictures": 3, "painting": 1}  # the detector sees so many times that


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

    def looks(self) -> Image:
        """The pictures' modality with the view that the detector sees."""
        looks = self.recipe.looks()
        if not isinstance(looks, Image):
            raise UserError(f"faults are found in pictures, not in {self.recipe.modality}", "give pictures")
        return looks

    def side(self, needs: str) -> int:
        """Side of that view in pixels."""
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
    known = {str(mine.folder / p) for p in mine.items["path"].iloc[mine.rows(*LEARN)]}
    table = scan(good, unlabeled=setup.unlabeled)
    table = replace(table, items=table.items.assign(label=pd.Series(pd.NA, index=table.items.index, dtype="str")))
    if given:
        prep, size = Prep(**given.recipe.prep), given.recipe.size
    else:
        spec, encoder = method_and_encoder(
            method or ("autoencoder" if needs == "painting" else "simclr"), setup.encoder
        )
        seen, size = survey(table), setup.size or SIZE
        wide = size * (WIDER[needs] if _build.any_size(encoder) else 1)
        side = max(size, min(wide, -(-seen.side // 32) * 32))
        prep = Prep(side, seen.channels, dtype="uint16" if seen.bits == 16 else "uint8")
    table, store = build(table, prep)
    is_good = np.array([str(table.folder / p) in known for p in table.items["path"]], dtype=bool)
    every = np.flatnonzero(is_good)
    folds = _threshold.folds(table, every, FOLDS, setup.seed) if crossed else []
    fit, held = (every, every) if crossed else _threshold.apart(table, every, APART, setup.seed)
    more = np.setdiff1d(table.rows(*LEARN), np.flatnonzero(is_good))
    seen_by = np.concatenate([fit, more])
    if given:
        unseen = given.config.get("items") == fingerprint(_paths(table), seen_by)
        return Ready(table, store, fit, held, folds, more, given.recipe, given, unseen)
    mean, std = store.statistics(fit)
    prepared = Prepared(table, store, prep, size, mean, std, flips(table, store))
    recipe = compose(prepared, spec, encoder, Augmentation(), training, 0, setup.seed)
    return Ready(table, store, fit, held, folds, more, replace(recipe, items=len(seen_by)), None, True)


def learnt(ready: Ready, folder: Path, needs: str, budget: Budget, device: Device) -> Method:
    """The trained method: of the given run, or of one that is trained now, or goes on where it was stopped.

    A detector that needs pictures alone gets the method as it starts.
    """
    if ready.run:
        return ready.run.method()
    if needs == "pictures":
        return ready.recipe.build()
    items = Items(ready.store, np.concatenate([ready.fit, ready.more]))
    facts = {"data": str(ready.table.root), "items": fingerprint(_paths(ready.table), items.rows)}
    old = Run.open(folder) if (folder / CONFIG).is_file() else None
    timed = old is not None and old.config.get("budget") == asdict(budget)
    count = old.recipe.steps if old and timed else device.agreed(steps(budget, ready.recipe, items, device))
    made = create(folder, ready.recipe.with_steps(count), facts | {"budget": asdict(budget)})
    return learn(made, items, device).method()


def _paths(table: Table) -> list[str]:
    return [str(p) for p in table.items["path"]]
