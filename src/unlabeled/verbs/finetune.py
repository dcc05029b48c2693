"""From a run and a few labels to a model that can be handed over."""

import shlex
from typing import Any

from unlabeled import catalog
from unlabeled.deploy.make import Start
from unlabeled.errors import UserError
from unlabeled.settings import Handover, Training
from unlabeled.shift.subjects import data_for
from unlabeled.training.devices import open_device
from unlabeled.verbs._handover import Made, assembled, flags, hand_over, learnt, place, runs_of, saw


def finetune(
    run: str,
    data: str,
    *,
    labels: float = 1.0,
    protocol: str | dict[str, Any] = "linear",
    seed: int = 0,
    out: str | None = None,
    handover: Handover = Handover(),
    training: Training = Training(),
) -> Made:
    """Put a head on a run's encoder, calibrate it on labels kept back for that, and write a bundle.

    Args:
        run: folder of a finished run; several, RUN,RUN,RUN, of other seeds give an ensemble.
        data: the labelled items; test items are looked at once, for the card.
        labels: share of the training labels (0.1), or count (20); those for calibration count.
        protocol: linear, propagate (few labels) or styled (changing light) for a frozen encoder, finetune for the
            whole net; with settings as finetune(steps=300).
        seed: of the draw of labels, the part kept back, and the fit.
        out: the bundle to write, such as steel.ul; named after the data when not given.
        handover: what the bundle promises, and what it may hold.
        training: device and threads.

    Raises:
        UserError: when the run or the data cannot be used, or the place is taken.

    Example:
        unlabeled finetune unlabeled-steel-simclr steel/ --labels 0.1 --out steel.ul
    """
    if seed < 0:
        raise UserError(f"seed is {seed}", "give 0 or more")
    folder = place(out, data)
    places = [r for r in run.split(",") if r]
    subjects = runs_of(places)
    spec = catalog.parse("protocols", protocol)
    members = assembled(subjects, spec, handover.members)
    device = open_device(training)
    prepared, notes = data_for(data, subjects)
    recipe = members[0].recipe
    encoder, *others = [m.encoder() for m in members]
    start = Start(encoder, recipe, False, learnt(subjects), tuple(notes or [saw(prepared, subjects)]), tuple(others))
    command = ["unlabeled", "finetune", run, data, "--labels", f"{labels:g}", "--protocol", str(spec)]
    command += ["--seed", str(seed), "--out", str(folder), *flags(handover)]
    told = {"command": shlex.join(command), "data": data, "seed": seed}
    return hand_over(folder, start, prepared, spec, labels, handover, device, told)
