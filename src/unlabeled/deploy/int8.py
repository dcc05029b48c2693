"""The same file with 8-bit weights and activations for CPUs, and what that costs, measured on the user's own items.

Convolutions (or, where there are none, the encoder's matrix products) are quantised with ranges seen on half of the
items; view, head, temperature and detector stay in float32, and so do the encoder's first parts where the detector
looks at their maps and the encoder goes on behind them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled.deploy.decide import Limits
from unlabeled.deploy.engines import Answers
from unlabeled.deploy.engines.onnx import Onnx
from unlabeled.deploy.export import BATCH, Samples, _quiet, answers, beside
from unlabeled.deploy.extras import need
from unlabeled.errors import UserError

FEWEST = 16  # items


@dataclass(frozen=True)
class Cost:
    """What 8 bits cost on items that no range was taken from.

    Args:
        items: how many.
        changed: share with another label.
        probability: largest difference of a probability.
        labelled: how many of the items have a label of the model's.
        before: accuracy in float32 on those; nan where there is none.
        after: accuracy in 8 bits.
        held_before: share of label sets that hold the truth in float32 on those with a label; nan where none has one.
        held_after: the same in 8 bits, whose limits are those of float32.
        flagged_before: share of strangers in float32.
        flagged_after: the same in 8 bits.
        smaller: size of the file over that in float32.
    """

    items: int
    changed: float
    probability: float
    labelled: int
    before: float
    after: float
    held_before: float
    held_after: float
    flagged_before: float
    flagged_after: float
    smaller: float


def int8_file(source: Path, samples: Samples, target: Path) -> Cost:
    """Quantise an exported file.

    Args:
        source: written by `onnx_file`.
        samples: every other one gives the ranges, the others the cost.
        target: file to write.

    Raises:
        UserError: when there are too few items, or there is nothing to quantise.
    """
    need("onnx", "onnxruntime")
    if len(samples.raw) < FEWEST:
        raise UserError(f"{len(samples.raw)} items were given to take ranges from", f"give {FEWEST} or more")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    learn, check = np.arange(0, len(samples.raw), 2), np.arange(1, len(samples.raw), 2)
    exact = Onnx(source)
    with beside(target) as part, _quiet():
        ready = part.with_name(f"{part.name}.ready")
        try:
            quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
            kinds, spared = _plan(ready)
            reader = _Reader(exact.name, samples.raw[learn])
            quantize_static(
                str(ready), str(part), reader, quant_format=QuantFormat.QDQ, op_types_to_quantize=kinds,
                nodes_to_exclude=spared, per_channel=True, activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )  # fmt: skip
            _unrounded(part, spared)
        finally:
            ready.unlink(missing_ok=True)
        found = answers(Onnx(part).run, samples.raw[check])
        before = answers(exact.run, samples.raw[check])
        size = part.stat().st_size / source.stat().st_size
    return _cost(before, found, samples.labels[check], Limits.of(exact.facts), size)


def _cost(before: Answers, after: Answers, labels: np.ndarray, limits: Limits, size: float) -> Cost:
    was, now = before.probabilities.argmax(1), after.probabilities.argmax(1)
    known = labels >= 0

    def held(found: Answers) -> float:
        inside = limits.sets(found.probabilities)[known, labels[known]]
        return float(inside.mean()) if known.any() else float("nan")

    return Cost(
        items=len(was),
        changed=float((was != now).mean()),
        probability=float(np.abs(before.probabilities - after.probabilities).max()),
        labelled=int(known.sum()),
        before=float((was == labels)[known].mean()) if known.any() else float("nan"),
        after=float((now == labels)[known].mean()) if known.any() else float("nan"),
        held_before=held(before),
        held_after=held(after),
        flagged_before=float(limits.strange(before.strangeness).mean()),
        flagged_after=float(limits.strange(after.strangeness).mean()),
        smaller=size,
    )


def _plan(path: Path) -> tuple[list[str], list[str]]:
    """Which kinds of nodes are quantised, and which nodes are spared: all that come after the features, the detector of
    strangers, and what it sees of the encoder (it looks along axes in which known items hardly differ), unless that is
    all there is of it.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    kinds = ["Conv"] if any(n.op_type == "Conv" for n in graph.node) else ["MatMul", "Gemm"]
    after, spared = {"features"}, []
    for node in graph.node:
        if after & set(node.input):
            after |= set(node.output)
            spared.append(node.name)
    encoder, watched = _before(graph, "features", ""), _before(graph, "strangeness", _encoded(graph))
    every = [n.name for n in graph.node if n.op_type in kinds and n.name in encoder]
    if not every[1:]:
        wrong = "its encoder has one convolution alone, or none of its parts can be in 8 bits"
        raise UserError(wrong, "leave --int8 away")
    spared += [*(watched - encoder), *every[:1]]  # the first one's rounding is lost for all others
    if set(every[1:]) - watched:  # else nothing would be left to quantise
        spared += watched
    return kinds, [*dict.fromkeys(spared)]


def _before(graph: Any, target: str, stop: str) -> set[str]:
    """Names of the nodes that an output hangs on, not counting those behind what is called `stop`."""
    seen, out = {target}, set[str]()
    for node in reversed(graph.node):
        if seen & set(node.output):
            seen |= set(node.input) - {stop}
            out.add(node.name)
    return out


def _unrounded(path: Path, spared: Sequence[str]) -> None:
    """Let the nodes that are spared read what was computed, where a neighbour wants it rounded to 8 bits."""
    import onnx

    model = onnx.load(str(path))
    makers, names = {name: node for node in model.graph.node for name in node.output}, set(spared)
    for node in model.graph.node:
        if node.name in names:
            for place, name in enumerate(node.input):
                back = makers.get(name)
                rounded = makers.get(back.input[0]) if back and back.op_type == "DequantizeLinear" else None
                if rounded and rounded.op_type == "QuantizeLinear":  # weights have none
                    node.input[place] = rounded.input[0]
    onnx.save(model, str(path))


def _encoded(graph: Any) -> str:
    """Name of what the encoder gives, before what the detector looks at is laid beside it."""
    makers = {name: node for node in graph.node for name in node.output}
    last = "features"
    while last in makers and makers[last].op_type in ("Slice", "Identity", "Cast"):
        last = makers[last].input[0]
    if last in makers and makers[last].op_type == "Concat":
        last = makers[last].input[0]
    return last


class _Reader:
    """Hands the items to onnxruntime's calibration, batch by batch."""

    def __init__(self, name: str, raw: np.ndarray) -> None:
        self.batches: Iterator[Any] = iter([{name: raw[at : at + BATCH]} for at in range(0, len(raw), BATCH)])

    def get_next(self) -> Any:
        """The next batch, or None."""
        return next(self.batches, None)
