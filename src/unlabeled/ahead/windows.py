"""Windows of recordings as an encoder saw its own, and what comes after each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from unlabeled.data.series import Grids, SeriesPrep, place
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Store
from unlabeled.data.table import Table
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.modalities import Modality
from unlabeled.training.devices import Device
from unlabeled.training.loop import embed

PARTS = {"train": ("train", "unlabeled"), "val": ("val",), "test": ("test",)}
CUTS = (0.6, 0.8)  # of a recording's time where the data bring no split: learnt from, then kept apart, then tested
SOME = 6  # variables that are named
WIDEST = 2048  # numbers that a linear map reads of an encoder's places


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one part of the data, in order of time within each recording.

    Args:
        x: (N, 1 + V, L) float32 as a store holds them.
        y: (N, V, H) what comes after, NaN where nothing was measured; H may be 0.
        recording: (N,) int64 number of the recording.
        start: (N,) int64 first step.
    """

    x: np.ndarray
    y: np.ndarray
    recording: np.ndarray
    start: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def some(self, most: int) -> "Windows":
        """At most so many of them, evenly taken."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64))
        return Windows(self.x[rows], self.y[rows], self.recording[rows], self.start[rows])


def parts(table: Table, prep: SeriesPrep, horizon: int, stride: int = 1, most: int = 5000) -> dict[str, Windows]:
    """Windows of the parts `train`, `val` and `test`, each with the `horizon` steps that follow it in its recording.

    Where the table has no test recordings, each recording's time is cut: 60 % to learn from, 20 % kept apart, 20 % to
    test on. Where it has no `val`, the last fifth of the training time is kept apart. No window and nothing that
    follows it reaches over a cut. Where most recordings are too short for that, as records of patients are which are
    taken whole, a fifth of the recordings is each part instead, whole groups together. What is shorter than a window
    and has nothing to be followed by is filled up behind its end.

    Args:
        table: one row a recording.
        prep: of the run: steps, variables.
        horizon: steps that follow, 0 or more.
        stride: steps from one window to the next.
        most: windows of a part, evenly taken where there are more.

    Raises:
        UserError: when no recording is long enough.
    """
    grids = Grids(prep.step, prep.variables, prep.statics)
    kept: list[tuple[int, np.ndarray]] = []
    for number, path in enumerate(table.items["path"].tolist()):
        file, key, first, count = place(path)
        try:
            values, _ = grids.read(table.folder / file, key)
        except Unreadable:
            continue  # the doctor names it
        kept.append((number, values[:, first : None if count is None else first + count]))
    named = table.items["split"].to_numpy()[[number for number, _ in kept]]
    own = [next(name for name, splits in PARTS.items() if split in splits) for split in named.tolist()]
    lengths = [values.shape[1] for _, values in kept]
    spans = [_cut(name, length, own) for name, length in zip(own, lengths, strict=True)]
    need = prep.size + horizon
    enough = [all(high - low >= need for low, high in cuts.values()) for cuts in spans]
    if any(len(cuts) > 1 for cuts in spans) and 2 * sum(enough) < len(kept):
        apart = _apart(table, np.array([number for number, _ in kept], np.int64), own)
        spans = spans if apart is None else [{name: (0, n)} for name, n in zip(apart, lengths, strict=True)]
    found: dict[str, list[tuple[np.ndarray, int, range]]] = {name: [] for name in PARTS}
    for (number, values), cuts in zip(kept, spans, strict=True):
        for name, (low, high) in cuts.items():
            starts = range(low, high - need + 1, stride)
            if not horizon and len(cuts) == 1 and 0 < high - low < need:
                starts = range(low, low + 1)
            if len(starts):
                found[name].append((values, number, starts))
    out = {}
    for name, whole in found.items():
        ends = np.cumsum([len(starts) for _, _, starts in whole])
        if not len(ends):
            longest = max(lengths, default=0)
            wrong = f"no {name} part of {table.root} has {need:,} steps (the longest recording: {longest:,})"
            raise UserError(wrong, "ask for a shorter horizon, or learn from shorter windows (--size)")
        x, y, where = list[np.ndarray](), list[np.ndarray](), list[tuple[int, int]]()
        for i in np.unique(np.linspace(0, ends[-1] - 1, min(most, ends[-1])).astype(np.int64)).tolist():
            at = int(np.searchsorted(ends, i, side="right"))
            values, number, starts = whole[at]
            start = starts[i - int(ends[at])]  # counted from the recording's last window
            end = start + prep.size
            shown = values[:, start:end]
            raw = np.full((1 + len(values), prep.size), np.nan, np.float32)
            raw[0], raw[1:, : shown.shape[1]] = np.arange(prep.size) < shown.shape[1], shown
            x.append(raw)
            y.append(values[: len(prep.variables), end : end + horizon])
            where.append((number, start))
        both = np.array(where, np.int64)
        if np.isnan(whole_x := np.stack(x))[:, 1:].all():
            names = ", ".join(prep.variables[:SOME]) + (" ..." if len(prep.variables) > SOME else "")
            wrong = f"nothing of what was learnt from ({names}) is in the {name} part of {table.root}"
            raise UserError(wrong, "give recordings with these variables")
        out[name] = Windows(whole_x, np.stack(y).astype(np.float32), both[:, 0], both[:, 1])
    return out


def _cut(own: str, length: int, all_own: Sequence[str]) -> dict[str, tuple[int, int]]:
    """First and end step of each part of a recording that is named for a part, beside all others."""
    if "test" not in all_own:
        a, b = (round(c * length) for c in CUTS)
        return {"train": (0, a), "val": (a, b), "test": (b, length)}
    if own == "train" and "val" not in all_own:
        return {"train": (0, round(0.8 * length)), "val": (round(0.8 * length), length)}
    return {own: (0, length)}


def _apart(table: Table, rows: np.ndarray, own: Sequence[str]) -> list[str] | None:
    """The part of each recording where whole ones are kept apart, groups together; None where there are too few."""
    units = unit_numbers(table, rows)
    units = np.arange(len(rows)) if units is None else units
    there = np.array(own) == "train" if "test" in own else np.ones(len(rows), bool)
    names = np.random.default_rng([0, 43]).permutation(np.unique(units[there]))
    fifth = max(1, round(0.2 * len(names)))
    kept = ("val",) if "test" in own else ("val", "test")
    if len(names) <= fifth * len(kept):
        return None
    part = dict.fromkeys(names.tolist(), "train")
    for k, name in enumerate(kept):
        part |= dict.fromkeys(names[k * fifth : (k + 1) * fifth].tolist(), name)
    return [part[u] if mine else name for u, mine, name in zip(units.tolist(), there, own, strict=True)]


def together(table: Table, part: Windows, length: int) -> np.ndarray:
    """Which windows (N,) are drawn together in the intervals: those of a patient or another group that the table names,
    else those that lie in one stretch of so many steps of a recording, as they overlap.
    """
    units = unit_numbers(table, np.arange(len(table)))
    if units is not None and len(np.unique(units[part.recording])) > 1:
        return np.asarray(units[part.recording])
    return np.unique(np.stack([part.recording, part.start // length], 1), axis=0, return_inverse=True)[1].ravel()


class Places(torch.nn.Module):
    """The vectors of an encoder's places in a row, averaged over neighbours where they are too many numbers."""

    def __init__(self, encoder: Encoder, widest: int = WIDEST) -> None:
        super().__init__()
        self.encoder, self.widest = encoder, widest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Views (B, C, T) to (B, P)."""
        tokens = self.encoder.tokens(x).float().transpose(1, 2)  # (B, D, T')
        room = max(1, self.widest // tokens.shape[1])
        if tokens.shape[2] > room:
            tokens = torch.nn.functional.adaptive_avg_pool1d(tokens, room)
        return tokens.flatten(1)


def features(encoder: Encoder, looks: Modality, windows: Windows, device: Device) -> np.ndarray:
    """What the encoder's places hold of windows (N, P), float32."""
    store = Store(windows.x)
    reader = device.place(Places(encoder).eval())
    return np.asarray(embed(reader, looks, store, np.arange(len(windows)), device).numpy())


def level(windows: Windows, variables: int) -> np.ndarray:
    """The last value of each variable that was measured in each window (N, V); 0 where none was."""
    x = windows.x[:, 1 : 1 + variables]
    known = ~np.isnan(x)
    last = x.shape[2] - 1 - known[..., ::-1].argmax(2)
    value = np.take_along_axis(np.nan_to_num(x), last[..., None], 2)[..., 0]
    return np.where(known.any(2), value, 0.0)


def scaled(windows: Windows, mean: np.ndarray, spread: np.ndarray) -> Windows:
    """Windows whose values and futures count in units of the training data: less `mean`, over `spread`, both (V,)."""
    n = len(mean)
    x = windows.x.copy()
    x[:, 1 : 1 + n] = (x[:, 1 : 1 + n] - mean[:, None]) / spread[:, None]
    return replace(windows, x=x, y=(windows.y - mean[:, None]) / spread[:, None])


def usual(windows: Windows, variables: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (V,) of each variable over windows; not a number and 1 where it was never measured."""
    x = windows.x[:, 1 : 1 + variables].astype(np.float64)
    known = ~np.isnan(x)
    many = known.sum((0, 2))
    mean = np.divide(np.where(known, x, 0.0).sum((0, 2)), many, out=np.full(variables, np.nan), where=many > 0)
    spread = np.sqrt((np.where(known, x - mean[:, None], 0.0) ** 2).sum((0, 2)) / np.maximum(many, 1))
    return mean, np.where(spread > 1e-8, spread, 1.0)


def mean_of(values: np.ndarray) -> np.ndarray:
    """Mean of what is known of each window (N,) of values (N, V, T); not a number where nothing is."""
    many = (~np.isnan(values)).sum((1, 2))
    out = np.full(len(values), np.nan)
    np.divide(np.nansum(values, axis=(1, 2)), many, out=out, where=many > 0)
    return out
