"""What is learnt in some domains worth in another? Methods, adaptation, baselines, each domain kept back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import catalog, config, progress
from unlabeled.alone import alone
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.data.scan import scan
from unlabeled.errors import UserError
from unlabeled.report.transfer.gaps import RANKS
from unlabeled.report.transfer.page import write
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.shift.crossing import ADAPTS, ALIKE, Crossing, Place, check, crossings, fit, read_by
from unlabeled.shift.outcome import MEAN, TARGET, Outcome, gather
from unlabeled.shift.strangers import TEXTURE
from unlabeled.study.answer import UNEVEN
from unlabeled.study.claim import identity
from unlabeled.study.conduct import check_labels, majority
from unlabeled.study.pace import steps
from unlabeled.study.plan import PLAIN, Arm, arms, check_arms, folder_name, needs
from unlabeled.study.record import write_csv, write_json
from unlabeled.training.devices import Device, open_device
from unlabeled.training.loop import Items
from unlabeled.training.run import read_json


@dataclass(frozen=True, eq=False)
class Transferred:
    """What was found.

    Args:
        folder: where everything lies.
        sentence: the answer.
        details: further findings, a sentence each.
        limits: what the figures do not show, a sentence each.
        overall: one row an arm: mean of the targets with interval, worst target, source, strangers detected.
        summary: one row a target, arm and place.
        differences: paired differences of the arms.
        report: the page to open.
    """

    folder: Path
    sentence: str
    details: tuple[str, ...]
    limits: tuple[str, ...]
    overall: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    report: Path

    def lines(self) -> list[str]:
        """The answer, a table, and where the page is."""
        out = [self.sentence, *self.details, ""]
        wide = self.summary[self.summary["where"] == "target"].pivot_table(
            index="arm", columns="target", values="accuracy", sort=False
        )
        wide["AUROC, mean"] = self.overall.set_index("arm")["auroc"]
        out.append(f"{'accuracy in the domain kept back':<34}" + "".join(f"{str(t)[:19]:>21}" for t in wide.columns))
        out += [
            f"{a:<34}" + "".join(f"{v:>21.3f}" if v == v else f"{'–':>21}" for v in r)
            for a, r in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        return [*out, "", *(f"mind: {x}" for x in self.limits), "", f"open {self.report}"]


def transfer(
    data: str,
    *,
    methods: Sequence[str | dict[str, Any]] = ("simclr", "moco", "byol"),
    adapt: Sequence[str | dict[str, Any]] = ("dann", "coral"),
    without_target: Sequence[str | dict[str, Any]] = (),
    targets: Sequence[str] = ("all",),
    seeds: int = 3,
    by: str = "domain",
    detector: str = "mahalanobis",
    setup: Setup = Setup(),
    budget: Budget = Budget(),
    training: Training = Training(),
    augmentation: Augmentation = Augmentation(),
) -> Transferred:
    """Learn in all domains but one, and look at the one that was kept back, for each in turn.

    Methods are pretrained on the other domains' training items alone and probed with their labels; random weights and
    the supervised net stand beside them; arms that adapt also see the target's training pictures, never its labels.
    All arms make the same number of optimizer steps. Stopped at any moment, the same command goes on.

    Args:
        data: items with labels and domains: a manifest with a column "domain", or an array file with "domains".
        methods: names from "unlabeled methods", with settings as simclr(temperature=0.5).
        adapt: ways to adapt, dann and coral, with settings as dann(weight=0.5).
        without_target: ways to prepare for a domain without a picture of it: dann and coral make the others alike,
            styled probes every frozen encoder on its items in other styles too.
        targets: domains to keep back, one at a time; all takes every one with labelled test items.
        seeds: how many times each arm is trained.
        by: what a domain is: the column domain, or group.
        detector: that is to notice items of the target: knn, mahalanobis, vim, energy or msp on the features, or
            texture, which a bundle has, on the first maps and the spectrum.
        setup: encoder, size, seed, where to write.
        budget: of each training, alike for all arms; minutes are those of the whole.
        training: how the loop runs.
        augmentation: random views.

    Raises:
        UserError: when the data name fewer than two domains, or the settings do not fit.

    Example:
        unlabeled transfer scans.csv --methods simclr,byol --adapt dann,coral --seeds 3 --steps 3000
    """
    if seeds < 1:
        raise UserError(f"{seeds} seeds were asked for", "give one or more")
    if by not in ("domain", "group"):
        raise UserError(f'a domain cannot be told by "{by}"', "take domain or group")
    if setup.unlabeled:
        raise UserError(f"the items in {setup.unlabeled} are of no known domain", "leave --unlabeled out")
    if setup.start:
        raise UserError(f"{setup.start} may have learnt from a domain that is kept back", "leave --start out")
    if detector != TEXTURE:
        catalog.locate("ood", detector)
    device = open_device(training)
    prepared = _read(data, by, setup)
    check_labels(data, prepared)
    todo = crossings(prepared, targets)
    folder = Path(setup.out) if setup.out else folder_name(data, "transfer")
    place = Place(folder, device, detector, data)
    numbers = [setup.seed + i for i in range(seeds)]
    how = setup, training, augmentation
    names = _arms(todo[0], methods, (adapt, without_target), how, 1)
    count = _steps(folder, budget, todo[0], names, device, len(todo) * seeds * len(names))
    plan = {c.target: _arms(c, methods, (adapt, without_target), how, count) for c in todo}
    check(todo, plan[todo[0].target], numbers, detector)
    check_arms(plan[todo[0].target])
    settings = {"data": data, "methods": list(methods), "adapt": list(adapt), "targets": list(targets), "seeds": seeds}
    settings |= {
        "without_target": list(without_target),
        "by": by,
        "detector": detector,
        "setup": replace(setup, out=str(folder)),
        "budget": budget,
    }
    with alone(folder, device.lead), progress.bar("cells", len(todo) * len(names) * seeds) as bar:
        _claim(folder, todo, plan, data, (by, detector))
        config.dump(settings | {"training": training, "augmentation": augmentation}, folder / "config.yaml")
        for c in todo:
            for arm in plan[c.target]:
                for seed in numbers:
                    fit(place, c, arm, seed)
                    bar.advance(1, f"{c.target} · {arm.name} s{seed}")
    most = majority(prepared)
    found = gather(place, todo, plan[todo[0].target], numbers, uneven=most[1] >= UNEVEN)
    tables = {"table": found.table, "summary": found.summary, "overall": found.overall}
    tables |= {"differences": found.differences} | ({} if found.ranks is None else {RANKS: found.ranks})
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)
    if found.ranks is None:  # of an earlier call on other labels
        (folder / f"{RANKS}.csv").unlink(missing_ok=True)
    sentence, details = _story(found, detector, most)
    limits = _limits(plan[todo[0].target], todo, count, training, seeds) + _lone(found.summary)
    limits += [f"{name} diverged, and its answers count as wrong." for name in found.diverged]
    answer: dict[str, Any] = {"sentence": sentence, "details": details, "limits": limits, "data": data, "steps": count}
    answer |= {"arms": {a.name: a.kind for a in plan[todo[0].target]}, "targets": [c.target for c in todo]}
    write_json(folder / "transfer.json", answer | {"detector": detector, "by": by})
    page = write(folder)
    told = tuple(details), tuple(limits)
    return Transferred(folder, sentence, *told, found.overall, found.summary, found.differences, page)


def _read(data: str, by: str, setup: Setup) -> Prepared:
    """The data with domains in the column `domain`; by group, a drawn test split has items of every group."""
    table = scan(data)
    if by == "group":
        nobody = pd.Series(pd.NA, index=table.items.index, dtype="str")
        table = replace(table, items=table.items.assign(domain=table.items["group"], group=nobody))
    return prepare(
        table, size=setup.size, seed=setup.seed, step=setup.step, stride=setup.stride, tokenizer=setup.tokenizer
    )


def _arms(
    crossing: Crossing,
    methods: Sequence[str | dict[str, Any]],
    adapt: tuple[Sequence[str | dict[str, Any]], Sequence[str | dict[str, Any]]],
    how: tuple[Setup, Training, Augmentation],
    count: int,
) -> list[Arm]:
    """Methods, random weights, supervised and adapting arms, all of as many steps."""
    setup, training, augmentation = how
    if not methods:
        raise UserError("no method was named", "give --methods simclr")
    pace = {"steps": count, "batch_size": training.batch_size, "trials": 1}
    supervised = catalog.Spec("finetune", pace)
    uses: list[str | dict[str, Any]] = ["linear", {"name": "finetune", **pace}]
    found = arms(crossing.source, methods, setup.encoder, uses, augmentation, training, setup.seed)
    out: list[Arm] = []
    for arm in found:
        if arm.kind == PLAIN:
            continue
        uses_of = (supervised,) if arm.kind == "supervised" else arm.protocols[:1]
        recipe = arm.recipe.with_steps(count) if arm.kind == "method" else arm.recipe
        out.append(replace(arm, recipe=recipe, protocols=uses_of))
    base = next(a.recipe for a in out if a.kind == "supervised")
    for kind, texts, tail in ((ADAPTS, adapt[0], ""), (ALIKE, adapt[1], " without target")):
        for text in texts:
            if kind == ALIKE and _is_probe(text):
                probe = catalog.parse("protocols", text)
                out += [read_by(a, probe) for a in tuple(out) if a.protocols[0].name == "linear"]
                continue
            spec = catalog.parse("adaptation", text)
            whole = catalog.Spec(spec.name, {**pace, **spec.settings})
            out.append(Arm(f"{spec}{tail}", kind, base, (whole,)))
    return out


def _is_probe(text: str | dict[str, Any]) -> bool:
    """Whether this names a protocol that reads a frozen encoder through views of its own: `styled`."""
    name = str(text["name"]) if isinstance(text, dict) else catalog.read_spec(text).name
    return name in catalog.names("protocols") and needs(catalog.parse("protocols", text)) == "views"


def _steps(folder: Path, budget: Budget, crossing: Crossing, plan: Sequence[Arm], device: Device, runs: int) -> int:
    """Optimizer steps of every training; found once, so that a call that goes on makes as many."""
    path = folder / "pace.json"
    if path.is_file():
        known = read_json(path)
        if known.get("budget") != asdict(budget) or not isinstance(known.get("steps"), int):
            what = f"{folder} holds results of another budget, or of another verb"
            raise UserError(what, "take another --out, or delete the folder")
        return int(known["steps"])
    items = Items(crossing.source.store, crossing.source.learning)
    each = budget if budget.minutes is None else Budget(minutes=budget.minutes / runs)
    count = min(steps(each, a.recipe, items, device) for a in plan if a.kind == "method")
    write_json(path, {"steps": count, "budget": asdict(budget)})
    return count


def _claim(folder: Path, todo: Sequence[Crossing], plan: dict[str, list[Arm]], data: str, how: tuple[str, str]) -> None:
    """Refuse a folder that holds cells of other settings; `cells.json` says what each arm is."""
    path = folder / "cells.json"
    mine: dict[str, Any] = {"data": data, "by": how[0], "detector": how[1]}
    mine |= {f"{c.target} test": len(c.test) for c in todo}
    mine |= {f"{name} beside {c.target}": code for c in todo for name, code in identity(c.source).items()}
    for c in todo:
        for a in plan[c.target]:
            numbers = {k: v for k, v in a.recipe.numbers().items() if k != "seed"}
            mine[f"{c.target} {a.name}"] = json.loads(
                json.dumps([numbers, [str(p) for p in a.protocols]], default=list)
            )
    names = {name for a in plan[todo[0].target] for name in (a.recipe.method.name, a.recipe.encoder.name)}
    mine |= {f"the text of {name}": code for name in sorted(names) if (code := catalog.wording(name))}
    old = read_json(path) if path.is_file() else {}
    if "runs" in old:
        raise UserError(f"{folder} holds results of another verb", "take another --out")
    if differs := [k for k in mine if k in old and old[k] != mine[k]]:
        raise UserError(
            f"{folder} holds results that differ in {', '.join(differs)}",
            "take another --out, or delete the folder to start afresh",
        )
    write_json(path, old | mine)


def _story(found: Outcome, detector: str, most: tuple[str, float]) -> tuple[str, list[str]]:
    """The answer in a sentence, and further findings; `most` is the class of most training labels, and its share."""
    if found.ranks is not None and found.overall["auroc"].notna().all():
        return _by_auroc(found.overall, found.ranks, most)
    overall = found.overall.sort_values("mean", ascending=False)
    blind = overall[overall["kind"] != ADAPTS]
    baselines = blind[blind["kind"] != "method"]
    first, base = blind[blind["kind"] == "method"].iloc[0].to_dict(), str(baselines.iloc[0]["arm"])
    text = (
        f"In a domain that it has never seen {first['arm']} is right on {_percent(first)} of the test items, mean of "
        f"the targets ({100 * first['source']:.0f} % in its own domains), {_gap(found, str(first['arm']), base)}; "
        f"worst in {first['worst_target']} ({100 * first['worst']:.0f} %)."
    )
    details = []
    for row in overall.to_dict("records"):
        line = f"{row['arm']}: {_percent(row)}, worst {row['worst_target']} {100 * row['worst']:.0f} %"
        if row["kind"] == ADAPTS:
            line += ", having seen the target's training items without labels"
        if row["arm"] != base:
            line += f"; {_gap(found, str(row['arm']), base)}"
        if row["detected"] == row["detected"]:
            line += (
                f"; {detector} flags {100 * row['detected']:.0f} % of the target and keeps {100 * row['kept']:.0f} %"
            )
            line += " of the source's test items"
        details.append(line + ".")
    return text, details


def _by_auroc(overall: pd.DataFrame, gaps: pd.DataFrame, most: tuple[str, float]) -> tuple[str, list[str]]:
    """The same where one class holds most labels, and accuracy says little."""
    overall = overall.sort_values("auroc", ascending=False)
    blind = overall[overall["kind"] != ADAPTS]

    def ranks(row: Mapping[Any, Any]) -> str:
        spread = f" ± {row['auroc_sd']:.3f} over seeds" if row["auroc_sd"] == row["auroc_sd"] else ""
        return f"{row['auroc']:.3f}{spread}"

    first, base = (blind[(blind["kind"] == "method") == method].iloc[0].to_dict() for method in (True, False))
    text = (
        f"In a domain that it has never seen {first['arm']} ranks the test items with an AUROC of {ranks(first)}, mean "
        f"of the targets, where {base['arm']} has {ranks(base)}"
    )
    text += f": {_rank_gap(gaps, first['arm'], base['arm'])}."
    name, share = most
    details = [
        f'{100 * share:.0f} % of the training labels are "{name}", and always saying so is that often right: accuracy '
        "says little here."
    ]
    for row in overall.to_dict("records"):
        line = f"{row['arm']}: AUROC {ranks(row)}, AUPRC {row['auprc']:.3f}, right on {_percent(row)}"
        line += ", having seen the target's training items without labels" if row["kind"] == ADAPTS else ""
        if row["arm"] != base["arm"]:
            line += f"; {_rank_gap(gaps, row['arm'], base['arm'], ' against ' + base['arm'])}"
        details.append(f"{line}.")
    return text, details


def _percent(row: dict[Any, Any]) -> str:
    return f"{100 * row['mean']:.0f} % ({progress.ends(row['low'], row['high'], '.0f')})"


def _mean_gap(table: pd.DataFrame, a: str, b: str) -> dict[Any, Any]:
    """The difference of two arms over all targets."""
    return table[(table["arm_a"] == a) & (table["arm_b"] == b) & (table["target"] == MEAN)].iloc[0].to_dict()


def _rank_gap(gaps: pd.DataFrame, a: str, b: str, against: str = "") -> str:
    row = _mean_gap(gaps, a, b)
    if row["low"] != row["low"]:
        return f"{row['difference']:+.3f}{against} (no interval)"
    beyond = ", which is not beyond chance" if row["low"] <= 0 <= row["high"] else ""
    return f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}){against}{beyond}"


def _gap(found: Outcome, a: str, b: str) -> str:
    row = _mean_gap(found.differences, a, b)
    points = f"{100 * row['difference']:+.1f} points ({progress.ends(row['low'], row['high'], '+.1f')})"
    return f"{points} against {b}" + (", which is not beyond chance" if row["low"] <= 0 <= row["high"] else "")


def _lone(summary: pd.DataFrame) -> list[str]:
    """Targets whose test items are of one group, a sentence each."""
    mine = summary[(summary["where"] == TARGET) & (summary["target"] != MEAN) & summary["low"].isna()]
    return [
        f"All test items of {name} are of one group, which tells nothing of another one: there is no interval."
        for name in mine["target"].unique()
    ]


def _limits(plan: Sequence[Arm], todo: Sequence[Crossing], count: int, training: Training, seeds: int) -> list[str]:
    several = "too few for a claim about another training" if seeds < 3 else "and as many trainings of each arm"
    out = [
        f"Every training made {count} steps of {training.batch_size} items from random weights; arms that adapt see as "
        "many pictures of the target beside them in each step.",
        "Pretraining, probe, supervised net and the views' mean and spread saw no picture of the target; test items of "
        "no domain were learnt from by any arm.",
        "Items of the target are flagged by the threshold that keeps 95 % of held-out training items of the source; "
        "arms whose encoder learnt from labels have none, as they have learnt from those items.",
        f"{progress.count(len(todo), 'target')} and {progress.count(seeds, 'seed')} stand behind the means: {several}.",
        "The best baseline was named on the same test items, which narrows the gap to it a little, and the best arm "
        "as well, which flatters it a little.",
    ]  # fmt: skip
    for arm in plan:
        own = arm.protocols[0].settings
        if own.get("steps", count) != count or own.get("epochs"):
            out.append(f"{arm.name} was given a budget of its own.")
    if todo[0].source.table.modality == "text":
        out.append("The vocabulary is that of the training texts of all domains, the target's among them.")
    for c in todo:
        if c.lacking:
            out.append(f"Only {c.target} shows {', '.join(c.lacking)}: such items count as wrong for every arm there.")
        if len(c.test) < 30:
            out.append(f"{c.target} has {len(c.test)} test items, too few for a narrow interval.")
    alone = [c.target for c in todo if len(np.unique(c.source.table.labels[np.asarray(c.test)])) < 2]
    if alone:
        others = ", and their means are of the other targets" if len(alone) < len(todo) else ""
        out.append(f"All test items of {', '.join(alone)} are of one class: no AUROC and no AUPRC are known{others}.")
    return out
