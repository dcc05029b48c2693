"""Are new items still like those that a model learnt from? An alarm at a false-alarm rate that you choose."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unlabeled import progress
from unlabeled.data.prepare import as_stored
from unlabeled.data.scan import scan
from unlabeled.deploy.drift import FEWEST, Drift, compare
from unlabeled.deploy.engines import Answers, gathered
from unlabeled.deploy.model import Model, load_model
from unlabeled.errors import UserError
from unlabeled.report.drift.page import Found, write
from unlabeled.study.plan import folder_name
from unlabeled.study.record import write_json
from unlabeled.training.recipe import Recipe

SHOWN = 24
LIMITS = (
    "Permutations take items for independent; frames of one video or parts of one batch are not: more false alarms.",
    "The rate holds over references and batches drawn together; a bundle's one reference may be off by chance, and "
    "then batch after batch alarms more often: more calibration items make that rarer.",
    "The encoder has seen the reference items without labels: after long pretraining on few items, new ones can look "
    "stranger than they are. Check it on a batch that you know to be good.",
    "An alarm says that items differ, not that answers are wrong; no alarm does not say that they are right.",
)


@dataclass(frozen=True, eq=False)
class Drifted:
    """What was found.

    Args:
        folder: where `drift.json` and the page lie.
        drift: the figures.
        broken: how many items cannot be read.
        report: the page to open.
    """

    folder: Path
    drift: Drift
    broken: int
    report: Path

    def lines(self) -> list[str]:
        """The answer, the figures, and where the page is."""
        out = [("ALARM: " if self.drift.alarm else "") + self.drift.sentence, *details(self.drift)]
        out += [f"{progress.count(self.broken, 'item')} cannot be read."] if self.broken else []
        return [*out, *(f"mind: {text}" for text in LIMITS), f"open {self.report}"]


def drift(
    model: str,
    data: str,
    *,
    rate: float = 0.05,
    items: int = 2000,
    out: str | None = None,
    seed: int = 0,
    engine: Literal["auto", "torch", "onnx"] = "auto",
) -> Drifted:
    """Compare new items with the reference that a bundle holds: features, strangers, classes, confidence.

    Args:
        model: a .ul folder.
        data: the new items, labelled or not.
        rate: of false alarms, 0 to 1.
        items: most items to compare, evenly taken.
        out: folder for the results; named after the data when not given.
        seed: of the permutations.
        engine: torch, or onnx, which needs no torch; auto takes torch.

    Raises:
        UserError: when the model or the data cannot be read, or there are too few items.

    Example:
        unlabeled drift steel.ul new/ --rate 0.01
    """
    if seed < 0:
        raise UserError(f"seed is {seed}", "give 0 or more")
    if items < FEWEST:
        raise UserError(f"{items} items were to be compared", f"give {FEWEST} or more")
    loaded = load_model(model, engine=engine)
    if loaded.bundle is None:
        raise UserError(f"{model} holds no reference to compare with", "give the .ul folder")
    folder = Path(out) if out else folder_name(data, "drift")
    told, found, raw, broken = _seen(loaded, data, items)
    kept = loaded.bundle.reference()
    reference = {k: kept[f"drift/{k}"] for k in ("features", "probabilities", "strangeness")}
    new = {k: getattr(found, k) for k in reference}
    result = compare(reference, new, loaded.limits, rate=rate, seed=seed)
    write_json(folder / "drift.json", asdict(result) | {"sentence": result.sentence, "model": model, "data": data})
    answer = {"sentence": result.sentence, "details": details(result), "limits": LIMITS}
    pictures = shown(loaded, raw) if engine != "onnx" else np.zeros((0, 1, 1, 3), np.uint8)
    page = Found(answer, asdict(result), pictures, told[: len(pictures)])
    return Drifted(folder, result, broken, write(page, folder / "drift.html", Path(data).resolve().name))


def details(found: Drift) -> list[str]:
    """What each figure says, a sentence each."""
    by = {c.name: c for c in found.checks}
    odd, sure, far = by["strangers"], by["confidence"], by["features"]
    name, (was, now) = max(found.classes.items(), key=lambda kv: abs(kv[1][1] - kv[1][0]))
    return [
        f"Features: distance {far.now:.4f}, {far.reference:.4f} by chance (p {far.p:.3f}).",
        f"Strangers: {100 * odd.now:.1f} % after {100 * odd.reference:.1f} % (p {odd.p:.3f}).",
        f"Classes: {name} has {100 * now:.1f} % after {100 * was:.1f} % (p {by['classes'].p:.3f}).",
        f"Mean confidence: {100 * sure.now:.1f} % after {100 * sure.reference:.1f} % (p {sure.p:.3f}).",
    ]


def shown(model: Model, raw: np.ndarray) -> np.ndarray:
    """Raw items as their modality shows them, (K, H, W, 3) uint8."""
    import torch

    looks = Recipe.from_json(model.facts["recipe"]).looks()
    return looks.show(looks.plain(torch.from_numpy(raw)))


def _seen(model: Model, data: str, most: int) -> tuple[list[dict[str, Any]], Answers, np.ndarray, int]:
    """What is told of the strangest items, all answers, the strangest raw items, and how many cannot be read."""
    table = as_stored(scan(data), model.prep)
    some = np.unique(np.linspace(0, len(table) - 1, min(len(table), most)).astype(np.int64))
    table = replace(table, items=table.items.iloc[some].reset_index(drop=True))
    parts: list[Answers] = []
    raw: np.ndarray | None = None
    best: list[dict[str, Any]] = []
    broken = 0
    with progress.bar("look", len(table)) as bar:
        for chunk, found in model.stream(table):
            broken += len(chunk.broken)
            bar.advance(len(chunk.rows) + len(chunk.broken))
            if found is None:
                continue
            parts.append(found)
            frame = model.frame(replace(chunk, broken={}), found, table)
            rows = frame[["path", "label", "confidence", "why", "strangeness"]].to_dict("records")
            best += [{str(k): v for k, v in row.items()} for row in rows]
            raw = chunk.raw if raw is None else np.concatenate([raw, chunk.raw])
            order = np.argsort([-b["strangeness"] for b in best], kind="stable")[:SHOWN]
            best, raw = [best[i] for i in order], raw[order]
    if raw is None:
        raise UserError(f"nothing in {data} can be read", "give items like those that the model is for")
    return best, gathered(parts), raw, broken
