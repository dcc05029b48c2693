"""Spoken digits by a speaker who was never heard: methods beside log-mel statistics, and seconds of sound per second.

    python benchmarks/audio.py digits --out work/      # one speaker left out at a time, 10 % of the labels and all
    python benchmarks/audio.py digits --out work/ --choose yweweler   # settings are chosen on training takes of one
    python benchmarks/audio.py speed                   # seconds of sound read, viewed and learnt from per second

`digits` learns, without labels and with, from the training takes of four speakers, and is tested on all takes of the
fifth; even mean and spread of the bands are those of the four. What is done stands in `records.jsonl` and is not done
again, so it may be stopped; `--table` prints what stands there.
"""

import argparse
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from unlabeled import catalog
from unlabeled.data.kinds import kind
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.encoders import _build
from unlabeled.formats import sound
from unlabeled.modalities.audio import Audio
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, embed
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import create, learn

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "spoken_digits"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "yweweler")
PLAIN = ("statistics", "pca")
SHARES = (0.1, 1.0)
DRAWS = 3  # of a tenth of the labels


def digits(out: Path) -> Path:
    """A manifest of all recordings, the speaker as the domain."""
    out.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(DATA / "split.csv", dtype=str)
    rows = rows.assign(path=[str(DATA / f) for f in rows["file"]], label=rows["digit"], domain=rows["speaker"])
    rows[["path", "label", "domain", "split"]].to_csv(out / "digits.csv", index=False)
    return out / "digits.csv"


def parts(ready: Prepared, speaker: str, choose: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to test on; when settings are chosen, no test take of anybody is heard."""
    who, split = (ready.table.items[c].to_numpy() for c in ("domain", "split"))
    learn_on = np.flatnonzero((who != speaker) & (split == "train"))
    return learn_on, np.flatnonzero((who == speaker) & ((split == "train") if choose else True))


def accuracies(
    x: np.ndarray, z: np.ndarray, y: np.ndarray, truth: np.ndarray, who: np.ndarray, seed: int
) -> Iterator[tuple[float, int, float]]:
    """Share, draw and accuracy of a linear probe; its strength is chosen with whole speakers kept apart."""
    for share in SHARES:
        for draw in range(DRAWS if share < 1 else 1):
            random = np.random.default_rng([seed, draw])
            each = [random.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
            rows = np.concatenate([c[: max(1, round(share * len(c)))] for c in each])
            probe = Linear().fit(x[rows], y[rows], groups=who[rows], seed=draw)
            yield share, draw, float((probe.predict(z).argmax(1) == truth).mean())


def unit(ready: Prepared, arm: str, speaker: str, seed: int, args: argparse.Namespace) -> Iterator[dict[str, object]]:
    """All figures of one arm, one speaker left out and one seed."""
    rows, test = parts(ready, speaker, bool(args.choose))
    mean, std = kind("audio").measure(ready.store, rows, ready.prep)
    ready = replace(ready, mean=mean, std=std)
    training = Training(batch_size=args.batch, threads=1, device="cpu", precision="fp32", lr=args.lr or None)
    device, began = open_device(training), time.process_time()
    y, who = ready.table.labels, np.unique(ready.table.items["domain"], return_inverse=True)[1]
    if arm in PLAIN:
        looks = recipe_of(ready, "simclr", args, len(rows), training, seed).looks().usual()
        rule = catalog.load("arms", arm)().fit(ready.store, rows, looks, seed)
        x, z = (rule.features(ready.store, r, looks) for r in (rows, test))
    else:
        recipe = recipe_of(ready, arm.removeprefix("random:"), args, len(rows), training, seed)
        if arm.startswith("random:"):
            encoder = recipe.build_encoder()
        else:
            folder = args.out / f"run-{os.getpid()}"
            shutil.rmtree(folder, ignore_errors=True)
            encoder = learn(create(folder, recipe, {"data": "digits"}), Items(ready.store, rows), device).encoder()
            shutil.rmtree(folder)
        x, z = (embed(encoder, recipe.looks(), ready.store, r, device).numpy() for r in (rows, test))
    minutes = (time.process_time() - began) / 60
    for share, draw, value in accuracies(x, z, y[rows], y[test], who[rows], seed):
        yield {"share": share, "draw": draw, "accuracy": value, "cpu_minutes": round(minutes, 2)}


def recipe_of(ready: Prepared, arm: str, args: argparse.Namespace, items: int, training: Training, seed: int) -> Recipe:
    """`simclr@cnn(grid=2)` is SimCLR on that encoder; without `@` it is the method's own for sounds."""
    name, _, encoder = arm.partition("@")
    method = catalog.parse("methods", name)
    what = _build.spec(encoder or catalog.entry("methods", method.name).encoder_for("audio"))
    views = Augmentation(**json.loads(args.views))
    made = compose(ready, method, what, views, training, 0, seed)
    return replace(made, steps=round(args.epochs * items / args.batch), items=items)


def run(args: argparse.Namespace) -> Path:
    """Do what is not done yet."""
    file = Path(args.out / ("choose.jsonl" if args.choose else "records.jsonl"))
    ready = prepare(digits(args.out))
    done = {key(r) for r in records(file)}
    for seed in range(args.seeds):
        for arm in args.arms.split(";"):
            for speaker in (args.choose,) if args.choose else SPEAKERS:
                settings = f"{args.epochs:g} epochs, batch {args.batch}, lr {args.lr:g}, {args.views}"
                still = arm in PLAIN or arm.startswith("random:")
                about = {"arm": arm, "speaker": speaker, "seed": seed, "settings": "" if still else settings}
                if key(about) in done or (arm in PLAIN and seed and arm != "pca"):
                    continue
                found = [about | one for one in unit(ready, arm, speaker, seed, args)]
                with file.open("a") as handle:
                    handle.writelines(json.dumps(one) + "\n" for one in found)
    return file


def key(record: dict[str, object]) -> tuple[object, ...]:
    """What tells a unit from others."""
    return tuple(record[k] for k in ("arm", "speaker", "seed", "settings"))


def records(file: Path) -> list[dict[str, object]]:
    """What stands in a file of records; nothing where there is none."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def show(file: Path) -> None:
    """Mean over speakers and seeds, standard deviation over seeds, and each speaker's mean, in Markdown."""
    table = pd.DataFrame(records(file))
    if table.empty:
        return
    speakers = [s for s in SPEAKERS if s in set(table["speaker"])]
    print(f"\n| arm | labels | mean | {' | '.join(speakers)} | CPU minutes a run |")
    print(f"|---|---|---|{'---|' * len(speakers)}---|")
    for (arm, settings, share), own in table.groupby(["arm", "settings", "share"], sort=False):
        by = own.groupby(["seed", "speaker"])["accuracy"].mean().unstack()
        whole = by.dropna().reindex(columns=speakers).mean(axis=1)
        spread = f" ± {whole.std():.3f}" if len(whole) > 1 else ""
        cells = [f"{by[s].mean():.3f}" if s in by else "" for s in speakers]
        told = f"{arm}{', ' + settings if settings else ''}"
        mean = f"{whole.mean():.3f}{spread} ({len(whole)} seeds)"
        print(f"| {told} | {share:.0%} | {mean} | {' | '.join(cells)} | {own['cpu_minutes'].mean():.1f} |")


def speed(rounds: int = 3) -> None:
    """Seconds of sound per second of CPU time: reading, views in each form, and a step of SimCLR with each encoder."""
    torch.set_num_threads(1)
    files = sorted((DATA / "recordings").glob("*.wav"))[:300]
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, rate in (("read at their own rate", 0), ("read and brought to 16 kHz", 16_000)):
            began = time.process_time()
            heard = sum(len(sound.read(f, rate)) / (rate or 8_000) for f in files)
            took[name].append(heard / (time.process_time() - began))
    raw = torch.randint(-3000, 3000, (32, 1, 16_000), dtype=torch.int16, generator=torch.Generator().manual_seed(0))
    base = Audio(size=100, rate=16_000)
    for encoder in ("cnn(grid=2)", "tcn", "gru", "wave"):
        what = _build.spec(encoder)
        looks = base.seen_by(*_build.looks_at(what))
        method = catalog.load("methods", "simclr")(_build.build(what, looks.channels, looks.size, looks.space))
        for step in range(rounds):
            began = time.process_time()
            views = (looks.at(0, step).augment(raw), looks.at(1, step).augment(raw))
            between = time.process_time()
            method.loss(views).backward()
            took[f"random views as {looks.form}"].append(2 * len(raw) / (between - began))
            took[f"a step of simclr with {encoder}, two views"].append(len(raw) / (time.process_time() - began))
    for name, rates in took.items():
        print(f"| {name} | {np.median(rates):,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("digits", "speed"))
    parser.add_argument("--out", type=Path, default=Path("work"))
    parser.add_argument("--arms", default="statistics;pca;random:simclr;simclr;random:cpc;cpc", help="by semicolons")
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0, help="0 takes the method's own")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", default="{}", help="settings of the views, as JSON")
    parser.add_argument("--choose", choices=SPEAKERS, help="test on this speaker's training takes alone, for settings")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.what == "speed":
        speed()
        return
    file = args.out / ("choose.jsonl" if args.choose else "records.jsonl")
    show(file if args.table else run(args))


if __name__ == "__main__":
    main()
