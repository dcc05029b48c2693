"""Do the maps of each explainer name the places that the answer hangs on? Against random maps, boxes and chance.

    python benchmarks/faithful.py --data ../shared/data/neu_steel --out work/ [--run FOLDER] [--items 10]

Trains a short SimCLR run (or takes a finished one), fits the linear probe on the training labels and explains test
items, `--items` of each class: the predicted class, and without labels the embedding. For each explainer it prints by
how much deletion and insertion (area under the curve) are better than those of random maps of the same items: the same
map moved to random places, and blocks in random order. Where the data bring `boxes.csv` it also prints how much of a
map's mass falls into the boxes, and whether its strongest place does, beside chance (the boxes' share of the picture)
and a centre prior. Intervals are bootstraps over items: the run is one, they say nothing of other seeds.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unlabeled.data.source import Source
from unlabeled.explain import _faithful, _questions, _sanity
from unlabeled.explain._examine import Found, Question, examine
from unlabeled.modalities.image import Image
from unlabeled.settings import Budget, Setup, Training
from unlabeled.training.devices import open_device
from unlabeled.verbs import _model
from unlabeled.verbs.pretrain import pretrain

CENTRE = 0.25  # standard deviation of the centre prior, in sides
RANDOM = 1  # encoders with random weights


def main() -> None:
    """Read the arguments, make the run, print the tables."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--data", default="../shared/data/neu_steel")
    reader.add_argument("--out", type=Path, default=Path("faithful"))
    reader.add_argument("--run", help="a finished run; one is trained into --out when not given")
    reader.add_argument("--encoder", default="resnet18")
    reader.add_argument("--steps", type=int, default=200)
    reader.add_argument("--size", type=int, default=0)
    reader.add_argument("--threads", type=int, default=1)
    reader.add_argument("--items", type=int, default=10, help="test items of each class")
    reader.add_argument("--draws", type=int, default=2, help="random maps of each kind an item")
    reader.add_argument("--batch", type=int, default=10, help="items at a time")
    told = reader.parse_args()
    training = Training(threads=told.threads)
    run = told.run or _train(told, training)
    model = _model.of_run(run, told.data, 1.0, open_device(training))
    rows = chosen(model, told.items)
    masks = boxes(model, rows, Path(told.data) / "boxes.csv")
    labels = model.prepared.table.labels[rows]
    print(f"{run}: {model.name}, {len(rows)} test items, {told.draws} random maps of each kind an item\n")
    for kind in ("class", "embedding"):
        lots = [look(model, kind, rows[at : at + told.batch], told.draws) for at in range(0, len(rows), told.batch)]
        if kind == "class":
            right = np.mean(np.concatenate([lot[1] for lot in lots]) == labels)
            print(f"accuracy of the probe on these items {right:.3f}\n")
        show(kind, [lot[0] for lot in lots], masks)


def _train(told: Any, training: Training) -> str:
    setup = Setup(encoder=told.encoder, size=told.size, out=str(told.out / "run"))
    return str(pretrain(told.data, setup=setup, budget=Budget(steps=told.steps), training=training).folder)


def chosen(model: _model.Model, count: int) -> np.ndarray:
    """The first so many test items of each class, in an order drawn by a seed."""
    test, y = model.prepared.test, model.prepared.table.labels
    order = np.random.default_rng(81).permutation(test)
    return np.concatenate([order[y[order] == c][:count] for c in range(len(model.prepared.table.classes))])


def look(model: _model.Model, kind: str, rows: np.ndarray, draws: int) -> tuple[list[Found], np.ndarray]:
    """What every explainer finds in some items, and their predicted classes."""
    raw = model.prepared.store.batch(rows).to(model.device.device)
    views = model.looks.plain(raw)
    if model.weights is None or model.bias is None:
        raise SystemExit("the data have no labels")
    weights, bias = model.weights, model.bias
    with torch.no_grad():
        taken = (model.lens(views).cpu() @ weights.T + bias).argmax(1)
    question = (
        Question("class", lambda lens: _questions.of_class(lens, weights, bias, taken), torch.sigmoid)
        if kind == "class"
        else Question("embedding", lambda lens: _questions.of_embedding(lens, views))
    )
    random = [model.random(1001 + i) for i in range(RANDOM)]
    found, _ = examine((), question, model.lens, views, random=random, draws=draws)
    return found, taken.numpy()


def boxes(model: _model.Model, rows: np.ndarray, file: Path) -> Tensor | None:
    """The places (N, S, S) that boxes cover, in views; None where there are no boxes."""
    if not file.is_file() or not isinstance(model.looks, Image):
        return None
    table, source, side = pd.read_csv(file), Source(model.prepared.table), model.looks.plain_size
    out = torch.zeros(len(rows), side, side, dtype=torch.bool)
    for number, row in enumerate(rows.tolist()):
        size = source.look(row)
        scale = np.array([side / size.width, side / size.height] * 2)
        mine = table[table["file"] == source.paths[row]]
        for box in mine[["xmin", "ymin", "xmax", "ymax"]].to_numpy(float) * scale:
            left, top, right, bottom = box.round().astype(int)
            out[number, top:bottom, left:right] = True
    return out


def show(kind: str, lots: list[list[Found]], masks: Tensor | None) -> None:
    """Print the tables of one question."""
    print(f"### {kind}\n")
    print("| explainer | deletion, moved | insertion, moved | deletion, scattered | insertion, scattered | same under "
          "random weights | seconds an item |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for number, first in enumerate(lots[0]):
        mine = [lot[number] for lot in lots]
        gains = [
            np.concatenate([f.faith.gains(against)[which] for f in mine])
            for against in ("moved", "scattered")
            for which in (0, 1)
        ]
        like = np.concatenate([f.likeness for f in mine])
        seconds = sum(f.seconds for f in mine) / len(like)
        cells = [interval(g) for g in gains]
        same = np.mean(like >= _sanity.SAME)
        print(f"| {first.name} | {' | '.join(cells)} | {like.mean():.2f} ({same:.0%} of items) "
              f"| {seconds:.2f} |", flush=True)  # fmt: skip
    print()
    if masks is None:
        return
    found = {f.name: torch.cat([lot[i].maps for lot in lots]) for i, f in enumerate(lots[0])}
    known = masks.flatten(1).any(1)
    area = masks[known].flatten(1).float().mean(1).numpy()
    middle = prior(masks.shape[-1])
    centre = (masks[known] * middle).flatten(1).sum(1).numpy()
    print(f"{int(known.sum())} items with boxes, which cover {area.mean():.3f} of the picture (chance); of a centre "
          f"prior {centre.mean():.3f} falls into them.\n")  # fmt: skip
    print("| explainer | mass in boxes | above chance | above centre | strongest place in a box | above chance |\n"
          "|---|---|---|---|---|---|")  # fmt: skip
    for name, maps in found.items():
        mass = maps[known].clamp_min(0).flatten(1)
        inside = ((mass * masks[known].flatten(1)).sum(1) / mass.sum(1).clamp_min(1e-12)).numpy()
        hit = masks[known].flatten(1).gather(1, mass.argmax(1, keepdim=True))[:, 0].numpy().astype(float)
        print(f"| {name} | {inside.mean():.3f} | {interval(inside - area)} | {interval(inside - centre)} "
              f"| {hit.mean():.3f} | {interval(hit - area)} |", flush=True)  # fmt: skip
    print()


def prior(side: int) -> Tensor:
    """A bell in the middle (S, S) that sums to 1."""
    at = (torch.arange(side) + 0.5) / side - 0.5
    line = torch.exp(-0.5 * (at / CENTRE) ** 2)
    both = line[:, None] * line
    return both / both.sum()


def interval(values: np.ndarray) -> str:
    """A mean with its interval over items."""
    s = _faithful.summary(values)
    return f"{s.mean:+.3f} ({s.low:+.3f} to {s.high:+.3f})"


if __name__ == "__main__":
    main()
