"""A bundle is a folder `name.ul/`: safetensors and JSON, with a sum for each file; no pickle is ever written or read.

`bundle.json` says what the model is and where it comes from, `weights.safetensors` holds encoder, head and detector,
`reference.safetensors` what was seen when it was calibrated. Written beside and renamed into place. No torch is needed
to open one.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from unlabeled.disk import written
from unlabeled.errors import UserError
from unlabeled.facts import odd

FORMAT = 1
OLDEST = 1  # that can still be read
FACTS, WEIGHTS, REFERENCE, CARD, PAGE = (
    "bundle.json", "weights.safetensors", "reference.safetensors", "card.md", "card.html",
)  # fmt: skip
ONNX = "model.onnx"  # written into the folder by `unlabeled export`; it carries its own sum in ONNX_SUM
ONNX_SUM = "model.onnx.json"
AGAIN = "copy the bundle again from where it was made"
FIGURE: Mapping[str, Any] = {"value": float, "low": (float, None), "high": (float, None)}
EACH: Mapping[str, Any] = {  # what a model says of itself, as far as answers hang on it
    "name": str, "classes": [str], "temperature": float,
    "input": {"modality": str, "shape": [int], "dtype": str, "prep": {}},
    "conformal": {"coverage": float, "quantile": [(float, None)]},
    "strangers": {"threshold": float},
}  # fmt: skip
PERHAPS: Mapping[str, Any] = {  # what not every model says
    "notes": [str], "members": int, "versions": {}, "data": {"counts": {}}, "files": {},
    "test": ({"n": int, "size": {"value": float}}
             | dict.fromkeys(("accuracy", "ece", "coverage", "abstained"), FIGURE), None),
    "recipe": {"modality": str, "size": int, "prep": {}}
              | {part: {"name": str, "settings": {}} for part in ("method", "encoder")},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle on disk, checked.

    Args:
        folder: where it lies.
        facts: the content of its `bundle.json`.
    """

    folder: Path
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "Bundle":
        """Open a bundle and check every file against its sum.

        Raises:
            UserError: when it is none, is damaged, or was written by a version that this one cannot read.
        """
        path = Path(folder)
        if not (path / FACTS).is_file():
            what = "is not the folder of a model" if path.exists() else "is not there"
            raise UserError(
                f"{path} {what}", 'give the .ul folder that "unlabeled finetune" or "unlabeled bundle" wrote'
            )
        try:
            facts: dict[str, Any] = json.loads((path / FACTS).read_text("utf-8"))
            version = int(facts["format"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: {FACTS} cannot be read", AGAIN) from None
        if version > FORMAT:
            made = facts.get("unlabeled", "a later version")
            raise UserError(
                f"{path} has the format {version}, written by unlabeled {made}; this version reads up to {FORMAT}",
                "install that version or a newer one",
            )
        if version < OLDEST:
            raise UserError(
                f"{path} has the old format {version}; this version reads from {OLDEST} on",
                "make the bundle again from its run",
            )
        if facts.get("sum") != _sum_of(facts):
            raise UserError(f"{path} is damaged: {FACTS} is not as it was written", AGAIN)
        sound(facts, path, {"recipe": {}, "files": {}, "versions": {}, "strangers": {"detector": str, "sees": str}})
        for name, sum_ in facts["files"].items():
            file = path / name
            if not file.is_file() or digest(file) != sum_:
                state = "is not as it was written" if file.is_file() else "is missing"
                raise UserError(f"{path} is damaged: {name} {state}", AGAIN)
        return cls(path, facts)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return list(self.facts["classes"])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one raw item as the reader gives it, such as (C, H, W)."""
        return tuple(self.facts["input"]["shape"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a raw item's values."""
        found: np.dtype[Any] = np.dtype(str(self.facts["input"]["dtype"]))
        return found

    def weights(self) -> dict[str, np.ndarray]:
        """All tensors of the computation, by name: `encoder/...`, `head/...`, `strange/...`."""
        return self._arrays(WEIGHTS)

    def reference(self) -> dict[str, np.ndarray]:
        """What was seen when it was calibrated: `logits`, `labels`, `features`, `strangeness`, ..."""
        return self._arrays(REFERENCE)

    def onnx(self) -> Path | None:
        """The exported file inside the folder, where there is one that belongs to these weights.

        Raises:
            UserError: when it is damaged.
        """
        file = self.folder / ONNX
        if not file.is_file():
            return None
        try:
            told = json.loads((self.folder / ONNX_SUM).read_text("utf-8"))
        except (OSError, ValueError):
            told = {}
        if not isinstance(told, dict) or told.get("sum") != digest(file) or told.get("of") != self.facts["sum"]:
            raise UserError(f"{file} is damaged or of another bundle", "write it again with unlabeled export")
        return file

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        try:
            return dict(load_file(self.folder / name))
        except (SafetensorError, OSError) as error:
            raise UserError(f"{self.folder} is damaged: {name} cannot be read ({error})", AGAIN) from None


def write(
    folder: Path,
    facts: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
) -> Bundle:
    """Write a bundle beside and rename it into place.

    Args:
        folder: `name.ul`, not there yet.
        facts: content of `bundle.json`; format, sums and files are added.
        weights: tensors by name.
        reference: arrays by name.
        texts: further files, such as the card, by name.

    Raises:
        UserError: when the folder is there already.
    """
    vacant(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        for name, arrays in ((WEIGHTS, weights), (REFERENCE, reference)):
            rows = {k: np.asarray(v, order="C") for k, v in arrays.items()}
            written(beside / name, partial(save_file, rows))
        for name, text in texts.items():
            (beside / name).write_text(text, "utf-8")
        whole = {"format": FORMAT, **facts}
        whole["files"] = {name: digest(beside / name) for name in sorted(p.name for p in beside.iterdir())}
        whole = json.loads(json.dumps(whole))
        whole["sum"] = _sum_of(whole)
        (beside / FACTS).write_text(json.dumps(whole, indent=1, ensure_ascii=False), "utf-8")
        for file in beside.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return Bundle(folder, whole)


def vacant(folder: Path) -> None:
    """Refuse a place that is taken: a model in use is never written over."""
    if folder.exists():
        raise UserError(f"{folder} is there already", "take another --out, or delete it first")


def sound(facts: Mapping[str, Any], where: Path, more: Mapping[str, Any] | None = None) -> None:
    """Refuse a model that does not say of itself what answers hang on, or that asks for code to be run.

    Args:
        facts: what the model says of itself.
        where: it lies.
        more: what it has to say besides.
    """
    there = {name: want for name, want in PERHAPS.items() if isinstance(facts, Mapping) and name in facts}
    wrong = odd(facts, EACH) or odd(facts, there) or odd(facts, more or {}) or _unfit(facts)
    if wrong:
        raise UserError(f"{where} is no model that can be used: {wrong}", AGAIN)
    data_alone(facts, where)


def _unfit(facts: Mapping[str, Any]) -> str:
    """What numbers in a model's facts do not go together, or ""."""
    classes, shape = facts["classes"], facts["input"]["shape"]
    if not classes or len(set(classes)) < len(classes):
        return "its classes are none, or have one name"
    if len(facts["conformal"]["quantile"]) != len(classes):
        return f"it has limits of label sets for {len(facts['conformal']['quantile'])} classes and is of {len(classes)}"
    if not shape or min(shape) < 1:
        return f"input.shape is {shape}"
    heat = facts["temperature"]
    return "" if 0 < heat < math.inf else f"temperature is {heat}"


def data_alone(facts: Mapping[str, Any], where: Path) -> None:
    """Refuse a model whose facts name a file of code where they name a part of this package: to read it would run that.

    Args:
        facts: what the model says of itself.
        where: it lies.
    """
    recipe, taken = facts.get("recipe", {}), facts.get("input", {})
    for name in (recipe.get("encoder", {}).get("name"), recipe.get("modality"), taken.get("modality")):
        if str(name).endswith(".py"):
            wrong = f"{where} asks for the code in {name} to be run, and a model is data alone"
            raise UserError(wrong, "do not use it: unlabeled writes no such model")


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sum_of(facts: Mapping[str, Any]) -> str:
    rest = {k: v for k, v in facts.items() if k != "sum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
