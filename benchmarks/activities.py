"""Methods for series on a phone's movements: learn, probe, tabulate, on people kept back from the training people.

    python benchmarks/activities.py simclr ts_tcc --seeds 0,1
    python benchmarks/activities.py "cpc(ahead=8)" --encoder "tcn(width=16)"

Every arm sees as many items with the same encoder, batch and threads. The people of the data's own test split are never
looked at: this is where settings are chosen. One line of JSON an arm and seed goes into `--out`.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled.data.prepare import Prepared, measured, prepare
from unlabeled.data.splits import nested_draws
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training import optim
from unlabeled.training.devices import Device, open_device
from unlabeled.training.loop import Items, embed, train

HERE = Path(__file__).resolve().parent
HELD = ("1", "3", "6")  # people
ACTIVITIES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
SHARES, DRAWS = (0.01, 0.1, 1.0), 5


def people(folder: Path) -> Prepared:
    """The windows, with the kept-back people as test items and those of the real test split put aside."""
    whole = prepare(folder)
    items = whole.table.items.copy()
    items.loc[items["split"] == "test", "split"] = "aside"
    items.loc[items["group"].isin(HELD) & (items["split"] != "aside"), "split"] = "test"
    return measured(replace(whole.table, items=items), whole.store, whole.prep, whole.size)


def probe(x: np.ndarray, prepared: Prepared, seed: int) -> dict[str, float]:
    """Accuracy of the linear probe on the kept-back people at each share of the labels, the mean of the draws."""
    y, groups = prepared.table.labels, prepared.table.items["group"].to_numpy()
    wanted = [prepared.table.classes.index(a) for a in ACTIVITIES]
    learn, test = (r[np.isin(y[r], wanted)] for r in (prepared.labelled, prepared.test))
    scores: dict[str, list[float]] = {f"{s:g}": [] for s in SHARES}
    for draw in nested_draws(y, learn, SHARES, DRAWS, 0):
        for share, rows in draw.items():
            if share == 1 and scores["1"]:
                continue  # all labels can be drawn in one way only
            by = groups[rows] if share == 1 else None
            fitted = Linear().fit(x[rows], y[rows], groups=by, seed=seed)
            order = np.unique(y[rows])
            scores[f"{share:g}"].append(float((order[fitted.predict(x[test]).argmax(1)] == y[test]).mean()))
    return {share: float(np.mean(s)) for share, s in scores.items()}


def arm(
    text: str, prepared: Prepared, training: Training, device: Device, args: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Train one arm and score it."""
    steps = 0 if text == "random" else args.epochs * (len(prepared.learning) // training.batch_size)
    method, encoder = method_and_encoder("simclr" if text == "random" else text, args.encoder, "series")
    views = Augmentation(permute=args.permute)
    recipe = compose(prepared, method, encoder, views, training, steps, seed)
    model = device.place(recipe.build())
    optimizer = optim.build(optim.groups(model, model.weight_decay), training, model.lr, model.betas)
    items, looks = Items(prepared.store, prepared.learning), recipe.looks()
    began = time.process_time()
    run = train(model, optimizer, items, looks, steps=steps, training=training, device=device, seed=seed)
    losses = [float(step.loss) for step in run]
    took = time.process_time() - began
    x = embed(model.encoder, looks, prepared.store, np.arange(len(prepared.table)), device).numpy()
    out = {
        "arm": text,
        "encoder": str(encoder),
        "seed": seed,
        "epochs": args.epochs,
        "steps": steps,
        "permute": args.permute,
    }
    out |= {"loss": [round(float(np.mean(part)), 4) for part in np.array_split(losses, 8)] if losses else []}
    return out | {"cpu_seconds": round(took, 1), "accuracy": probe(x, prepared, seed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="methods, with settings where they differ, and random")
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data" / "har_smartphone")
    parser.add_argument("--encoder", help="the same for all; each method's own when not given")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, help="each method's own when not given")
    parser.add_argument("--permute", type=int, default=0)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path, default=Path("activities.jsonl"))
    args = parser.parse_args()
    training = Training(batch_size=args.batch, lr=args.lr, threads=1, device="cpu", precision="fp32")
    device = open_device(training)
    prepared = people(args.data)
    for text in args.arms:
        for seed in map(int, args.seeds.split(",")):
            line = arm(text, prepared, training, device, args, seed) | {"lr": args.lr}
            with args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            shown = "  ".join(f"{float(s):.0%} {a:.3f}" for s, a in line["accuracy"].items())
            print(f"{text} seed {seed}: {shown}  ({line['cpu_seconds']} s, loss {line['loss']})", flush=True)


if __name__ == "__main__":
    main()
