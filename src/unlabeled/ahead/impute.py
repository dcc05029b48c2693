"""How well do frozen features tell values that were hidden on purpose, beside rules that look around the gap?

From windows in which values were hidden, a linear map reads each place of the encoder with its neighbours and gives the
values there; of an encoder that reads each variable apart, one map for all variables comes first, which reads a single
one in units of its window, and this one adds what the others tell. The rules are the last value, the straight line
between neighbours, and the mean.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from unlabeled import progress
from unlabeled.ahead import apart
from unlabeled.ahead import windows as w
from unlabeled.ahead.apart import Reader
from unlabeled.ahead.forecast import arms_of, same_prep
from unlabeled.ahead.ridge import Inputs, Ridge
from unlabeled.ahead.windows import Windows
from unlabeled.data.store import Store
from unlabeled.data.table import Table
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.training.devices import Device
from unlabeled.training.loop import embed
from unlabeled.training.run import Run

LINE = "straight line"
NEAR = 1  # places on each side that the map reads too


@dataclass(frozen=True, eq=False)
class Imputed:
    """What was told of hidden values.

    Args:
        errors: for each arm, share and seed the squared and absolute errors of every test window: arm, share, seed and
            arrays (N,) `mse`, `mae`, in units of the training data's spread; NaN where nothing was hidden.
        groups: (N,) which windows share time, and are drawn together.
        shown: of some windows with the largest share hidden: `true` (K, V, L), `hidden` (K, V, L) bool, and the arms'.
        variables: their names.
    """

    errors: list[dict[str, Any]]
    groups: np.ndarray
    shown: Mapping[str, np.ndarray]
    variables: tuple[str, ...]


def impute(
    runs: Sequence[Run],
    table: Table,
    shares: Sequence[float],
    device: Device,
    how: Literal["points", "blocks"] = "points",
) -> Imputed:
    """Hide values, fit every arm on training windows, and score it on test windows where values were hidden.

    Args:
        runs: finished runs on series of the same preparation; runs of one method are its seeds.
        table: one row a recording.
        shares: of the measured values that are hidden, each above 0 and below 1.
        device: from `open_device`.
        how: hide single values, or a stretch of each variable.

    Raises:
        UserError: when the runs do not fit each other, or the recordings are too short.
    """
    if not shares or not all(0 < s < 1 for s in shares):
        raise UserError(f"the shares {list(shares)} were to be hidden", "give numbers above 0 and below 1")
    shares = tuple(dict.fromkeys(shares))
    prep = same_prep(runs)
    count = len(prep.variables)
    found = w.parts(table, prep, 0, max(1, prep.size // 4), 2000)
    mean, spread = w.usual(found["train"], count)
    told: list[tuple[str, float, int, np.ndarray, np.ndarray]] = []
    shown: dict[str, np.ndarray] = {}
    pick = np.linspace(0, len(found["test"]) - 1, 4).astype(int)
    true = {n: w.scaled(part, mean, spread).x[:, 1 : 1 + count] for n, part in found.items()}
    todo = arms_of(runs)
    with progress.bar("arms", len(todo) * len(shares)) as bar:
        for share in shares:
            masks = {n: hide(part, count, share, how, i) for i, (n, part) in enumerate(found.items())}
            seen = {n: _without(part, masks[n], count) for n, part in found.items()}

            known = w.scaled(seen["test"], mean, spread).x[:, 1 : 1 + count]
            for name, rule in (("last value", _last), (LINE, _line), ("mean", np.zeros_like)):
                told.append((name, share, 0, rule(known), masks["test"]))
            # an encoder that was never told of gaps gets the straight line where something is hidden
            given = seen if prep.missing else {n: _bridged(part, count) for n, part in seen.items()}
            if share == max(shares):
                shown |= {"true": true["test"][pick], "hidden": masks["test"][pick]}
            for arm, seed, encoder, looks in todo:
                start = {n: np.zeros_like(x) for n, x in true.items()}
                if encoder.apart:
                    units = {n: w.scaled(part, mean, spread) for n, part in given.items()}
                    start = _by_variable(Reader(encoder, looks, prep, device), given, units, true, masks)
                read = {n: _places(encoder, looks, part, device) for n, part in given.items()}
                rest = {n: true[n] - x for n, x in start.items()}
                guess = start["test"] + _told(_fitted(read, rest, masks), read["test"], *true["test"].shape[1:])
                told.append((arm, share, seed, guess, masks["test"]))
                bar.advance(1, f"{arm} s{seed} · {share:.0%}")
    errors = []
    for arm, share, seed, guess, mask in told:
        miss = np.where(mask, guess - true["test"], np.nan)
        errors.append(
            {"arm": arm, "share": share, "seed": seed, "mse": w.mean_of(miss**2), "mae": w.mean_of(np.abs(miss))}
        )
        if share == max(shares):
            shown.setdefault(arm, guess[pick])
    return Imputed(errors, w.together(table, found["test"], prep.size), shown, prep.variables)


def hide(part: Windows, variables: int, share: float, how: str, seed: int) -> np.ndarray:
    """Which measured values are hidden (N, V, L), bool: a share of the single values, or one stretch of each variable.

    >>> whole = Windows(np.ones((50, 3, 40), np.float32), np.ones((50, 2, 0)), np.zeros(50), np.zeros(50))
    >>> [round(float(hide(whole, 2, 0.25, how, 0).mean()), 2) for how in ("points", "blocks")]
    [0.25, 0.25]
    """
    random = np.random.default_rng([seed, round(1000 * share), 31])
    x = part.x[:, 1 : 1 + variables]
    if how == "points":
        out = random.uniform(size=x.shape) < share
    else:
        long = max(1, round(share * x.shape[2]))
        first = random.integers(0, x.shape[2] - long + 1, size=x.shape[:2])[..., None]
        step = np.arange(x.shape[2])
        out = (step >= first) & (step < first + long)
    return np.asarray(out & ~np.isnan(x))


def _without(part: Windows, mask: np.ndarray, variables: int) -> Windows:
    x = part.x.copy()
    x[:, 1 : 1 + variables][mask] = np.nan
    return Windows(x, part.y, part.recording, part.start)


def _bridged(part: Windows, variables: int) -> Windows:
    x = part.x.copy()
    x[:, 1 : 1 + variables] = _line(x[:, 1 : 1 + variables])
    return Windows(x, part.y, part.recording, part.start)


def _last(x: np.ndarray) -> np.ndarray:
    """The last value that is known before each place; before the first the first, and the mean where there is none."""
    known = ~np.isnan(x)
    step = np.arange(x.shape[2])
    last = np.maximum.accumulate(np.where(known, step, -1), axis=2)
    first = known.argmax(2)[..., None]
    return np.asarray(np.nan_to_num(np.take_along_axis(x, np.where(last < 0, first, last), 2)))


def _line(x: np.ndarray) -> np.ndarray:
    """The straight line between the known neighbours; beyond the ends the nearest."""
    step = np.arange(x.shape[2])
    out = np.zeros_like(x)
    for i in np.ndindex(*x.shape[:2]):
        known = ~np.isnan(x[i])
        if known.any():
            out[i] = np.interp(step, step[known], x[i][known])
    return out


class _Tokens(torch.nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Views (B, C, T) to places (B, T', D)."""
        return self.encoder.tokens(x).float()


def _places(encoder: Encoder, looks: Any, part: Windows, device: Device) -> np.ndarray:
    """Every place with its neighbours (N, T', D * (1 + 2 NEAR))."""
    reader = device.place(_Tokens(encoder).eval())
    return _near(embed(reader, looks, Store(part.x), np.arange(len(part)), device).numpy())


def _near(x: np.ndarray) -> np.ndarray:
    """Places (N, T', D) beside their neighbours."""
    padded = np.pad(x, ((0, 0), (NEAR, NEAR), (0, 0)), mode="edge")
    return np.asarray(np.concatenate([padded[:, i : i + x.shape[1]] for i in range(1 + 2 * NEAR)], 2))


def _fitted(read: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> Ridge:
    """A map from places (N, T', P) to the values there of windows (N, V, L), fitted on hidden values alone."""
    y = {n: _cut(np.where(masks[n], true[n], np.nan), read[n].shape[1]) for n in ("train", "val")}
    flat = {n: read[n].reshape(-1, read[n].shape[2]) for n in ("train", "val")}
    return Ridge.fit(Inputs.of(flat["train"]), y["train"], flat["val"], y["val"])


def _cut(x: np.ndarray, places: int) -> np.ndarray:
    """Windows (N, V, L) to one row a place (N * T', V * steps), NaN behind the end."""
    each = -(-x.shape[2] // places)
    out = np.pad(x, ((0, 0), (0, 0), (0, places * each - x.shape[2])), constant_values=np.nan)
    return np.asarray(out.reshape(*x.shape[:2], places, each).transpose(0, 2, 1, 3).reshape(-1, x.shape[1] * each))


def _told(fitted: Ridge, read: np.ndarray, count: int, steps: int) -> np.ndarray:
    """Values (N, V, L) of windows from what is read of their places (N, T', P)."""
    places = read.shape[1]
    guess = fitted.predict(read.reshape(-1, read.shape[2])).reshape(len(read), places, count, -1)
    return np.asarray(guess.transpose(0, 2, 1, 3).reshape(len(read), count, -1)[:, :, :steps])


def _by_variable(
    reader: Reader,
    given: Mapping[str, Windows],
    units: Mapping[str, Windows],
    true: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Values (N, V, L) of every part by one map for all variables, each less its window's mean."""
    count, steps = true["test"].shape[1:]
    most = max(1, apart.ROWS // count // 4)  # a window has many places

    def places(name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, mean, spread = reader.shares(apart.at(given[name], rows), apart.at(units[name], rows), sys.maxsize)
        out = _near((x * spread[..., None]).reshape(-1, *x.shape[2:]).swapaxes(1, 2))
        return np.concatenate([out, np.broadcast_to(spread.reshape(-1, 1, 1), (*out.shape[:2], 1))], 2), mean

    read, target, hidden = {}, {}, {}
    for name in ("train", "val"):
        rows = apart.evenly(len(given[name]), most)
        read[name], mean = places(name, rows)
        target[name] = (true[name][rows] - mean).reshape(-1, 1, steps)
        hidden[name] = masks[name][rows].reshape(-1, 1, steps)
    fitted = _fitted(read, target, hidden)
    out: dict[str, list[np.ndarray]] = {name: [] for name in given}
    for name, part in given.items():
        for first in range(0, len(part), most):
            x, mean = places(name, np.arange(first, min(len(part), first + most)))
            out[name].append(_told(fitted, x, 1, steps).reshape(-1, count, steps) + mean)
    return {name: np.concatenate(told) for name, told in out.items()}
