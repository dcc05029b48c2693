"""Features of items from a trained encoder, as a table."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from unlabeled import progress
from unlabeled.data.prepare import fitted, read_prep
from unlabeled.data.scan import scan
from unlabeled.data.store import build
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.settings import Training
from unlabeled.training.devices import open_device
from unlabeled.training.loop import embed as features_of
from unlabeled.training.run import Run

KNOWN = ("label", "group", "domain", "split")  # what may be known of an item


@dataclass(frozen=True, eq=False)
class Embedded:
    """Features with what is known of their items.

    Args:
        frame: one row an item: path, label, group, domain, split, then f0, f1, ... float32.
        file: where it was written, or None.
        table: the items, with the broken ones by name.
    """

    frame: pd.DataFrame
    file: Path | None
    table: Table

    def lines(self) -> list[str]:
        """What a person wants to know."""
        width = sum(c.startswith("f") and c[1:].isdigit() for c in self.frame.columns)
        much = f"{progress.count(len(self.frame), 'item')}, {progress.count(width, 'feature')} each"
        out = [much + (f", in {self.file}" if self.file else "")]
        out += [f"left out: {b.path}: {b.reason}" for b in self.table.broken[:10]]
        return out


def embed(run: str, data: str, *, out: str | None = None, device: str = "auto") -> Embedded:
    """Compute the features of items with the encoder of a run.

    Args:
        run: folder of a run.
        data: folder, manifest or array file; labels are carried along where there are any.
        out: file to write, .parquet, .csv or .npz (features, paths, and labels, groups, domains, splits where known);
            nothing is written when not given.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: when the run or the data cannot be read, or the file's ending is unknown.

    Example:
        unlabeled embed unlabeled-steel-simclr pictures/ -o features.parquet
    """
    file = Path(out) if out else None
    if file and file.suffix not in (".parquet", ".csv", ".npz"):
        raise UserError(f'cannot write "{file.name}"', "take a name that ends in .parquet, .csv or .npz")
    if file:  # told before the work and not behind it
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise UserError(f"cannot write to {file.parent}: {fault.strerror}", "take another --out") from None
    trained = Run.open(run)
    if trained.step == 0:
        raise UserError(f"{run} holds no trained weights yet", "let its training reach the first checkpoint")
    if not trained.finished:
        progress.say(f"mind: {run} stopped at step {trained.step} of {trained.recipe.steps}")
    place = open_device(Training(device=device))
    recipe = trained.recipe
    table, prep, _ = fitted(scan(data), recipe.size, read_prep(recipe.modality, recipe.prep))
    table, store = build(table, prep)
    encoder = place.place(trained.encoder())
    with progress.bar("embed", len(table)) as bar:
        x = features_of(encoder, trained.modality(), store, table.rows(), place, each=bar.advance).numpy()
    names = [f"f{i}" for i in range(x.shape[1])]
    frame = pd.concat([table.items.reset_index(drop=True), pd.DataFrame(x, columns=names)], axis=1)
    if file:
        _write(frame, file)
    return Embedded(frame, file, table)


def _write(frame: pd.DataFrame, file: Path) -> None:
    beside = file.with_name(f".part-{file.name}")
    if file.suffix == ".parquet":
        frame.to_parquet(beside, index=False)
    elif file.suffix == ".csv":
        frame.to_csv(beside, index=False)
    else:
        from unlabeled.study.fits import write_arrays

        columns = [c for c in frame.columns if c.startswith("f") and c[1:].isdigit()]
        known = [c for c in KNOWN if c in frame and frame[c].notna().any()]
        words = {f"{c}s": frame[c].astype(object).fillna("").to_numpy(dtype=str) for c in ("path", *known)}
        write_arrays(beside, {"features": frame[columns].to_numpy("float32"), **words})
    beside.replace(file)
