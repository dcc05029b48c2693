"""A detector that has learnt, as one file: it judges other items later, without the good ones and without learning."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unlabeled import catalog
from unlabeled.anomaly import Detector, Eye
from unlabeled.anomaly._inspect import Usual
from unlabeled.disk import written
from unlabeled.errors import UserError
from unlabeled.facts import BROKEN, odd, why
from unlabeled.training.devices import Device
from unlabeled.training.recipe import Recipe

NAME = "detector.safetensors"
FORMAT = 1
ABOUT: Mapping[str, Any] = {  # what is asked of `about` later
    "good": str, "view": int, "learnt_from": int, "stride": int, "shortest": int,
}  # fmt: skip
RATE = 0.05  # share of good items that may be flagged, where nobody says another


@dataclass(frozen=True, eq=False)
class Judge:
    """A detector that has learnt, and how it judges good items.

    Args:
        detector: its name with its settings.
        finder: the detector.
        eye: what it looks through.
        recipe: of the method behind the eye, with how items are prepared.
        usual: its scores of good items that set the threshold.
        units: (N,) which of these belong together; None where each stands for itself.
        about: what a page tells of it: run, method, encoder, seed, view, learnt_from, kept_apart, folds, unseen, good,
            rate (of false alarms that was asked for), stride and shortest (of recordings: steps between windows, and of
            the shortest one).
    """

    detector: str
    finder: Detector
    eye: Eye
    recipe: Recipe
    usual: Usual
    units: np.ndarray | None
    about: Mapping[str, Any]

    @property
    def rate(self) -> float:
        """Share of good items that may be flagged, 0 to 1, as it was asked for when it learnt; files that do not tell
        have the usual one, or the least that so many good items vouch for.
        """
        return float(self.about.get("rate", max(RATE, 1 / (len(self.usual.scores) + 1))))

    def save(self, folder: Path) -> Path:
        """Write `detector.safetensors`, beside and renamed into place."""
        tensors = {f"detector/{k}": v for k, v in self.finder.keep().items()}
        if self.eye.method is not None and needs(self.detector) != "items":  # it looks through what has learnt
            tensors |= {f"method/{k}": v for k, v in self.eye.method.state_dict().items()}
        tensors["usual/scores"] = torch.from_numpy(np.asarray(self.usual.scores, np.float64))
        if self.units is not None:
            tensors["usual/units"] = torch.from_numpy(np.asarray(self.units, np.int64))
        head = {
            "format": FORMAT, "detector": self.detector, "recipe": self.recipe.to_json(), "low": self.usual.low,
            "high": self.usual.high, "about": dict(self.about),
        }  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{NAME}.part"
        whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        written(beside, lambda file: save_file(whole, file, {"header": json.dumps(head)}))
        beside.replace(folder / NAME)
        return folder / NAME


def needs(detector: str) -> str:
    """What a detector looks through: `features`, `painting`, or `items` alone."""
    return str(catalog.entry("anomaly", catalog.parse("anomaly", detector).name).facts.get("needs", "features"))


def lies_in(given: str | Path) -> Path | None:
    """The folder of a detector that has learnt, where one was given, or its file; else nothing."""
    folder = Path(given).parent if Path(given).name == NAME else Path(given)
    return folder if (folder / NAME).is_file() else None


def load(folder: str | Path, device: Device) -> Judge:
    """Open what `Judge.save` wrote.

    Raises:
        UserError: when the file is broken, or of a newer version.
    """
    path, tensors = Path(folder) / NAME, {}
    try:
        with safe_open(path, "pt") as handle:
            head = dict(json.loads((handle.metadata() or {})["header"]))
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a mapping)
        if head["format"] > FORMAT:
            raise UserError(f"{path} is of a newer version ({head['format']})", "update unlabeled")
        recipe, spec = Recipe.from_json(head["recipe"], path), catalog.parse("anomaly", head["detector"])
        method = None
        if mine := _part(tensors, "method"):  # else no encoder is built, which would take seconds
            method = recipe.build()
            method.load_state_dict(mine)
            method = device.place(method).eval()
        finder: Detector = catalog.load("anomaly", spec.name)(**spec.settings)
        finder.take(_part(tensors, "detector"), device)
        units = tensors.get("usual/units")
        if wrong := odd(head["about"], ABOUT):
            raise ValueError(wrong)
        usual = Usual(tensors["usual/scores"].numpy(), float(head["low"]), float(head["high"]))
    except (SafetensorError, OSError, RuntimeError, *BROKEN) as error:
        raise UserError(f"cannot read {path} ({why(error)})", "let detect learn from the good items again") from error
    eye = Eye(method, recipe.looks(), device)
    found = units.numpy() if units is not None else None
    return Judge(str(spec), finder, eye, recipe, usual, found, head["about"])


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {k.partition("/")[2]: v for k, v in tensors.items() if k.startswith(f"{part}/")}
