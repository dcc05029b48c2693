"""A model as one file for another runtime, proved to answer as it did."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from unlabeled import progress
from unlabeled.data.prepare import as_stored, read_prep
from unlabeled.data.scan import scan
from unlabeled.data.stream import stream
from unlabeled.deploy.bundle import ONNX, Bundle
from unlabeled.deploy.export import Parity, Samples, onnx_file, torch_file
from unlabeled.deploy.int8 import FEWEST, Cost, int8_file
from unlabeled.errors import UserError
from unlabeled.progress import count


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        file: the file.
        parity: how far it is from torch; of the float32 file where 8 bits were asked for.
        cost: what 8 bits cost, or None.
    """

    file: Path
    parity: Parity
    cost: Cost | None

    def lines(self) -> list[str]:
        """Where it is and how it was proved."""
        p, c = self.parity, self.cost
        out = [
            f"{self.file} ({self.file.stat().st_size / 1e6:.1f} MB)",
            f"float32 against torch on {count(p.items, 'item')}: the same label, label set and stranger on every one; "
            f"largest difference of a probability {p.probability:.1e} ({p.worst})",
        ]
        if c is not None:
            known = (
                f"accuracy {100 * c.before:.1f} % to {100 * c.after:.1f} %, label sets hold the truth in "
                f"{100 * c.held_before:.1f} % to {100 * c.held_after:.1f} % (of {c.labelled:,} with a label), "
                if c.labelled
                else ""
            )
            out.append(
                f"8 bits on {count(c.items, 'other item')}: {known}another label on {100 * c.changed:.1f} %, largest "
                f"difference of a probability {c.probability:.2f}, flagged {100 * c.flagged_before:.1f} % to "
                f"{100 * c.flagged_after:.1f} %, {1 / c.smaller:.1f} times smaller"
            )
        return out


def export(
    model: str,
    data: str,
    *,
    to: Literal["onnx", "torch"] = "onnx",
    int8: bool = False,
    out: str | None = None,
    items: int = 500,
) -> Exported:
    """Write a model as one file, from raw items to probabilities and strangeness, and prove it on your own items.

    Where it differs from torch by more than 1e-4, or decides otherwise on one item, nothing is written.

    Args:
        model: a .ul folder.
        data: items to prove it on: folder, manifest or array file; with labels the cost of 8 bits is told in accuracy.
        to: onnx, which onnxruntime runs without torch, or torch for a torch.export program (.pt2).
        int8: 8-bit weights and activations, for CPUs; onnx only.
        out: file to write; model.onnx inside the .ul folder, from where it is served, when not given.
        items: most items to prove it on; test items where there are 16 or more, else others beside them.

    Raises:
        UserError: when it cannot be exported, or does not answer as it did.

    Example:
        unlabeled export steel.ul steel/ --to onnx
    """
    made = Bundle.open(model)
    if int8 and to != "onnx":
        raise UserError("8 bits were asked for with --to torch", "take --to onnx")
    whole = made.folder.resolve() if made.folder.name in ("", "..") else made.folder  # "." has no name of its own
    stem = whole.with_name(whole.name.removesuffix(".ul"))
    usual = made.folder / ONNX
    if to == "torch" or int8:
        usual = stem.with_name(stem.name + (".pt2" if to == "torch" else "-int8.onnx"))
    target = Path(out) if out else usual
    if int8 and target.resolve() == (made.folder / ONNX).resolve():
        raise UserError(
            f"{target} is the float32 file that {made.folder.name} is served by", "take another --out for 8 bits"
        )
    if items < 1:
        raise UserError(f"{items} items were to prove it on", "give one or more")
    samples = collect(made, data, items)
    if to == "torch":
        return Exported(target, torch_file(made, samples, target), None)
    if not int8:
        return Exported(target, onnx_file(made, samples, target), None)
    exact = target.with_name(f".exact-{target.name}")
    try:
        parity = onnx_file(made, samples, exact)
        return Exported(target, parity, int8_file(exact, samples, target))
    finally:
        exact.unlink(missing_ok=True)


def collect(made: Bundle, data: str, most: int) -> Samples:
    """Some items of a data set as the model reads them, evenly taken: of the test split, and of the others where it
    holds fewer than 8 bits need.
    """
    prep = read_prep(made.facts["input"]["modality"], made.facts["input"]["prep"])
    table = as_stored(scan(data), prep)
    some = _evenly(table.rows("test"), most)
    if len(some) < FEWEST:
        if len(some) and table.items["label"].notna().any():
            told = f"there are but {progress.count(len(some), 'test item')}, and others stand beside them"
            progress.say(f"mind: {told}: if the model has learnt from those, its accuracy on them flatters")
        others = np.setdiff1d(table.rows(), some)
        some = np.concatenate([some, _evenly(others, (min(most, FEWEST) if len(some) else most) - len(some))])
    table = replace(table, items=table.items.iloc[some].reset_index(drop=True))
    code = {c: i for i, c in enumerate(made.classes)}
    raw, names, labels = [], list[str](), list[int]()
    with progress.bar("read", len(table)) as bar:
        for chunk in stream(table, prep):
            if len(chunk.rows):
                raw.append(chunk.raw)
                found = table.items.iloc[chunk.rows]
                names += found["path"].tolist()
                labels += [code.get(label, -1) for label in found["label"]]
            bar.advance(len(chunk.rows) + len(chunk.broken))
    if not raw:
        raise UserError(f"nothing in {data} can be read", "give items like those that the model is for")
    return Samples(np.concatenate(raw), names, np.array(labels))


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, none where that is none."""
    many = max(0, min(len(rows), most))
    return rows[np.unique(np.linspace(0, len(rows) - 1, many).astype(np.int64))] if many else rows[:0]
