"""A study from start to end: pretrain every arm and seed, fit every cell, then open the test labels once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import config, progress
from unlabeled.alone import alone
from unlabeled.data import doctor
from unlabeled.data.prepare import Prepared
from unlabeled.data.splits import nested_draws
from unlabeled.errors import UserError
from unlabeled.settings import Budget
from unlabeled.study import causal, gallery, pace, record, turns
from unlabeled.study.answer import Answer, answer
from unlabeled.study.claim import claim, told
from unlabeled.study.fits import Bench, empty_cost, fit_all, peak_memory
from unlabeled.study.plan import Arm, budgets, cells, check_arms, needs, safe
from unlabeled.training import checkpoint
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items, items_a_step
from unlabeled.training.run import CHECKPOINT, Run, create, fingerprint, learn, read_json

TIMED = 256  # labelled items that a step of fine-tuning is timed on


@dataclass(frozen=True)
class Study:
    """Everything that a study does, fixed before it starts.

    Args:
        folder: where it writes.
        data: the path as the user gave it.
        prepared: the items.
        arms: methods and baselines.
        shares: label budgets, shares of the training labels or counts above 1.
        seeds: pretraining seeds.
        draws: number of label draws.
        budget: for each pretraining (epochs, steps) or for the whole study (minutes).
        device: from `open_device`.
        command: that repeats the study.
        settings: of that command, by name; kept once it is clear that the folder may be gone on with.
        notes: what is to be told beside the findings, a sentence each.
    """

    folder: Path
    data: str
    prepared: Prepared
    arms: Sequence[Arm]
    shares: Sequence[float]
    seeds: Sequence[int]
    draws: int
    budget: Budget
    device: Device
    command: str
    settings: Mapping[str, Any]
    notes: Sequence[str] = ()


def conduct(study: Study) -> Answer:
    """Run what is not there yet and write all results; stopped at any moment, the next call goes on.

    Raises:
        UserError: when there are too few labels for a comparison, or another process is at it.
    """
    began = time.monotonic()
    prepared = study.prepared
    check_labels(study.data, prepared)
    draws = turns.draws(prepared, study.shares, study.draws)
    check_arms(study.arms)
    warnings = [a.recipe.kind().judge(a.recipe.facts) for a in study.arms if a.kind == "method"]
    with alone(study.folder, study.device.lead):
        claim(study.folder, prepared, told(study.arms))
        arms, fits = _paced(study, draws[0], len(draws))
        findings = [*_data_card(study, draws[0]), *turns.told(prepared), *study.notes]
        findings += [w[:1].upper() + w[1:] + "." for w in warnings if w]
        config.dump(study.settings, study.folder / "config.yaml")
        bench = Bench(study.folder, prepared, study.device, fits, {})
        todo = cells(arms, draws[0], study.seeds)
        costs = _pretrain(study, bench, arms) + fit_all(bench, arms, todo, draws)
    record.write_json(study.folder / "costs.json", costs)
    progress.say(f"all {len(todo)} cells stand; opening the test labels")
    results = record.tables(study.folder, prepared, arms, todo)
    _pictures(study, bench, arms)
    findings += [f"{name} diverged, and its answers count as wrong." for name in results.diverged]
    facts = {
        "test": len(prepared.test),
        "seeds": len(study.seeds),
        "draws": study.draws,
        "steps": _budget_words(study, arms),
        "cleared": prepared.cleared,
        "turns": prepared.turns is not None,
        "findings": findings,
        "majority": majority(prepared),
    }
    found = answer(results, arms, facts)
    whole = found.to_json() | {
        "command": study.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": time.monotonic() - began,
    }
    record.write_json(study.folder / "answer.json", whole)
    return found


def majority(prepared: Prepared) -> tuple[str, float]:
    """The class of most training labels, and its share."""
    labels = prepared.table.labels[prepared.labelled]
    counts = np.bincount(labels, minlength=len(prepared.table.classes))
    return prepared.table.classes[int(counts.argmax())], float(counts.max() / counts.sum())


def _budget_words(study: Study, arms: Sequence[Arm]) -> str:
    """The budget of each method in words: `30 minutes for the study, which made simclr 812 and mae 640 steps of 64`."""
    methods = [a for a in arms if a.kind == "method"]
    counts = " and ".join(f"{a.name} {a.recipe.steps}" for a in methods)
    batch = methods[0].recipe.training.batch_size if methods else 0
    if study.budget.minutes is not None:
        return (
            f"{study.budget.minutes:g} minutes, shared alike with supervised training, made {counts} steps of {batch}"
        )
    return f"{counts} steps of {batch}"


def check_labels(data: str, prepared: Prepared) -> None:
    """Refuse data on which no classifier can be fitted and tested.

    Raises:
        UserError: with fewer than two classes, no test items, or a class without a training label.
    """
    classes = prepared.table.classes
    if len(classes) < 2:
        what = f'only the class "{classes[0]}"' if classes else "no labels"
        raise UserError(
            f"{data} holds {what}", "label items of two classes or more, or use pretrain and embed, which need none"
        )
    if len(prepared.test) == 0:
        raise UserError(f"{data} holds no labelled test items", "label more items, or add a test folder")
    seen = set(prepared.table.labels[prepared.labelled].tolist())
    missing = [c for i, c in enumerate(classes) if i not in seen]
    if missing:
        raise UserError(
            f"{data} holds no training label for the class {missing[0]}",
            "label at least one training item of each class",
        )


def _data_card(study: Study, draws: Sequence[Mapping[float, np.ndarray]]) -> list[str]:
    """Write `data.json` and return what limits the answer: what makes it wrong, which is also told before anything is
    learnt, and the first warnings.
    """
    table, labels = turns.as_given(study.prepared), study.prepared.table.labels
    report = doctor.examine(table, store=study.prepared.store)
    counts = {
        split: {c: int((table.items["split"].eq(split) & table.items["label"].eq(c)).sum()) for c in table.classes}
        for split in table.items["split"].unique()
    }
    card = {
        "root": study.data,
        "form": table.form,
        "modality": table.modality,
        "classes": table.classes,
        "counts": counts,
        "unlabeled": int(table.items["label"].isna().sum()),
        "size": [study.prepared.size] * (len(study.prepared.store.shape) - 1),
        "variables": list(getattr(study.prepared.prep, "variables", ())),
        "step": getattr(study.prepared.prep, "step", None),
        "rate": getattr(study.prepared.prep, "rate", None),
        "channels": study.prepared.prep.channels,
        "findings": [asdict(f) for f in report.findings],
        "broken": [asdict(b) for b in table.broken],
        "draws": [
            {"share": float(share), "labels": len(rows), "draw": number,
             "per_class": {c: int((labels[rows] == i).sum()) for i, c in enumerate(table.classes)}}
            for number, draw in enumerate(draws) for share in budgets(draw) for rows in [draw[share]]
        ],
    }  # fmt: skip
    record.write_json(study.folder / "data.json", card)
    wrong, doubtful = ([f.text for f in report.findings if f.severity == s] for s in ("error", "warning"))
    for text in wrong:
        progress.say(f"mind: {text}")
    return [*wrong, *doubtful[:4]]


def _paced(study: Study, draws: Sequence[Mapping[float, np.ndarray]], times: int) -> tuple[list[Arm], dict[str, Any]]:
    """Give the arms their steps: from the budget the first time, from `pace.json` when the study goes on."""
    path = study.folder / "pace.json"
    known = read_json(path) if path.is_file() else {}
    budget = asdict(study.budget)
    if known.get("budget", budget) != budget:
        given = ", ".join(f"{k} {v}" for k, v in known["budget"].items() if v is not None) or "no budget given"
        raise UserError(
            f"{study.folder} holds a study that differs in its budget ({given})",
            "take another --out, or delete the folder to start afresh",
        )
    if known and study.budget.minutes is not None and (late := _late(study.arms, known)):
        raise UserError(
            f"{study.folder} holds a study whose {study.budget.minutes:g} minutes were shared without {late}",
            "take another --out, or give --steps, as many for each",
        )
    each_arm = len(study.seeds) * times
    if study.budget.minutes is not None and (before := known.get("trainings", each_arm)) < each_arm:
        told = f"{study.budget.minutes:g} minutes were shared by {progress.count(before, 'training')} of each arm"
        progress.say(f"mind: {told}; {each_arm} take about {each_arm / before:.1f} times as long")
    items, device = Items(study.prepared.store, study.prepared.learning), study.device
    methods = [a for a in study.arms if a.kind == "method"]
    minutes = study.budget.minutes
    each = study.budget if minutes is None else pace.pretraining(minutes, study.arms, len(study.seeds), times)
    made: dict[str, Any] = {a.name: known.get(a.name) or pace.steps(each, a.recipe, items, device) for a in methods}
    fits = dict(known.get("fits", {}))
    if minutes is not None and "fits" not in known:
        rows = study.prepared.labelled
        many = float(min(TIMED, len(rows)))  # of every class
        some = nested_draws(study.prepared.table.labels, rows, [many], 1, 0)[0][many] if many > 1 else rows
        y = study.prepared.table.labels[some]
        todo = cells(study.arms, draws, study.seeds)
        fits = pace.fits(minutes, study.arms, todo, Items(study.prepared.store, some), y, device, times)
    record.write_json(
        path, known | made | {"fits": fits, "budget": budget, "trainings": known.get("trainings", each_arm)}
    )
    arms = [replace(a, recipe=a.recipe.with_steps(made[a.name])) if a.kind == "method" else a for a in study.arms]
    return arms, fits


def _late(arms: Sequence[Arm], known: Mapping[str, Any]) -> str:
    """The first of what trains a net and had no share when a study's minutes were shared, else ""."""
    for arm in arms:
        if arm.kind == "method" and arm.name not in known:
            return arm.name
        if arm.name not in known.get("fits", {}) and any(needs(p) == "encoder" for p in arm.protocols):
            return f"the fine-tuning of {arm.name}" if arm.kind == "method" else arm.name
    return ""


def _pretrain(study: Study, bench: Bench, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    costs = []
    paths = study.prepared.table.items["path"].astype(str).tolist()
    rows = study.prepared.learning
    facts = {"data": study.data, "items": fingerprint(paths, rows), "split": study.seeds[0]}
    for arm in (a for a in arms if a.kind == "method"):
        for seed in study.seeds:
            run = create(bench.run(arm, seed), arm.for_seed(seed), facts)
            learn(run, Items(study.prepared.store, rows), study.device, title=f"pretrain {arm.name} · seed {seed}")
            last = checkpoint.header(run.folder / CHECKPOINT)
            seen = last["step"] * items_a_step(arm.recipe.training.batch_size, len(rows), study.device.world)
            cost = empty_cost(study.device, arm.name, arm, seed, "pretrain") | {
                "steps": last["step"],
                "items_seen": seen,
            }
            cost |= {"minutes": last["seconds"] / 60, "peak_memory_mb": peak_memory()}
            costs.append(cost | {"items_per_second": seen / max(last["seconds"], 1e-9)})
    return costs


def _pictures(study: Study, bench: Bench, arms: Sequence[Arm]) -> None:
    gallery.test_items(study.folder, study.prepared, arms[0].recipe.looks())
    gallery.sounds(study.folder, study.prepared, arms[0].recipe.looks())
    gallery.views(study.folder, study.prepared, arms[0].recipe.looks())
    seed = study.seeds[0]
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    randoms = {str(a.recipe.encoder): a for a in arms if a.kind == "random"}
    for arm in (a for a in arms if a.kind == "method"):
        gallery.reconstructions(study.folder, safe(arm.name), Run.open(bench.run(arm, seed)), study.prepared)
        gallery.generated(study.folder, safe(arm.name), Run.open(bench.run(arm, seed)))
        causal.write(study.folder, safe(arm.name), Run.open(bench.run(arm, seed)), study.prepared, study.device)
        before = randoms.get(str(arm.recipe.encoder)) or replace(arm, name=f"start of {arm.name}", kind="random")
        pairs[arm.name] = (bench.features(before, seed)[1], bench.features(arm, seed)[1])
    gallery.maps(study.folder, pairs, seed)
