"""What `finetune` and `bundle` share: from an encoder and labelled items to a bundle on disk."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import catalog, progress
from unlabeled.data.prepare import Prepared
from unlabeled.data.splits import nested_draws, unit_numbers
from unlabeled.deploy.bundle import ONNX, Bundle, vacant
from unlabeled.deploy.export import Samples, onnx_file
from unlabeled.deploy.make import Start, make
from unlabeled.deploy.model import worth
from unlabeled.errors import UserError
from unlabeled.settings import Handover
from unlabeled.shift.subjects import Subject, find
from unlabeled.study.conduct import check_labels
from unlabeled.study.plan import folder_name, needs
from unlabeled.study.turns import without_labelled
from unlabeled.training.devices import Device
from unlabeled.training.run import Run, fingerprint

PROOF = 200  # items that the exported file is proved on
SAW = "The encoder saw the calibration items without labels, and no test item."
SAW_NONE = "The encoder saw no labelled item, neither those that it is calibrated on nor those that it is tested on."


@dataclass(frozen=True, eq=False)
class Made:
    """A model that was made.

    Args:
        bundle: where it lies, and what it says of itself.
    """

    bundle: Bundle

    def lines(self) -> list[str]:
        """What it is worth, what to mind, and what to do next."""
        facts, folder = self.bundle.facts, self.bundle.folder
        out = [worth(facts["test"])] if "test" in facts else []
        out += [f"mind: {note}" for note in facts["notes"]]
        then = f"next: unlabeled predict {shlex.quote(str(folder))} NEW_ITEMS/ -o out.parquet"
        return [*out, f"card: {folder / 'card.html'}", then]


def saw(prepared: Prepared, subjects: Sequence[Subject]) -> str:
    """Which of the labelled items the runs have seen, in a sentence; none where a study tested on each in turn."""
    if prepared.given is not None:
        paths = prepared.table.items["path"].astype(str).tolist()
        code = fingerprint(paths, without_labelled(prepared))
        if all(Run.open(s.folder).config.get("items") == code for s in subjects if s.folder is not None):
            return SAW_NONE
    return SAW


def place(out: str | None, data: str) -> Path:
    """Where a bundle goes: as given, or `unlabeled-steel-model.ul`; refused when it is taken."""
    folder = Path(out) if out else Path(f"{folder_name(data, 'model')}.ul")
    vacant(folder)
    return folder


def assembled(subjects: Sequence[Subject], protocol: catalog.Spec, members: int) -> list[Subject]:
    """The members of an ensemble: all the runs, or the same ones again, which fine-tuning makes different by its seed.

    Raises:
        UserError: when the runs are not built alike, or a frozen encoder would give the same member twice.
    """
    first = subjects[0].recipe
    for s in subjects[1:]:
        if (s.recipe.encoder, s.recipe.size, s.recipe.modality) != (first.encoder, first.size, first.modality):
            raise UserError(
                f"{s.folder} ({s.recipe.encoder}, {s.recipe.size}) is built otherwise than {subjects[0].folder} "
                f"({first.encoder}, {first.size})",
                "give runs that differ by their seed",
            )
    wanted = max(members, len(subjects))
    if wanted > len(subjects) and needs(protocol) != "encoder":
        raise UserError(
            f"{wanted} members were asked for, and there are runs of {len(subjects)}",
            "pretrain with other seeds and give all the runs, or take --protocol finetune",
        )
    return [subjects[i % len(subjects)] for i in range(wanted)]


def runs_of(places: Sequence[str]) -> list[Subject]:
    """The runs that a model is to be made of; the folder of a study gives all seeds of its one method.

    Raises:
        UserError: when there are none, or a study holds several methods.
    """
    out = [s for s in find(places) if s.folder is not None]
    for place in places:
        mine = {s.arm: s.folder for s in out if s.folder is not None and Path(place) / "runs" in s.folder.parents}
        if len(mine) > 1:
            what = f"{place} holds runs of several methods ({', '.join(sorted(mine))})"
            raise UserError(what, f"give those of one, such as {mine[min(mine)]}")
    return out


def learnt(subjects: Sequence[Subject]) -> str:
    """How the runs were pretrained: method, steps and seeds of each kind."""
    seeds: dict[str, list[str]] = {}
    for s in subjects:
        seeds.setdefault(f"{s.recipe.method}, {s.recipe.steps} steps", []).append(str(s.recipe.seed))
    return "; ".join(f"{how}, seed{'s' if len(some) > 1 else ''} {', '.join(some)}" for how, some in seeds.items())


def hand_over(
    folder: Path,
    start: Start,
    prepared: Prepared,
    protocol: catalog.Spec,
    labels: float,
    handover: Handover,
    device: Device,
    told: Mapping[str, Any],
) -> Made:
    """Draw the labels, fit, calibrate and write.

    Args:
        folder: of the bundle.
        start: the encoder.
        prepared: the data.
        protocol: one that a bundle can hold.
        labels: share or count of the training labels that may be used.
        handover: what is promised.
        device: from `open_device`.
        told: `command`, `data`, `seed`.
    """
    detector = catalog.parse("ood", handover.detector)  # told before the work and not behind it
    if start.others and detector.name == "energy":
        raise UserError("the energy of an ensemble's mean probability is always 0", "take another --detector")
    check_labels(str(told["data"]), prepared)
    units = unit_numbers(prepared.table, prepared.table.rows())
    share = float(labels)
    rows = nested_draws(prepared.table.labels, prepared.labelled, [share], 1, int(told["seed"]), units)[0][share]
    length = 1
    if needs(protocol) == "encoder":
        how = catalog.load("protocols", protocol.name)(**protocol.settings)
        length = how.length(len(rows), start.recipe.looks(), start.fresh)
        length *= 1 + len(start.others)
    with progress.bar("fit", length) as bar:
        made = make(folder, start, prepared, rows, protocol, handover, device, told, each=progress.steps(bar))
    if handover.onnx:
        _onnx(made, prepared)
    return Made(made)


def _onnx(made: Bundle, prepared: Prepared) -> None:
    """Write the file that is served without torch, proved on test items; without it the bundle is whole as well."""
    try:
        rows = prepared.test if len(prepared.test) else prepared.labelled
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), PROOF)).astype(np.int64))]
        names = prepared.table.items["path"].iloc[some].tolist()
        samples = Samples(prepared.store.batch(some).numpy(), names, prepared.table.labels[some])
        onnx_file(made, samples, made.folder / ONNX)
    except UserError as error:
        progress.say(f"mind: no {ONNX} was written: {error}")


def flags(handover: Handover) -> list[str]:
    """The flags that differ from the defaults, for the command on the card.

    >>> flags(Handover(coverage=0.95, thumbnails=True))
    ['--coverage', '0.95', '--thumbnails']
    """
    usual, out = asdict(Handover()), list[str]()
    for name, value in asdict(handover).items():
        dashed = name.replace("_", "-")
        if value != usual[name]:
            out += (
                [f"--{dashed}", f"{value}"] if not isinstance(value, bool) else [f"--{'' if value else 'no-'}{dashed}"]
            )
    return out
