"""Pictures in memory and in odd files: read as the same picture in a plain file is, or refused with the reason."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
from unlabeled.deploy.inputs import table_of
from unlabeled.deploy.serve.reader import Reader, Refused
from unlabeled.errors import UserError
from unlabeled.formats import picture

RAMP = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
GREY = Image.fromarray(RAMP)


def seen(given: Image.Image) -> np.ndarray:
    with table_of([given], "image") as table:
        return picture.read(table.items["path"].iloc[0], 32, 1)[0].astype(int)


@pytest.mark.parametrize("mode", ["L", "I", "F", "CMYK", "RGBX", "La", "RGBa", "HSV", "YCbCr"])
def test_a_picture_of_any_mode_is_the_same_picture(mode: str) -> None:
    over = {"La": "LA", "RGBa": "RGBA", "HSV": "RGB"}.get(mode, "L")
    given = GREY.convert(over).convert(mode)
    assert np.abs(seen(given) - RAMP).max() <= 2


def test_floats_up_to_one_are_spread() -> None:
    assert np.abs(seen(Image.fromarray(RAMP / np.float32(255))) - RAMP).max() <= 1


def test_floats_that_a_file_holds_are_read_as_the_file_is(tmp_path: Path) -> None:
    GREY.convert("F").save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as given:
        assert np.array_equal(seen(given), picture.read(tmp_path / "a.tif", 32, 1)[0])


def test_a_picture_of_a_phone_stands_upright_as_its_file_does(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[picture.ORIENTATION] = 6
    GREY.save(tmp_path / "a.jpg", exif=turned, quality=100)
    with Image.open(tmp_path / "a.jpg") as given:
        assert np.array_equal(seen(given), picture.read(tmp_path / "a.jpg", 32, 1)[0])


def test_what_cannot_be_read_is_told_by_its_place(tmp_path: Path) -> None:
    GREY.resize((200, 200)).save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with Image.open(tmp_path / "b.jpg") as broken:
        for bad, told in ((Image.new("L", (0, 5)), "0 x 5 pixels"), (broken, "cannot be read")):
            with pytest.raises(UserError, match=f"picture 2 .*{told}"), table_of([GREY, bad], "image"):
                pass


@dataclass
class Kind:
    dtype: type
    scale: float
    planes: int = 1


@pytest.mark.parametrize("kind", [Kind(np.float64, 1 / 255), Kind(np.float32, 1 / 255, 3), Kind(np.uint16, 257, 3)])
def test_files_of_odd_numbers_are_served_as_they_are_read(tmp_path: Path, kind: Kind) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = (np.stack([RAMP] * kind.planes, -1).squeeze() * np.float64(kind.scale)).astype(kind.dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if kind.planes == 3 else "minisblack")
    served = reader().read((tmp_path / "a.tif").read_bytes())
    assert np.array_equal(served, picture.read(tmp_path / "a.tif", 32, 1))
    assert np.abs(served[0].astype(int) - RAMP).max() <= 1


def test_values_that_no_picture_has_are_told_and_not_taken_for_a_broken_file(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", RAMP.astype(np.int16) - 1000)  # as CT has it
    with pytest.raises(Refused, match="its values run from -1000 to -752"):
        reader().read((tmp_path / "a.tif").read_bytes())
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((8, 8, 900), np.float64), photometric="minisblack", planarconfig=1)
    with pytest.raises(Refused, match="not a picture of the kinds"):
        reader().read((tmp_path / "b.tif").read_bytes())


def reader() -> Reader:
    return Reader(
        {"modality": "image", "prep": {"dtype": "uint8", "size": 32, "channels": 1, "fit": "squash"}}, 100_000
    )
