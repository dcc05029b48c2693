"""A small run on digits, and the bundle made of it."""

import os
from pathlib import Path

import pytest

import unlabeled as ul
from unlabeled.settings import Budget, Handover, Setup, Training


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for this session, with the decoded items in it."""
    root = tmp_path_factory.mktemp("handover")
    os.environ["UNLABELED_CACHE"] = str(root / "cache")
    return root


@pytest.fixture(scope="session")
def run(place: Path, digits: Path) -> Path:
    """A SimCLR run of a few steps."""
    setup = Setup(encoder="test_resnet", size=16, out=str(place / "run"))
    ul.pretrain(str(digits), setup=setup, budget=Budget(steps=12), training=Training(threads=1))
    return place / "run"


@pytest.fixture(scope="session")
def model(place: Path, run: Path, digits: Path) -> Path:
    """A bundle with thumbnails."""
    made = ul.finetune(
        str(run),
        str(digits),
        out=str(place / "digits.ul"),
        handover=Handover(thumbnails=True),
        training=Training(threads=1),
    )
    return made.bundle.folder
