"""From nothing to an answer in minutes: a study of the handwritten digits that come with scikit-learn."""

import os
import shutil
import webbrowser
from pathlib import Path

from unlabeled import progress
from unlabeled.settings import Augmentation, Budget, Setup
from unlabeled.verbs.compare import Comparison, compare

CONV, TRANSFORMER = (
    "test_resnet",
    "vit(patch_size=4, width=64, depth=3, heads=4)",
)  # small, as the digits are and the time is


def demo(*, out: str = "demo", minutes: float = 2.75, open: bool = False) -> Comparison:
    """Compare methods on 1,797 real handwritten digits and write the page, in minutes.

    It writes the digits as folders of pictures and runs on them what "unlabeled compare" runs on yours: SimCLR and MAE
    against a random encoder, PCA and supervised training, with about 3, 14 and 144 labels a class.

    Args:
        out: folder for the pictures and the study.
        minutes: how long the study may take, above 0; more gives better methods.
        open: show the page in the browser when it is done.

    Returns:
        What the comparison found; `.report` is the page.

    Raises:
        UserError: when the folder cannot be used.

    Example:
        unlabeled demo --open
    """
    root = Path(out)
    data = root / "digits"
    if not data.is_dir():
        progress.say(f"writing 1,797 digits as pictures to {data}/")
        _write(data)
    found = compare(
        str(data),
        methods=({"name": "simclr", "encoder": CONV}, {"name": "mae", "encoder": TRANSFORMER}),
        labels=(0.02, 0.1, 1.0),
        seeds=1,
        draws=3,
        protocols=("linear", "propagate", "finetune"),
        setup=Setup(out=str(root / "study")),
        budget=Budget(minutes=minutes),
        augmentation=Augmentation(crop=0.5, horizontal_flip=0.0, rotation=10.0, blur=0.0),
    )
    if open:
        webbrowser.open(found.report.resolve().as_uri())
    return found


def _write(folder: Path) -> None:
    """The digits as `train/<digit>/*.png` and `test/<digit>/*.png`, every fifth a test item; whole or not at all."""
    from PIL import Image
    from sklearn.datasets import load_digits

    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    bunch = load_digits()
    try:
        for number, (image, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
            place = beside / ("test" if number % 5 == 0 else "train") / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray((image * (255 / 16)).astype("uint8")).save(place / f"{number:04d}.png")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
