"""The winner of a study as a model that can be handed over."""

import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from unlabeled import catalog, config
from unlabeled.deploy.head import PROTOCOLS
from unlabeled.deploy.make import Start
from unlabeled.errors import UserError
from unlabeled.settings import Handover, Training
from unlabeled.shift.subjects import SUPERVISED, Subject, data_for, find
from unlabeled.study.plan import needs
from unlabeled.training.devices import open_device
from unlabeled.verbs._handover import Made, assembled, flags, hand_over, place, saw


def bundle(
    study: str,
    *,
    data: str | None = None,
    labels: float = 1.0,
    seed: int | None = None,
    out: str | None = None,
    handover: Handover = Handover(),
    training: Training = Training(),
) -> Made:
    """Make the model that a comparison recommends, calibrated on labels kept back for that.

    Args:
        study: folder that "unlabeled compare" wrote.
        data: where the items are now; where they were when not given.
        labels: share of the training labels (0.1), or count (20); those for calibration count.
        seed: which of the study's pretrainings; the first when not given, never the best on the test items.
        out: the bundle to write, such as steel.ul; named after the data when not given.
        handover: what the bundle promises, and what it may hold.
        training: device and threads.

    Raises:
        UserError: when the study is not finished, or holds nothing that a bundle can hold.

    Example:
        unlabeled bundle unlabeled-steel-study --out steel.ul
    """
    where = Path(study)
    if not (where / "answer.json").is_file():
        raise UserError(f"{study} holds no finished study", 'give the folder that "unlabeled compare" wrote')
    asked = config.read(where / "config.yaml")
    place_of_data = data or str(asked["data"])
    folder = place(out, place_of_data)
    subjects = find([study])
    arm, protocol, notes = _chosen(where, subjects)
    found, *further = _subjects(subjects, arm, seed, handover.members)
    device = open_device(training)
    prepared, doubts = data_for(place_of_data, subjects)
    if needs(protocol) == "encoder":
        pace = json.loads((where / "pace.json").read_text("utf-8")).get("fits", {}).get(arm, {})
        protocol = catalog.Spec(protocol.name, {**pace, **protocol.settings})
    fresh = not found.folder
    recipe = found.recipe
    members = assembled([found, *further], protocol, handover.members)
    seeds = ", ".join(str(s.seed) for s in (found, *further))
    words = f"{arm}, seed{'s' if further else ''} {seeds}"
    words += f", {recipe.steps} steps" if found.folder else ", from random weights"
    encoder, *others = [m.encoder() for m in members]
    start = Start(
        encoder,
        recipe,
        fresh,
        words,
        (*notes, *(doubts or ([] if fresh else [saw(prepared, subjects)]))),
        tuple(others),
    )
    command = ["unlabeled", "bundle", study, "--data", place_of_data, "--labels", f"{labels:g}"]
    command += ["--seed", str(found.seed), "--out", str(folder), *flags(handover)]
    told = {"command": shlex.join(command), "data": place_of_data, "seed": found.seed}
    return hand_over(folder, start, prepared, protocol, labels, handover, device, told)


def _chosen(where: Path, subjects: list[Subject]) -> tuple[str, catalog.Spec, list[str]]:
    """The winner, or the best contender that a bundle can hold, a sentence where these differ, and one where there were
    several: the card's figures are of the items by which the best one was named.
    """
    answer: dict[str, Any] = json.loads((where / "answer.json").read_text("utf-8"))
    summary = pd.read_csv(where / "summary.csv", dtype={"arm": str, "protocol": str}, keep_default_na=False)
    summary = summary[summary["metric"] == "accuracy"]
    means = summary.assign(mean=summary["mean"].astype(float)).groupby(["arm", "protocol"])["mean"].mean()
    arms = {s.arm for s in subjects} | {s.arm.replace("random", SUPERVISED, 1) for s in subjects}
    won = (answer["winner"], answer["protocol"])
    order: list[tuple[str, str]] = means.sort_values(ascending=False).index.to_list()
    flattered = (
        f"It was named among {len(order)} contenders by the study's test items, which the figures here are of: that "
        "flatters the best of them a little."
    )
    more = [flattered] if len(order) > 1 else []
    for arm, written in sorted(order, key=lambda pair: pair != won):  # of equals the study has named one
        spec = catalog.parse("protocols", written)
        if spec.name in PROTOCOLS and arm in arms:
            if (arm, written) == won:
                return arm, spec, more
            note = f"The study's winner is {won[0]} with {won[1]}, which a bundle cannot hold"
            return arm, spec, [f"{note}; this is {arm} with {written}, the best that it can.", *more]
    raise UserError(f"{where} holds no contender that a bundle can hold", f"compare with one of {', '.join(PROTOCOLS)}")


def _subjects(subjects: list[Subject], arm: str, seed: int | None, members: int) -> list[Subject]:
    """The runs of an arm, as many as an ensemble has members or as there are, from a seed on; of a supervised arm the
    random starts that it has."""
    mine = [s for s in subjects if s.arm == arm] or [
        s for s in subjects if s.arm.replace("random", SUPERVISED, 1) == arm
    ]
    there = sorted(s.seed for s in mine)
    wanted = there[0] if seed is None else seed
    if wanted not in there:
        raise UserError(f"{arm} was not trained with seed {wanted}", f"take one of {', '.join(map(str, there))}")
    return sorted(mine, key=lambda s: (s.seed != wanted, s.seed))[: max(1, members)]
