"""How good are a run's features with few labels? Probe, nearest neighbours and fine-tuning, beside the random start."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from unlabeled import values
from unlabeled.alone import alone
from unlabeled.data.splits import nested_draws
from unlabeled.errors import UserError
from unlabeled.settings import Training
from unlabeled.shift.subjects import Subject, data_for
from unlabeled.study import record
from unlabeled.study.claim import claim, made_of
from unlabeled.study.conduct import check_labels
from unlabeled.study.fits import Bench, fit_all
from unlabeled.study.plan import Arm, cells, needs, protocols_of, safe
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a run does with labels.

    Args:
        folder: where tables and predictions lie.
        summary: mean, sd and interval: arm, share, labels, protocol, metric, mean, sd, low, high, n.
        table: one row a figure of a cell.
        differences: paired differences in accuracy.
        diverged: fits whose predictions are no numbers; they count as wrong.
        notes: what is to be minded, a sentence each, such as that the run may have seen test items without labels.
    """

    folder: Path
    summary: pd.DataFrame
    table: pd.DataFrame
    differences: pd.DataFrame
    diverged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """A small table: accuracy with its 95 % interval, and macro-F1."""
        uses = max(map(len, ("protocol", *self.summary["protocol"])))
        out = [f"{'labels':>7} {'arm':<24} {'protocol':<{uses}} {'accuracy':<24} macro-F1"]
        wide = self.summary.pivot_table(
            index=["labels", "arm", "protocol"], columns="metric", values=["mean", "low", "high"], dropna=False
        )
        wide = wide[wide["mean", "accuracy"].notna()]  # pairs that no fit stands for
        for key, row in zip(wide.index.to_list(), wide.to_dict("records"), strict=True):
            labels, arm, protocol = key
            low, high = row["low", "accuracy"], row["high", "accuracy"]
            ends = f"{low:.3f} to {high:.3f}" if pd.notna(low) else "too few items"
            accuracy = f"{row['mean', 'accuracy']:.3f} ({ends})"
            out.append(f"{int(labels):>7} {arm:<24} {protocol:<{uses}} {accuracy:<24} {row['mean', 'macro_f1']:.3f}")
        out += [f"mind: {name} diverged, and its answers count as wrong" for name in self.diverged]
        out += [f"mind: {note}" for note in self.notes]
        return [*out, f"tables and predictions: {self.folder}"]


def evaluate(
    run: str,
    data: str,
    *,
    labels: Sequence[float] = (1.0,),
    draws: int = 3,
    protocols: Sequence[str] = ("linear", "knn", "propagate", "finetune"),
    out: str | None = None,
    training: Training = Training(),
) -> Evaluation:
    """Measure a run on labelled items, beside the same encoder with random weights.

    Args:
        run: folder of a run.
        data: the labelled items; where there is no test split it is drawn as it was for the run, so that the run has
            seen no test item.
        labels: shares of the training labels (0.1), or counts (20).
        draws: how many times the labelled items are drawn anew.
        protocols: how labels are used: linear, knn, propagate, finetune, styled, cluster.
        out: folder for the results; `evaluation` in the run's folder when not given.
        training: device, threads and precision.

    Raises:
        UserError: when the run or the data cannot be used.

    Example:
        unlabeled evaluate unlabeled-steel-simclr steel/ --labels 0.01,0.1,1
    """
    if draws < 1:
        raise UserError(f"{draws} draws were asked for", "give one or more")
    trained = Run.open(run)
    if not trained.finished:
        raise UserError(
            f"{run} stopped at step {trained.step} of {trained.recipe.steps}",
            "let it finish: run the same pretrain command again",
        )
    recipe = trained.recipe
    uses = protocols_of(values.several(protocols))
    own = Subject(recipe.method.name, recipe.seed, "trained", recipe, trained.folder)
    prepared, notes = data_for(data, [own])
    check_labels(data, prepared)
    folder = Path(out) if out else trained.folder / "evaluation" / safe(values.title(data))
    device = open_device(training)
    wanted = {"precision": training.precision}  # features and fits that stand are of one only
    mine = Arm(own.arm, "trained", recipe, uses)
    random = Arm("random", "random", recipe, tuple(p for p in uses if needs(p) != "encoder"))
    arms = [a for a in (mine, random) if a.protocols]
    bench = Bench(folder, prepared, device, {}, {mine.name: trained.folder})
    drawn = nested_draws(prepared.table.labels, prepared.labelled, values.numbers(labels, "labels"), draws, 0)
    todo = cells(arms, drawn, [recipe.seed])
    with alone(folder, device.lead):
        claim(folder, prepared, {a.name: made_of(a, trained.config if a is mine else None) | wanted for a in arms})
        fit_all(bench, arms, todo, [drawn])
    results = record.tables(folder, prepared, arms, todo)
    told = results.summary, results.table, results.differences, results.diverged
    return Evaluation(folder, *told, tuple(notes))
