"""Which items are faulty, and where, when only good ones are there to learn from."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import catalog, progress
from unlabeled.alone import alone
from unlabeled.anomaly import Crossed, Detector, _figures, _inspect, _kept, _masks, _shots, _threshold
from unlabeled.anomaly._course import Recordings
from unlabeled.anomaly._kept import Judge
from unlabeled.anomaly._strips import stem
from unlabeled.anomaly._words import told
from unlabeled.data.prepare import LEARN
from unlabeled.data.scan import scan
from unlabeled.data.series import SeriesPrep, place
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Prep
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.progress import count
from unlabeled.report import page
from unlabeled.report.anomalies import ORDER, Inspected
from unlabeled.settings import Budget, Setup, Training
from unlabeled.study.plan import folder_name
from unlabeled.training.devices import Device, open_device
from unlabeled.training.recipe import Recipe
from unlabeled.verbs import _good

_ONCE = ("encoder", "size", "step", "tokenizer", "start", "seed", "unlabeled")  # settings that matter while learning
USUAL: Mapping[str, str] = {"image": "planted", "series": "stretches"}  # the detector where none is asked for


@dataclass(frozen=True, eq=False)
class Detected:
    """What was found.

    Args:
        folder: where `scores.csv`, `figures.json`, `maps/` and the page lie.
        table: one row a test item: path, score, p_value, flagged, label, map.
        figures: all figures of merit, as in `figures.json`.
        report: the page.
    """

    folder: Path
    table: pd.DataFrame
    figures: Mapping[str, Any]
    report: Path

    def lines(self) -> list[str]:
        """The answer first, then what else a person wants to know."""
        found = self.figures
        return [
            found["sentence"],
            *found["details"],
            *(f"mind: {text}" for text in found["limits"]),
            f"scores and figures: {self.folder}",
            f"open {self.report}",
        ]


def detect(
    good: str,
    *,
    on: str,
    run: str | None = None,
    detector: str | dict[str, Any] | None = None,
    method: str | dict[str, Any] | None = None,
    false_alarms: float | None = None,
    masks: str | None = None,
    shots: Sequence[int] = (),
    setup: Setup = Setup(),
    budget: Budget = Budget(),
    training: Training = Training(),
) -> Detected:
    """Learn what good items look like, and say which others are faulty, and where.

    Every good item that sets the threshold is judged by what has not learnt from it: the detectors planted (pictures)
    and stretches (recordings) learn in three parts, each without a third of the good items; for the others three tenths
    are kept apart. Recordings are looked at in windows, and what stands out is told by when it begins and ends. Labels
    of the test items are only read to measure.

    Args:
        good: folder, manifest or file of good items; a group never stands on both sides. Or the results of an earlier
            detect, whose detector then looks at other items without learning again.
        on: what to look at: a flat folder, or class folders of which one is called good, ok or normal; of recordings
            also files whose steps bear such labels, or 0 and 1.
        run: folder of a run whose encoder to look through; one is pretrained on the good items when not given.
        detector: planted, density, patches or reconstruction for pictures, stretches, patches or reconstruction for
            recordings, with settings as planted(pictures=1000); planted or stretches when not given.
        method: what to pretrain with; simclr when not given, autoencoder for the detector reconstruction.
        false_alarms: share of good items that may be flagged; 0.05 when not given, or what was asked for when a
            detector learnt that looks again.
        masks: folder of masks, <kind>/<name>_mask.png; `ground_truth` beside the test folder is found by itself.
        shots: numbers of labelled faults to try out, such as 0,1,5,10: what would they add?
        setup: encoder, size of the training views (detectors see two to three times that), seed, where to write.
        budget: how long to pretrain.
        training: how the loop runs.

    Returns:
        Scores, p-values and figures; `.report` is the page.

    Raises:
        UserError: when the data cannot be used or the settings do not fit.

    Example:
        unlabeled detect tiles/train/good --on tiles/test --false-alarms 0.05
        unlabeled detect unlabeled-good-faults --on tiles/tomorrow
    """
    if shots and min(shots) < 0:
        raise UserError(f"{min(shots)} shots were asked for", "give numbers of 0 or more")
    looked_at, device, old = scan(on), open_device(training), _kept.lies_in(good)
    if old:
        folder = Path(setup.out) if setup.out else folder_name(on, "faults")
        given = {
            "--run": run,
            "--detector": detector,
            "--method": method,
            "--shots": shots,
            "a budget": budget != Budget(),
        }
        judge, tested = _again(old, looked_at, folder, device, masks, setup, given)
        rate = judge.rate if false_alarms is None else false_alarms
    else:
        rate = _kept.RATE if false_alarms is None else false_alarms
        folder = Path(setup.out) if setup.out else folder_name(good, "faults")
        spec = catalog.parse("anomaly", detector or USUAL.get(looked_at.modality, "planted"))
        finder: Detector = catalog.load("anomaly", spec.name)(**spec.settings)
        needs = _kept.needs(str(spec))
        _check(looked_at, spec.name, shots)
        given = {"--method": method, "--encoder": run and setup.encoder, "the budget": budget != Budget()}
        if idle := _idle(spec.name, run, needs, [name for name, value in given.items() if value]):
            progress.say(idle)
        crossed = needs == "items" and isinstance(finder, Crossed)
        ready = _good.ready(good, run, needs, method, setup, training, crossed=crossed)
        ready.vouch(rate)
        tested = _tested(looked_at, ready.recipe, ready.table, masks, ready.stride, ready.shortest())
        ill = sum(bool(k) for k in tested.kinds)
        if shots and ill <= max(shots):
            raise UserError(f"{on} has {ill} faulty items and {max(shots)} shots were asked for", "ask for fewer")
    with alone(folder, device.lead):  # of two that wrote here at once each would leave a part
        if not old:
            judge = _good.judge(ready, spec, finder, folder, budget, device, shots=bool(shots), seed=setup.seed)
            judge = replace(judge, about={**judge.about, "rate": rate})
            judge.save(folder)
        table, kinds, usual = tested.table, tested.kinds, judge.usual
        faulty = np.array([bool(k) for k in kinds])
        weight = _threshold.weights(judge.units, len(usual.scores), rate)
        line = _threshold.threshold(usual.scores, rate, weight)
        with progress.bar(judge.detector, len(table)) as bar:
            seen = tested.look(judge.finder, replace(judge.eye, each=bar.advance), usual, folder / "maps")
        p = _threshold.p_values(seen.scores, usual.scores, weight)
        flags = _threshold.flagged(p, rate)
        figures: dict[str, Any] = {
            **judge.about, "detector": judge.detector, "modality": table.modality, "rate": rate, "threshold": line,
            "items": len(table), "flagged": int(flags.sum()), "groups": _threshold.vouching(judge.units, rate),
            "good": sum(k == "" for k in kinds), "faulty": int(faulty.sum()),
            "command": _command(good, on, run, "" if old else judge.detector, rate, setup.seed),
        }  # fmt: skip
        if any(k == "" for k in kinds):
            is_good = np.array([k == "" for k in kinds])
            size = judge.recipe.size if table.modality == "series" else 0  # pictures do not overlap
            overlap = judge.about["stride"] / size if size else 1.0  # of the windows kept apart
            own = apart = (setup.stride or judge.about["stride"]) / size if size else 1.0  # of those looked at
            if table.modality == "image" and (units := unit_numbers(table, np.flatnonzero(is_good))) is not None:
                own = len(np.unique(units)) / len(units)  # pictures of one part are flagged together
            kept = len(weight if judge.units is None else np.unique(judge.units))
            hits, n = int(flags[is_good].sum()), int(is_good.sum())
            figures["false_alarms"] = _figures.share_with_interval(hits, n, own) | {
                "beyond": _threshold.beyond(min(own, 1.0) * hits, min(own, 1.0) * n, min(overlap, 1.0) * kept, rate)
            }
            if faulty.any():
                known = np.array([k is not None for k in kinds])
                figures["images"] = _figures.images(
                    seen.scores[known], [k for k in kinds if k is not None], line,
                    groups=unit_numbers(table, np.flatnonzero(known)), own=min(apart, 1.0),
                )  # fmt: skip
                figures["pixels"] = seen.pixels.figures()
                figures["unmasked"] = seen.unmasked
        if shots and seen.places and usual.places:
            known_rows = np.flatnonzero([k is not None for k in kinds])
            groups = unit_numbers(table, known_rows)
            figures["shots"] = _shots.gain(
                usual.places, seen.places[known_rows], faulty[known_rows], shots, groups=groups, seed=setup.seed
            )
        frame = pd.DataFrame(
            {
                "path": table.items["path"], "score": seen.scores, "p_value": p, "flagged": flags,
                "label": pd.Series([("good" if k == "" else k) for k in kinds], dtype="str"),
            }
        )  # fmt: skip
        if table.modality == "image":
            frame["map"] = [f"maps/{row:05d}.png" for row in range(len(table))]
        folder.mkdir(parents=True, exist_ok=True)
        figures |= tested.show(folder, frame, judge.eye)
        figures["sentence"], figures["details"], limits = told(figures, bool(judge.about["unseen"]))
        if isinstance(tested, Recordings):
            limits += tested.odd(judge.recipe.mean, judge.recipe.std)
        figures["limits"] = limits + _left_out(table)
        _write(folder, frame, figures, usual.scores)
        done = page.publish(
            Inspected(folder), ORDER, folder / "report.html", name=Path(on).resolve().name, title="faults"
        )
        return Detected(folder, frame, figures, done)


def _idle(detector: str, run: str | None, needs: str, given: Sequence[str]) -> str:
    """What is to be minded where settings of a pretraining were given and there is none, else nothing.

    >>> _idle("patches", "RUN", "features", ["--method", "the budget"])
    'mind: RUN has learnt already; nothing is pretrained, --method and the budget are not used'
    """
    if not given or not (run or needs == "items"):
        return ""
    why = f"{detector} has settings of its own" if needs == "items" else f"{run} has learnt already"
    return f"mind: {why}; nothing is pretrained, {' and '.join(given)} {'is' if len(given) == 1 else 'are'} not used"


def _command(good: str, on: str, run: str | None, detector: str, rate: float, seed: int) -> str:
    said = f"unlabeled detect {good} --on {on}" + (f" --run {run}" if run else "")
    return said + (f" --detector {detector!r}" if detector else "") + f" --false-alarms {rate:g} --seed {seed}"


def _again(
    good: Path, on: Table, folder: Path, device: Device, masks: str | None, setup: Setup, given: Mapping[str, Any]
) -> tuple[Judge, _inspect.Tested]:
    """A detector that has learnt, and what it shall look at now."""
    usual = Setup()
    given = {**given, **{f"--{n}": getattr(setup, n) != getattr(usual, n) for n in _ONCE}}
    if said := [name for name, value in given.items() if value]:
        raise UserError(
            f"{good} holds a detector that has learnt, and {', '.join(said)} tells how to learn",
            "leave that away, or give the good items",
        )
    if folder.resolve() == good.resolve():
        raise UserError(f"the results would be written over those in {good}", "take another --out")
    judge = _kept.load(good, device)
    if on.modality != judge.recipe.modality:
        raise UserError(
            f"{on.root} holds {on.modality} items, and {good} has learnt {judge.recipe.modality}", "give such"
        )
    stride = setup.stride or int(judge.about["stride"])
    looked, learnt = _looked(on), _there(judge.about["good"])
    if learnt and (both := _shared(looked, learnt)):
        raise UserError(
            f"{both} of the {len(looked)} items in {on.root} are of those that {good} has learnt from",
            "take others to look at",
        )
    return judge, _tested(on, judge.recipe, None, masks, stride, int(judge.about["shortest"]))


def _looked(table: Table) -> Table:
    """The test split where there is one, else all items."""
    rows = table.rows("test")
    return replace(table, items=table.items.iloc[rows].reset_index(drop=True)) if len(rows) else table


def _there(good: str) -> Table | None:
    """The items that a detector has learnt from, where their folder still holds any."""
    try:
        return scan(good)
    except UserError:
        return None


def _left_out(table: Table) -> list[str]:
    """What was not looked at, in a sentence."""
    if not table.broken:
        return []
    first = table.broken[0]
    return [
        f"{count(len(table.broken), 'item')} could not be judged: {first.path} ({first.reason})"
        + (" and others." if len(table.broken) > 1 else ".")
    ]


def _check(table: Table, detector: str, shots: Sequence[int]) -> None:
    """Refuse what does not fit the items to look at."""
    serves = catalog.entry("anomaly", detector).facts.get("modalities", ("image",))
    if table.modality not in USUAL:
        raise UserError(f"faults are found in pictures and recordings, not in {table.modality}", "give such")
    if table.modality not in serves:
        raise UserError(
            f"{detector} looks at items of {' and '.join(serves)}, and {table.root} holds {table.modality}",
            f"take --detector {USUAL[table.modality]}",
        )
    if shots and table.modality != "image":
        raise UserError("shots were asked for, which are tried on pictures alone", "leave --shots away")


def _tested(
    table: Table, recipe: Recipe, learnt: Table | None, masks: str | None, stride: int, shortest: int
) -> _inspect.Tested:
    """The items to look at: the test split where there is one, else all; none of them may have been learnt from."""
    if table.modality != recipe.modality:
        raise UserError(f"{table.root} holds {table.modality} items, and {recipe.modality} was learnt", "give such")
    table = _looked(table)
    if learnt and (both := _shared(table, learnt)):
        raise UserError(
            f"{both} of the {len(table)} items in {table.root} are good ones to learn from", "take others to look at"
        )
    if table.modality == "series":
        return Recordings.open(table, SeriesPrep(**recipe.prep), stride, shortest)
    table = _without_masks(table, masks)
    return _inspect.Pictures.open(table, Prep(**recipe.prep), masks)


def _shared(table: Table, learnt: Table) -> int:
    """How many items may be learnt from in another table; of one recording two tables may hold different times."""
    known: dict[str, list[tuple[int, float]]] = {}
    for path in learnt.items["path"].iloc[learnt.rows(*LEARN)]:
        known.setdefault(str((learnt.folder / stem(path)).resolve()), []).append(_span(path))
    both = 0
    for path in table.items["path"]:
        first, end = _span(path)
        both += any(first < e and f < end for f, e in known.get(str((table.folder / stem(path)).resolve()), ()))
    return both


def _span(path: str) -> tuple[int, float]:
    """The first step that a path names, and the one after the last; all there are where it names none."""
    _, _, first, steps = place(path)
    return first, math.inf if steps is None else first + steps


def _without_masks(table: Table, masks: str | None) -> Table:
    """The items that are no masks: `ground_truth/` may lie inside the test folder, or each mask beside its picture."""
    beside = _masks.beside(table)
    if beside.any():
        many = count(int(beside.sum()), "mask")
        progress.say(f"mind: {many} beside pictures of {table.root}, not looked at")
        table = replace(table, items=table.items[~beside].reset_index(drop=True))
    place = _masks.folder(table, masks)
    if place is None:
        return table
    inside = [(table.folder / path).resolve().is_relative_to(place.resolve()) for path in table.items["path"]]
    items = table.items[~np.array(inside, bool)].reset_index(drop=True)
    return replace(table, items=items) if 0 < len(items) < len(table) else table


def _write(folder: Path, frame: pd.DataFrame, figures: Mapping[str, Any], usual: np.ndarray) -> None:
    for name, text in (
        ("scores.csv", frame.to_csv(index=False)),
        ("figures.json", json.dumps(_plain(figures), indent=1)),
        ("kept-apart.csv", pd.DataFrame({"score": usual}).to_csv(index=False)),
    ):
        beside = folder / f".{name}.part"
        beside.write_text(text, "utf-8")
        beside.replace(folder / name)


def _plain(value: Any) -> Any:
    """What JSON knows: NaN becomes null."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
