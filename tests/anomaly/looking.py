"""What several tests of detectors build: a method to look through, and stored pictures."""

from pathlib import Path

from unlabeled.anomaly import Eye
from unlabeled.data.scan import scan
from unlabeled.data.store import Prep, Store, build
from unlabeled.data.table import Table
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import method_and_encoder
from unlabeled.training.devices import open_device
from unlabeled.training.recipe import Recipe


def eye(method: str, size: int = 32, encoder: str | None = None) -> Eye:
    """An untrained method to look through, on grey pictures stored at this size."""
    spec, enc = method_and_encoder(method, encoder)
    recipe = Recipe(
        spec, enc, "image", size, size, 1, (0.45,), (0.1,), {}, Augmentation(), Training(), steps=1, seed=0, items=35
    )
    return Eye(recipe.build().eval(), recipe.looks(), open_device(Training(device="cpu", threads=1)), batch=7)  # type: ignore[arg-type]


def stored(folder: Path, size: int = 32) -> tuple[Table, Store]:
    """Table and store of a folder."""
    return build(scan(folder), Prep(size, 1), progress=False)
