"""What a model that was handed over is worth on real data: `python benchmarks/handover.py PART RUN DATA ...`.

    roundtrip RUN DATA          bundle, export, onnxruntime: the same labels as torch on every test item
    coverage RUN DATA           label sets on test items over many calibration draws, and exchangeable draws beside them
    strangers RUN DATA OTHERS   share of other data that is flagged when 5 % of the known items are let go
    ensemble RUN,RUN,RUN DATA   log-loss, calibration and risk of the runs together and of each alone
    drift RUN DATA              false alarms on batches of the same source, power under each corruption
    server RUN DATA             requests from 16 clients beside onnxruntime alone, p99, memory
    hostile RUN DATA            thousands of malformed requests: no 500, no crash, memory

RUN is a run's folder; a bundle is made of it in --out unless one is there already.
"""

import argparse
import asyncio
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _form import in_form
from _requests import clients, evil, multipart, raw_request, served, slowly
from scipy.special import log_softmax, logsumexp, softmax

import unlabeled as ul
from unlabeled import metrics
from unlabeled.confidence import calibration, conformal, selective
from unlabeled.confidence.temperature import temperature
from unlabeled.data.scan import scan
from unlabeled.data.splits import nested_draws, unit_numbers
from unlabeled.data.store import Prep, build
from unlabeled.deploy import drift
from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.decide import Limits
from unlabeled.deploy.engines.onnx import Onnx
from unlabeled.deploy.export import answers
from unlabeled.deploy.eye import Eye
from unlabeled.deploy.levels import Levels
from unlabeled.deploy.make import calibrate
from unlabeled.deploy.net import Net, load, view_of
from unlabeled.deploy.parts import part, units
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Handover, Training
from unlabeled.shift.subjects import data_for, find

SEVERITY = 2


def made(args: argparse.Namespace, **wish: Any) -> Bundle:
    """The bundle of a run, made at the first use."""
    folder = Path(args.out) / f"{Path(args.run).name}{args.tag}.ul"
    if not folder.exists():
        ul.finetune(
            args.run, args.data, out=str(folder), protocol=args.protocol, handover=Handover(**wish),
            training=Training(threads=1),
        )  # fmt: skip
    return Bundle.open(folder)


def ready(args: argparse.Namespace) -> tuple[Any, Bundle, Net, Eye]:
    """The data as the run reads them, the bundle, its net, and what remembers features."""
    bundle = made(args)
    prepared, _ = data_for(args.data, find([args.run]))
    net = load(bundle)
    return prepared, bundle, net, Eye(net.view, net.look, prepared.store)


def roundtrip(args: argparse.Namespace) -> None:
    """Torch against onnxruntime on every test item."""
    prepared, bundle, net, _ = ready(args)
    raw = prepared.store.batch(prepared.test).numpy()
    with torch.no_grad():
        expected = torch.cat([net(torch.from_numpy(raw[i : i + 32]))[0] for i in range(0, len(raw), 32)]).numpy()
    file = bundle.onnx()
    if file is None:
        ul.export(str(bundle.folder), args.data)
        file = Bundle.open(bundle.folder).onnx()
    found = answers(Onnx(Path(str(file)), threads=1).run, raw).probabilities
    table = ul.predict(str(bundle.folder), args.data, engine="onnx", out=str(Path(args.out) / "roundtrip.parquet"))
    same = (expected.argmax(1) == found.argmax(1)).mean()
    truth = prepared.table.labels[prepared.test]
    print(f"| {Path(args.data).name} | {len(raw)} | {100 * same:.1f} % | {np.abs(expected - found).max():.1e} "
          f"| {100 * (found.argmax(1) == truth).mean():.1f} % | {table.items} |")  # fmt: skip


def coverage(args: argparse.Namespace) -> None:
    """Coverage and calibration error over calibration draws: on the test split, and on exchangeable draws."""
    prepared, _, net, eye = ready(args)
    y, labelled, test = prepared.table.labels, prepared.labelled, prepared.test
    classes = len(prepared.table.classes)
    rows, within = [], []
    kept = units(prepared, args.groups_from, eye.features)
    print(f"<!-- kept together: {kept.told()} -->")
    for seed in range(args.draws):
        learn, held = part(prepared, labelled, 0.25, seed, kept.of(labelled))
        probe = Linear().fit(
            eye.features(learn),
            y[learn],
            groups=kept.of(learn),
            seed=seed,
            unlabelled=eye.features(labelled),
        )
        fresh = Net(net.view, net.look, *probe.coefficients())
        facts, _ = calibrate(fresh, eye, y, learn, held, Handover(detector="msp"), classes)
        limits = Limits.of({"classes": prepared.table.classes, **facts})
        found = fresh.judged(eye(test))
        told = conformal.report(limits.sets(found["probabilities"]), y[test])
        hit, top = found["probabilities"].argmax(1) == y[test], found["probabilities"].max(1)
        fresh.temperature.fill_(1.0)
        before = fresh.judged(eye(test))["probabilities"]
        row = [
            told["coverage"],
            told["size"],
            calibration.error(top, hit),
            calibration.error(before.max(1), hit),
            hit.mean(),
        ]
        # exchangeable: calibration and evaluation are two random halves of the held-out and test items' logits
        pool = np.concatenate([held, test]) if args.mixed else test
        random = np.random.default_rng(seed).permutation(len(pool))
        cut = len(held) if args.mixed else len(pool) // 2
        a, b = pool[random[:cut]], pool[random[cut:]]
        z = fresh.judged(eye(a))["logits"]
        heat = temperature(z, y[a])
        fresh.temperature.fill_(heat)
        p, q = fresh.judged(eye(a))["probabilities"], fresh.judged(eye(b))["probabilities"]
        mixed = conformal.report(conformal.sets(q, conformal.quantile(conformal.scores(p, y[a]), 0.9)), y[b])[
            "coverage"
        ]
        low, high = conformal.expected(len(a), 0.9)
        spread = 1.96 * (0.9 * 0.1 / len(b)) ** 0.5  # of the evaluation items themselves
        within.append(low - spread <= mixed <= high + spread)
        rows.append([*row, mixed, calibration.error(q.max(1), q.argmax(1) == y[b])])
        low, high = conformal.expected(len(held), 0.9)
        spread = 1.96 * (0.9 * 0.1 / len(test)) ** 0.5
        rows[-1].append(low - spread <= row[0] <= high + spread)
    r = np.array(rows, float).mean(0)
    print(f"| {Path(args.data).name} | {args.draws} | {100 * r[4]:.1f} % | {100 * r[0]:.1f} % | {100 * r[7]:.0f} % "
          f"| {r[1]:.2f} | {100 * r[3]:.1f} to {100 * r[2]:.1f} % | {100 * r[5]:.1f} % "
          f"| {100 * np.mean(within):.0f} % | {100 * r[6]:.1f} % |")  # fmt: skip


def strangers(args: argparse.Namespace) -> None:
    """Every detector on every other data set, as it comes and in the form of the data."""
    from unlabeled import catalog

    prepared, _, net, _ = ready(args)
    y, classes = prepared.table.labels, len(prepared.table.classes)
    apart = units(prepared, args.groups_from, Eye(net.view, Levels(net.encoder, "features"), prepared.store).features)
    learn, held = part(prepared, prepared.labelled, 0.25, 0, apart.of(prepared.labelled))
    like = prepared.table.folder / prepared.table.items["path"].iloc[0]
    folders = {Path(f).name: f for f in args.others}
    folders |= {f"{n}, in form": str(in_form(f, like, Path(args.out))) for n, f in folders.items()}
    stores = {}
    for name, folder in folders.items():
        table, store = build(scan(folder), Prep(**prepared.prep.__dict__), progress=False)
        stores[name] = store, np.unique(np.linspace(0, len(table) - 1, min(len(table), 400)).astype(int))
    print("| sees | detector | test items of the same source | " + " | ".join(stores) + " |")
    for sees in args.sees.split(","):
        look = Levels(net.encoder, sees)
        eye = Eye(net.view, look, prepared.store).learn(learn)
        fresh = Net(net.view, look, net.weight.numpy(), net.bias.numpy(), float(net.temperature))
        others = {name: Eye(net.view, look, store)(rows) for name, (store, rows) in stores.items()}
        for kind in catalog.names("ood") if args.detector == "every" else [args.detector]:
            facts, _ = calibrate(fresh, eye, y, learn, held, Handover(detector=kind, detector_sees=sees), classes)
            limits = Limits.of({"classes": prepared.table.classes, **facts})
            share = {k: limits.strange(fresh.judged(x)["strangeness"]).mean() for k, x in others.items()}
            known = limits.strange(fresh.judged(eye(prepared.test))["strangeness"]).mean()
            cells = " | ".join(f"{100 * v:.1f} %" for v in share.values())
            print(f"| {sees} | {kind} | {100 * known:.1f} % | {cells} |", flush=True)


def ensemble(args: argparse.Namespace) -> None:
    """The runs alone and together, over draws of labels."""
    subjects = [s for s in find(args.run.split(",")) if s.folder is not None]
    prepared, _ = data_for(args.data, subjects)
    y, test = prepared.table.labels, prepared.test
    view = view_of(subjects[0].recipe, prepared.store.shape, prepared.store.dtype)
    eyes = [Eye(view, Levels(s.encoder().eval(), "features"), prepared.store) for s in subjects]
    kept, rows = units(prepared, args.groups_from, eyes[0].features), []
    for seed in range(args.draws):
        some = nested_draws(
            y, prepared.labelled, [args.labels], 1, seed, unit_numbers(prepared.table, np.arange(len(y)))
        )
        drawn = some[0][args.labels]
        learn, held = part(prepared, drawn, 0.25, seed, kept.of(drawn))
        logits = []
        for eye in eyes:
            probe = Linear().fit(eye.features(learn), y[learn], groups=kept.of(learn), seed=seed,
                                 unlabelled=eye.features(prepared.learning))  # fmt: skip
            logits.append([log_softmax(probe.logits(eye.features(r)), 1) for r in (held, test)])
        together = [logsumexp([z[i] for z in logits], 0) - np.log(len(logits)) for i in (0, 1)]
        found = []
        for own, away in [*logits, together]:
            p = softmax(away / temperature(own, y[held]), 1)
            told = metrics.report(p, y[test], prepared.table.classes)
            top, hit = p.max(1), p.argmax(1) == y[test]
            found.append([told["accuracy"], told["nll"], told["brier"], calibration.error(top, hit),
                          selective.aurc(top, hit)])  # fmt: skip
        rows.append([np.mean(found[:-1], 0), found[-1]])
    alone, joint = np.array(rows).transpose(1, 0, 2)
    print("| | accuracy | log-loss | Brier | ECE | area under risk and coverage |")
    for word, r in ((f"one alone, mean of {len(eyes)}", alone), ("together", joint), ("difference", joint - alone)):
        cells = [f"{m:+.4f} ± {sd:.4f}" for m, sd in zip(r.mean(0), r.std(0, ddof=1), strict=True)]
        print(f"| {word} | " + " | ".join(cells) + " |")


def drifts(args: argparse.Namespace) -> None:
    """False alarms and power, 200 items against the reference."""
    prepared, bundle, net, eye = ready(args)
    limits = Limits.of(bundle.facts)
    names = ("features", "probabilities", "strangeness")
    kept = bundle.reference()
    reference = {k: kept[f"drift/{k}"] for k in names}
    test = net.judged(eye(prepared.test))
    random = np.random.default_rng(0)

    def alarm(old: dict[str, Any], new: dict[str, Any], seed: int) -> bool:
        return drift.compare(old, new, limits, permutations=199, seed=seed).alarm

    def some(found: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
        return {k: found[k][rows] for k in names}

    size = min(200, len(prepared.test) * 2 // 3)
    pool = {k: np.concatenate([reference[k], test[k]]) for k in names}
    order = [random.permutation(len(pool["features"])) for _ in range(args.draws)]
    cut = len(pool["features"]) - size
    exchangeable = np.mean([alarm(some(pool, o[:cut]), some(pool, o[cut:]), i) for i, o in enumerate(order)])
    fixed = np.mean([
        alarm(reference, some(test, random.choice(len(prepared.test), size)), i) for i in range(args.draws)
    ])  # fmt: skip
    print(f"false alarms at 5 %, {size} items, {args.draws} draws: {100 * exchangeable:.1f} % (exchangeable draws), "
          f"{100 * fixed:.1f} % (the bundle's own reference, batches of test items with repeats)")  # fmt: skip
    looks = net_looks(bundle)
    powers = {}
    for kind in looks.corruptions():
        raw = looks.at(0, 1).corrupt(prepared.store.batch(prepared.test), kind, SEVERITY).numpy()
        with torch.no_grad():
            out = [net(torch.from_numpy(raw[i : i + 32])) for i in range(0, len(raw), 32)]
        found = {
            k: torch.cat([o[n] for o in out]).numpy()
            for n, k in ((1, "features"), (0, "probabilities"), (2, "strangeness"))
        }
        draws = [random.choice(len(raw), size, replace=False) for _ in range(10)]
        powers[kind] = float(np.mean([alarm(reference, some(found, d), i) for i, d in enumerate(draws)]))
    print(f"power at severity {SEVERITY}: mean {np.mean(list(powers.values())):.2f}; "
          + ", ".join(f"{k} {v:.1f}" for k, v in powers.items()))  # fmt: skip


def net_looks(bundle: Bundle) -> Any:
    """The views of a bundle."""
    from unlabeled.training.recipe import Recipe

    return Recipe.from_json(bundle.facts["recipe"]).looks()


def server(args: argparse.Namespace) -> None:
    """Throughput in turns with onnxruntime alone on the same decoded items."""
    bundle = made(args)
    prepared, _ = data_for(args.data, find([args.run]))
    files = [prepared.table.folder / p for p in prepared.table.items["path"].iloc[prepared.test[:64]]]
    bodies = [multipart(Path(f).read_bytes()) for f in files]
    raw = prepared.store.batch(prepared.test[:64]).numpy()
    engine = Onnx(Path(str(bundle.onnx())), threads=args.threads)
    with served(bundle.folder, "--engine", "onnx", "--threads", str(args.threads)) as (port, process, start):
        asyncio.run(clients(port, bodies, 16, 3.0))
        alone, ours, spans = [], [], []
        own, theirs, computed, asked = 0.0, 0.0, 0, 0  # CPU seconds, which other work on the machine does not change
        for _ in range(args.rounds):
            began, n, spent = time.perf_counter(), 0, time.process_time()
            while time.perf_counter() - began < args.seconds:
                engine.run(raw[:16])
                n += 16
            alone.append(n / (time.perf_counter() - began))
            own, computed = own + time.process_time() - spent, computed + n
            before = sum(process.cpu_times()[:2])
            times, bad = asyncio.run(clients(port, bodies, 16, args.seconds))
            ours.append(len(times) / args.seconds)
            spans += times
            theirs, asked = theirs + sum(process.cpu_times()[:2]) - before, asked + len(times)
        memory = process.memory_info().rss / 2**20
    ratio = np.median([o / a for o, a in zip(ours, alone, strict=True)])
    print(f"start {start:.1f} s; onnxruntime alone {np.median(alone):.1f} items/s, server {np.median(ours):.1f}, "
          f"ratio {ratio:.2f}, p50 {1e3 * np.quantile(spans, 0.5):.0f} ms p99 {1e3 * np.quantile(spans, 0.99):.0f} ms, "
          f"not answered {bad}, memory {memory:.0f} MB; CPU ms an item: onnxruntime alone {1e3 * own / computed:.1f}, "
          f"server {1e3 * theirs / asked:.1f}, ratio {own / computed / (theirs / asked):.2f}")  # fmt: skip


def hostile(args: argparse.Namespace) -> None:
    """Malformed requests of every kind, slow senders beside them; then one good request."""
    bundle = made(args)
    prepared, _ = data_for(args.data, find([args.run]))
    good = (prepared.table.folder / prepared.table.items["path"].iloc[prepared.test[0]]).read_bytes()
    random = np.random.default_rng(0)
    limits = ("--timeout", "5", "--max-pixels", "4000000", "--max-bytes", "2000000")
    with served(bundle.folder, "--engine", "onnx", "--threads", "1", *limits) as (port, process, _):
        seen: Counter[int] = Counter()
        for _ in range(50):
            raw_request(port, multipart(good))
        before, worst, stop = process.memory_info().rss, 0, threading.Event()
        slow = [threading.Thread(target=slowly, args=(port, stop), daemon=True) for _ in range(20)]
        for t in slow:
            t.start()
        for number in range(args.requests):
            seen[raw_request(port, *evil(number, good, random))] += 1
            worst = max(worst, process.memory_info().rss) if number % 50 == 0 else worst
        stop.set()
        final = raw_request(port, multipart(good))
        after = process.memory_info().rss
        print(f"{args.requests} hostile requests, 20 slow senders: answers {dict(sorted(seen.items()))} (0: closed); "
              f"then a good one: {final}; memory {before / 2**20:.0f} MB before, {worst / 2**20:.0f} at most, "
              f"{after / 2**20:.0f} after")  # fmt: skip


def main() -> None:
    """Read the command line."""
    parts = {
        "roundtrip": roundtrip,
        "coverage": coverage,
        "strangers": strangers,
        "ensemble": ensemble,
        "drift": drifts,
        "server": server,
        "hostile": hostile,
    }
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("part", choices=parts)
    ask.add_argument("run")
    ask.add_argument("data")
    ask.add_argument("others", nargs="*")
    ask.add_argument("--out", default="work/handover")
    ask.add_argument("--tag", default="")
    ask.add_argument("--protocol", default="linear")
    ask.add_argument("--detector", default="mahalanobis", help="strangers takes every for all of the catalog")
    ask.add_argument("--sees", default="texture", help="strangers takes several: texture,levels,features")
    ask.add_argument("--groups-from", default="data")
    ask.add_argument("--labels", type=float, default=1.0)
    ask.add_argument("--draws", type=int, default=20)
    ask.add_argument("--mixed", action="store_true")
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=float, default=10.0)
    ask.add_argument("--requests", type=int, default=2000)
    args = ask.parse_args()
    torch.set_num_threads(1)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    print(f"<!-- {json.dumps(vars(args))} -->")
    parts[args.part](args)


if __name__ == "__main__":
    main()
