"""Learn from items without labels; a run that was stopped goes on where it was."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from unlabeled import config, progress
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.begin import prepared_for
from unlabeled.study.pace import steps
from unlabeled.study.plan import compose, folder_name, method_and_encoder
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items
from unlabeled.training.run import CONFIG, Run, create, fingerprint, learn


def pretrain(
    data: str,
    *,
    method: str | dict[str, Any] = "simclr",
    setup: Setup = Setup(),
    budget: Budget = Budget(),
    training: Training = Training(),
    augmentation: Augmentation = Augmentation(),
) -> Run:
    """Learn an encoder from items without labels.

    Test items are left out; labels are never read. Called again with the same settings it continues a run that was
    stopped,
    to the same numbers as if it had never been.

    Args:
        data: folder, manifest (.csv, .parquet) or array file (.npz).
        method: a name from "unlabeled methods", with settings as simclr(temperature=0.5), or the path of your own
            .py file.
        setup: encoder, size, seed, further unlabelled items, where to write.
        budget: how long to learn.
        training: how the loop runs.
        augmentation: random views.

    Returns:
        The finished run; `run.encoder()` is the trained encoder.

    Raises:
        UserError: when the data cannot be used or the settings do not fit.

    Example:
        unlabeled pretrain steel/ --method simclr --epochs 100 --temperature 0.2
    """
    data, device = str(data), open_device(training)
    with device.lead_first():
        prepared, begun = prepared_for(data, setup)
    own = setup.encoder or (begun.encoder if begun else None)
    spec, encoder = method_and_encoder(method, own, prepared.table.modality, prepared.usual_encoder)
    rows = prepared.learning
    items = Items(prepared.store, rows)
    recipe = compose(prepared, spec, encoder, augmentation, training, 0, setup.seed)
    recipe = replace(recipe, start=setup.start or "")
    if warning := recipe.kind().judge(recipe.facts):
        progress.say(f"mind: {warning}")
    folder = Path(setup.out) if setup.out else folder_name(data, spec.name)
    count = device.agreed(_steps_of(folder, budget) or steps(budget, recipe, items, device))
    paths = prepared.table.items["path"].astype(str).tolist()
    facts: dict[str, Any] = {
        "data": data,
        "unlabeled": setup.unlabeled,
        "items": fingerprint(paths, rows),
        "budget": asdict(budget),
    }
    facts |= {"split": setup.seed, "labelled": len(prepared.table.classes) > 1 and len(prepared.test) > 0}
    with device.lead_first():
        run = create(folder, recipe.with_steps(count), facts)
    settings = {"data": data, "method": method, "setup": replace(setup, out=str(folder)), "budget": budget}
    if device.lead:
        config.dump(settings | {"training": training, "augmentation": augmentation}, folder / "config.yaml")
    return learn(run, items, device)


def _steps_of(folder: Path, budget: Budget) -> int | None:
    """The steps of a run that is continued: minutes are timed once, not again at every start."""
    if not (folder / CONFIG).is_file():
        return None
    old = Run.open(folder)
    return old.recipe.steps if old.config.get("budget") == asdict(budget) else None
