"""Every method on two real data sets at three label budgets, with one budget of time: learn, measure, tabulate.

    python benchmarks/quality.py pace                                # seconds of each step, on a quiet machine
    python benchmarks/quality.py run --data steel --seeds 0,1,2       # hours; goes on where it was stopped
    python benchmarks/quality.py run --arms "long[simclr]"            # fine-tuned for as long as a supervised training
    python benchmarks/quality.py run --arms simclr@30                 # the same, and pretrained for thirty minutes
    python benchmarks/quality.py run --arms simclr@30+30 --shares 1     # and fine-tuned for thirty, on all labels
    python benchmarks/quality.py run --arms "supervised[resnet18]@30" --shares 1   # at the rate found in three
    python benchmarks/quality.py table                               # from the records, no training

One record a unit (data set, arm, seed) lies in benchmarks/quality/, small enough to keep: figures and which test items
were right, so that intervals are paired. The budget is minutes of one core: `pace` times a step of each method and of
fine-tuning once, and all sets and seeds take their numbers of steps from there, so that a busy machine changes nothing.
Settings are the defaults but for the width of the transformer, which fine-tunes at 3 seconds a step on a core at the
usual one; nothing is chosen by test items. The one setting that was tuned is the rate at which fine-tuning moves a
pretrained encoder, on training pictures of both sets that were kept apart (README.md has the figures).
"""

import argparse
import base64
import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import catalog, metrics, stats
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.data.splits import nested_draws
from unlabeled.errors import UserError
from unlabeled.settings import Augmentation, Training
from unlabeled.study.fits import Bench, fit
from unlabeled.study.pace import cost_of_fits, seconds_per_step
from unlabeled.study.plan import Arm, Cell, arms
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items
from unlabeled.training.run import create, learn

HERE = Path(__file__).resolve().parent
RECORDS = HERE / "quality"
SETS = {"steel": "neu_steel", "brain": "brain_mri"}
SHARES, DRAWS, SIZE = (0.01, 0.1, 1.0), 3, 64
NETS = {"resnet18": "resnet18", "vit": "vit(width=192, heads=3)"}
FINE_MINUTES = 1.0  # of fine-tuning a pretrained encoder, at 64 labels a step
FINE_RATE = 1.0  # of the encoder, as a share of the head's
FINE = {"encoder_lr": FINE_RATE, "views": "small"}  # as all records were measured
ORDER = ("simclr", "mae", "hybrid", "byol", "moco", "swav", "vicreg", "simsiam", "dino", "deepcluster")
SHOWN = ("accuracy", "sensitivity", "specificity", "auroc")


def for_pictures() -> list[str]:
    """The methods that serve pictures."""
    every = catalog.names("methods")
    return [n for n in every if "image" in catalog.entry("methods", n).facts.get("modalities", ("image",))]


def arm_of(prepared: Prepared, name: str, protocols: list[Any]) -> Arm:
    """The arm of that name; its recipe has no steps yet."""
    kind, _, rest = name.partition("[")
    method = kind if kind in catalog.names("methods") else "mae" if rest == "vit]" else "simclr"
    given = {"name": method, "encoder": NETS[catalog.entry("methods", method).encoder]}
    every = arms(prepared, [given], None, protocols, Augmentation(), Training(threads=1, device="cpu"), 0)
    [arm] = [a for a in every if a.name == kind]
    return arm if arm.kind == "method" else replace(arm, name=name)


def plan(prepared: Prepared, name: str, minutes: float, rate: float | None) -> Arm:
    """The arm of that name, with its budget; `long[...]` and `...@minutes` are fine-tuned as long as `supervised`."""
    pace = json.loads((RECORDS / "pace.json").read_text("utf-8"))["seconds"]
    kind, _, rest = name.partition("[")
    more, _, given = name.partition("@")
    if kind == "supervised" and given:
        return replace(plan(prepared, more, float(given), rate), name=name)
    if kind == "long" or given:
        method = more if given else rest[:-1]
        before, _, after = given.partition("+")
        arm = plan(prepared, method, float(before or minutes), rate)
        step = pace[f"finetune {catalog.entry('methods', method).encoder}"]
        use = catalog.Spec("finetune", {"steps": round(float(after or minutes) * 60 / step), **FINE})
        frozen = tuple(p for p in arm.protocols if p.name != "finetune" and given)
        return replace(arm, name=name, protocols=(*frozen, use))
    protocols: list[Any] = ["linear", "propagate"]
    if kind == "supervised":
        known = {"trials": 3} if rate is None else {"encoder_lr": rate}
        protocols = [{"name": "finetune", "steps": round(minutes * 60 / pace[f"finetune {rest[:-1]}"]), **known}]
    elif kind not in ("random", "pca"):
        step = pace[f"finetune {catalog.entry('methods', kind).encoder}"]
        protocols.append({"name": "finetune", "steps": round(60 * FINE_MINUTES / step), **FINE})
    arm = arm_of(prepared, name, protocols)
    if arm.kind != "method":
        return arm
    if kind not in pace:
        raise UserError(f"{RECORDS / 'pace.json'} names no seconds a step of {kind}", "run pace anew")
    return replace(arm, recipe=arm.recipe.with_steps(round(minutes * 60 / pace[kind])))


def pace(args: argparse.Namespace) -> None:
    """Time a step of every method and of fine-tuning, one thread."""
    prepared = prepare(args.root / SETS["steel"], size=SIZE)
    device = open_device(Training(threads=1, device="cpu"))
    items = Items(prepared.store, prepared.learning)
    seconds: dict[str, float] = {}
    for net in NETS:
        recipe, rows = arm_of(prepared, f"random[{net}]", ["linear"]).recipe, prepared.labelled[:256]
        y = prepared.table.labels[rows]
        seconds[f"finetune {net}"] = cost_of_fits(recipe, Items(prepared.store, rows), y, device).of(64)
    for name in for_pictures():
        try:
            seconds[name] = seconds_per_step(arm_of(prepared, name, ["linear"]).recipe, items, device)
        except UserError as error:
            print(f"{name}: {error}", flush=True)
            continue
        print(f"{name}: {seconds[name]:.3f} s", flush=True)
    words = {"batch": 64, "size": SIZE, "threads": 1, "seconds": {k: round(v, 4) for k, v in seconds.items()}}
    RECORDS.mkdir(exist_ok=True)
    (RECORDS / "pace.json").write_text(json.dumps(words, indent=1) + "\n", "utf-8")


def unit(data: str, prepared: Prepared, name: str, seed: int, minutes: float, shares: tuple[float, ...]) -> None:
    """Train one arm with one seed, measure it, and leave its record."""
    file = RECORDS / data / f"{name}-s{seed}.json"
    if file.is_file() and (name.startswith(("random", "pca")) or _fine_tuned(file)):
        return
    first = RECORDS / data / f"{name.partition('@')[0]}-s0.json"
    known = seed or "@" in name  # a longer training takes the rates that the shorter one found
    rates = {c["share"]: c["rate"] for c in json.loads(first.read_text())["cells"]} if first.is_file() else {}
    draws = nested_draws(prepared.table.labels, prepared.labelled, SHARES, DRAWS, 0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), prepared, open_device(Training(threads=1, device="cpu")), {}, {})
        cells: list[dict[str, Any]] = []
        arm = plan(prepared, name, minutes, None)
        if arm.kind == "method":
            run = create(bench.run(arm, seed), arm.for_seed(seed), {"data": data})
            learn(run, Items(prepared.store, prepared.learning), bench.device, title=f"{data} {name} seed {seed}")
        trained = (time.monotonic() - began) / 60
        labels = prepared.table.labels[prepared.test]
        for share in shares:
            arm = plan(prepared, name, minutes, rates.get(share) if arm.kind == "supervised" and known else None)
            for protocol in arm.protocols:
                few = range(DRAWS) if share < 1 else range(1)
                for draw in [seed % DRAWS if share < 1 else 0] if protocol.name == "finetune" else few:
                    rows = draws[draw][share]
                    cell = Cell(arm.name, share, len(rows), seed, draw, str(protocol))
                    facts = fit(bench, arm, cell, [rows])
                    with np.load(bench.folder / "predictions" / cell.file) as arrays:
                        found = arrays["probabilities"]
                    report = metrics.report(found, labels, prepared.table.classes)
                    right = np.packbits(found.argmax(1) == labels)
                    cells.append(
                        {"share": share, "labels": len(rows), "draw": draw, "protocol": protocol.name}
                        | {k: round(float(report[k]), 5) for k in (*SHOWN, "macro_f1", "nll")}
                        | {"right": base64.b64encode(right.tobytes()).decode(), "rate": facts.get("rate")}
                    )
        record = {"arm": name, "seed": seed, "data": data, "minutes": minutes, "steps": arm.recipe.steps}
        record |= {"test": len(labels), "pretraining_minutes": round(trained, 2), "cells": cells}
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps(record, indent=0).replace(",\n", ", "), "utf-8")
        beside.replace(file)
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{data} {name} seed {seed}: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)


def _fine_tuned(file: Path) -> bool:
    """Whether a record is whole: some were measured at another rate, or at another size than the net had seen."""
    record = json.loads(file.read_text("utf-8"))
    return any(_counts(record["arm"], cell) for cell in record["cells"] if cell["protocol"] == "finetune")


def _counts(arm: str, cell: dict[str, Any]) -> bool:
    """Whether a cell was measured as all are now."""
    return cell["protocol"] != "finetune" or arm.startswith("supervised") or cell["rate"] == FINE_RATE


def run(args: argparse.Namespace) -> None:
    prepared = prepare(args.root / SETS[args.data], size=SIZE)
    random, supervised = ([f"{kind}[{net}]" for net in NETS] for kind in ("random", "supervised"))
    rest = [n for n in for_pictures() if n not in ORDER]
    names = args.arms.split(",") if args.arms else ["pca", *random, *ORDER, *rest, *supervised]
    units = [(name, int(seed)) for seed in args.seeds.split(",") for name in names]
    for name, seed in sorted(units, key=lambda u: (RECORDS / args.data / f"{u[0]}-s{u[1]}.json").is_file()):
        try:  # what has no record at all comes first
            unit(args.data, prepared, name, seed, args.minutes, tuple(float(s) for s in args.shares.split(",")))
        except UserError as error:
            print(f"{args.data} {name}: {error}", flush=True)


def table(args: argparse.Namespace) -> None:
    for data in SETS:
        records = [json.loads(f.read_text("utf-8")) for f in sorted((RECORDS / data).glob("*.json"))]
        if not records:
            continue
        hits: dict[tuple[str, str, float], list[tuple[int, int, np.ndarray]]] = {}
        shown: dict[tuple[str, str, float], list[dict[str, float]]] = {}
        counts: dict[float, int] = {}
        for record in records:
            for cell in (c for c in record["cells"] if _counts(record["arm"], c)):
                raw = np.frombuffer(base64.b64decode(cell["right"]), np.uint8)
                right = np.unpackbits(raw)[: record["test"]].astype(bool)
                key = (record["arm"], cell["protocol"], cell["share"])
                hits.setdefault(key, []).append((record["seed"], cell["draw"], right))
                shown.setdefault(key, []).append({k: cell[k] for k in SHOWN})
                counts[cell["share"]] = cell["labels"]
        protocols = ("linear", "propagate", "finetune")
        print(f"\n## {data}: {records[0]['test']} test pictures, {records[0]['minutes']:g} minutes of one core\n")
        shares = [s for s in SHARES if s in counts]
        heads = [f"{counts[s]} labels, {p}" for p in protocols for s in shares if p != "propagate" or s < 1]
        last = f"over random in points, {counts[0.1]} labels, linear (95 %)"
        print(f"| arm | seeds (fine-tuned) | {' | '.join(heads)} | {last} |")
        print("|---" * (len(heads) + 3) + "|")
        names = sorted({k[0] for k in hits}, key=lambda n: -_mean(hits, n, 0.1))
        for name in names:
            seeds = {(key[1], seed) for key, cells in hits.items() if key[0] == name for seed, _, _ in cells}
            fine = sum(protocol == "finetune" for protocol, _ in seeds)
            row = [name, f"{len({seed for _, seed in seeds})} ({fine})"]
            for protocol in protocols:
                for share in shares:
                    if protocol == "propagate" and share == 1:  # nothing is left to spread to: that is the linear probe
                        continue
                    got = hits.get((name, protocol, share))
                    row.append(_spread([np.mean([c[2].mean() for c in group]) for group in _by_seed(got or [])]))
            net = "vit" if _is_vit(name) else "resnet18"
            mine, base = hits.get((name, "linear", 0.1)), hits.get((f"random[{net}]", "linear", 0.1))
            row.append(_gap(mine, base) if mine and base and not name.startswith("random") else "")
            print(f"| {' | '.join(row)} |")
        for other in ("simclr", "mae"):
            pair = [hits.get((n, "linear", 0.1)) for n in ("hybrid", other)]
            if pair[0] and pair[1]:
                print(f"\nHybrid over {other} with {counts[0.1]} labels, linear: {_gap(pair[0], pair[1])}")
        best = max(shown, key=lambda k: np.mean([c["accuracy"] for c in shown[k]]) if k[2] == 1.0 else -1)
        mean = {k: np.mean([c[k] for c in shown[best]]) for k in SHOWN}
        print(
            f"\nBest with all labels, named on these test pictures: {best[0]}, {best[1]}: "
            + ", ".join(f"{k} {v:.3f}" for k, v in mean.items())
        )


def _by_seed(cells: list[tuple[int, int, np.ndarray]]) -> list[list[tuple[int, int, np.ndarray]]]:
    return [[c for c in cells if c[0] == seed] for seed in sorted({c[0] for c in cells})]


def _spread(seeds: list[Any]) -> str:
    """Mean and standard deviation of the seeds' figures."""
    if not seeds:
        return ""
    return f"{np.mean(seeds):.3f}" + (f" ± {np.std(seeds, ddof=1):.3f}" if len(seeds) > 1 else "")


def _mean(hits: dict[tuple[str, str, float], list[tuple[int, int, np.ndarray]]], name: str, share: float) -> float:
    """What arms are ordered by: the linear probe, or fine-tuning where there is none."""
    for protocol in ("linear", "finetune"):
        if got := hits.get((name, protocol, share)):
            return float(np.mean([c[2].mean() for c in got]))
    return 0.0


def _is_vit(name: str) -> bool:
    kind, _, rest = name.partition("[")
    kind = rest[:-1] if kind == "long" else kind.partition("@")[0]
    if kind in catalog.names("methods"):
        return catalog.entry("methods", kind).encoder == "vit"
    return rest.startswith("vit]")


def _gap(mine: list[tuple[int, int, np.ndarray]], base: list[tuple[int, int, np.ndarray]]) -> str:
    there = {(seed, draw) for seed, draw, _ in mine} & {(seed, draw) for seed, draw, _ in base}
    pair = [[c for c in sorted(x, key=lambda c: c[:2]) if c[:2] in there] for x in (mine, base)]
    if not there:
        return ""
    d = stats.paired_difference(pair[0], pair[1])
    return f"{100 * d.difference:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pace", "run", "table"))
    parser.add_argument("--data", choices=tuple(SETS), default="steel")
    parser.add_argument(
        "--root", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder of the data sets"
    )
    parser.add_argument("--arms", default="", help="some of them, by commas")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--shares", default=",".join(map(str, SHARES)), help="of the labels, by commas")
    parser.add_argument("--minutes", type=float, default=3.0, help="of pretraining, or of supervised training")
    args = parser.parse_args()
    {"pace": pace, "run": run, "table": table}[args.what](args)


if __name__ == "__main__":
    main()
