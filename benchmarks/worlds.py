"""The table of the causal study on real domains: what every arm makes of a domain that was kept back.

    python benchmarks/worlds.py signs-light --steps 2000 --seeds 3       # goes on where it was stopped
    python benchmarks/worlds.py pacs --first 1 --seeds 1 --targets photo,sketch   # a part, with seed 1 alone
    python benchmarks/worlds.py signs-light --table                     # from the records, as Markdown
    python benchmarks/worlds.py signs-light --strangers                 # what its encoders take for no sign at all

| name | domains |
|---|---|
| signs-light | German traffic signs: dark, medium, bright |
| signs-distance | the same: near, middle, far |
| pacs | objects as photograph, painting, cartoon, sketch |
| tiles | magnetic tiles with and without defects: exposures 1 and 2, 3 and 4, 5 and 6 |

It writes a manifest that names the domain of each picture and calls `unlabeled transfer` with SimCLR, MoCo v2, BYOL,
C2SSL and C2SSL's control (the same interventions as augmentation), DANN with and without the target, Deep CORAL, random
weights and supervised training; every frozen encoder is read by the plain and by the styled probe. Defaults
throughout; nothing is chosen by test items. `--strangers` asks every detector of the catalog, on every frozen encoder,
to tell the source's test items from the domain that was kept back and from pictures of other things; the threshold
keeps 95 % of held-out training items of the source. What each arm had right lies in `worlds/`, a small record for each
domain kept back and seed, so that parts may be run at different times, in folders and on machines of their own.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from _kept import keep, table

from unlabeled.data.splits import nested_draws
from unlabeled.settings import Budget, Setup, Training
from unlabeled.shift import strangers
from unlabeled.shift.bench import Bench
from unlabeled.shift.subjects import data_for, find
from unlabeled.training.devices import open_device
from unlabeled.verbs.transfer import transfer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
METHODS = ("simclr", "moco", "byol", "c2ssl", "c2ssl(weight=0, restyled=true)")
WORLDS = {"signs-light": 32, "signs-distance": 32, "pacs": 64, "tiles": 64}  # side of the views


def manifest(name: str, folder: Path) -> Path:
    """A table of the pictures with their domains, for one of WORLDS."""
    if name.startswith("signs"):
        root, file = DATA / "traffic_signs", "labels.csv"
        items = pd.read_csv(root / file).assign(domain=lambda t: t[name.removeprefix("signs-")])
    elif name == "pacs":
        root, file = DATA / "pacs_mini", "split.csv"
        items = pd.read_csv(root / file)
    else:
        root, file = DATA / "magnetic_tile", "labels.csv"
        items = pd.read_csv(root / file).query("exposure > 0")
        pairs = {1: "dark", 2: "dark", 3: "middle", 4: "middle", 5: "bright", 6: "bright"}
        items = items.assign(domain=items["exposure"].map(pairs), split=_halves(items))
    out = items.assign(path=[str(root / f) for f in items["file"]])
    keep = [c for c in ("path", "class", "group", "track", "domain", "split") if c in out]
    path = folder / f"{name}.csv"
    out[keep].to_csv(path, index=False)
    return path


def _halves(items: pd.DataFrame) -> list[str]:
    """Tiles are split for anomalies, with no defect to learn from: here every second group of each class is a test."""
    number = items.groupby(["class", "group"]).ngroup()
    return ["test" if n % 2 else "train" for n in number]


def others(name: str, folder: Path) -> dict[str, str]:
    """Pictures of other things than a world's own, of their test parts."""
    found = {"steel": str(DATA / "neu_steel" / "test"), "roads": str(DATA / "road_scenes" / "test")}
    if name != "pacs":
        objects = pd.read_csv(manifest("pacs", folder)).query("split == 'test'")
        objects[["path"]].to_csv(folder / "objects.csv", index=False)
        found["objects"] = str(folder / "objects.csv")
    return found


def strange(name: str, folder: Path, targets: list[str]) -> pd.DataFrame:
    """The share flagged of each set of strangers by target, arm and detector; and paired differences in CSV beside."""
    items, out = pd.read_csv(manifest(name, folder.parent)), []
    for target in targets:
        place = folder / "targets" / target
        kept, away = place / "source.csv", place / f"{target}.csv"
        items[items["domain"] != target].drop(columns="domain").to_csv(kept, index=False)
        items.query("domain == @target and split == 'test'")[["path"]].to_csv(away, index=False)
        subjects = find([str(place)])
        data, _ = data_for(str(kept), subjects)
        rows = nested_draws(data.table.labels, data.labelled, [1.0], 1, 0)[0][1.0]
        bench = Bench(place / "strangers", data, [rows], open_device(Training(threads=1, device="cpu")), "finetune")
        bench.fill(subjects, [])
        found = strangers.measure(bench, subjects, {"kept back": str(away)} | others(name, folder.parent))
        found.table.to_csv(place / "strangers.csv", index=False)
        found.differences.to_csv(place / "strangers_differences.csv", index=False)
        out.append(found.table.assign(target=target))
    return pd.concat(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=tuple(WORLDS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--targets", default="all", help="some of the domains, by commas, to keep back in turn")
    parser.add_argument("--methods", default="", help="some of them, by semicolons")
    parser.add_argument("--adapt", default="dann,coral", help="ways to adapt, by commas; empty for none")
    parser.add_argument("--without-target", default="dann,styled", help="ways to prepare, by commas; empty for none")
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=0, help="side of the views; up to 40 ResNets keep all places")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "unlabeled-worlds")
    parser.add_argument("--table", action="store_true", help="print what is there and train nothing")
    parser.add_argument("--against", default="c2ssl", help="the arm that the others are compared with")
    parser.add_argument("--strangers", action="store_true", help="what its encoders take for no item of theirs")
    args = parser.parse_args()
    folder = args.out / args.world
    if args.strangers:
        done = sorted(p.name for p in (folder / "targets").iterdir())
        odd = strange(args.world, folder, done if args.targets == "all" else args.targets.split(","))
        for figure in ("detected", "auroc"):
            means = odd.pivot_table(index=["detector", "arm"], columns="strangers", values=figure)
            print(f"{figure}, in %\n{means.mul(100).round(1).to_string()}\n")
        return
    if not args.table:
        args.out.mkdir(parents=True, exist_ok=True)
        found = transfer(
            str(manifest(args.world, args.out)),
            methods=tuple(args.methods.split(";")) if args.methods else METHODS,
            adapt=tuple(filter(None, args.adapt.split(","))),
            without_target=tuple(filter(None, args.without_target.split(","))),
            targets=tuple(args.targets.split(",")),
            seeds=args.seeds,
            detector="knn",
            setup=Setup(encoder=args.encoder, size=args.size or WORLDS[args.world], out=str(folder), seed=args.first),
            budget=Budget(steps=args.steps),
            training=Training(threads=1, device="cpu"),
        )
        print("\n".join(found.lines()))
        keep(args.world, folder, manifest(args.world, args.out), args.size or WORLDS[args.world], args.encoder)
    print(table(args.world, args.against))


if __name__ == "__main__":
    main()
