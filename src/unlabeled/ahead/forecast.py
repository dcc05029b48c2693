"""How well do frozen features tell what comes next, beside rules that look at the values themselves?

A linear map reads the features and gives every step of every variable up to the horizon, as what is added to the last
value (NLinear: Zeng et al. 2022, arXiv:2205.13504); of an encoder that reads each variable apart, one map for all
variables from the features of each (`ahead/apart.py`). Beside it: a map of each variable's own past (`linear`), one of
the features of an untrained encoder (`random`), the last season, the last value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unlabeled import progress
from unlabeled.ahead import apart
from unlabeled.ahead import windows as w
from unlabeled.ahead.apart import Reader
from unlabeled.ahead.ridge import Inputs, Ridge
from unlabeled.ahead.scores import RANDOM
from unlabeled.ahead.windows import Windows
from unlabeled.data.series import SeriesPrep
from unlabeled.data.table import Table
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.training.devices import Device
from unlabeled.training.run import Run

LONGEST_SEASON = 400  # steps up to which a season is looked for
LINEAR = "linear"
MOST, FEWEST, VALUES = 5000, 500, 200_000  # windows of a part: fewer of many variables, whose futures fill the memory
Parts = Mapping[str, np.ndarray]  # by train, val, test


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What was foretold.

    Args:
        errors: for each arm, horizon and seed the squared and absolute errors of every test window: arm, horizon, seed,
            and arrays (N,) `mse`, `mae`, in units of the training data's spread.
        groups: for each horizon (N,) which windows share time, and are drawn together.
        season: steps of the season that was found, 0 for none.
        shown: for the pictures: past (K, V, L), true future (K, V, H) and the arms' futures (K, V, H) of some windows.
        steps: of a window.
        variables: their names.
    """

    errors: list[dict[str, Any]]
    groups: Mapping[int, np.ndarray]
    season: int
    shown: Mapping[str, np.ndarray]
    steps: int
    variables: tuple[str, ...]


def forecast(runs: Sequence[Run], table: Table, horizons: Sequence[int], device: Device, stride: int = 1) -> Forecasts:
    """Fit and score every arm at every horizon.

    Args:
        runs: finished runs on series of the same preparation; runs of one method are its seeds.
        table: one row a recording.
        horizons: steps ahead, each 1 or more.
        device: from `open_device`.
        stride: steps from one window to the next.

    Raises:
        UserError: when the runs do not fit each other, or the recordings are too short.
    """
    if not horizons or min(horizons) < 1:
        raise UserError(f"the horizons {list(horizons)} were asked for", "give steps of 1 or more, such as 24,168")
    horizons = tuple(dict.fromkeys(horizons))
    prep = same_prep(runs)
    names, count = prep.variables, len(prep.variables)
    found = w.parts(table, prep, max(horizons), stride, max(FEWEST, min(MOST, VALUES // count)))
    mean, spread = w.usual(found["train"], count)
    units = {name: w.scaled(part, mean, spread) for name, part in found.items()}
    season = season_of(units["train"], count)
    errors: list[dict[str, Any]] = []
    shown: dict[str, np.ndarray] = {}
    pick = np.linspace(0, len(found["test"]) - 1, 4).astype(int)

    def told(arm: str, seed: int, guess: np.ndarray) -> None:
        miss = guess - units["test"].y[:, :, : guess.shape[2]]
        rows = {"mse": w.mean_of(miss**2), "mae": w.mean_of(np.abs(miss))}
        errors.append({"arm": arm, "horizon": guess.shape[2], "seed": seed, **rows})
        if guess.shape[2] == max(horizons):
            shown.setdefault(arm, guess[pick])

    todo = arms_of(runs)
    with progress.bar("arms", (len(todo) + 1) * len(horizons)) as bar:
        levels = {name: w.level(part, count)[..., None] for name, part in units.items()}
        history = {name: _history(part, levels[name]) for name, part in units.items()}
        inputs = Inputs.of(history["train"])
        plain = {}
        for h in horizons:
            plain[h] = _by_variable(inputs, history, units, levels, h)
            told(LINEAR, 0, plain[h]["test"])
            bar.advance(1, LINEAR)
        for arm, seed, encoder, looks in todo:
            adds = [False] if arm.startswith(RANDOM) else [False, True]  # what the features add to the plain rule
            cases = [(h, plus) for h in horizons for plus in adds]
            starts = [plain[h] if plus else levels for h, plus in cases]
            steps = [h for h, _ in cases]
            if encoder.apart:
                guesses = apart.futures(Reader(encoder, looks, prep, device), found, units, starts, steps)
            else:
                read = {name: w.features(encoder, looks, part, device) for name, part in found.items()}
                inputs = Inputs.of(read["train"])
                guesses = [_all_at_once(inputs, read, units, s, h) for s, h in zip(starts, steps, strict=True)]
            for (_, plus), guess in zip(cases, guesses, strict=True):
                told(f"{LINEAR} + {arm}" if plus else arm, seed, guess)
            bar.advance(len(horizons), f"{arm} s{seed}")
    test = units["test"]
    last = levels["test"]
    for h in horizons:
        told("last value", 0, np.repeat(last, h, 2))
        if season and season <= prep.size:
            past = np.where(np.isnan(test.x[:, 1 : 1 + count]), last, test.x[:, 1 : 1 + count])[:, :, -season:]
            told("last season", 0, np.tile(past, -(-h // season))[:, :, :h])
    shown |= {"past": test.x[pick, 1 : 1 + count], "true": test.y[pick]}
    groups = {h: w.together(table, found["test"], h + prep.size) for h in horizons}
    return Forecasts(errors, groups, season, shown, prep.size, names)


def same_prep(runs: Sequence[Run]) -> SeriesPrep:
    """The preparation that all runs share.

    Raises:
        UserError: when one is unfinished, or learnt from something else.
    """
    if not runs:
        raise UserError("no run was given", 'give folders that "unlabeled pretrain" wrote')
    preps = []
    for run in runs:
        if run.recipe.modality != "series":
            raise UserError(f"{run.folder} has learnt from {run.recipe.modality} items", "give runs on series")
        if not run.finished:
            raise UserError(f"{run.folder} stopped at step {run.step} of {run.recipe.steps}", "let its training finish")
        preps.append(SeriesPrep(**run.recipe.prep))
    if len(set(preps)) > 1:
        raise UserError(
            "the runs have cut or measured their windows differently", "give runs on the same data and size"
        )
    return preps[0]


def called(runs: Sequence[Run]) -> list[str]:
    """What the arm of each run is called: its method, with its encoder where runs of that method have several.

    Raises:
        UserError: when two runs of one arm have the same seed.
    """
    kinds: dict[str, set[str]] = {}
    for run in runs:
        kinds.setdefault(str(run.recipe.method), set()).add(str(run.recipe.encoder))
    out, first = [], dict[tuple[str, int], Run]()
    for run in runs:
        method, encoder = str(run.recipe.method), str(run.recipe.encoder)
        out.append(method if len(kinds[method]) == 1 else f"{method}[{encoder}]")
        if (other := first.setdefault((out[-1], run.recipe.seed), run)) is not run:
            raise UserError(
                f"{other.folder} and {run.folder} are both of {out[-1]} with the seed {run.recipe.seed}",
                "give runs of other seeds, or each in a call of its own",
            )
    return out


def arms_of(runs: Sequence[Run]) -> list[tuple[str, int, Encoder, Modality]]:
    """Name, seed, encoder and looks (its own mean and spread) of every run, and of every encoder as it starts."""
    named = zip(called(runs), runs, strict=True)
    out = [(name, run.recipe.seed, run.encoder(), run.recipe.looks()) for name, run in named]
    kinds = {str(run.recipe.encoder) for run in runs}
    starts = {(str(run.recipe.encoder), run.recipe.seed): run.recipe for run in runs}
    for (spec, seed), recipe in starts.items():
        name = RANDOM if len(kinds) == 1 else f"{RANDOM}[{spec}]"
        out.append((name, seed, recipe.build_encoder().eval(), recipe.looks()))
    return out


def season_of(windows: Windows, variables: int) -> int:
    """Steps after which the variables are most like themselves, from 2 to half a window; 0 where nothing repeats.

    >>> wave = np.sin(np.arange(96) * 2 * np.pi / 12)[None, None].repeat(2, 1).astype(np.float32)
    >>> season_of(Windows(wave, wave[:, :, :0], np.zeros(1), np.zeros(1)), 1)
    12
    """
    x = np.nan_to_num(windows.some(500).x[:, 1 : 1 + variables]).astype(np.float64)
    x = x - x.mean(2, keepdims=True)
    steps = x.shape[2]
    power = np.abs(np.fft.rfft(x, 2 * steps, axis=2)) ** 2
    alike = np.fft.irfft(power, axis=2)[:, :, :steps].mean(0)
    alike = (alike / np.maximum(alike[:, :1], 1e-12)).mean(0) * steps / np.maximum(steps - np.arange(steps), 1)
    most = min(steps // 2, LONGEST_SEASON)
    peaks = [k for k in range(2, most + 1) if alike[k] >= alike[k - 1] and (k + 1 >= steps or alike[k] > alike[k + 1])]
    best = max(peaks, key=lambda k: alike[k], default=0)
    return best if best and alike[best] > 0.2 else 0


def _history(part: Windows, level: np.ndarray) -> np.ndarray:
    """Each variable's own past less its last value (N * V, L); what is missing counts as the last value."""
    x = part.x[:, 1 : 1 + level.shape[1]]
    return np.asarray(np.nan_to_num(x - level).reshape(-1, x.shape[2]))


def _by_variable(
    inputs: Inputs, history: Parts, units: Mapping[str, Windows], levels: Parts, h: int
) -> dict[str, np.ndarray]:
    """One map for all variables, from each one's own past: futures (N, V, h) of every part."""
    y = {name: (units[name].y[:, :, :h] - levels[name]).reshape(-1, h) for name in ("train", "val")}
    fitted = Ridge.fit(inputs, y["train"], history["val"], y["val"])
    return {n: fitted.predict(x).reshape(*levels[n].shape[:2], h) + levels[n] for n, x in history.items()}


def _all_at_once(inputs: Inputs, read: Parts, units: Mapping[str, Windows], start: Parts, h: int) -> np.ndarray:
    """One map from the features to all variables, added to what `start` says: futures (N, V, h) of the test part."""
    y = {n: (units[n].y[:, :, :h] - start[n]).reshape(len(units[n]), -1) for n in ("train", "val")}
    fitted = Ridge.fit(inputs, y["train"], read["val"], y["val"])
    return np.asarray(fitted.predict(read["test"]).reshape(len(units["test"]), -1, h) + start["test"])
