"""What stands in a folder of results is taken for a later call's own only where it was made of the same.

`items.json` says of what: the items and their labels, and of each arm what its figures hang on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import catalog
from unlabeled.data.prepare import Prepared
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.study.fits import TRAINED
from unlabeled.study.plan import PLAIN, Arm, safe
from unlabeled.training.run import fingerprint, read_json

SAMPLE = 64  # items by whose contents data are known again
ELSEWHERE = ("seed", "steps", "items")  # told by the name of a file, by the budget, by the data


def identity(data: Prepared) -> dict[str, str]:
    """Short codes of all that results hang on: which items are learnt from and tested on, their labels, and what some
    of them hold.
    """
    table = data.table
    paths, labels = (table.items[c].fillna("").astype(str).tolist() for c in ("path", "label"))
    out = {
        "training items": fingerprint(paths, data.learning),
        "test items": fingerprint(paths, data.test),
        "labels": fingerprint(labels, np.concatenate([data.labelled, data.test])),
        "contents": contents(data.store),
        "groups": fingerprint(table.items["group"].fillna("").astype(str).tolist(), np.arange(len(table))),
    }
    if data.turns is not None:
        out["folds"] = fingerprint(data.turns.astype(str).tolist(), np.arange(len(data.turns)))
    return out


def contents(store: Store) -> str:
    """A short code of what some of the items of a store hold."""
    some = np.unique(np.linspace(0, len(store) - 1, SAMPLE).astype(np.int64))
    return hashlib.sha256(store.batch(some).numpy().tobytes()).hexdigest()[:16]


def made_of(arm: Arm, trained: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Short codes of what an arm's figures hang on, beside the items, the labels and what their files are named after.

    Args:
        arm: any; of one without pretraining neither the method nor its training counts, of a plain rule no encoder.
        trained: the `config.json` of a run that was trained elsewhere; its items and its length count too, and its
            method as it was then.
    """
    recipe = arm.recipe
    facts = {k: v for k, v in recipe.numbers().items() if k not in ELSEWHERE}
    own = [recipe.method.name, recipe.encoder.name]
    if arm.kind not in TRAINED:
        facts = {k: v for k, v in facts.items() if k not in ("method", "start")}
        facts["training"], own = {"precision": recipe.training.precision}, own[1:]
    if arm.kind == PLAIN:
        del facts["encoder"]
        own = []
    if trained is not None:
        facts |= {"steps": recipe.steps, "items of the run": trained.get("items")}
    own += [p.name for p in arm.protocols]
    then: Mapping[str, str] = {} if trained is None else trained.get("wording", {})
    codes = {name: then.get(name) or catalog.wording(name) for name in own}
    texts = {f"the text of {name}": text for name, text in codes.items() if text}
    return {key: _code(value) for key, value in (facts | texts).items()}


def claim(folder: Path, data: Prepared, arms: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Refuse a folder that holds features or predictions of other items, or of arms that bear a name of these and are
    others; `items.json` says of which.

    Args:
        folder: of the results.
        data: the items.
        arms: by name, as `made_of` tells them; one of which no file is left may be another.

    Raises:
        UserError: when they differ.
    """
    path, mine = folder / "items.json", identity(data)
    old = read_json(path) if path.is_file() else {}
    if differs := [name for name in mine if old.get(name, mine[name]) != mine[name]]:
        raise UserError(
            f"{folder} holds results on data that had other {' and '.join(differs)}",
            "take another --out, or delete the folder to start afresh",
        )
    known: dict[str, dict[str, str]] = old.get("arms", {})
    for name, facts in (arms or {}).items():
        before = known.get(name, {})
        others = [key for key in facts if before.get(key, facts[key]) != facts[key]]
        if others and any(folder.glob(f"*/{safe(name)}-*")):
            raise UserError(
                f"{folder} holds results of {name} that differ in {' and '.join(others)}",
                f"take another --out, or delete {folder}/*/{safe(name)}-* to make them anew",
            )
    folder.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(mine | {"arms": known | dict(arms or {})}, indent=1), "utf-8")
    beside.replace(path)


def told(arms: Sequence[Arm]) -> dict[str, dict[str, str]]:
    """Of each arm by name what its figures hang on."""
    return {arm.name: made_of(arm) for arm in arms}


def _code(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()[:16]
