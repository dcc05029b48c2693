"""A detector of faults as it is used: pictures in, a table with score, p-value, flag and reason out, and heat maps."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from unlabeled.anomaly import _kept, _threshold
from unlabeled.anomaly._inspect import heat
from unlabeled.anomaly._kept import Judge
from unlabeled.data.prepare import as_stored, read_prep
from unlabeled.data.store import Preparation, Store
from unlabeled.data.stream import Chunk, stream
from unlabeled.deploy.inputs import table_of
from unlabeled.errors import UserError
from unlabeled.settings import Training
from unlabeled.training.devices import open_device

STRIP = 1 << 18  # pixels of a picture that are coloured together
ACROSS, DOWN = ("left", "", "right"), ("top", "", "bottom")


@dataclass(frozen=True, eq=False)
class Sights:
    """How unusual some pictures are.

    Args:
        scores: (N,), more is worse.
        maps: (N, S, S) of their places.
    """

    scores: np.ndarray
    maps: np.ndarray

    def __getitem__(self, part: slice) -> "Sights":
        """The same of these pictures alone."""
        return Sights(self.scores[part], self.maps[part])


@dataclass(frozen=True, eq=False)
class Inspector:
    """A detector of faults that has learnt from good pictures.

    Args:
        name: what it is called.
        judge: what detect has kept.

    >>> import unlabeled as ul
    >>> parts = np.random.default_rng(0).integers(90, 110, (30, 32, 32)).astype("uint8")
    >>> parts[29, 6:10, 24:28] = 255
    >>> np.savez("good.npz", x=parts[:24]), np.savez("new.npz", x=parts[24:])
    (None, None)
    >>> quick = "planted(pictures=12, epochs=1, width=4)"
    >>> found = ul.detect("good.npz", on="new.npz", detector=quick)
    >>> table = ul.load(str(found.folder)).predict(parts[27:])
    >>> table["flagged"].tolist(), table["why"][2]
    ([False, False, True], '1 of 25 good parts would look this odd; it stands out most at the top right')
    """

    name: str
    judge: Judge

    @property
    def prep(self) -> Preparation:
        """How pictures are read."""
        return read_prep("image", self.judge.recipe.prep)

    @property
    def good(self) -> int:
        """How many good pictures say what is usual."""
        return len(self.judge.usual.scores)

    @property
    def least(self) -> float:
        """The lowest rate of false alarms for which there are good pictures enough."""
        return 1 / (self.good + 1)

    def predict(self, x: Any, *, false_alarms: float | None = None) -> pd.DataFrame:
        """Judge pictures of any form; see `inputs.table_of`.

        Args:
            x: folder, paths, PIL pictures, an array (N, H, W) or (N, H, W, 3), or a data frame with a column `path`.
            false_alarms: share of good pictures that may be flagged, 0 to 1; that of the detector when not given.

        Returns:
            One row a picture: path, score, p_value, flagged, why. What cannot be read has no score and no flag, and the
            reason in `why`.

        Raises:
            UserError: when these are no pictures, or there are too few good ones for such a rate.
        """
        rate = self.judge.rate if false_alarms is None else false_alarms
        self.vouch(rate)
        rows: list[dict[str, Any]] = []
        with table_of(x, "image") as given:
            table = as_stored(given, self.prep)
            paths = table.items["path"].tolist()
            for chunk in stream(table, self.prep):
                rows += self._rows(chunk, paths, rate)
        frame = pd.DataFrame(rows, columns=["path", "score", "p_value", "flagged", "why"])
        return frame.astype({"path": "str", "score": float, "p_value": float, "flagged": "boolean", "why": "str"})

    def maps(self, x: Any) -> np.ndarray:
        """How unusual each place of pictures is (N, S, S) float32; nan for what cannot be read.

        Raises:
            UserError: when these are no pictures.
        """
        with table_of(x, "image") as given:
            table = as_stored(given, self.prep)
            side = int(self.judge.about["view"])
            out: np.ndarray = np.full((len(table), side, side), np.nan, np.float32)
            for chunk in stream(table, self.prep):
                if len(chunk.rows):
                    out[chunk.rows] = self.look(chunk.raw).maps
        return out

    def look(self, raw: np.ndarray) -> Sights:
        """Scores and maps of raw pictures (N, C, H, W) as the reader gives them."""
        return Sights(*self.judge.finder.score(self.judge.eye, Store(raw), np.arange(len(raw))))

    def vouch(self, rate: float) -> None:
        """Refuse a rate of false alarms, 0 to 1, for which there are too few good pictures."""
        scores = self.judge.usual.scores
        _threshold.threshold(scores, rate, _threshold.weights(self.judge.units, len(scores), rate))

    def told(self, found: Sights, rate: float) -> list[dict[str, Any]]:
        """What is said of each picture at a rate of false alarms: score, p_value, flagged, why."""
        usual = self.judge.usual.scores
        p = _threshold.p_values(found.scores, usual, _threshold.weights(self.judge.units, len(usual), rate))
        flags = _threshold.flagged(p, rate)
        return [
            {"score": float(s), "p_value": float(q), "flagged": bool(f), "why": why(float(q), bool(f), map_)}
            for s, q, f, map_ in zip(found.scores, p, flags, found.maps, strict=True)
        ]

    def overlay(self, picture: np.ndarray, map_: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 in grey, its map (S, S) over it: clear where good ones are like that, then red."""
        height, width = picture.shape[:2]
        wide = np.asarray(Image.fromarray(map_).resize((width, height), Image.Resampling.BILINEAR))
        usual, many = self.judge.usual, max(1, STRIP // width)
        parts = [
            heat(picture[at : at + many], wide[at : at + many], usual.low, usual.high) for at in range(0, height, many)
        ]
        return np.concatenate(parts)

    def lines(self) -> list[str]:
        """What a person wants to know of it."""
        told = self.judge.about
        return [
            f"{self.name}: {self.judge.detector}, learnt from {told['learnt_from']:,} good pictures",
            f"flags what at most {self.judge.rate:.1%} of good pictures look like, by {self.good:,} of them; "
            f"{self.least:.2%} is the lowest rate that they vouch for",
        ]

    def _rows(self, chunk: Chunk, paths: list[str], rate: float) -> list[dict[str, Any]]:
        found = self.told(self.look(chunk.raw), rate) if len(chunk.rows) else []
        rows: dict[int, dict[str, Any]] = dict(zip(chunk.rows.tolist(), found, strict=True))
        for row, broken in chunk.broken.items():
            rows[row] = {"score": np.nan, "p_value": np.nan, "flagged": None, "why": f"cannot be read: {broken.reason}"}
        return [{"path": paths[row], **rows[row]} for row in sorted(rows)]


def why(p: float, flagged: bool, map_: np.ndarray) -> str:
    """What a p-value says, in words, and for what is flagged where on its map (S, S) it stands out most.

    >>> why(0.005, True, np.eye(1, 9).reshape(3, 3))
    '1 of 200 good parts would look this odd; it stands out most at the top left'
    >>> why(0.38, False, np.zeros((3, 3)))
    '38 of 100 good parts look this odd'
    """
    rare = p <= 0.1
    said = (
        f"1 of {1 / p:.0f} good parts would look this odd" if rare else f"{100 * p:.0f} of 100 good parts look this odd"
    )
    return f"{said}; it stands out most {_where(map_)}" if flagged else said


def _where(map_: np.ndarray) -> str:
    """The ninth of a picture in which its map (S, S) is highest, in words."""
    row, column = np.unravel_index(int(map_.argmax()), map_.shape)
    names = DOWN[3 * int(row) // map_.shape[0]], ACROSS[3 * int(column) // map_.shape[1]]
    return f"at the {' '.join(n for n in names if n)}" if any(names) else "in the middle"


def load_inspector(given: str | Path, *, threads: int = 0, false_alarms: float | None = None) -> Inspector:
    """Open a detector of faults in pictures that detect has kept.

    Args:
        given: the results of detect, a folder with `detector.safetensors`, or that file.
        threads: CPU threads; 0 takes the cores that other processes leave free.
        false_alarms: share of good pictures that may be flagged, 0 to 1, instead of the one it learnt for.

    Raises:
        UserError: when it cannot be read, looks at recordings, or has too few good pictures for such a rate.
    """
    folder = _kept.lies_in(given) or Path(given)
    judge = _kept.load(folder, open_device(Training(threads=threads)))
    if judge.recipe.modality != "image":
        raise UserError(
            f"{folder} looks for faults in recordings, and only detectors of faults in pictures are loaded and served",
            f"run: unlabeled detect {folder} --on RECORDINGS",
        )
    if _kept.needs(judge.detector) == "painting":  # what it hides is drawn by an item's place among others
        judge = replace(judge, eye=replace(judge.eye, batch=1))
    if false_alarms is not None:
        judge = replace(judge, about={**judge.about, "rate": false_alarms})
    found = Inspector(folder.resolve().name, judge)
    found.vouch(judge.rate)
    return found
