"""Small records of `worlds.py`: which items of a domain that was kept back each arm had right, by seed."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import metrics, stats
from unlabeled.data.prepare import prepare
from unlabeled.data.splits import unit_numbers
from unlabeled.errors import UserError
from unlabeled.progress import count
from unlabeled.shift.crossing import crossings
from unlabeled.shift.outcome import mean_of, share
from unlabeled.study.plan import safe

RECORDS = Path(__file__).resolve().parent / "worlds"
MEAN = "mean"


def keep(world: str, folder: Path, manifest: Path, size: int, encoder: str) -> None:
    """Write what stands in a folder of `transfer` to the records: a file for each domain kept back and seed."""
    prepared = prepare(manifest, size=size)
    labels, units = prepared.table.labels, unit_numbers(prepared.table, np.arange(len(prepared.table)))
    told = json.loads((folder / "transfer.json").read_text("utf-8"))
    for c in crossings(prepared, told["targets"]):
        cells = folder / "cells" / safe(c.target)
        for seed in sorted({int(p.stem.rpartition("-s")[2]) for p in cells.glob("*.npz")}):
            path = RECORDS / world / f"{safe(c.target)}-s{seed}.json"
            record = {"world": world, "target": c.target, "seed": seed, "steps": told["steps"], "size": size}
            record["encoder"] = encoder
            record |= {"items": len(c.test), "groups": None if units is None else units[c.test].tolist()}
            old = json.loads(path.read_text("utf-8")) if path.is_file() else record | {"arms": {}}
            if any(({"encoder": "resnet18"} | old)[name] != value for name, value in record.items()):
                raise UserError(f"{path} is of another encoder, budget, size or test items", "delete it first")
            arms: dict[str, Any] = {}
            for name in told["arms"]:
                cell = cells / f"{safe(name)}-s{seed}.npz"
                if cell.is_file():
                    arms[name] = _record(cell, labels[c.test], labels[c.source.test], prepared.table.classes)
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".part")
            text = json.dumps(record | {"arms": old["arms"] | arms})
            beside.write_text(text.replace('"arms"', '\n"arms"') + "\n", "utf-8")
            beside.replace(path)


def _record(cell: Path, away: np.ndarray, home: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Right answers in the target as packed bits, its AUROC, the share right in the source, and what was flagged."""
    with np.load(cell) as arrays:
        right = np.packbits(metrics.right(arrays["target"], away).astype(bool))
        out: dict[str, Any] = {"right": base64.b64encode(right.tobytes()).decode()}
        out["auroc"] = round(metrics.report(arrays["target"], away, classes)["auroc"], 5)
        out["source"] = round(float(metrics.right(arrays["source"], home).mean()), 5)
        out |= {k: round(float(arrays[k].mean()), 5) for k in ("flagged", "kept") if k in arrays}
    return out


def table(world: str, against: str) -> str:
    """Markdown: every arm in each domain and their mean over the seeds that stand, and its lead over the one named."""
    records = [json.loads(p.read_text("utf-8")) for p in sorted((RECORDS / world).glob("*.json"))]
    if not records:
        raise UserError(f"{RECORDS / world} holds no records", "run this world first")
    targets = sorted({r["target"] for r in records})
    units = {r["target"]: r["groups"] for r in records}
    sizes = [next(r["items"] for r in records if r["target"] == t) for t in targets]
    hits: dict[str, dict[str, list[stats.Cell]]] = {}
    source: dict[str, list[float]] = {}
    ranks: dict[str, dict[int, list[float]]] = {}
    for r in records:
        for name, found in r["arms"].items():
            bits = np.unpackbits(np.frombuffer(base64.b64decode(found["right"]), np.uint8))[: r["items"]]
            hits.setdefault(name, {}).setdefault(r["target"], []).append((r["seed"], 0, bits.astype(bool)))
            source.setdefault(name, []).append(found["source"])
            ranks.setdefault(name, {}).setdefault(r["seed"], []).append(found["auroc"])
    whole = {name: _whole(cells, targets) for name, cells in hits.items()}
    whole = {name: cells for name, cells in whole.items() if cells}
    every = None if None in units.values() else np.concatenate([np.asarray(units[t]) for t in targets])
    mean = mean_of([share] * len(targets), sizes)
    rows = []
    for name, cells in whole.items():
        found = stats.summarise(cells, groups=every, metric=mean)
        seeds = {seed for seed, _, _ in cells}
        shown = {t: float(np.mean([v.mean() for s, _, v in hits[name][t] if s in seeds])) for t in targets}
        row = {"arm": name, "seeds": str(len(cells))} | {t: f"{100 * v:.1f}" for t, v in shown.items()}
        row |= {"mean (95 %)": f"{100 * found.mean:.1f} ({100 * found.low:.1f}-{100 * found.high:.1f})"}
        row |= {"worst": f"{100 * min(shown.values()):.1f}", "own domains": f"{100 * np.mean(source[name]):.1f}"}
        row |= {"AUROC": f"{100 * np.mean([np.mean(ranks[name][s]) for s in seeds]):.1f}"}
        over = ""
        if name != against and against in whole:
            d = stats.paired_difference(cells, whole[against], groups=every, metric=mean)
            over = f"{100 * d.difference:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f}), {count(d.seeds, 'seed')}"
        rows.append((found.mean, row | {f"over {against}": over}))
    ordered = [row for _, row in sorted(rows, key=lambda r: -r[0])]
    heads = list(ordered[0])
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(r.values())} |" for r in ordered)])


def _whole(cells: dict[str, list[stats.Cell]], targets: list[str]) -> list[stats.Cell]:
    """The items of all targets one after the other, a cell for each seed that has them all."""
    if set(cells) != set(targets):
        return []
    by = [{seed: hit for seed, _, hit in cells[t]} for t in targets]
    return [(s, 0, np.concatenate([one[s] for one in by])) for s in sorted(set.intersection(*map(set, by)))]
