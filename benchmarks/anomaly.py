"""Faults on magnetic tiles, learnt from good tiles alone on this machine: all detectors, several seeds, and anomalib.

    python benchmarks/anomaly.py ../shared/data/magnetic_tile --out work/            # 3 seeds, all detectors
    python benchmarks/anomaly.py ../shared/data/magnetic_tile --out work/ --choose   # on drawn faults, no test items
    python benchmarks/anomaly.py ../shared/data/magnetic_tile --out work/ --anomalib /tmp/anomalib/bin/python

anomalib lives in an environment of its own, never in the project's:

    uv venv /tmp/anomalib && VIRTUAL_ENV=/tmp/anomalib uv pip install torch torchvision anomalib==2.7.0

A second call with the same folder goes on where the first was stopped. Settings were chosen with `--choose` alone.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _faults import KINDS, plant

from unlabeled import catalog
from unlabeled.anomaly import Crossed, Eye, _figures, _inspect, _masks, _threshold
from unlabeled.anomaly._features import view
from unlabeled.data.scan import scan
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Prep, Store, build
from unlabeled.data.table import Table
from unlabeled.settings import Budget, Setup, Training
from unlabeled.study.plan import safe
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs import _good
from unlabeled.verbs.detect import detect

DETECTORS = ("planted", "density(stages=(1,2))", "patches(stages=(1,2))")
STEPS = 80  # of SimCLR at batch 64, for the detectors that look through an encoder
RATE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--detectors", nargs="*", default=DETECTORS)
    parser.add_argument("--size", type=int, default=64, help="of the training views; detectors see 2 to 3 times that")
    parser.add_argument("--anomalib", default="", help="a Python that has anomalib")
    parser.add_argument("--ours", action="store_true", help="anomalib with our encoder's weights, not random ones")
    parser.add_argument("--shots", default="0", help="numbers of labelled faults, such as 0,1,5,10")
    parser.add_argument("--choose", action="store_true")
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    good, test = manifests(told.data.resolve(), told.out.resolve())
    for seed in map(int, told.seeds.split(",")):
        for text in told.detectors:
            (choose if told.choose else measure)(told, good, test, seed, text)
        if told.anomalib:
            peers(told, good, test, seed)
    show(told.out)


def manifests(data: Path, out: Path) -> tuple[Path, Path]:
    """Good tiles and test tiles as tables with the groups of one tile."""
    table = pd.read_csv(data / "labels.csv", dtype=str)
    table["path"] = [str(data / f) for f in table["file"]]
    files = out / "good.csv", out / "test.csv"
    table[table["split"] == "train"][["path", "group"]].to_csv(files[0], index=False)
    table[table["split"] == "test"][["path", "class", "group"]].to_csv(files[1], index=False)
    return files


def setup_of(told: Any, seed: int, name: str) -> Setup:
    return Setup(seed=seed, size=told.size, out=str(told.out / f"{name}-s{seed}"))


def encoder(told: Any, good: Path, seed: int) -> str:
    """The folder of SimCLR's run on the good tiles that may be learnt from."""
    training, folder = Training(threads=1), told.out / f"simclr-s{seed}"
    ready = _good.ready(str(good), None, "features", "simclr", setup_of(told, seed, "x"), training)
    _good.learnt(ready, folder, "features", Budget(steps=STEPS), open_device(training))
    return str(folder)


def measure(told: Any, good: Path, test: Path, seed: int, text: str) -> None:
    name = text.partition("(")[0]
    setup, began = setup_of(told, seed, safe(text)), time.monotonic()  # of each setting of a detector its own folder
    file = Path(str(setup.out)) / "figures.json"
    if file.is_file():
        return
    needs = catalog.entry("anomaly", name).facts.get("needs", "features")
    run = encoder(told, good, seed) if needs == "features" else None
    budget, masks = Budget(steps=STEPS), str(told.data / "ground_truth")
    shots = [k for k in map(int, told.shots.split(",")) if k]
    found = detect(
        str(good), on=str(test), run=run, detector=text, false_alarms=RATE, masks=masks, shots=shots, setup=setup,
        budget=budget, training=Training(threads=1),
    )  # fmt: skip
    print(f"seed {seed}, {text}, {time.monotonic() - began:.0f} s:", *found.lines(), sep="\n  ", flush=True)


def choose(told: Any, good: Path, test: Path, seed: int, text: str) -> None:
    """Score good tiles that were kept apart against the same with drawn faults; the test items are never opened."""
    name, training = text.partition("(")[0], Training(threads=1)
    needs = catalog.entry("anomaly", name).facts.get("needs", "features")
    run = encoder(told, good, seed) if needs == "features" else None
    ready = _good.ready(str(good), run, needs, None, setup_of(told, seed, name), training)
    device = open_device(training)
    eye = Eye(_good.learnt(ready, told.out / "unused", needs, Budget(steps=1), device), ready.recipe.looks(), device)
    spec = catalog.parse("anomaly", text)
    detector = catalog.load("anomaly", name)(**spec.settings)
    held = np.random.default_rng(1).permutation(ready.held)
    half = len(held) // 2
    if isinstance(detector, Crossed):
        folds = _threshold.folds(ready.table, ready.fit, _good.FOLDS, seed)
        usual = _inspect.usual(
            detector.cross(eye, ready.store, folds, seed=seed), eye, ready.store, ready.fit, folds=folds
        )
        rest, _ = detector.score(eye, ready.store, held)
        weight = weights(ready.table, np.concatenate(folds))
        alarms = _threshold.flagged(_threshold.p_values(rest, usual.scores, weight), RATE)
        print(f"seed {seed} {text}: {alarms.mean():.1%} of {len(held)} good items kept apart are flagged", flush=True)
    else:
        detector.fit(eye, ready.store, ready.fit, seed=seed)
    calm, _ = detector.score(eye, ready.store, held[half:])
    clean = np.array(ready.store.array[held[:half]])
    for kind in KINDS:
        faulty, masks = plant(clean, kind, seed)
        scores, maps = detector.score(eye, Store(faulty), np.arange(half))
        large = torch.nn.functional.interpolate(torch.from_numpy(maps)[:, None], masks.shape[1:], mode="bilinear")
        places = _figures.auroc(large[:, 0].numpy()[masks], large[:, 0].numpy()[~masks])
        print(f"seed {seed} {text} {kind}: items {_figures.auroc(scores, calm):.3f}, places {places:.3f}", flush=True)


def peers(told: Any, good: Path, test: Path, seed: int) -> None:
    """anomalib's PaDiM and PatchCore on the same tiles, size and even brightness: random weights, or our encoder's."""
    training = Training(threads=1)
    run = encoder(told, good, seed) if told.ours else None
    ready = _good.ready(str(good), run, "features", None, setup_of(told, seed, "x"), training)
    table, store = build(scan(test), Prep(**ready.recipe.prep))
    kinds = _masks.kinds(table, table.rows())
    method = Run.open(run).method() if run else ready.recipe.build()
    eye = Eye(method, ready.recipe.looks(), open_device(training))
    weights_file, data, out = (told.out / name for name in ("weights.npz", "pictures.npz", "found.npz"))
    net: Any = method.encoder.net
    np.savez(weights_file, **{k: v.numpy() for k, v in net.state_dict().items()})
    parts = {"fit": (ready.store, ready.fit), "test": (store, table.rows()), "held": (ready.store, ready.held)}
    x = {k: np.concatenate([view(eye, raw, True).numpy() for raw in eye.batches(*v)]) for k, v in parts.items()}
    np.savez(data, fit=x["fit"].astype(np.float16), test=np.concatenate([x["held"], x["test"]]).astype(np.float16))
    for name in ("padim", "patchcore"):
        file = told.out / f"anomalib-{name}-{'ours' if run else 'random'}-s{seed}.json"
        if file.is_file():
            continue
        script, given = str(Path(__file__).with_name("_anomalib.py")), [str(weights_file)] if run else []
        subprocess.run([told.anomalib, script, name, str(seed), str(data), str(out), *given], check=True)
        found, held = np.load(out), len(ready.held)
        scores, maps = found["scores"][held:], found["maps"][held:]
        weight = weights(ready.table, ready.held)
        figures = judged(table, kinds, scores, maps, (found["scores"][:held], weight), told.data / "ground_truth")
        file.write_text(json.dumps(figures))


def weights(table: Table, rows: np.ndarray) -> np.ndarray:
    """What each of these good items counts for, by its group."""
    return _threshold.weights(unit_numbers(table, rows), len(rows), RATE)


def judged(table: Any, kinds: Any, scores: Any, maps: Any, held: Any, masks: Path) -> dict[str, Any]:
    """The same figures as `detect` gives, from any scores and maps."""
    from unlabeled.data.source import Source

    pixels, source = _figures.Pixels(), Source(table)
    for row, kind in enumerate(kinds):
        file = _masks.find(masks, table.items["path"].iloc[row], kind) if kind else None
        if kind and file is None:
            continue
        mask = _masks.read(file) if file else _masks.empty(source, row)
        large = torch.nn.functional.interpolate(torch.from_numpy(maps[row])[None, None], mask.shape, mode="bilinear")
        pixels.add(large[0, 0].numpy(), mask, kind)
    flags = _threshold.flagged(_threshold.p_values(scores, *held), RATE)
    is_good = np.array([k == "" for k in kinds])
    return {
        "images": _figures.images(scores, kinds, _threshold.threshold(held[0], RATE, held[1])),
        "pixels": pixels.figures(),
        "false_alarms": _figures.share_with_interval(int(flags[is_good].sum()), int(is_good.sum())),
    }


def show(out: Path) -> None:
    """All that is in the folder as tables: every seed, and each kind's mean over the seeds."""
    files = sorted([*out.glob("*-s*/figures.json"), *out.glob("anomalib-*.json")])
    names = {f: (f.parent.name if f.name == "figures.json" else f.stem) for f in files}
    print(
        "| detector, seed | item AUROC | place AUROC | place AP | PRO | F1 | F1 oracle | found | false alarms |\n"
        + "|---" * 9
        + "|"
    )
    kinds: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for file, name in names.items():
        f = json.loads(file.read_text())
        i, p, a = f["images"]["all"], f["pixels"]["all"], f["false_alarms"]
        cells = [i["auroc"], p["auroc"], p["ap"], p["pro"], i["f1"], i["f1_oracle"]]
        print(f"| {name} | " + " | ".join(f"{c:.3f}" for c in cells) + f" | {i['found']:.0%} | {a['share']:.1%} |")
        for kind, row in f["images"].items():
            if kind != "all":
                spot = f["pixels"].get(kind, {})
                mine = kinds.setdefault(name.rpartition("-s")[0], {}).setdefault(kind, [])
                mine.append((row["auroc"], spot.get("auroc", np.nan), spot.get("pro", np.nan)))
    for name, rows in kinds.items():
        means = {k: np.nanmean(np.array(v), 0) for k, v in rows.items()}
        print(f"{name}: " + "; ".join(f"{k} {m[0]:.3f} / {m[1]:.3f} / {m[2]:.3f}" for k, m in means.items()))


if __name__ == "__main__":
    main()
