"""Which method is worth it on these data, with how many labels, how sure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from unlabeled import progress, values
from unlabeled.errors import UserError
from unlabeled.report.page import write
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.answer import Answer
from unlabeled.study.begin import prepared_for, seen_before
from unlabeled.study.conduct import Study, check_labels, conduct
from unlabeled.study.plan import arms, folder_name, suitable
from unlabeled.study.turns import in_turns
from unlabeled.training.devices import open_device


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a comparison found.

    Args:
        folder: where everything lies.
        answer: the sentence, the winner, details and limits.
        summary: mean, sd and interval of every contender and budget.
        differences: paired differences in accuracy at equal labels.
        report: the page to open.
    """

    folder: Path
    answer: Answer
    summary: pd.DataFrame
    differences: pd.DataFrame
    report: Path

    def lines(self) -> list[str]:
        """The answer, a small table, where the page is, and what comes next."""
        accuracy = self.summary[self.summary["metric"] == "accuracy"]
        wide = accuracy.pivot_table(index=["arm", "protocol"], columns="labels", values="mean")
        wide = wide.sort_values(next(iter(wide.columns)), ascending=False)
        out = [self.answer.sentence, *self.answer.details, ""]
        names = wide.index.map(", ".join)
        width = max(36, *(len(name) + 1 for name in names))
        out.append(f"{'accuracy with so many labels':<{width}}" + "".join(f"{int(n):>8}" for n in wide.columns))
        for name, row in zip(names, wide.to_numpy(), strict=True):
            out.append(f"{name:<{width}}" + "".join(f"{v:>8.3f}" for v in row))
        then = f"for a model to use: unlabeled bundle {shlex.quote(str(self.folder))}"
        return [*out, "", f"open {self.report}", then]


def compare(
    data: str,
    *,
    methods: Sequence[str | dict[str, Any]] = ("simclr", "mae"),
    labels: Sequence[float] = (0.01, 0.1, 1.0),
    seeds: int = 3,
    draws: int = 3,
    protocols: Sequence[str | dict[str, Any]] = ("linear", "knn", "propagate", "finetune"),
    folds: int = 0,
    setup: Setup = Setup(),
    budget: Budget = Budget(),
    training: Training = Training(),
    augmentation: Augmentation = Augmentation(),
) -> Comparison:
    """Compare methods on these data at several label budgets, against random, PCA and supervised arms.

    Every cell is kept on disk: stopped at any moment, the same command goes on. All arms get the same budget, the
    label draws are
    fixed before any method runs, and the test labels are opened once, at the end.

    Args:
        data: folder, manifest (.csv, .parquet) or array file (.npz) with some labels.
        methods: names from "unlabeled methods", with settings as simclr(temperature=0.5); all takes every one that
            can serve the data.
        labels: label budgets: shares of the training labels (0.1), or counts (20); of equal counts one.
        seeds: how many times each method is pretrained.
        draws: how many times the labelled items are drawn.
        protocols: how labels are used: linear, knn, propagate, finetune, styled, cluster.
        folds: where the data bring no test items: parts of the labelled ones that are tested on in turn, by what learnt
            from the others; 1 holds a fifth of them out; 0 takes 5 where fewer than 200 are labelled among many.
        setup: encoder, size, seed, further unlabelled items, where to write.
        budget: minutes for the whole study, or epochs or steps of each pretraining.
        training: how the loop runs.
        augmentation: random views.

    Raises:
        UserError: when the data cannot be used or the settings do not fit.

    Example:
        unlabeled compare steel/ --methods simclr,mae --labels 0.01,0.1,1 --seeds 3 --minutes 30
    """
    if seeds < 1 or draws < 1:
        raise UserError(f"{seeds} seeds and {draws} draws were asked for", "give one or more of each")
    device = open_device(training)
    if device.world > 1:
        raise UserError(f"compare was started in {device.world} processes", "start it once; torchrun is for pretrain")
    data, methods, protocols = str(data), values.several(methods), values.several(protocols)
    shares = values.numbers(labels, "labels")
    prepared, begun = prepared_for(data, setup)
    check_labels(data, prepared)
    prepared = in_turns(prepared, folds, setup.seed)
    encoder = setup.encoder or (str(begun.encoder) if begun else None)
    chosen, left_out = suitable(prepared, methods, encoder, training)
    for line in left_out:
        progress.say(line)
    plan = arms(prepared, chosen, encoder, protocols, augmentation, training, setup.seed)
    plan = [replace(a, recipe=replace(a.recipe, start=setup.start or "")) if a.kind == "method" else a for a in plan]
    folder = Path(setup.out) if setup.out else folder_name(data, "study")
    settings = {"data": data, "methods": methods, "labels": shares, "seeds": seeds, "draws": draws}
    settings |= {"protocols": protocols, "folds": folds, "setup": replace(setup, out=str(folder)), "budget": budget}
    study = Study(
        folder=folder,
        data=data,
        prepared=prepared,
        arms=plan,
        shares=shares,
        seeds=[setup.seed + i for i in range(seeds)],
        draws=draws,
        budget=budget,
        device=device,
        command=shlex.join(["unlabeled", "compare", "--config", str(folder / "config.yaml")]),
        settings=settings | {"training": training, "augmentation": augmentation},
        notes=seen_before(begun, prepared),
    )
    found = conduct(study)
    page = write(folder)
    summary, differences = (pd.read_csv(folder / f"{name}.csv") for name in ("summary", "differences"))
    return Comparison(folder, found, summary, differences, page)
