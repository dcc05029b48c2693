"""A short run on digits that every test of the verb looks through, and what `explain` wrote of it."""

from pathlib import Path

import pytest
from planted import CPU

from unlabeled.settings import Budget, Setup
from unlabeled.verbs.explain import Explained, explain
from unlabeled.verbs.pretrain import pretrain

SMALL = "vit(width=32,depth=2,heads=2,patch_size=4)"


@pytest.fixture(scope="session")
def place(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of simclr and one of c2ssl, on all digits."""
    folder = tmp_path_factory.mktemp("explain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(folder / "cache"))
        for method in ("simclr", "c2ssl"):
            setup = Setup(size=16, out=str(folder / method), encoder=SMALL)
            pretrain(str(digits), method=method, setup=setup, budget=Budget(steps=20), training=CPU)
    return folder


@pytest.fixture
def cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same cache as the runs had."""
    monkeypatch.setenv("UNLABELED_CACHE", str(place / "cache"))
    return place


@pytest.fixture(scope="session")
def of_class(place: Path, digits: Path) -> Explained:
    """Why the probe calls a test digit what it calls it, by the run of c2ssl."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(place / "cache"))
        return explain(str(place / "c2ssl"), "test/0/0000.png", out=str(place / "of-class"), training=CPU)


@pytest.fixture(scope="session")
def of_two(place: Path, digits: Path) -> Explained:
    """Why a test digit and a training digit are near, by the run of simclr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(place / "cache"))
        return explain(
            str(place / "simclr"), "test/0/0000.png", against=str(digits / "train" / "1" / "0001.png"),
            out=str(place / "of-two"), neighbours=5, training=CPU,
        )  # fmt: skip
