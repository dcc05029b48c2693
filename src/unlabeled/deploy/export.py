"""One file that computes everything, from raw items to probabilities and strangeness, and the proof that it does.

The file is compared with torch on the user's own items before it gets its name: a difference above 1e-4, or one item on
which it would decide otherwise, and there is no file.
"""

import io
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unlabeled.deploy import bundle
from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.decide import Limits
from unlabeled.deploy.engines import Answers, gathered
from unlabeled.deploy.engines.onnx import FACTS, Onnx
from unlabeled.deploy.extras import need
from unlabeled.deploy.net import Net, load
from unlabeled.errors import UserError
from unlabeled.progress import count

OPSET = 20
WORST = 1e-4  # largest difference of a probability
BATCH = 32
CARRIED = ("format", "unlabeled", "name", "classes", "input", "temperature", "conformal", "strangers", "notes", "test",
           "licence", "created", "head")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Samples:
    """Items to compare on.

    Args:
        raw: (N, ...) as the reader gives them.
        names: of the items.
        labels: (N,) class numbers, -1 where there is none.
    """

    raw: np.ndarray
    names: Sequence[str]
    labels: np.ndarray


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from torch.

    Args:
        items: how many were compared.
        probability: largest difference of a probability.
        features: largest difference of a feature, in units of the largest one.
        strangeness: largest difference, in units of the threshold.
        worst: name of the item where the probabilities differ most.
        flipped: names of the items on which they decide otherwise: label, label set or stranger.
    """

    items: int
    probability: float
    features: float
    strangeness: float
    worst: str
    flipped: tuple[str, ...]


def onnx_file(made: Bundle, samples: Samples, target: Path) -> Parity:
    """Write the ONNX file of a bundle, proved on samples.

    Args:
        made: the bundle.
        samples: items to prove it on.
        target: the file; the bundle's own `model.onnx` has its sum written beside it.

    Raises:
        UserError: when onnx is not installed, or the file does not answer as torch does; nothing is left then.
    """
    need("onnx", "onnxscript", "onnxruntime")
    net, limits = load(made), Limits.of(made.facts)
    expected = answers(lambda raw: _torch(net, raw), samples.raw)
    with beside(target) as part:
        _write_onnx(net, made, samples.raw[:2], part)
        found = compare(expected, answers(Onnx(part).run, samples.raw), samples.names, limits)
        judge(found, target)
    _sum(made, target)
    return found


def torch_file(made: Bundle, samples: Samples, target: Path) -> Parity:
    """Write the `torch.export` program of a bundle (`.pt2`), proved on samples as the ONNX file is."""
    net, limits = load(made), Limits.of(made.facts)
    expected = answers(lambda raw: _torch(net, raw), samples.raw)
    with beside(target) as part, _quiet():
        example = torch.from_numpy(_pair(samples.raw))
        items = torch.export.Dim("items", min=1)
        program = torch.export.export(net, (example,), dynamic_shapes={"raw": {0: items}})
        torch.export.save(program, part)
        again: Any = torch.export.load(part).module()
        found = compare(expected, answers(lambda raw: _torch(again, raw), samples.raw), samples.names, limits)
        judge(found, target)
    return found


def answers(run: Callable[[np.ndarray], Answers], raw: np.ndarray) -> Answers:
    """Answers on raw items: on the first one alone, as a server is mostly asked, and on the others in batches, so that
    batches of any size are proved however many items there are.
    """
    together = gathered([run(raw[at : at + BATCH]) for at in range(0, len(raw), BATCH)])
    return gathered([run(raw[:1]), together[1:]])


def compare(expected: Answers, found: Answers, names: Sequence[str], limits: Limits) -> Parity:
    """Set two answers on the same items against each other."""
    away = np.abs(expected.probabilities - found.probabilities).max(1)
    away = np.where(np.isfinite(away), away, np.inf)
    flipped = expected.probabilities.argmax(1) != found.probabilities.argmax(1)
    flipped |= (limits.sets(expected.probabilities) != limits.sets(found.probabilities)).any(1)
    flipped |= limits.strange(expected.strangeness) != limits.strange(found.strangeness)
    scale = max(1e-6, float(np.abs(expected.features).max()))
    strange = max(1.0, abs(limits.strangeness))
    return Parity(
        items=len(away),
        probability=float(away.max()),
        features=float(np.abs(expected.features - found.features).max()) / scale,
        strangeness=float(np.abs(expected.strangeness - found.strangeness).max()) / strange,
        worst=names[int(away.argmax())],
        flipped=tuple(n for n, f in zip(names, flipped, strict=True) if f),
    )


def judge(found: Parity, target: Path) -> None:
    """Refuse a file that does not answer as torch does."""
    remedy = "nothing was written; use the versions on the card, or serve with --engine torch"
    if found.flipped:
        raise UserError(
            f"{target.name} decides otherwise than torch on {len(found.flipped)} of {count(found.items, 'item')}, "
            f"{found.flipped[0]} first",
            remedy,
        )
    if not found.probability <= WORST:
        raise UserError(
            f"{target.name} differs from torch by {found.probability:.2g} on {found.worst}, more than {WORST:g}", remedy
        )


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A file that gets its name when all went well, and is gone otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{os.getpid()}.part-{target.name}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_onnx(net: Net, made: Bundle, some: np.ndarray, part: Path) -> None:
    try:
        with _quiet():
            program = torch.onnx.export(
                net,
                (torch.from_numpy(_pair(some)),),
                input_names=["raw"],
                output_names=["probabilities", "features", "strangeness"],
                dynamic_shapes={"raw": {0: torch.export.Dim("items", min=1)}},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:  # an encoder may do what ONNX has no words for
        why = next((line for line in str(error).splitlines() if "No ONNX function" in line), str(error).splitlines()[0])
        raise UserError(
            f"torch cannot write this model as ONNX ({why[:200]})", "serve it with --engine torch, or take --to torch"
        ) from error
    if program is None:
        raise UserError("torch gave no ONNX program", "use the versions on the card")
    proto = program.model_proto
    stamp(proto, {k: made.facts[k] for k in CARRIED if k in made.facts} | {"of": made.facts["sum"]})
    part.write_bytes(proto.SerializeToString())


def stamp(proto: Any, facts: dict[str, Any]) -> None:
    """Put the facts into the file's own metadata."""
    for old in [p for p in proto.metadata_props if p.key == FACTS]:
        proto.metadata_props.remove(old)
    entry = proto.metadata_props.add()
    entry.key, entry.value = FACTS, json.dumps(facts)


def _sum(made: Bundle, target: Path) -> None:
    if target.resolve() == (made.folder / bundle.ONNX).resolve():
        told = {"sum": bundle.digest(target), "of": made.facts["sum"]}
        with beside(made.folder / bundle.ONNX_SUM) as part:
            part.write_text(json.dumps(told), "utf-8")


def _pair(raw: np.ndarray) -> np.ndarray:
    """Two items: from one alone the exporter would take the batch for fixed."""
    return np.ascontiguousarray(np.concatenate([raw, raw])[:2])


@torch.no_grad()
def _torch(net: Any, raw: np.ndarray) -> Answers:
    return Answers(*(t.numpy() for t in net(torch.from_numpy(np.ascontiguousarray(raw)))))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks from the terminal; what matters is measured."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        yield
