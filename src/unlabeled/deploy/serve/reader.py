"""From the bytes of an upload to a raw item: looked at before it is decoded, and read as every file is read."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from unlabeled.formats import Unreadable, picture

if TYPE_CHECKING:  # a server of pictures needs none of it
    from unlabeled.data.store import Preparation

BROKEN = "the picture is broken or cut short"
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class Refused(Exception):
    """An upload that is not taken.

    Args:
        status: of the answer.
        reason: in words; nothing of this machine is in it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Reader:
    """Reads uploads as a bundle says.

    Args:
        told: the bundle's `input`: modality, prep, shape, dtype.
        pixels: most of one picture.
    """

    def __init__(self, told: Mapping[str, Any], pixels: int) -> None:
        self.modality, self.prep, self.pixels = told["modality"], told["prep"], pixels

    def read(self, data: bytes) -> np.ndarray:
        """A raw item (...) from the bytes of a file.

        Raises:
            Refused: when it is none, too large or broken.
        """
        return self.noted(data)[0]

    def noted(self, data: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        """The same, with what is to be said of how it was read, such as variables that were learnt from and are not
        there.

        Raises:
            Refused: when it is none, too large or broken.
        """
        with _lies(data) as path:
            return (self._picture(path), ()) if self.modality == "image" else self._other(path)

    def whole(self, data: bytes, most: int) -> np.ndarray:
        """The picture in a file that was read before, in its own size up to so many pixels (H, W, 3) uint8.

        Raises:
            Refused: when it is broken.
        """
        with _lies(data) as path, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return picture.whole(path, most)
            except Unreadable:
                raise Refused(422, BROKEN) from None

    def words(self, raw: np.ndarray) -> list[str] | None:
        """What each token of an item says, for texts; None for other items."""
        if self.modality != "text":
            return None
        from unlabeled.data.tokens import opened

        own, ids = opened(self.prep["tokenizer"]), raw[0][: int(np.flatnonzero(raw[0]).max(initial=-1)) + 1]
        return [own.decode([int(token)], skip_special_tokens=True) for token in ids]

    def _picture(self, path: str) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with Image.open(path, formats=KINDS) as opened:
                    width, height = opened.size
            except Image.DecompressionBombError:
                raise Refused(413, f"a picture may have {self.pixels:,} pixels") from None
            except picture.FAULTS:
                try:
                    width, height = picture.odd_size(path)  # such as a TIFF of floats
                except Unreadable:
                    raise Refused(415, f"it is not a picture of the kinds {', '.join(KINDS)}") from None
            if width * height > self.pixels:
                raise Refused(413, f"a picture may have {self.pixels:,} pixels, this one has {width * height:,}")
            prep = self.prep
            bits = 16 if prep["dtype"] == "uint16" else 8
            try:
                return picture.read(path, prep["size"], prep["channels"], prep["fit"], bits)
            except picture.Unfit as fault:
                raise Refused(422, str(fault)) from None
            except Unreadable:
                raise Refused(422, BROKEN) from None

    def _other(self, path: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """A recording, or a text, which is cut off where those were that the model learnt from with labels."""
        from unlabeled.data.prepare import as_stored, read_prep
        from unlabeled.data.stream import stream
        from unlabeled.data.table import Table, frame

        table = Table(Path(path).parent, "upload", self.modality, frame([Path(path).name], ["unlabeled"]))
        prep = read_prep(self.modality, self.prep)
        if _longer(Path(path), prep) or len(table := as_stored(table, prep)) > 1:
            most = f"{prep.size / 100:g} seconds" if self.modality == "audio" else f"{prep.size} steps"
            raise Refused(
                422, f"it is longer than an item: cut it into parts of at most {most}, and send each as a file"
            )
        [chunk] = stream(table, prep)
        if not len(chunk.rows):
            reason = chunk.broken[0].reason
            told = "" if Path(path).name in reason or "/" in reason else f": {reason}"
            raise Refused(422, f"the file cannot be read{told}")
        return chunk.raw[0], tuple(note for note in table.notes if Path(path).name not in note and "/" not in note)


def _longer(path: Path, prep: "Preparation") -> bool:
    """Whether a recording has more than an item by its times, or a sound by its header: few bytes can promise so many
    steps or windows that nothing else would have room. What cannot be read is told when it is read.
    """
    from unlabeled.data.series import SeriesPrep, one
    from unlabeled.data.sounds import FRAMES, AudioPrep
    from unlabeled.formats import sound

    try:
        if isinstance(prep, AudioPrep):
            found = sound.look(path)
            return found.samples - prep.size * found.rate // FRAMES >= found.rate / FRAMES
        if isinstance(prep, SeriesPrep):
            rows = one(path, "")
            last = len(rows) - 1 if rows.times is None else float(rows.times[-1] - rows.times[0])
            return last / prep.step > prep.size + 1
    except Unreadable:
        pass
    return False


@contextmanager
def _lies(data: bytes) -> Iterator[str]:
    """The path of a file with these bytes, for as long as it is needed."""
    if not data:
        raise Refused(422, "the file is empty")
    with tempfile.NamedTemporaryFile(prefix="unlabeled-", suffix=".upload") as file:
        file.write(data)
        file.flush()
        yield file.name
