"""Sounds: whatever libsndfile reads becomes one channel of numbers at one rate, or a reason in words why it does not.

What a file is its content tells, not its name: an mp3 called .wav is read as an mp3.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled.errors import UserError
from unlabeled.formats import Unreadable

SUFFIXES = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")
)
ENDLESS = 1 << 62  # samples: what libsndfile says of a stream whose end nobody wrote down
BLOCK = 1 << 20  # samples that are read at once: what a header promises is not believed
LEAD = 32 * 1152  # samples that an mp3 is decoded from before those that are wanted: its frames draw on earlier ones


@dataclass(frozen=True)
class Look:
    """Facts of a file without decoding it: samples a second, channels, and samples of each channel."""

    rate: int
    channels: int
    samples: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.rate


def look(path: str | Path) -> Look:
    """Read the header of a file.

    Raises:
        Unreadable: with the reason in words.
        UserError: when soundfile is not installed.
    """
    with _opened(path) as file:
        return Look(int(file.samplerate), int(file.channels), int(file.frames))


def read(path: str | Path, rate: int = 0, first: int = 0, count: int | None = None) -> np.ndarray:
    """Decode a file, or a part of it, to one channel (N,) float32 in -1 to 1; several channels are averaged.

    A file that reaches beyond -1 to 1 is brought back by its own peak.

    Args:
        path: of the file.
        rate: samples a second that are wanted; 0 keeps the file's own.
        first: sample at which to begin, counted at the file's own rate.
        count: samples to read, at the file's own rate; None reads to the end.

    Raises:
        Unreadable: with the reason in words.
        UserError: when soundfile, or what changes rates, is not installed.
    """
    with _opened(path) as file:
        own = int(file.samplerate)
        first = min(first, int(file.frames))
        lead = min(first, LEAD) if str(file.subtype).startswith("MPEG") else 0
        blocks, left = [], None if count is None else lead + count
        try:
            file.seek(first - lead)
            while left is None or left > 0:
                block = file.read(BLOCK if left is None else min(BLOCK, left), dtype="float32", always_2d=True)
                if not len(block):
                    break
                blocks.append(block.mean(1))
                left = None if left is None else left - len(block)
        except (RuntimeError, OSError) as fault:
            raise Unreadable(_words(fault)) from None
    x = np.concatenate(blocks)[lead:] if blocks else np.zeros(0, np.float32)
    if not len(x):
        raise Unreadable("there is no sound in it: it has 0 samples")
    if not np.isfinite(x).all():
        raise Unreadable(f"{int((~np.isfinite(x)).sum()):,} of its {len(x):,} samples are not finite numbers")
    x = x / max(1.0, float(np.abs(x).max()))
    return np.asarray(x if rate in (0, own) else _resampled(x, own, rate), np.float32)


def _resampled(x: np.ndarray, own: int, rate: int) -> np.ndarray:
    need("soxr")
    out = np.asarray(import_module("soxr").resample(x, own, rate), np.float32)
    if not len(out):
        raise Unreadable(f"its {len(x):,} samples at {own:,} Hz are too few to become any at {rate:,} Hz")
    return out.clip(-1, 1)


def _opened(path: str | Path) -> Any:
    """The file, open, for a `with`."""
    need("soundfile")
    import soundfile

    try:
        if Path(path).stat().st_size == 0:
            raise Unreadable("the file is empty")
        file = soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError) as fault:  # a TypeError where a name asks for headerless data
        raise Unreadable(_words(fault)) from None
    except OSError as fault:
        raise Unreadable(fault.strerror or "it cannot be opened") from None
    if not 0 < file.frames < ENDLESS:
        file.close()
        none = "there is no sound in it: it has 0 samples"
        raise Unreadable("its header does not tell how long it is: save it again" if file.frames else none)
    return file


def _words(fault: Exception) -> str:
    """libsndfile's reason, without the path that stands before it."""
    told = str(getattr(fault, "error_string", "") or fault).rstrip(".") or type(fault).__name__
    return f"it is no sound that can be read ({told[:1].lower()}{told[1:]})"


def need(module: str) -> None:
    """Refuse where a module that reads sounds is missing."""
    if find_spec(module) is None:
        raise UserError(f"sounds cannot be read: {module} is not installed", 'pip install "unlabeled[audio]"')
