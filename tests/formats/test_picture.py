"""Pictures of every kind become the arrays that they show, and what cannot be read says why."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from unlabeled.formats import Unreadable, picture

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 12, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 12), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (12, 12), dtype=np.uint16)


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_colour_is_kept_to_the_pixel(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(COLOUR), **options)
    assert np.array_equal(picture.read(path, 12), COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_kept_and_scaled(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(DEEP))
    deep = picture.read(path, 12, channels=1, bits=16)
    assert deep.dtype == np.uint16
    assert np.array_equal(deep[0], DEEP)
    assert np.array_equal(picture.read(path, 12, channels=1)[0], np.rint(DEEP / 257).astype(np.uint8))
    assert picture.look(path).bits == 16


def test_colour_tiff_of_sixteen_bits(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (12, 12, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    assert np.array_equal(picture.read(tmp_path / "a.tif", 12, bits=16), pixels.transpose(2, 0, 1))


def test_eight_bits_fill_the_sixteen_bit_range(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.png", Image.fromarray(GREY))
    assert np.array_equal(picture.read(path, 12, channels=1, bits=16)[0], GREY.astype(np.uint16) * 257)


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    half = np.zeros((12, 12, 4), dtype=np.uint8)
    half[:, :6] = (200, 0, 0, 255)
    out = picture.read(saved(tmp_path, "a.png", Image.fromarray(half)), 12)
    assert (out[:, :, :6] == np.array([200, 0, 0], dtype=np.uint8)[:, None, None]).all()
    assert (out[:, :, 6:] == 255).all()


def test_palette_one_bit_and_cmyk(tmp_path: Path) -> None:
    red = Image.new("RGB", (12, 12), (255, 0, 0))
    palette = saved(tmp_path, "p.png", red.convert("P", palette=Image.Palette.ADAPTIVE))
    assert picture.read(palette, 12)[:, 0, 0].tolist() == [255, 0, 0]
    bit = saved(tmp_path, "b.png", Image.new("1", (12, 12), 1))
    assert (picture.read(bit, 12, channels=1) == 255).all()
    cmyk = saved(tmp_path, "c.jpg", Image.new("CMYK", (12, 12), (0, 255, 255, 0)), quality=95)
    assert np.abs(picture.read(cmyk, 12)[:, 5, 5].astype(int) - [255, 0, 0]).max() <= 4


def test_a_turned_photo_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    wide = np.zeros((8, 16), dtype=np.uint8)
    wide[:, 8:] = 255
    path = saved(tmp_path, "a.png", Image.fromarray(wide), exif=exif)
    look = picture.look(path)
    assert (look.width, look.height) == (8, 16)
    upright = picture.read(path, 8, channels=1)[0]
    assert upright[:3].max() < 40
    assert upright[-3:].min() > 215


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_turned_tiffs_stand_upright_whatever_their_depth(
    tmp_path: Path, turn: int, shape: tuple[int, ...], kind: type
) -> None:
    pixels = RNG.integers(0, 256, shape).astype(kind) * (257 if kind is np.uint16 else 1)
    tag = [(0x0112, "H", 1, turn, True)]
    how = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=how, extratags=tag)
    upright = [
        pixels, pixels[:, ::-1], pixels[::-1, ::-1], pixels[::-1], pixels.swapaxes(0, 1),
        np.rot90(pixels, -1), np.rot90(pixels.swapaxes(0, 1), 2), np.rot90(pixels),
    ][turn - 1]  # fmt: skip
    look = picture.look(tmp_path / "a.tif")
    assert (look.height, look.width) == upright.shape[:2]
    wanted = upright if len(shape) == 3 else np.repeat(upright[..., None], 3, 2)
    assert np.array_equal(picture.whole(tmp_path / "a.tif", 1000), (wanted // (257 if kind is np.uint16 else 1)))


def test_a_whole_picture_keeps_its_shape(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.zeros((8, 16), dtype=np.uint8)
    wide[:, 8:] = 255
    turned = saved(tmp_path, "a.jpg", Image.fromarray(wide), exif=exif, quality=95)
    upright = picture.whole(turned, 1000)
    assert upright.shape == (16, 8, 3) and upright[:7].max() < 40 and upright[9:].min() > 215
    assert picture.whole(turned, 32).shape == (8, 4, 3), "as many pixels as are asked for, in the same shape"
    assert np.array_equal(picture.whole(saved(tmp_path, "c.png", Image.fromarray(COLOUR)), 1000), COLOUR)
    deep = picture.whole(saved(tmp_path, "d.tif", Image.fromarray(DEEP)), 1000)
    assert np.array_equal(deep[..., 2], np.rint(DEEP / 257).astype(np.uint8))
    (tmp_path / "cut.jpg").write_bytes(turned.read_bytes()[:-40])
    with pytest.raises(Unreadable, match="cut short"):
        picture.whole(tmp_path / "cut.jpg", 1000)


def test_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("L", (12, 12), value) for value in (40, 200)]
    path = saved(tmp_path, "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (picture.read(path, 12, channels=1) == 40).all()


def test_grey_in_a_colour_file_is_seen_as_grey(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jpg", Image.fromarray(GREY).convert("RGB"))
    assert picture.look(path).channels == 1
    assert picture.look(saved(tmp_path, "b.png", Image.fromarray(COLOUR))).channels == 3


def test_fits_differ_as_they_say(tmp_path: Path) -> None:
    wide = np.full((10, 20), 100, dtype=np.uint8)
    wide[:, :5] = wide[:, 15:] = 200
    path = saved(tmp_path, "a.png", Image.fromarray(wide))
    assert (picture.read(path, 10, 1, "crop") == 100).all()
    padded = picture.read(path, 20, 1, "pad")[0]
    assert (padded[:5] == 0).all()
    assert (padded[15:] == 0).all()
    assert np.array_equal(padded[5:15], wide)
    squashed = picture.read(path, 10, 1, "squash")[0]
    assert squashed[:, 0].min() > 190
    assert squashed[:, 5].max() < 110


def test_shrinking_averages_instead_of_skipping(tmp_path: Path) -> None:
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = picture.read(saved(tmp_path, "a.png", Image.fromarray(board)), 16, channels=1)
    assert np.abs(small.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(pixels))
    whole = path.read_bytes()
    assert picture.read(path, 32).shape == (3, 32, 32)
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Unreadable):
        picture.read(path, 32)
    with pytest.raises(Unreadable):
        picture.look(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"dear diary\n" * 20, "it is not a picture"), (b"", "the file is empty"), (None, "there is no such file")],
)
def test_what_is_no_picture_says_so(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        picture.read(path, 32)


def test_a_picture_that_would_fill_the_memory_is_refused_with_the_limit(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.png", Image.new("1", (20_000, 20_000)))
    with pytest.raises(Unreadable, match="178,956,970 pixels"):
        picture.read(path, 32)


def test_a_huge_jpeg_is_decoded_small(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jpg", Image.new("L", (20_000, 10_000), 90), quality=10)
    assert np.abs(picture.read(path, 32, channels=1).astype(int) - 90).max() <= 3


def test_arrays_are_treated_like_files(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.png", Image.fromarray(COLOUR))
    assert np.array_equal(picture.square(COLOUR, 7, 3), picture.read(path, 7))
    assert np.array_equal(picture.square(COLOUR, 7, 1), picture.read(path, 7, channels=1))
    assert np.array_equal(picture.look_at(COLOUR).thumb, picture.look(path).thumb)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_nearly_black_channel_stays_so(tmp_path: Path, kind: type) -> None:
    pixels = np.zeros((12, 12, 3), kind)
    pixels[..., 0], pixels[..., 1] = 40_000, 1
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    assert picture.read(tmp_path / "a.tif", 12, bits=16)[:, 0, 0].tolist() == [40_000, 1, 0]


@pytest.mark.parametrize(("low", "words"), [(-1000.0, "run from -1000 to 1: bring all"), (np.nan, "are no numbers")])
def test_values_that_are_no_brightness_are_refused_with_what_to_do(tmp_path: Path, low: float, words: str) -> None:
    pixels = np.ones((12, 12), np.float32)
    pixels[3, 4] = low
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(Unreadable, match=words):
        picture.read(tmp_path / "a.tif", 12)


@pytest.mark.parametrize("how", ["minisblack", "rgb"])
def test_frames_are_counted(tmp_path: Path, how: str) -> None:
    shape = (5, 12, 16, 3) if how == "rgb" else (5, 12, 16)
    tifffile.imwrite(tmp_path / "a.tif", np.ones(shape, np.uint16), photometric=how)  # colour of 16 bits is tifffile's
    assert (picture.look(tmp_path / "a.tif").frames, picture.look(tmp_path / "a.tif").width) == (5, 16)


@pytest.mark.parametrize(("kind", "value"), [(np.uint8, 200), (np.uint16, 51_400), (np.float32, 200 / 255)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_negatives_of_x_rays_are_turned_whatever_their_depth(
    tmp_path: Path, kind: type, value: float, compression: str | None
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.full((12, 12), value, kind), photometric="miniswhite", compression=compression
    )
    assert set(picture.read(tmp_path / "a.tif", 12, channels=1).ravel().tolist()) == {55}
