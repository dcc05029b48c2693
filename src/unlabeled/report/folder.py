"""What a study left in its folder, read when a section asks for it; what is missing is told in words."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled.report.words import BASELINES, COLOURS, METHODS, Contender
from unlabeled.values import safe as safe

PREDICTIONS = "predictions"
Key = tuple[str, str, int, str]  # arm, protocol, labels, metric


class Absent(Exception):
    """Something that a section needs is not in the folder; the text says what, without a full stop."""


@dataclass(frozen=True)
class Cell:
    """One fit: which seed and which draw of labels, and its predictions (N, classes) of the test items."""

    seed: int
    draw: int
    probabilities: np.ndarray


class Study:
    """A study's folder.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self, name: str) -> str:
        """A text file of the folder.

        Raises:
            Absent: when it is not there or cannot be read; the same holds for the other readers.
        """
        try:
            return (self.path / name).read_text("utf-8")
        except FileNotFoundError:
            raise Absent(f"{name} is not in the study's folder") from None
        except (OSError, UnicodeDecodeError) as error:
            raise Absent(f"{name} cannot be read ({type(error).__name__})") from None

    def json(self, name: str) -> Any:
        """A JSON file."""
        try:
            return json.loads(self.text(name))
        except json.JSONDecodeError:
            raise Absent(f"{name} is not whole JSON") from None

    def csv(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """A table with at least these columns; names stay text even where they look like missing values."""
        text = self.text(name)
        words = ("arm", "arm_a", "arm_b", "protocol", "protocol_a", "protocol_b", "metric", "encoder")
        figures = ("value", "mean", "sd", "low", "high", "difference", "probability")
        blank = {column: ["", "nan", "NaN"] for column in figures}
        try:
            if not text.endswith("\n"):  # half a table would look like results
                raise ValueError
            types = dict.fromkeys(words, str)
            frame = pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=False, na_values=blank)
            frame = frame.astype({c: int for c in ("labels", "seed", "draw") if c in columns})
        except (ValueError, KeyError):  # pandas' own errors of reading are ValueErrors
            raise Absent(f"{name} is not a whole table") from None
        if missing := [c for c in columns if c not in frame]:
            raise Absent(f"{name} has no column {missing[0]}")
        if frame.empty:
            raise Absent(f"{name} holds no rows")
        return frame

    def arrays(self, name: str) -> Mapping[str, np.ndarray]:
        """The arrays of an `.npz` file; nothing in it is unpickled."""
        try:
            with (self.path / name).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except FileNotFoundError:
            raise Absent(f"{name} is not in the study's folder") from None
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            raise Absent(f"{name} is not a whole array file") from None

    def pictures(self, prefix: str, keys: Sequence[str]) -> list[tuple[str, Mapping[str, np.ndarray]]]:
        """Every arm's arrays in `<prefix>-<arm>.npz`, which must hold these keys; empty where there is no such file."""
        files = sorted(self.path.glob(f"{prefix}-*.npz"))
        try:
            names = {safe(arm): arm for arm in self.summary["arm"].unique()} if files else {}
        except Absent:
            names = {}
        out = []
        for file in files:
            arrays = self.arrays(file.name)
            if any(key not in arrays for key in keys):
                raise Absent(f"{file.name} does not hold the pictures {', '.join(keys)}")
            stem = file.stem.removeprefix(f"{prefix}-")
            out.append((names.get(stem, stem), arrays))
        return out

    @cached_property
    def answer(self) -> Mapping[str, Any]:
        """`answer.json`: sentence, winner, protocol, details, limits, command, created, seconds."""
        found = self.json("answer.json")
        if not isinstance(found, dict) or "sentence" not in found:
            raise Absent("answer.json holds no sentence")
        return found

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """`data.json`: root, form, classes, counts, findings and more."""
        found = self.json("data.json")
        if not isinstance(found, dict):
            raise Absent("data.json holds no facts")
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """`table.csv`: one row a figure of a cell."""
        return self.csv("table.csv", ("arm", "share", "labels", "seed", "draw", "protocol", "metric", "value"))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """`summary.csv`: mean and interval of every contender, budget and metric."""
        return self.csv("summary.csv", ("arm", "labels", "protocol", "metric", "mean", "low", "high"))

    @cached_property
    def differences(self) -> pd.DataFrame:
        """`differences.csv`: paired differences; `protocol_a` and `protocol_b` come from `protocol` where absent."""
        frame = self.csv(
            "differences.csv", ("arm_a", "arm_b", "labels", "protocol", "metric", "difference", "low", "high")
        )
        for side in ("protocol_a", "protocol_b"):
            if side not in frame:
                frame[side] = frame["protocol"]
        return frame

    @cached_property
    def test(self) -> Mapping[str, np.ndarray]:
        """`test.npz`: labels, paths and thumbnails (N, 48, 48, 3) of the test items."""
        found = self.arrays("test.npz")
        if missing := {"labels", "paths", "thumbs"} - found.keys():
            raise Absent(f"test.npz holds no {', '.join(sorted(missing))}")
        return found

    @cached_property
    def classes(self) -> Sequence[str]:
        """Names of the classes, in the order of their numbers."""
        try:
            return [str(c) for c in self.data["classes"]]
        except (Absent, KeyError):
            metrics = self.table["metric"]
            return [m.partition("/")[2] for m in dict.fromkeys(metrics) if m.startswith("support/")]

    @cached_property
    def contenders(self) -> Sequence[Contender]:
        """Every arm with every way of using labels, the best mean accuracy first."""
        accuracy = self.summary[self.summary["metric"] == "accuracy"]
        if accuracy.empty:
            raise Absent("summary.csv holds no accuracy")
        order = accuracy.groupby(["arm", "protocol"])["mean"].mean().sort_values(ascending=False, kind="stable")
        return [Contender(arm, protocol, self.colours[arm]) for arm, protocol in order.index]

    @cached_property
    def colours(self) -> Mapping[str, str]:
        """One colour for each arm, the same in every figure."""
        arms = list(dict.fromkeys(self.summary["arm"]))
        methods = [a for a in arms if Contender(a, "", "").kind == METHODS]
        own = {a: f"var(--c{i % COLOURS})" for i, a in enumerate(methods)}
        return own | {a: f"var(--{BASELINES[Contender(a, '', '').kind]})" for a in arms if a not in own}

    @cached_property
    def budgets(self) -> Sequence[int]:
        """Numbers of labels, fewest first."""
        return sorted({int(n) for n in self.summary["labels"]})

    @cached_property
    def winner(self) -> Contender:
        """The contender that the answer names, else the best one."""
        try:
            arm, protocol = self.answer.get("winner"), self.answer.get("protocol")
        except Absent:
            arm, protocol = None, None
        named = [c for c in self.contenders if c.arm == arm and protocol in (None, c.protocol)]
        return (named or list(self.contenders))[0]

    @cached_property
    def _rows(self) -> Mapping[Key, Mapping[str, Any]]:
        rows = [{str(k): v for k, v in row.items()} for row in self.summary.to_dict("records")]
        return {(r["arm"], r["protocol"], int(r["labels"]), r["metric"]): r for r in rows}

    @cached_property
    def _pairs(self) -> Mapping[tuple[str, str, str, str, int], Mapping[str, float]]:
        try:
            rows = self.differences.to_dict("records")
        except Absent:
            return {}
        return {
            (r["arm_a"], r["protocol_a"], r["arm_b"], r["protocol_b"], int(r["labels"])): {
                k: float(r[k]) for k in ("difference", "low", "high")
            }
            for r in rows
            if r["metric"] == "accuracy"
        }

    @cached_property
    def _fits(self) -> Mapping[tuple[str, str, int], Sequence[tuple[float, int, int]]]:
        """Share, seed and draw of the fits of each contender and budget."""
        out: dict[tuple[str, str, int], list[tuple[float, int, int]]] = {}
        rows = self.table[["arm", "protocol", "labels", "share", "seed", "draw"]].drop_duplicates()
        for arm, protocol, labels, share, seed, draw in rows.itertuples(index=False):
            out.setdefault((arm, protocol, int(labels)), []).append((float(share), int(seed), int(draw)))
        return out

    def row(self, contender: Contender, labels: int, metric: str = "accuracy") -> Mapping[str, Any] | None:
        """Mean and interval of a contender at a budget, or None."""
        return self._rows.get((contender.arm, contender.protocol, labels, metric))

    def difference(self, a: Contender, b: Contender, labels: int) -> Mapping[str, float] | None:
        """Paired difference in accuracy, a minus b, or None where the study has none; either order on disk will do."""
        if there := self._pairs.get((a.arm, a.protocol, b.arm, b.protocol, labels)):
            return there
        if back := self._pairs.get((b.arm, b.protocol, a.arm, a.protocol, labels)):
            return {"difference": -back["difference"], "low": -back["high"], "high": -back["low"]}
        return None

    def cells(self, contender: Contender, labels: int, limit: int | None = None) -> list[Cell]:
        """Predictions of a contender's fits with so many labels; files that are missing or do not fit are left out."""
        out: list[Cell] = []
        for share, seed, draw in self._fits.get((contender.arm, contender.protocol, labels), ()):
            name = f"{safe(contender.arm)}-{share:g}-s{seed}-d{draw}-{safe(contender.protocol)}.npz"
            try:
                found = self.arrays(f"{PREDICTIONS}/{name}").get("probabilities")
            except Absent:
                continue
            if found is not None and found.shape == (len(self.test["labels"]), len(self.classes)):
                out.append(Cell(seed, draw, found))
            if limit is not None and len(out) == limit:
                break
        return out
