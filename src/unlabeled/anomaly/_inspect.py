"""Look at items lot by lot with a fitted detector, so that memory stays bounded, and keep what the results need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional

from unlabeled.anomaly import Crossed, Detector, Eye, _masks
from unlabeled.anomaly._figures import Pixels
from unlabeled.anomaly._shots import SIDE, Places, join, mark, places
from unlabeled.data.source import Source
from unlabeled.data.store import Prep, Store, build
from unlabeled.data.table import Table

SHOWN = 5  # items of each kind on the page
LOT = 64  # items whose maps are in memory together


@dataclass(frozen=True)
class Usual:
    """How a detector judges good items that it has not seen.

    Args:
        scores: (N,) of them.
        low: the middle of their maps' values.
        high: the value that one in twenty of their maps reaches.
        places: what a few labelled faults are told apart from, where that was asked for.
    """

    scores: np.ndarray
    low: float
    high: float
    places: Places | None = None


@dataclass
class Seen:
    """Test items as a detector saw them.

    Args:
        scores: (N,), more is worse.
        pixels: pooled pixels of the items whose mask is known.
        places: for a few labelled faults, where that was asked for.
        unmasked: how many faulty items have no mask.
    """

    scores: np.ndarray
    pixels: Pixels = field(default_factory=Pixels)
    places: Places | None = None
    unmasked: int = 0


class Tested(Protocol):
    """Items to look at: pictures here, recordings in `_course`.

    Attributes:
        table: one row an item.
        store: what they hold.
        kinds: of each: "" for good, the name of its fault, None where it is not known.
    """

    @property
    def table(self) -> Table: ...

    @property
    def store(self) -> Store: ...

    @property
    def kinds(self) -> list[str | None]: ...

    def look(self, detector: Detector, eye: Eye, usual: Usual, out: Path) -> Seen:
        """Judge all items with a fitted detector; files about single ones go to the folder `out`."""
        ...

    def show(self, folder: Path, frame: pd.DataFrame, eye: Eye) -> dict[str, Any]:
        """Write what a page shows into the folder of the results, and give further figures.

        Args:
            folder: of the results.
            frame: one row an item: path, score, p_value, flagged.
            eye: what was looked through.
        """
        ...


@dataclass(frozen=True)
class Pictures:
    """Test pictures with the masks that people drew.

    Args:
        table: one row a picture.
        store: decoded.
        kinds: of each.
        masks: file of each faulty one's mask, None where there is none.
    """

    table: Table
    store: Store
    kinds: list[str | None]
    masks: list[Path | None]

    @classmethod
    def open(cls, table: Table, prep: Prep, masks: str | None) -> "Pictures":
        """Decode pictures and find their masks."""
        table, store = build(table, prep)
        names = _masks.kinds(table, table.rows())
        files = _masks.masks(table, table.rows(), names, _masks.folder(table, masks))
        _masks.check(table, files)
        return cls(table, store, names, files)

    def look(self, detector: Detector, eye: Eye, usual: Usual, out: Path) -> Seen:
        """Judge them, and write each one's heat map."""
        return look(detector, eye, self.store, self.table, self.kinds, masks=self.masks, scale=usual, out=out)

    def show(self, folder: Path, frame: pd.DataFrame, eye: Eye) -> dict[str, Any]:
        """Write some of each kind beside their heat maps."""
        examples(folder, frame, self.kinds, masks=self.masks, store=self.store, eye=eye)
        return {}


def usual(
    detector: Detector,
    eye: Eye,
    store: Store,
    rows: np.ndarray,
    *,
    folds: Sequence[np.ndarray] = (),
    shots: bool = False,
) -> Usual:
    """Judge good items that were kept apart; those of each fold by the part of the detector that has not seen it."""
    judges = [(detector, rows)]
    if folds and isinstance(detector, Crossed):
        judges = [(detector.apart(number), fold) for number, fold in enumerate(folds)]
    scores, tops, middles, kept = [], [], [], []
    for judge, part in judges:
        for mine, found, maps in _lots(judge, eye, store, part):
            scores.append(found)
            tops.append(maps.reshape(len(maps), -1).max(1))
            middles.append(np.median(maps.reshape(len(maps), -1), 1))
            if shots:
                kept.append(_places(judge, eye, store, mine, maps, found))
    low, high = float(np.median(np.concatenate(middles))), float(np.quantile(np.concatenate(tops), 0.95))
    return Usual(np.concatenate(scores), low, high, join(kept) if kept else None)


def look(
    detector: Detector,
    eye: Eye,
    store: Store,
    table: Table,
    kinds: Sequence[str | None],
    *,
    masks: Sequence[Path | None],
    scale: Usual,
    out: Path,
) -> Seen:
    """Judge test items, pool the pixels of those whose mask is known, and write each one's heat map beside the others.

    Args:
        detector: fitted.
        eye: what it looks through.
        store: the decoded test items; row i of the table is row i of the store.
        table: the test items.
        kinds: of each: "" for good, None where it is not known.
        masks: of each faulty item, None where there is none.
        scale: sets the colours: clear in the middle of good items' maps, red from beyond what good ones reach. Where it
            has places, those of the test items are kept as well.
        out: folder for the heat maps, `<row>.png` each.
    """
    rows, known = table.rows(), any(masks)
    source, seen, scores, kept = Source(table), Seen(np.zeros(0)), [], []
    out.mkdir(parents=True, exist_ok=True)
    for mine, found, maps in _lots(detector, eye, store, rows):
        scores.append(found)
        marks = np.zeros((len(mine), SIDE * SIDE), bool)
        pictures = eye.looks.show(_fit(eye.looks.plain(store.batch(mine)), maps.shape[-1]))
        for number, (row, map_, picture) in enumerate(zip(mine.tolist(), maps, pictures, strict=True)):
            Image.fromarray(heat(picture, map_, scale.low, scale.high)).save(out / f"{row:05d}.png")
            kind, file = kinds[row], masks[row]
            if kind is None or not known:
                continue
            if kind and file is None:
                seen.unmasked += 1
                continue
            mask = _masks.read(file) if file else _masks.empty(source, row)
            marks[number] = mark(mask)
            large = functional.interpolate(torch.from_numpy(map_)[None, None], mask.shape, mode="bilinear")
            seen.pixels.add(large[0, 0].numpy(), mask, kind)
        if scale.places:
            kept.append(replace(_places(detector, eye, store, mine, maps, found), marked=marks))
    for old in out.glob("[0-9]*.png"):  # of an earlier look at more items
        if old.stem.isdigit() and int(old.stem) >= len(rows):
            old.unlink()
    seen.scores, seen.places = np.concatenate(scores), join(kept) if kept else None
    return seen


def examples(
    folder: Path,
    frame: pd.DataFrame,
    kinds: Sequence[str | None],
    *,
    masks: Sequence[Path | None],
    store: Store,
    eye: Eye,
) -> None:
    """Write `shown.npz`, what a page shows: of each kind the most unusual items, one in the middle and the least.

    Args:
        folder: of the results, with the heat maps of `look`.
        frame: one row an item: score and map.
        kinds: of each item.
        masks: of each item, where there is one.
        store: the decoded items.
        eye: shows them.
    """
    rows = [row for kind in sorted({k if k is not None else "?" for k in kinds}) for row in _chosen(frame, kinds, kind)]
    heats = [np.asarray(Image.open(folder / frame["map"].iloc[row])) for row in rows]
    side = heats[0].shape[0]
    pictures = eye.looks.show(_fit(eye.looks.plain(store.batch(np.array(rows))), side))
    drawn = [file is not None for file in (masks[row] for row in rows)]
    marks = [_square(masks[row], side) for row in rows]
    beside = folder / ".shown.npz.part"
    with beside.open("wb") as handle:
        np.savez_compressed(
            handle, rows=np.array(rows), pictures=pictures, heats=np.stack(heats), masks=np.stack(marks), drawn=drawn
        )
    beside.replace(folder / "shown.npz")


def _chosen(frame: pd.DataFrame, kinds: Sequence[str | None], kind: str) -> list[int]:
    mine = np.array([i for i, k in enumerate(kinds) if (k if k is not None else "?") == kind])
    order = mine[np.argsort(-frame["score"].to_numpy()[mine], kind="stable")]
    count = 8 if kind == "?" else SHOWN
    places = [*range(count - 2), len(order) // 2, len(order) - 1] if kind != "?" else range(count)
    return list(dict.fromkeys(int(order[at]) for at in places if at < len(order)))


def _square(file: Path | None, side: int) -> np.ndarray:
    if file is None:
        return np.zeros((side, side), bool)
    mask = Image.fromarray(_masks.read(file).astype(np.uint8) * 255)
    return np.asarray(mask.resize((side, side), Image.Resampling.NEAREST)) > 0


def heat(picture: np.ndarray, map_: np.ndarray, low: float, high: float) -> np.ndarray:
    """A picture (S, S, 3) uint8 with its map (S, S) laid over it: clear up to `low`, red far beyond `high`."""
    strong = ((map_ - low) / max(2 * (high - low), 1e-9)).clip(0, 1)[..., None]
    colour = np.concatenate([np.full_like(strong, 255), 220 * (1 - strong), np.zeros_like(strong)], -1)
    opaque = 0.85 * np.square(strong) ** 0.75
    grey = picture.mean(-1, keepdims=True)
    return np.asarray((grey * (1 - opaque) + colour * opaque).round(), np.uint8)


def _lots(
    detector: Detector, eye: Eye, store: Store, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for at in range(0, len(rows), LOT):
        mine = rows[at : at + LOT]
        yield (mine, *detector.score(eye, store, mine))


def _places(
    detector: Detector, eye: Eye, store: Store, rows: np.ndarray, maps: np.ndarray, scores: np.ndarray
) -> Places:
    raw = store.batch(rows).to(eye.device.device)
    return places(detector, eye, raw, maps, scores)


def _fit(x: torch.Tensor, side: int) -> torch.Tensor:
    return x if x.shape[-1] == side else functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
