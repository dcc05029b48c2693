"""Drawn textures with planted faults, where the truth is known: stripes under changing light, dents and scratches."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from turning import recording

SIZE = (48, 40)  # height and width: not a square


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train/good`, `test/good`, `test/dent`, `test/scratch` and `ground_truth/`, in MVTec's layout."""
    root, rng = tmp_path_factory.mktemp("tiles"), np.random.default_rng(0)
    for part, count in (("train/good", 50), ("test/good", 12), ("test/dent", 8), ("test/scratch", 8)):
        for i in range(count):
            _write(root, part, f"{i:03d}", rng)
    return root


def _write(root: Path, part: str, name: str, rng: np.random.Generator) -> None:
    kind = part.split("/")[1]
    picture = 120 + 10 * rng.standard_normal(SIZE) + 10 * np.sin(np.arange(SIZE[1]) / 2)
    mask = np.zeros(SIZE, bool)
    y, x = rng.integers(8, SIZE[0] - 8), rng.integers(8, SIZE[1] - 8)
    if kind == "dent":
        rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
        mask = (rows - y) ** 2 + (columns - x) ** 2 < 16
    if kind == "scratch":
        mask[y : y + 2, 4:-4] = True
    picture = np.where(mask, picture - 60, picture) * rng.uniform(0.7, 1.3)  # the light changes from item to item
    (root / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.clip(0, 255).astype("uint8")).save(root / part / f"{name}.png")
    if mask.any():
        place = root / "ground_truth" / kind
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((mask * 255).astype("uint8")).save(place / f"{name}_mask.png")


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`good/` with six recordings, `test/` with two faulty ones and one good."""
    root, rng = tmp_path_factory.mktemp("machine"), np.random.default_rng(0)
    for part, faults in (("good", [()] * 6), ("test", [("spike", "stuck"), ("stuck",), ()])):
        (root / part).mkdir()
        for number, each in enumerate(faults):
            table = recording(rng, each)
            if part == "good":
                table = table.drop(columns="label")
            table.to_csv(root / part / f"{number}.csv", index=False)
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    return tmp_path
