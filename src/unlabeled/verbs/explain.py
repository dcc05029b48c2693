"""Why does a model say what it says of an item? Maps, nearest neighbours, and tests of whether to trust the maps."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unlabeled import progress
from unlabeled.data.source import file_of
from unlabeled.deploy.bundle import FACTS
from unlabeled.errors import UserError
from unlabeled.explain import _heat, _questions
from unlabeled.explain._examine import Found, Question, chosen, examine
from unlabeled.explain._neighbours import neighbours as nearest
from unlabeled.explain._neighbours import share_below
from unlabeled.report.explained import story
from unlabeled.report.explained.page import write
from unlabeled.settings import Training
from unlabeled.study import causal
from unlabeled.study.fits import write_arrays
from unlabeled.study.plan import folder_name, safe
from unlabeled.study.record import write_csv, write_json
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs import _model
from unlabeled.verbs._model import Item, Model

RANDOM = 3  # encoders with random weights


@dataclass(frozen=True, eq=False)
class Explained:
    """What was found.

    Args:
        folder: where figures, maps, curves and the page lie.
        figures: all of them, as in `explained.json`.
        maps: of each explainer (B, ...) float32, B being 2 with `against`, else 1; more speaks more for the score.
        report: the page.
    """

    folder: Path
    figures: Mapping[str, Any]
    maps: Mapping[str, np.ndarray]
    report: Path

    def lines(self) -> list[str]:
        """The answer first, then what else a person wants to know."""
        found = self.figures
        mind = [f"mind: {text}" for text in found["limits"]]
        return [found["sentence"], *found["details"], *mind, f"maps and figures: {self.folder}", f"open {self.report}"]


def explain(
    run: str,
    item: str,
    *,
    data: str | None = None,
    against: str | None = None,
    how: Sequence[str] = (),
    labels: float = 1.0,
    neighbours: int = 8,
    out: str | None = None,
    training: Training = Training(),
) -> Explained:
    """Say which places of an item a model's answer hangs on, which training items are nearest, and what to believe.

    With labels it explains the class that a linear probe gives the item; without any, what makes the item's embedding
    what it is; with `--against`, why two items are near.

    Args:
        run: folder of a finished run, or of a model (.ul), which explains its own head.
        item: path of an item, or its name in the data.
        data: the items that were learnt from, with labels where there are any; where a run found them when not given.
        against: another item: why are the two near?
        how: explainers, such as grad_cam,occlusion(window=0.2); all that can look into the encoder when not given.
        labels: share of the training labels that the probe learns from, or their number; 0 explains the embedding.
        neighbours: how many of the nearest training items to show.
        out: folder for the results; `explanations` in the run's folder when not given, beside the working folder for a
            model.
        training: device and threads.

    Returns:
        Figures and maps; `.report` is the page.

    Raises:
        UserError: when run, data or item cannot be used, or an explainer cannot look into the encoder.

    Example:
        unlabeled explain unlabeled-steel-simclr steel/test/crazing/crazing_51.jpg
    """
    if labels < 0 or neighbours < 1:
        raise UserError(
            f"labels={labels:g} and neighbours={neighbours} were given", "give 0 labels or more, 1 neighbour"
        )
    chosen(how)  # a wrong name is told before the work
    device = open_device(training)
    names = [name for name in (item, against) if name is not None]
    handed_over = (Path(run) / FACTS).is_file()
    if handed_over:
        model = _model.of_bundle(run, data, device, names)
        model = replace(model, weights=None, bias=None) if against or not labels else model
    else:
        model = _model.of_run(run, data, 0.0 if against else labels, device, names)
    items = [model.item(name) for name in names]
    views = torch.cat([i.view for i in items])
    question, told = _question(model, views)
    home = folder_name(run, "explanations") if handed_over else Path(run) / "explanations"  # a bundle stays as it is
    folder = Path(out) if out else home / safe("-".join(_short(i.name) for i in items))
    with progress.bar("explain", len(chosen(how))) as bar:
        random = [model.random(seed) for seed in range(1001, 1001 + RANDOM)]
        found, left = examine(how, question, model.lens, views, random=random, each=bar.advance)
    near = _near(model, items, views, neighbours)
    figures: dict[str, Any] = {
        "run": run, "model": model.name, "kind": question.kind, **told, "labels": model.labels,
        "items": [{"name": i.name, "label": i.label, "learnt": i.learnt, "known": i.known} for i in items],
        "explainers": [_row(f, number) for number in range(len(items)) for f in found],
        "neighbours": near, "left": left, "notes": list(model.notes), "random": RANDOM,
        "command": _command(run, item, data, against, how, labels, neighbours),
    }  # fmt: skip
    for one, words in zip(figures["items"], model.looks.pieces(views), strict=False):
        one["words"] = words
    figures |= story.told(figures)
    _write(folder, model, items, views, found, near)
    if not handed_over:
        causal.write(folder, safe(model.name), Run.open(run), model.prepared, device)
    write_json(folder / "explained.json", figures)
    maps = {f.name: f.maps.numpy() for f in found}
    return Explained(folder, figures, maps, write(folder))


def _short(name: str) -> str:
    """An item's name for a folder: its file's without the ending, and the part of it that it is."""
    file = file_of(name)
    return Path(file).stem + name[len(file) :]


def _question(model: Model, views: Tensor) -> tuple[Question, dict[str, Any]]:
    """What is asked, and what the model answers."""
    lens = model.lens
    with torch.no_grad():
        features = lens(views)
    if len(views) == 2:
        other = views.flip(0)
        cosine = float(torch.cosine_similarity(features[:1], features[1:]))
        told = {"cosine": cosine, "nearer_than": share_below(model.bank, cosine)}
        return Question("nearness", lambda seen: _questions.of_nearness(seen, other)), told
    if model.weights is None or model.bias is None:
        size, usual = float(features.norm()), float(model.bank.norm(dim=1).median())
        farther = float((model.bank.norm(dim=1) < size).float().mean())
        told = {"distance": size / max(usual, 1e-9), "farther_than": farther}
        return Question("embedding", lambda seen: _questions.of_embedding(seen, views)), told
    weights, bias = model.weights, model.bias
    p = _questions.logits(features.cpu(), weights, bias, model.temperature).softmax(1)[0]
    taken = p.argmax().view(1)
    best = [[model.classes[int(c)], float(p[c])] for c in p.argsort(descending=True)[:5]]
    return (
        Question(
            "class",
            lambda seen: _questions.of_class(seen, weights, bias, taken, model.temperature),
            torch.sigmoid,
        ),
        {"class": model.classes[int(taken)], "probability": float(p[taken]), "classes": best},
    )


def _near(model: Model, items: Sequence[Item], views: Tensor, count: int) -> list[list[dict[str, Any]]]:
    """The nearest training items of each item."""
    with torch.no_grad():
        features = model.lens(views).cpu()
    own = np.array([int(np.searchsorted(model.rows, i.row)) if i.learnt else -1 for i in items])
    found = nearest(features, model.bank, count, but=own)
    table, out = model.prepared.table, list[list[dict[str, Any]]]()
    for which, cosine in zip(found.which, found.cosine, strict=True):
        rows = model.rows[which]
        labels = [table.classes[c] if c >= 0 else "" for c in table.labels[rows]]
        names = table.items["path"].iloc[rows].astype(str)
        out.append([
            {"row": int(r), "path": p, "label": c, "cosine": round(float(s), 4)}
            for r, p, c, s in zip(rows, names, labels, cosine, strict=True)
        ])  # fmt: skip
    return out


def _row(found: Found, number: int) -> dict[str, Any]:
    """The figures of one explainer on one item."""
    own, (lower, higher) = found.faith.own, found.faith.gains()
    strewn = found.faith.gains("scattered")
    return {
        "explainer": found.name, "item": number, "deletion": float(own.deleted[number]),
        "insertion": float(own.inserted[number]), "deletion_gain": float(lower[number]),
        "insertion_gain": float(higher[number]), "deletion_gain_scattered": float(strewn[0][number]),
        "insertion_gain_scattered": float(strewn[1][number]), "beats": int(found.beaten()[number]),
        "of": int(found.of[number]), "likeness": float(found.likeness[number]), "seconds": round(found.seconds, 2),
        "missing": None if found.missing is None else float(found.missing[number]),
    }  # fmt: skip


def _write(
    folder: Path, model: Model, items: Sequence[Item], views: Tensor, found: Sequence[Found], near: Sequence[Any]
) -> None:
    """Maps, curves and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / "maps.npz", {f.name: f.maps.numpy() for f in found})
    pictures = model.looks.show(views)
    shown = {"pictures": pictures} | {f"heat/{f.name}": _heat.heat(pictures, f.maps) for f in found}
    for number, mine in enumerate(near):
        raw = model.prepared.store.batch(np.array([n["row"] for n in mine])).to(model.device.device)
        shown[f"near/{number}"] = model.looks.show(model.looks.plain(raw))
    write_arrays(folder / "shown.npz", shown)
    rows: list[dict[str, Any]] = []
    for number in range(len(items)):
        for f in found:
            for what in ("deletion", "insertion"):
                curve = getattr(f.faith.own, what)[number]
                moved, strewn = (
                    np.mean([getattr(c, what)[number] for c in kind], 0) for kind in (f.faith.moved, f.faith.scattered)
                )
                rows += [
                    {
                        "item": number,
                        "explainer": f.name,
                        "curve": what,
                        "share": s,
                        "value": v,
                        "moved": m,
                        "scattered": r,
                    }
                    for s, v, m, r in zip(f.faith.own.share, curve, moved, strewn, strict=True)
                ]
    write_csv(folder / "curves.csv", pd.DataFrame(rows))


def _command(
    run: str, item: str, data: str | None, against: str | None, how: Sequence[str], labels: float, neighbours: int
) -> str:
    words = ["unlabeled", "explain", run, item]
    words += ["--data", data] if data else []
    words += ["--against", against] if against else []
    words += ["--how", ",".join(how)] if how else []
    words += ["--labels", f"{labels:g}"] if labels != 1 else []
    return shlex.join([*words, "--neighbours", str(neighbours)])
