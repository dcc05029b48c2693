"""How does a run stand a change of the world? Corruptions in five severities, other domains, strangers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import catalog
from unlabeled.alone import alone
from unlabeled.data.prepare import Prepared
from unlabeled.data.splits import nested_draws
from unlabeled.errors import UserError
from unlabeled.report.shift.page import write
from unlabeled.settings import Training
from unlabeled.shift import domains, overlap, representation, severity, story, strangers
from unlabeled.shift.bench import Bench
from unlabeled.shift.equal import EqualLoss, equal_loss
from unlabeled.shift.subjects import LINEAR, SUPERVISED, Subject, data_for, find
from unlabeled.study.claim import identity
from unlabeled.study.conduct import check_labels
from unlabeled.study.fits import groups
from unlabeled.study.plan import needs, safe
from unlabeled.study.record import write_csv, write_json
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run, fingerprint, read_json
from unlabeled.values import title


@dataclass(frozen=True, eq=False)
class Shifted:
    """What was found.

    Args:
        folder: where everything lies.
        sentence: the answer.
        details: further findings, a sentence each.
        limits: what the figures do not show, a sentence each.
        robustness: one row an arm: clean and corrupted accuracy, degradation, worst kind, mCE.
        differences: paired differences of the arms.
        equal: losses at the strength where the reference arm has lost 8 points; None with one arm.
        report: the page to open.
    """

    folder: Path
    sentence: str
    details: tuple[str, ...]
    limits: tuple[str, ...]
    robustness: pd.DataFrame
    differences: pd.DataFrame
    equal: EqualLoss | None
    report: Path

    def lines(self) -> list[str]:
        """The answer, the findings, and where the page is."""
        return [self.sentence, *self.details, "", *(f"mind: {x}" for x in self.limits), "", f"open {self.report}"]


def shift(
    run: str,
    data: str,
    *,
    against: Sequence[str] = (),
    labels: float = 1.0,
    draws: int = 1,
    kinds: Sequence[str] = (),
    ood: Sequence[str] = (),
    out: str | None = None,
    training: Training = Training(),
) -> Shifted:
    """Put runs to the test under corruption, in other domains and before strangers, beside random weights.

    Probes are fitted on clean training labels. Every cell is kept on disk: stopped at any moment, the same command
    goes on.

    Args:
        run: folder of a run, or of a study with all its arms and seeds.
        data: the labelled items; where they name domains, each is looked at.
        against: further folders of runs or studies; finetune(steps=300) for the same encoders trained from scratch on
            the labels; styled for each encoder under a probe that saw the labelled items in other styles too.
        labels: share of the training labels (0.1), or count (20), of the probe.
        draws: how many times the labelled items are drawn.
        kinds: of corruption; all when not given.
        ood: folders of items that belong to no class, each an own set: near=cats/,far=noise/.
        out: folder for the results; `shift` in the run's folder when not given.
        training: device, threads and precision.

    Raises:
        UserError: when the runs or the data cannot be used.

    Example:
        unlabeled shift unlabeled-steel-study steel/ --ood near=other-steel/,far=photos/
    """
    if draws < 1:
        raise UserError(f"{draws} draws were asked for", "give one or more")
    supervised, *more = [text for text in against if _reads(text, "encoder")] or [""]
    if more:
        raise UserError(f"{supervised} and {more[0]} were given together", "give one way to train on the labels")
    probes = [text for text in against if _reads(text, "views")]
    subjects = find([run, *(text for text in against if text not in (supervised, *probes))])
    subjects += [s.read_by(probe) for probe in probes for s in subjects]
    if supervised:
        subjects = _with_supervised(subjects)
    prepared, warnings = data_for(data, subjects)
    check_labels(data, prepared)
    chosen = _kinds(subjects[0], kinds)
    drawn = nested_draws(prepared.table.labels, prepared.labelled, [float(labels)], draws, 0)
    rows = [draw[float(labels)] for draw in drawn][: 1 if labels == 1.0 else None]
    folder = Path(out) if out else Path(run) / "shift" / safe(title(data))
    bench = Bench(folder, prepared, rows, open_device(training), supervised or "finetune")
    if ood:
        strangers.check(prepared, rows, ood)
    _claim(bench, data, subjects, {"labels": labels, "supervised": supervised, "precision": training.precision})
    related = _related(subjects, prepared, chosen, bench.supervised)
    new = overlap.unrelated(related)

    with alone(folder, bench.device.lead):
        bench.fill(subjects, chosen)
    units = groups(prepared, prepared.test)
    curves = bench.curves(subjects, chosen)
    arms = {s.arm: s.kind for s in subjects}
    reference = next((a for kind in (SUPERVISED, "random") for a, k in arms.items() if k == kind), next(iter(arms)))
    robustness = severity.robustness(curves, chosen, new, reference, units)
    differences = severity.differences(curves, chosen, new, units)
    leader = next((a for a in arms if a.startswith("simclr")), next(iter(arms)))
    equal = equal_loss(curves, chosen, leader, groups=units)
    by_domain = domains.measure(bench, subjects)
    odd = strangers.measure(bench, subjects, strangers.places(ood)) if ood else None
    seen = representation.measure(bench, subjects, chosen)
    tables = {
        "cells": severity.cells(curves, chosen), "curves": severity.means(curves, chosen, new, units),
        "robustness": robustness, "differences": differences, "losses": equal.arms, "strengths": equal.strengths,
        "representation": seen.table,
    }  # fmt: skip
    if by_domain is not None:
        tables |= {"domains": by_domain.table, "domains_summary": by_domain.summary}
        tables |= {"domains_differences": by_domain.differences}
    if odd is not None:
        tables |= {"strangers": odd.table, "strangers_summary": odd.summary}
        tables |= {"strangers_differences": odd.differences}
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)
    if odd is None:  # what an earlier call found of other arms is no part of this answer
        for name in ("strangers", "strangers_summary", "strangers_differences"):
            (folder / f"{name}.csv").unlink(missing_ok=True)
    facts = {
        "test": len(prepared.test), "units": len(prepared.test if units is None else np.unique(units)),
        "seeds": len({s.seed for s in subjects}), "draws": len(rows), "labels": len(rows[0]),
        "warnings": [*warnings, *(by_domain.notes if by_domain else ())],
    }  # fmt: skip
    first = story.sentence(robustness, differences, arms)
    told = story.details(robustness, differences, equal, by_domain, odd)
    limits = story.limits(facts, overlap.words(related))
    answer: dict[str, Any] = {"sentence": first, "details": told, "limits": limits, "data": data, "arms": arms}
    answer |= {"kinds": chosen, "unrelated": new, "related": related, "reference": reference, "facts": facts}
    answer |= {"equal": {"reference": equal.reference, "points": equal.points}, "told": seen.what}
    answer |= {"classes": prepared.table.classes}
    write_json(folder / "shift.json", answer)
    return Shifted(folder, first, tuple(told), tuple(limits), robustness, differences, equal, write(folder))


def _kinds(subject: Subject, asked: Sequence[str]) -> list[str]:
    known = subject.recipe.looks().corruptions()
    wrong = [kind for kind in asked if kind not in known]
    if wrong:
        raise UserError(f'there is no corruption "{wrong[0]}"', f"take some of {', '.join(known)}")
    return [kind for kind in known if not asked or kind in asked]


def _reads(text: str, what: str) -> bool:
    """Whether this names a protocol that learns from `encoder` or `views`, and no folder."""
    if Path(text).exists():
        return False
    name = catalog.read_spec(text).name
    return name in catalog.names("protocols") and needs(catalog.parse("protocols", text)) == what


def _with_supervised(subjects: Sequence[Subject]) -> list[Subject]:
    """For every random arm a supervised one with the same encoders."""
    fresh = [s for s in subjects if s.kind == "random"]
    plain = [s for s in fresh if s.probe == LINEAR]
    learned = [replace(s, arm=s.arm.replace("random", SUPERVISED, 1), kind=SUPERVISED) for s in plain]
    trained = [s for s in subjects if s.kind == "trained"]
    return [*trained, *learned, *fresh]


def _related(
    subjects: Sequence[Subject], prepared: Prepared, kinds: Sequence[str], supervised: str
) -> dict[str, dict[str, list[str]]]:
    """For each arm the corruptions' relatives among what its training drew and its probe was shown."""
    strong = catalog.parse("protocols", supervised).settings.get("views") == "strong"
    raw = prepared.store.batch(prepared.learning[:64])
    out: dict[str, dict[str, list[str]]] = {}
    for s in subjects:
        if s.arm not in out:
            seen = overlap.drawn(s.recipe, raw, Run.open(s.folder).method()) if s.folder else frozenset[str]()
            seen |= frozenset(s.recipe.looks().changes()) if strong and s.kind == SUPERVISED else frozenset[str]()
            seen |= frozenset[str]() if s.probe == LINEAR else overlap.restyled(s.recipe, raw)
            out[s.arm] = {kind: list(names) for kind, names in overlap.relatives(kinds, seen).items()}
    return out


def _weights(s: Subject) -> dict[str, Any]:
    """What a subject's figures depend on; random weights do not depend on the method that they stand beside."""
    numbers = s.recipe.numbers()
    if s.kind == "trained" and s.folder is not None:
        own = Run.open(s.folder).config
        return numbers | {"texts": own.get("wording", {}), "items of the run": own.get("items")}
    text = catalog.wording(s.recipe.encoder.name)
    return {k: v for k, v in numbers.items() if k not in ("method", "steps")} | ({"text": text} if text else {})


def _claim(bench: Bench, data: str, subjects: Sequence[Subject], asked: Mapping[str, Any]) -> None:
    """Refuse a folder that holds results of other runs or data; `cells.json` says what it holds."""
    mine: dict[str, Any] = {"data": data, "draws": len(bench.draws), **asked}
    mine |= {f"data: {name}": code for name, code in identity(bench.prepared).items()}
    items = bench.prepared.table.items
    mine["data: domains"] = fingerprint(items["domain"].fillna("").astype(str).tolist(), np.arange(len(items)))
    runs = {s.key: fingerprint([repr(sorted(_weights(s).items()))], np.zeros(1, np.int64)) for s in subjects}
    path = bench.folder / "cells.json"
    if path.is_file():
        old = read_json(path)
        if "runs" not in old:
            raise UserError(f"{bench.folder} holds results of another verb", "take another --out")
        differs = [k for k in mine if k in old and old[k] != mine[k]]
        differs += [k for k in runs if old["runs"].get(k, runs[k]) != runs[k]]
        if differs:
            raise UserError(
                f"{bench.folder} holds results that differ in {', '.join(differs)}",
                "take another --out, or delete the folder to start afresh",
            )
        runs = old["runs"] | runs
    write_json(path, mine | {"runs": runs})
