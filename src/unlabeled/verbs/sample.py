"""New pictures or texts from a generative model, marked as what they are."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import unlabeled
from unlabeled import progress
from unlabeled.errors import UserError
from unlabeled.modalities.text import Text, as_text
from unlabeled.training.run import Run

AT_ONCE = 64


@dataclass(frozen=True)
class Samples:
    """Pictures or texts that were drawn.

    Args:
        files: one PNG a picture, or one plain file a text.
        method: what drew them.
        what: what they are.
    """

    files: tuple[Path, ...]
    method: str
    what: str = "pictures"

    def lines(self) -> list[str]:
        """What a person wants to know."""
        return [
            f"{len(self.files)} synthetic {self.what} by {self.method} in {self.files[0].parent}/",
            "each says so in its name and in itself; keep them out of test data",
        ]


def sample(run: str, *, count: int = 64, out: str | None = None, seed: int = 0) -> Samples:
    """Draw new items from a run of a generative method, to look at or to fill up a rare class.

    From vae and gan come pictures, from causal_lm texts. Every file is named synthetic-... and says the same within
    (PNG metadata, first line), so that no one takes it for real.

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
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if count < 1:
        raise UserError(f"{count} items were asked for", "give a number of 1 or more")
    trained = Run.open(run)
    if trained.step == 0:
        raise UserError(f"{run} holds no trained weights yet", "let its training reach the first checkpoint")
    method = trained.method().eval()
    draw = getattr(method, "sample", None)
    name = trained.recipe.method.name
    if draw is None:
        raise UserError(
            f"{name} learns but cannot draw new items", "pretrain with --method vae or gan, texts with causal_lm"
        )
    looks, chance = trained.modality(), torch.Generator().manual_seed(seed)
    folder = Path(out) if out else trained.folder / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    if looks.space == 0:
        return _texts(as_text(looks), draw, chance, count, folder, f"{name}-s{seed}")
    mark = PngInfo()
    for key, text in (
        ("Title", "synthetic picture"),
        ("Synthetic", "yes"),
        ("Source", f"{name}, seed {seed}, run {trained.folder.name}"),
        ("Software", f"unlabeled {unlabeled.__version__}"),
    ):
        mark.add_text(key, text)
    files: list[Path] = []
    with progress.bar("draw", count) as bar:
        for at in range(0, count, AT_ONCE):
            with torch.no_grad():
                pictures = looks.show(draw(AT_ONCE, chance))[: count - at]
            for picture in pictures:
                file = folder / f"synthetic-{name}-s{seed}-{len(files):05d}.png"
                shown = picture if trained.recipe.channels == 3 else np.ascontiguousarray(picture[..., 0])
                beside = folder / f".{file.name}.{os.getpid()}.part"
                Image.fromarray(shown).save(beside, format="PNG", pnginfo=mark)
                beside.replace(file)
                files.append(file)
            bar.advance(len(pictures))
    return Samples(tuple(files), name)


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
            for text in looks.texts(draw(AT_ONCE, chance))[: count - at]:
                files.append(folder / f"synthetic-{name}-{len(files):05d}.txt")
                beside = files[-1].with_suffix(".part")
                beside.write_text(f"[synthetic text by {name}]\n{text}\n", "utf-8")
                beside.replace(files[-1])
                bar.advance(1)
    return Samples(tuple(files), name.rpartition("-s")[0], "texts")
