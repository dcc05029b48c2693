"""A model as it is used: items in, a table with label, probabilities, label set, strangeness and abstention out."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unlabeled.deploy.bundle import AGAIN, FACTS, Bundle
from unlabeled.deploy.decide import Limits
from unlabeled.deploy.engines import Answers, Engine, gathered
from unlabeled.deploy.engines.onnx import Onnx
from unlabeled.deploy.similar import Neighbours
from unlabeled.errors import UserError
from unlabeled.facts import BROKEN, why
from unlabeled.progress import in_percent

if TYPE_CHECKING:  # a server needs none of these, and pandas alone takes a second to import
    import pandas as pd

    from unlabeled.data.store import Preparation
    from unlabeled.data.stream import Chunk
    from unlabeled.data.table import Table

Choice = Literal["auto", "torch", "onnx"]
BATCH = 32
DETECTOR = "detector.safetensors"  # as `anomaly._kept` has it, which imports torch


@dataclass(eq=False)
class Model:
    """A loaded model.

    Args:
        facts: what it says of itself.
        engine: what computes.
        limits: what decides.
        bundle: where it comes from; None for a lone `.onnx` file.
    """

    facts: Mapping[str, Any]
    engine: Engine
    limits: Limits
    bundle: Bundle | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return list(self.facts["classes"])

    @property
    def prep(self) -> "Preparation":
        """How items are read."""
        from unlabeled.data.prepare import read_prep

        try:
            return read_prep(self.facts["input"]["modality"], self.facts["input"]["prep"])
        except BROKEN as error:
            wrong = f"{self.facts['name']} is no model that can be used: input.prep ({why(error)})"
            raise UserError(wrong, AGAIN) from None

    def predict(self, x: Any) -> "pd.DataFrame":
        """Predict items of any form; see `inputs.table_of`. A file that is longer than an item is several, its windows.

        Returns:
            One row an item: path, label, confidence, abstain, why, set, strangeness, and `p(<class>)` for each class.
            What cannot be read is a row without a label, with the reason in `why`.
        """
        import pandas as pd

        from unlabeled.data.prepare import as_stored
        from unlabeled.deploy.inputs import table_of

        with table_of(x, self.facts["input"]["modality"]) as given:
            table = as_stored(given, self.prep)
            parts = list(self.frames(table))
        return pd.concat(parts, ignore_index=True)

    def embed(self, x: Any) -> np.ndarray:
        """Features (N, D) float32 of items; rows of nan for what cannot be read, also where that is all of them."""
        from unlabeled.data.prepare import as_stored
        from unlabeled.deploy.inputs import table_of

        with table_of(x, self.facts["input"]["modality"]) as given:
            table = as_stored(given, self.prep)
            out: np.ndarray = np.zeros((0, 0), np.float32)
            for chunk, found in self.stream(table):
                if found is not None:
                    out = out if out.size else np.full((len(table), found.features.shape[1]), np.nan, np.float32)
                    out[chunk.rows] = found.features
            if not out.size:
                taken = self.facts["input"]
                one = self.engine.run(np.zeros((1, *taken["shape"]), taken["dtype"]))
                out = np.full((len(table), one.features.shape[1]), np.nan, np.float32)
        return out

    def similar(self, x: Any, k: int = 5) -> "pd.DataFrame":
        """The k items that were learnt from which are most like each item: item, rank, neighbour, similarity, label.

        What cannot be read has no neighbours and no rows.

        Raises:
            UserError: when k is less than 1.
        """
        import pandas as pd

        if k < 1:
            raise UserError(f"{k} neighbours were asked for", "ask for one or more")
        features = self.embed(x)
        read = np.flatnonzero(np.isfinite(features).all(1))
        numbers, alike = self.neighbours().nearest(features, k)
        labels = self.neighbours().labels
        rows = [
            {"item": i, "rank": r, "neighbour": int(n), "similarity": float(a), "label": self.classes[labels[n]]}
            for i in read.tolist()
            for r, (n, a) in enumerate(zip(numbers[i], alike[i], strict=True))
        ]
        return pd.DataFrame(rows, columns=["item", "rank", "neighbour", "similarity", "label"])

    def neighbours(self) -> Neighbours:
        """The items that the bundle remembers.

        Raises:
            UserError: when the model is a lone `.onnx` file, which remembers none.
        """
        if self.bundle is None:
            raise UserError("an .onnx file remembers no items", "load the .ul folder")
        return Neighbours.of(self.bundle.reference())

    def stream(self, table: "Table", *, step: int = 64, start: int = 0) -> "Iterator[tuple[Chunk, Answers | None]]":
        """Decode and answer a table's items from one on, chunk by chunk; None where nothing of a chunk can be read."""
        from unlabeled.data.stream import stream

        for chunk in stream(table, self.prep, step=step, start=start):
            yield chunk, self.answer(chunk.raw) if len(chunk.rows) else None

    def frames(self, table: "Table", *, start: int = 0) -> "Iterator[pd.DataFrame]":
        """The rows of `predict`, from one on, some at a time; memory does not grow with their number."""
        for chunk, found in self.stream(table, start=start):
            yield self.frame(chunk, found, table)

    def answer(self, raw: np.ndarray) -> Answers:
        """Answers on raw items (N, ...) as the reader gives them."""
        want = tuple(self.facts["input"]["shape"])
        if raw.shape[1:] != want:
            raise UserError(f"raw items of shape {raw.shape[1:]} were given", f"give {want}")
        return gathered([self.engine.run(raw[at : at + BATCH]) for at in range(0, len(raw), BATCH)])

    def frame(self, chunk: "Chunk", found: Answers | None, table: "Table") -> "pd.DataFrame":
        """A chunk's rows in the order of the table."""
        import pandas as pd

        rows = np.sort(np.concatenate([chunk.rows, np.array(list(chunk.broken), np.int64)]))
        paths = dict(zip(rows.tolist(), table.items["path"].array[rows].to_numpy(dtype=object), strict=True))
        told = {} if found is None else dict(zip(chunk.rows.tolist(), self.told(found), strict=True))
        nothing: dict[str, Any] = {
            "label": None,
            "confidence": np.nan,
            "abstain": True,
            "set": [],
            "strangeness": np.nan,
        }
        blank = dict.fromkeys((f"p({c})" for c in self.classes), np.float32("nan"))
        out = []
        for row in rows.tolist():
            if row in told:
                out.append({"path": paths[row], **told[row]})
            else:
                why = f"cannot be read: {chunk.broken[row].reason}"
                out.append({"path": paths[row], **nothing, "why": why, **blank})
        order = ["path", "label", "confidence", "abstain", "why", "set", "strangeness", *blank]
        return pd.DataFrame(out, columns=order).astype({"path": "str", "label": "str", "why": "str", "abstain": bool})

    def told(self, found: Answers) -> list[dict[str, Any]]:
        """What is said of each item: label, confidence, abstain, why, set, strangeness, probabilities by class."""
        members, odd = self.limits.sets(found.probabilities), self.limits.strange(found.strangeness)
        out = []
        for p, inside, strange, score in zip(found.probabilities, members, odd, found.strangeness, strict=True):
            why = self.limits.why(inside, bool(strange))
            top = int(p.argmax())
            one: dict[str, Any] = {"label": self.classes[top], "confidence": float(p[top]), "abstain": bool(why)}
            one |= {"why": why, "set": [c for c, i in zip(self.classes, inside, strict=True) if i]}
            one |= {"strangeness": float(score)} | {f"p({c})": v for c, v in zip(self.classes, p, strict=True)}
            out.append(one)
        return out

    def lines(self) -> list[str]:
        """What a person wants to know of it."""
        facts, test = self.facts, self.facts.get("test")
        out = [f"{facts['name']}: {facts['input']['modality']} items into {len(self.classes)} classes, "
               f"{', '.join(self.classes[:12])}{', ...' if len(self.classes) > 12 else ''}"]  # fmt: skip
        if test:
            out.append(worth(test))
        out += [f"mind: {note}" for note in facts.get("notes", ())]
        if self.bundle is not None:
            out.append(f"card: {self.bundle.folder / 'card.html'}")
        return out


def worth(test: Mapping[str, Any]) -> str:
    """The figures on test items in a sentence."""

    def told(name: str) -> str:
        f = test[name]
        ends = "too few for an interval" if f["low"] is None else f"{in_percent(f['low'])} to {in_percent(f['high'])}"
        return f"{in_percent(f['value'])} % ({ends})"

    return (
        f"on {test['n']} test items right on {told('accuracy')}, calibration error {told('ece')}, label sets hold "
        f"the truth in {told('coverage')} with {test['size']['value']:.2f} classes each, no answer on "
        f"{told('abstained')}"
    )


def finds_faults(path: str | Path) -> bool:
    """Whether a detector of faults lies there, as a folder or a file; nothing heavy is imported to see that.

    Raises:
        UserError: when one does, and torch is missing, by which it runs.
    """
    file = Path(path) if Path(path).name == DETECTOR else Path(path) / DETECTOR
    if not file.is_file() or (Path(path) / FACTS).is_file():
        return False
    if find_spec("torch") is None:
        raise UserError(
            f"{path} is a detector of faults, which needs torch, and that is not installed", "install torch"
        )
    return True


def load_model(path: str | Path, *, engine: Choice = "auto", threads: int = 0, coverage: float | None = None) -> Model:
    """Load a bundle, or a lone exported file.

    Args:
        path: a `.ul` folder or an `.onnx` file.
        engine: `onnx` needs `unlabeled export` to have been run, and no torch; `auto` takes torch for a bundle.
        threads: CPU threads; 0 leaves the engine's own number.
        coverage: another promise than the bundle's own, for the label sets.

    Raises:
        UserError: when it is none, damaged, or of a version that cannot be read.
    """
    if threads < 0:
        raise UserError(f"{threads} threads were asked for", "give 0 or more")
    if Path(path).suffix == ".onnx":
        lone = Onnx(Path(path), threads=threads)
        return Model(lone.facts, lone, Limits.of(lone.facts, None, coverage))
    if finds_faults(path):
        raise UserError(
            f"{path} is a detector of faults, not a model that knows classes",
            f"run: unlabeled detect {shlex.quote(str(path))} --on ITEMS, or unlabeled serve {shlex.quote(str(path))}",
        )
    found = Bundle.open(path)
    limits = Limits.of(found.facts, None if coverage is None else found.reference(), coverage)
    if engine == "onnx":
        file = found.onnx()
        if file is None:
            raise UserError(f"{path} holds no model.onnx", f"run: unlabeled export {shlex.quote(str(path))} ITEMS/")
        return Model(found.facts, Onnx(file, threads=threads), limits, found)
    from unlabeled.deploy.engines.torch import Torch

    try:
        made = Torch(found, threads=threads)
    except (*BROKEN, RuntimeError) as error:
        raise UserError(f"{path} is no model that can be used: {why(error)}", AGAIN) from error
    return Model(found.facts, made, limits, found)
