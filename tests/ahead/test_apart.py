"""One map for all variables: data of unlike levels and spreads, units of the window, channels that belong together."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from unlabeled.ahead import apart
from unlabeled.ahead.apart import Reader
from unlabeled.ahead.windows import Windows
from unlabeled.data.series import SeriesPrep
from unlabeled.encoders import Encoder, _build
from unlabeled.modalities.series import Series
from unlabeled.settings import Budget, Setup, Training
from unlabeled.training.devices import open_device
from unlabeled.verbs.forecast import Foretold, forecast
from unlabeled.verbs.impute import impute
from unlabeled.verbs.pretrain import pretrain

TRAINING = Training(threads=1, device="cpu", batch_size=32, precision="fp32")
SIZE, NAMES = 24, ("low", "high", "wide")
SMALL = "patchtst(width=8, depth=1, heads=2, patch_size=4)"


def planted(root: Path, gaps: bool = False) -> Path:
    """Three variables of one law, a wave on a slow walk, at levels of -50, 1000 and 0, spreads of 1, 0.01 and 300."""
    root.mkdir(parents=True)
    random = np.random.default_rng(0)
    step = np.arange(500)
    for name in ("a", "b"):
        table = {"time": step}
        for key, level, spread in zip(NAMES, (-50, 1000, 0), (1, 0.01, 300), strict=True):
            wave = np.sin(2 * np.pi * step / 12 + random.uniform(0, 6))
            walk = np.cumsum(random.normal(size=500) * 0.05)
            values = level + spread * (wave + walk)
            table[key] = np.where(random.uniform(size=500) < 0.15, np.nan, values) if gaps else values
        pd.DataFrame(table).to_csv(root / f"{name}.csv", index=False)
    return root


def told(data: Path, home: Path, encoder: str, monkeypatch: pytest.MonkeyPatch) -> Foretold:
    monkeypatch.setenv("UNLABELED_CACHE", str(home / "cache"))
    where = Setup(size=SIZE, out=str(home / "run"), encoder=encoder)
    pretrain(str(data), method="tst", setup=where, budget=Budget(steps=8), training=TRAINING)
    return forecast([str(home / "run")], str(data), horizons=(6,), out=str(home / "out"), training=TRAINING)


def errors(found: Foretold) -> "pd.Series[float]":
    part = found.summary[found.summary["metric"] == "mse"].set_index("arm")["mean"]
    assert part.notna().all()
    return part


@pytest.mark.parametrize("gaps", [False, True])
def test_variables_of_unlike_units_are_foretold_by_one_map(
    gaps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = planted(tmp_path / "data", gaps)
    alone = errors(told(data, tmp_path / "alone", SMALL, monkeypatch))
    assert {"tst", "random", "linear", "linear + tst"} <= set(alone.index)
    for arm in ("tst", "random"):
        assert alone[arm] < 1.25 * alone["linear"] < 0.3 * alone["last value"]
    assert alone["linear + tst"] < 1.05 * alone["linear"]
    mixed = errors(told(data, tmp_path / "mixed", "transformer(width=24, depth=1, heads=2, patch_size=4)", monkeypatch))
    assert alone["tst"] < mixed["tst"] and alone["random"] < mixed["random"]
    monkeypatch.setattr(apart, "ROWS", 300)  # as where there are too many windows or variables for one map
    fewer = errors(told(data, tmp_path / "alone", SMALL, monkeypatch))
    assert alone["linear"] == fewer["linear"] and fewer["tst"] != alone["tst"]
    assert fewer["tst"] < 0.4 * fewer["last value"]


def test_hidden_values_of_unlike_units_are_filled_in_by_one_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, told = planted(tmp_path / "data"), {}
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    where = Setup(size=SIZE, out=str(tmp_path / "run"), encoder=SMALL)
    pretrain(str(data), method="tst", setup=where, budget=Budget(steps=8), training=TRAINING)
    for rows in (apart.ROWS, 600):
        monkeypatch.setattr(apart, "ROWS", rows)
        out = str(tmp_path / f"out{rows}")
        found = impute([str(tmp_path / "run")], str(data), shares=(0.25,), hide="blocks", out=out, training=TRAINING)
        part = found.summary[found.summary["metric"] == "mse"].set_index("arm")["mean"]
        assert part.notna().all() and max(part["tst"], part["random"]) < 0.6 * part["straight line"] < part["mean"]
        told[rows] = part
    assert told[600]["straight line"] == told[40_000]["straight line"]


def reader(missing: bool = False, statics: Sequence[str] = ()) -> tuple[Reader, Windows]:
    variables = len(NAMES) + len(statics)
    looks = Series(
        size=SIZE,
        channels=1 + variables,
        mean=tuple(range(1 + variables)),
        std=tuple(range(2, 3 + variables)),
        missing=missing,
        statics=len(statics),
    )
    torch.manual_seed(0)
    encoder: Encoder = _build.build(_build.spec(SMALL), looks.channels, SIZE, 1).eval()
    prep = SeriesPrep(SIZE, 1 + variables, 1.0, NAMES, tuple(statics), missing)
    random = np.random.default_rng(1)
    x = np.cumsum(random.normal(size=(5, 1 + variables, SIZE)), 2).astype(np.float32)
    x[:, 0], x[:, 1 + len(NAMES) :] = 1, 2.5
    if missing:
        x[:, 1:4][random.uniform(size=(5, 3, SIZE)) < 0.3] = np.nan
    windows = Windows(x, np.zeros((5, 3, 0), np.float32), np.zeros(5, np.int64), np.arange(5))
    return Reader(encoder, looks, prep, open_device(TRAINING)), windows


@pytest.mark.parametrize("missing", [False, True])
def test_what_is_read_of_a_variable_follows_its_units_and_hangs_on_no_other(missing: bool) -> None:
    reads, windows = reader(missing, ("age",))
    rows = reads.read(windows, windows).reshape(5, 3, -1)
    assert rows.shape[2] == 6 * 8 * (3 if missing else 1) + 2 and np.isfinite(rows).all()
    x = windows.x.copy()
    x[:, 1] = 10 * x[:, 1] + 400
    other = replace(windows, x=x)
    after = reads.read(other, other).reshape(5, 3, -1)
    np.testing.assert_allclose(after[:, 0], 10 * rows[:, 0], rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(after[:, 1:], rows[:, 1:])
    turned = replace(windows, x=windows.x[:, [0, 3, 1, 2, 4]])  # the modality's means and spreads are not turned
    again = reads.read(turned, turned).reshape(5, 3, -1)
    np.testing.assert_allclose(again, rows[:, [2, 0, 1]], rtol=2e-3, atol=2e-3)
    if missing:  # that a value is missing is told of its own variable
        holes = windows.x.copy()
        holes[:, 3, 8:12] = np.nan
        lost = reads.read(replace(windows, x=holes), replace(windows, x=holes)).reshape(5, 3, -1)
        np.testing.assert_array_equal(lost[:, :2], rows[:, :2])
        assert np.abs(lost[:, 2] - rows[:, 2]).max() > 0.1


def test_channels_of_a_variable() -> None:
    np.testing.assert_array_equal(reader()[0].columns(), [[0], [1], [2]])
    np.testing.assert_array_equal(reader(True, ("age", "sex"))[0].columns(), [[0, 5, 10], [1, 6, 11], [2, 7, 12]])


def test_a_constant_window_and_one_without_values_stay_finite() -> None:
    reads, windows = reader(True)
    x = windows.x.copy()
    x[0, 1], x[1, 2] = 7.0, np.nan
    rows = reads.read(replace(windows, x=x), replace(windows, x=x)).reshape(5, 3, -1)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[0, 0, -2:], [apart.LEAST, 0], atol=1e-6)


def test_too_many_places_are_averaged_over_neighbours() -> None:
    encoder = _build.build(_build.spec(SMALL), 4, SIZE, 1).eval()
    x = torch.randn(2, 4, SIZE, generator=torch.Generator().manual_seed(0))
    x[:, 0] = 1
    columns = np.arange(3)[:, None]
    with torch.no_grad():
        whole = apart.Shares(encoder, columns, 48)(x)
        few = apart.Shares(encoder, columns, 24)(x)
        torch.testing.assert_close(few, whole.unflatten(3, (3, 2)).mean(4))
        torch.testing.assert_close(whole, encoder.tokens(x).unflatten(2, (3, 8)).permute(0, 2, 3, 1))
