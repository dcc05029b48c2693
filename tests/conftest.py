"""Shared fixtures: where the real data lie, and scikit-learn's digits as a folder of pictures."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unlabeled.data.prepare import Prepared

os.environ.setdefault("OMP_NUM_THREADS", "1")


def data_root() -> Path:
    """The folder with the real data sets; it may be absent."""
    given = os.environ.get("UNLABELED_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def same_chance() -> None:
    """Every test draws the same numbers, alone or among others."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A file's tests share a store of their own, and show no progress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("UNLABELED_QUIET", "1")
        yield


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """A real data set by its name; the test is skipped where it is not on the machine."""

    def find(name: str) -> Path:
        path = data_root() / name
        if not path.is_dir():
            pytest.skip(f"{name} is not on this machine")
        return path

    return find


@pytest.fixture(scope="session")
def steel() -> Path:
    """The NEU steel pictures, 6 classes, train and test folders."""
    path = data_root() / "neu_steel"
    if not path.is_dir():
        pytest.skip("the steel pictures are not on this machine")
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scikit-learn's 1,797 handwritten digits as `train/<digit>/*.png` and `test/<digit>/*.png`, 8 x 8 pixels, every
    fifth a test item.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    root = tmp_path_factory.mktemp("digits")
    bunch = load_digits()
    for i, (image, target) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        folder = root / ("test" if i % 5 == 0 else "train") / str(target)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype("uint8"), "L").save(folder / f"{i:04d}.png")
    return root


@pytest.fixture(scope="session")
def chirps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 small sounds, tones that rise or fall, as `train/<class>/*.wav` and `test/<class>/*.wav`."""
    import audible

    return audible.write(tmp_path_factory.mktemp("chirps"))


@pytest.fixture(scope="session")
def small_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> "Prepared":
    """The digits, decoded at 16 pixels."""
    from unlabeled.data.prepare import prepare

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(digits, size=16)
