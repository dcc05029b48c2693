"""New pictures, series or texts from a generative model, marked as what they are."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unlabeled
from unlabeled import progress
from unlabeled.errors import UserError
from unlabeled.modalities.series import Series
from unlabeled.modalities.text import Text, as_text
from unlabeled.training.run import Run

AT_ONCE = 64


@dataclass(frozen=True)
class Samples:
    """Pictures, series or texts that were drawn.

    Args:
        files: one PNG a picture, one Parquet table a series, or one plain file a text.
        method: what drew them.
        what: what they are.
        sheet: a picture of all series, beside their folder.
    """

    files: tuple[Path, ...]
    method: str
    what: str = "pictures"
    sheet: Path | None = None

    def lines(self) -> list[str]:
        """What a person wants to know."""
        return [
            f"{len(self.files)} synthetic {self.what} by {self.method} in {self.files[0].parent}/",
            *([] if self.sheet is None else [f"to look at: {self.sheet}"]),
            "each says so in its name and in itself; keep them out of test data",
        ]


def sample(run: str, *, count: int = 64, out: str | None = None, seed: int = 0) -> Samples:
    """Draw new items from a run of a generative method, to look at or to fill up a rare class.

    From vae and gan come pictures, from a vae of series tables over time in the variables' own units, with one picture
    of all of them, from causal_lm texts. Every file is named synthetic-... and says the same within (metadata of the
    PNG or Parquet file, first line), so that no one takes it for real.

    Args:
        run: folder of a run.
        count: how many, 1 or more.
        out: folder for them; `samples` in the run's folder when not given.
        seed: of the draws; the same seed draws the same again.

    Raises:
        UserError: when the method cannot draw, or the run holds no trained weights yet.

    Example:
        unlabeled sample unlabeled-steel-vae -n 64 -o drawn/
    """
    if seed < 0:
        raise UserError(f"seed is {seed}", "give 0 or more")
    if count < 1:
        raise UserError(f"{count} items were asked for", "give a number of 1 or more")
    trained = Run.open(run)
    if trained.step == 0:
        raise UserError(f"{run} holds no trained weights yet", "let its training reach the first checkpoint")
    method = trained.method().eval()
    draw = getattr(method, "sample", None)
    name = Path(trained.recipe.method.name).stem  # a method of one's own is named by its path
    if draw is None:
        raise UserError(
            f"{name} learns but cannot draw new items", "pretrain with --method vae or gan, texts with causal_lm"
        )
    looks, chance = trained.modality(), torch.Generator().manual_seed(seed)
    folder = Path(out) if out else trained.folder / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    if looks.space == 0:
        return _texts(as_text(looks), draw, chance, count, folder, f"{name}-s{seed}")
    told = {
        "Synthetic": "yes",
        "Source": f"{name}, seed {seed}, run {trained.folder.name}",
        "Software": f"unlabeled {unlabeled.__version__}",
    }
    if isinstance(looks, Series):
        return _series(looks, draw, chance, count, folder, f"{name}-s{seed}", trained.recipe.prep, told)
    files: list[Path] = []
    with progress.bar("draw", count) as bar:
        for at in range(0, count, AT_ONCE):
            with torch.no_grad():
                pictures = looks.show(draw(AT_ONCE, chance))[: count - at]
            for picture in pictures:
                grey = trained.recipe.channels == 1 and bool((picture == picture[..., :1]).all())  # sounds are coloured
                shown = np.ascontiguousarray(picture[..., 0]) if grey else picture
                files.append(folder / f"synthetic-{name}-s{seed}-{len(files):05d}.png")
                _write_picture(files[-1], shown, told | {"Title": "synthetic picture"})
            bar.advance(len(pictures))
    _no_more(files)
    return Samples(tuple(files), name)


def _write_picture(file: Path, picture: np.ndarray, told: Mapping[str, str]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    for key, text in told.items():
        mark.add_text(key, text)
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    Image.fromarray(picture).save(beside, format="PNG", pnginfo=mark)
    beside.replace(file)


def _series(
    looks: Series,
    draw: Callable[[int, torch.Generator], torch.Tensor],
    chance: torch.Generator,
    count: int,
    folder: Path,
    name: str,
    prep: Mapping[str, Any],
    told: Mapping[str, str],
) -> Samples:
    """One Parquet table a series with a row a step, and one picture of all of them beside the folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, still, step = [*prep["variables"], *prep["statics"]], len(prep["variables"]), float(prep["step"]) or 1.0
    files: list[Path] = []
    drawn: list[np.ndarray] = []
    with progress.bar("draw", count) as bar:
        for at in range(0, count, AT_ONCE):
            with torch.no_grad():
                views = draw(AT_ONCE, chance)[: count - at]
            drawn += list(looks.show(views))
            values, inside = looks.values(views), views[:, 0] > 0.5
            values[:, still:] = values[:, still:].nanmean(2, keepdim=True)
            for table, there in zip(values.numpy(), inside.numpy(), strict=True):
                length = max(1, int(np.flatnonzero(there).max(initial=-1)) + 1)
                columns = {"time": step * np.arange(length)} | dict(zip(names, table[:, :length], strict=True))
                files.append(folder / f"synthetic-{name}-{len(files):05d}.parquet")
                beside = files[-1].with_suffix(".part")
                pq.write_table(pa.table(columns).replace_schema_metadata(dict(told)), beside)
                beside.replace(files[-1])
            bar.advance(len(views))
    _no_more(files)
    where = folder.resolve()
    sheet = where.parent / f"synthetic-{where.name}.png"
    _write_picture(sheet, _sheet(drawn), {**told, "Title": "synthetic series"})
    return Samples(tuple(files), name.rpartition("-s")[0], "series", sheet)


def _sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) side by side, eight in a row, on white."""
    high, wide, _ = pictures[0].shape
    rows = -(-len(pictures) // 8)
    out = np.full((rows * (high + 4), min(8, len(pictures)) * (wide + 4), 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // 8 * (high + 4), i % 8 * (wide + 4)
        out[y : y + high, x : x + wide] = picture
    return out


def _texts(
    looks: Text,
    draw: Callable[[int, torch.Generator], torch.Tensor],
    chance: torch.Generator,
    count: int,
    folder: Path,
    name: str,
) -> Samples:
    """One plain file a text, whose first line says that it is synthetic."""
    files: list[Path] = []
    with progress.bar("draw", count) as bar:
        for at in range(0, count, AT_ONCE):
            for text in looks.texts(looks.drawn(draw(AT_ONCE, chance)))[: count - at]:
                files.append(folder / f"synthetic-{name}-{len(files):05d}.txt")
                beside = files[-1].with_suffix(".part")
                beside.write_text(f"[synthetic text by {name}]\n{text}\n", "utf-8")
                beside.replace(files[-1])
                bar.advance(1)
    _no_more(files)
    return Samples(tuple(files), name.rpartition("-s")[0], "texts")


def _no_more(files: Sequence[Path]) -> None:
    """Take away what an earlier call has left under the numbers that come after these."""
    stem, last = files[-1].stem.rpartition("-")[0], int(files[-1].stem.rpartition("-")[2])
    for file in files[-1].parent.iterdir():
        head, _, number = file.stem.rpartition("-")
        if head == stem and file.suffix == files[-1].suffix and number.isdecimal() and int(number) > last:
            file.unlink()
