"""Spoken digits by a speaker who was never heard: methods beside log-mel statistics, and seconds of sound per second.

    python benchmarks/audio.py digits --out work/      # one speaker left out at a time, 10 % of the labels and all
    python benchmarks/audio.py digits --out work/ --choose   # where settings are chosen: three speakers alone
    python benchmarks/audio.py speed                   # seconds of sound read, viewed and learnt from per second

`digits` learns, without labels and with, from the training takes of four speakers, and is tested on all takes of the
fifth; even mean and spread of the bands are those of the four. With `--choose` each of three speakers is left out in
turn: it learns from the training takes of the two others and is tested on those of the third; nobody else and no test
take is heard. What is done stands in `records.jsonl` and is not done again, so it may be stopped; `--table` prints
what stands there, and `--beside ARM` intervals of the differences to that arm.
"""

import argparse
import copy
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
from scipy import stats

from unlabeled import catalog
from unlabeled.data.kinds import kind
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.encoders import _build
from unlabeled.formats import sound
from unlabeled.modalities.audio import Audio
from unlabeled.progress import count
from unlabeled.protocols.finetune import Finetune
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.styled import Styled
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, embed
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import create, learn

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "spoken_digits"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "yweweler")
CHOSEN_ON = ("george", "jackson", "lucas")
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
    """Rows to learn from and rows to test on."""
    who, split = (ready.table.items[c].to_numpy() for c in ("domain", "split"))
    heard = np.isin(who, CHOSEN_ON if choose else SPEAKERS)
    learn_on = np.flatnonzero(heard & (who != speaker) & (split == "train"))
    return learn_on, np.flatnonzero((who == speaker) & ((split == "train") if choose else True))


def draws(y: np.ndarray, seed: int) -> Iterator[tuple[float, int, np.ndarray]]:
    """Share, number of the draw and places of the labelled items; the same for all arms."""
    for share in SHARES:
        for draw in range(DRAWS if share < 1 else 1):
            random = np.random.default_rng([seed, draw])
            each = [random.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
            yield share, draw, np.concatenate([c[: max(1, round(share * len(c)))] for c in each])


def unit(ready: Prepared, arm: str, speaker: str, seed: int, args: argparse.Namespace) -> Iterator[dict[str, object]]:
    """All figures of one arm, one speaker left out and one seed."""
    rows, test = parts(ready, speaker, args.choose)
    mean, std = kind("audio").measure(ready.store, rows, ready.prep)
    ready = replace(ready, mean=mean, std=std)
    training = Training(batch_size=args.batch, threads=1, device="cpu", precision="fp32", lr=args.lr or None)
    device, began = open_device(training), time.process_time()
    y, who = ready.table.labels, np.unique(ready.table.items["domain"], return_inverse=True)[1]

    def told(share: float, draw: int, protocol: str, probabilities: np.ndarray) -> dict[str, object]:
        right, minutes = float((probabilities.argmax(1) == y[test]).mean()), (time.process_time() - began) / 60
        about = {"share": share, "draw": draw, "protocol": protocol}
        return about | {"accuracy": right, "cpu_minutes": round(minutes, 2)}

    what = arm.removeprefix("random:").removeprefix("supervised:")
    recipe = recipe_of(ready, "simclr" if arm in PLAIN else what, args, len(rows), training, seed)
    looks = recipe.looks()
    if arm in PLAIN:
        rule = catalog.load("arms", arm)().fit(ready.store, rows, looks.usual(), seed)
        x, z = (rule.features(ready.store, r, looks.usual()) for r in (rows, test))
        for share, draw, mine in draws(y[rows], seed):
            probe = Linear().fit(x[mine], y[rows][mine], groups=who[rows][mine], seed=draw)
            yield told(share, draw, "linear", probe.predict(z))
        return
    if arm.startswith("supervised:"):
        fit = Finetune(views="strong", epochs=args.epochs, encoder_lr=1.0, lr=args.lr or 2e-3)
        for share, draw, mine in draws(y[rows], seed):
            if draw == 0:  # each is a training of its own
                fit.epochs, items = args.epochs / (share if share < 1 else 1), Items(ready.store, rows[mine])
                net = fit.fit(recipe.build_encoder(), items, y[rows][mine], looks, device, seed=seed, fresh=True)
                yield told(share, draw, "supervised", net.predict(Items(ready.store, test), looks, device))
        return
    encoder = recipe.build_encoder()
    if not arm.startswith("random:"):
        folder = args.out / f"run-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        encoder = learn(create(folder, recipe, {"data": "digits"}), Items(ready.store, rows), device).encoder()
        shutil.rmtree(folder)
    x, z = (embed(encoder, looks, ready.store, r, device).numpy() for r in (rows, test))
    for share, draw, mine in draws(y[rows], seed):
        own = who[rows][mine]
        probe = Linear().fit(x[mine], y[rows][mine], groups=own, seed=draw)
        yield told(share, draw, "linear", probe.predict(z))
        if args.styled:
            seen = Styled().fit(encoder, Items(ready.store, rows[mine]), y[rows][mine], looks, device, groups=own)
            yield told(share, draw, "styled", seen.probe.predict(z))
        if args.finetune and draw == 0:  # each is a training of its own
            fit = Finetune(views="strong", epochs=args.finetune / share, encoder_lr=1.0, lr=args.lr or 2e-3)
            items = Items(ready.store, rows[mine])
            net = fit.fit(copy.deepcopy(encoder), items, y[rows][mine], looks, device, seed=seed)
            yield told(share, draw, "fine-tuned", net.predict(Items(ready.store, test), looks, device))


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
            for speaker in CHOSEN_ON if args.choose else SPEAKERS:
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


def show(file: Path, beside: str = "") -> None:
    """Mean over speakers and seeds, standard deviation over seeds, and each speaker's mean, in Markdown."""
    table = pd.DataFrame(records(file))
    if table.empty:
        return
    speakers = [s for s in SPEAKERS if s in set(table["speaker"])]
    print(f"\n| arm | protocol | labels | mean | {' | '.join(speakers)} | CPU minutes a run |")
    print(f"|---|---|---|---|{'---|' * len(speakers)}---|")
    for (arm, settings, protocol, share), own in table.groupby(["arm", "settings", "protocol", "share"], sort=False):
        by = own.groupby(["seed", "speaker"])["accuracy"].mean().unstack()
        whole = by.dropna().reindex(columns=speakers).mean(axis=1)
        spread = f" ± {whole.std():.3f}" if len(whole) > 1 else ""
        cells = [f"{by[s].mean():.3f}" if s in by else "" for s in speakers]
        told = f"{arm}{f', {settings}' if settings else ''}"
        mean = f"{whole.mean():.3f}{spread} ({count(len(whole), 'seed')})"
        minutes = own["cpu_minutes"].max()
        print(f"| {told} | {protocol} | {share:.0%} | {mean} | {' | '.join(cells)} | {minutes:.1f} |")
    if beside:
        differences(table, beside)


def differences(table: pd.DataFrame, beside: str) -> None:
    """What each arm has more than another, speaker by speaker, and an interval of it (t, speakers as the units)."""
    means = table.groupby(["arm", "settings", "protocol", "share", "speaker"])["accuracy"].mean()
    for (arm, settings, protocol, share), own in means.groupby(["arm", "settings", "protocol", "share"], sort=False):
        base = means.xs((beside, share), level=("arm", "share")).groupby("speaker").mean()
        gain = own.droplevel([0, 1, 2, 3]).sub(base).dropna()
        if arm == beside or len(gain) < 2:
            continue
        half = stats.t.ppf(0.975, len(gain) - 1) * gain.std() / len(gain) ** 0.5
        ends = f"{gain.mean() - half:+.3f} to {gain.mean() + half:+.3f}"
        print(f"{arm} {settings}, {protocol}, {share:.0%}: {gain.mean():+.3f} ({ends}) beside {beside}")


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
    parser.add_argument("--styled", action="store_true", help="the probe that sees other styles as well")
    parser.add_argument("--finetune", type=float, default=0, help="epochs of training the whole net on all labels")
    parser.add_argument("--beside", default="", help="print differences to this arm")
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0, help="0 takes the method's own")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", default="{}", help="settings of the views, as JSON")
    parser.add_argument("--choose", action="store_true", help="three speakers' training takes alone, for settings")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.what == "speed":
        speed()
        return
    file = args.out / ("choose.jsonl" if args.choose else "records.jsonl")
    show(file if args.table else run(args), args.beside)


if __name__ == "__main__":
    main()
