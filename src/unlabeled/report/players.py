"""Sounds of test items as data URIs, which the page plays without any network."""

import base64
import io
import wave

import numpy as np

from unlabeled.report.folder import Absent, Study

MOST = 2_000_000  # samples on a page, all sounds together: about 5 MB


class Players:
    """The sounds that a study has kept of its test items; none where items make no sound.

    Args:
        study: the study.
    """

    def __init__(self, study: Study) -> None:
        self.left, self.known = MOST, dict[int, str]()
        try:
            found = study.arrays("sounds.npz")
            self.samples, self.ends, self.rate = found["samples"], found["ends"], int(found["rate"])
        except (Absent, KeyError):
            self.samples, self.ends, self.rate = np.zeros(0, np.int16), np.zeros(0, np.int64), 1

    def uri(self, item: int) -> str:
        """A test item as a WAV data URI; "" where there is none, or the page holds enough."""
        if item >= len(self.ends):
            return ""
        if item not in self.known:
            first = int(self.ends[item - 1]) if item else 0
            self.known[item] = wav(self.samples[first : int(self.ends[item])], self.rate)
        length = len(self.known[item]) * 3 // 8
        if length > self.left:
            return ""
        self.left -= length
        return self.known[item]


def wav(samples: np.ndarray, rate: int) -> str:
    """Samples (N,) int16 as a WAV data URI.

    >>> wav(np.zeros(2, np.int16), 8000)[:22]
    'data:audio/wav;base64,'
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()
