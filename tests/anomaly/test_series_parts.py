"""The parts that faults in recordings are found by: folds, marks, drawn faults, filters, what single variables add."""

from pathlib import Path

import numpy as np
import pytest
import torch

from unlabeled import catalog
from unlabeled.anomaly import Eye
from unlabeled.anomaly._features import within
from unlabeled.anomaly._signals import answers, plant
from unlabeled.anomaly._strips import faulty, marked, parted, runs, spans, stem, strips
from unlabeled.anomaly.reconstruction import Reconstruction
from unlabeled.anomaly.stretches import Marks
from unlabeled.data import series
from unlabeled.data.kinds import kind
from unlabeled.data.scan import scan
from unlabeled.data.series import SeriesPrep
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Method
from unlabeled.modalities.series import Series
from unlabeled.settings import Training
from unlabeled.training.devices import open_device
from unlabeled.verbs._good import _parts

CPU = Training(device="cpu", threads=1)


def test_errors_of_painting_are_told_by_variable() -> None:
    looks = Series(size=8, channels=3)

    class Blank(torch.nn.Module):
        def reconstruct(self, batch: Batch, looks: Series) -> tuple[torch.Tensor, None, torch.Tensor]:
            return looks.plain(batch.x), None, torch.zeros(len(batch.x), 3, 8)

    raw, where = torch.ones(2, 3, 8), torch.zeros(2, 8, dtype=torch.bool)
    raw[:, 1, 4:], raw[1, 2], where[:, 3:5] = 3.0, 2.0, True
    eye = Eye(Blank(), looks, open_device(CPU))  # type: ignore[arg-type]
    judge = Reconstruction(draws=2)
    assert judge.shares(eye, raw, where).tolist() == [(1 + 9) / 2, (1 + 4) / 2]
    np.testing.assert_allclose(judge._errors(eye, raw)[1], [2.5] * 4 + [6.5] * 4)


def windows(recordings: int, length: int, size: int, stride: int) -> Table:
    paths = [f"{r}.csv@{a}+{size}" for r in range(recordings) for a in range(0, length - size + 1, stride)]
    items = frame(paths, ["unlabeled"] * len(paths), group=[stem(p) for p in paths])
    return Table(Path(), "windows", "series", items)


@pytest.mark.parametrize("recordings", [1, 4, 45])
def test_no_step_of_time_stands_in_two_folds(recordings: int) -> None:
    table = windows(recordings, 400, 32, 8)
    folds = parted(table, np.arange(len(table)), 32, 3, seed=1)
    held: list[set[tuple[str, int]]] = []
    for rows in folds:
        paths = table.items["path"].iloc[rows].tolist()
        first, end = spans(paths, 32)
        held.append({(stem(p), s) for p, a, b in zip(paths, first, end, strict=True) for s in range(a, b)})
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    assert len(np.concatenate(folds)) > 0.7 * len(table)


def test_groups_that_the_user_gave_stay_whole_and_short_recordings_count() -> None:
    table = windows(6, 300, 32, 8)
    groups = table.items["path"].str[0].map({"0": "g0", "1": "g0", "2": "g1", "3": "g1", "4": "g2", "5": "g2"})
    table = Table(Path(), "windows", "series", table.items.assign(group=groups))
    folds = parted(table, np.arange(len(table)), 32, 3, seed=0)
    assert sorted(len(set(groups.iloc[rows])) for rows in folds) == [1, 1, 1]
    assert sum(map(len, folds)) == len(table)
    short = windows(9, 32, 32, 8)
    assert sorted(map(len, parted(short, np.arange(9), 32, 3, seed=0))) == [3, 3, 3]


def test_two_groups_that_the_user_gave_make_two_folds() -> None:
    """Two machines: what judges the windows of one has seen none of its recordings."""
    table = windows(4, 300, 32, 8)
    groups = table.items["path"].str[0].map({"0": "g0", "1": "g0", "2": "g1", "3": "g1"})
    table = Table(Path(), "windows", "series", table.items.assign(group=groups))
    prep = SeriesPrep(32, 2, 1.0, ("a",))
    for seed in range(3):
        folds = parted(table, np.arange(len(table)), 32, 3, seed=seed)
        assert sorted(set(groups.iloc[rows]).pop() for rows in folds) == ["g0", "g1"]
        assert sum(map(len, folds)) == len(table)
        fit, held, _ = _parts(table, np.arange(len(table)), prep, False, seed)
        assert len(set(groups.iloc[fit])) == 1 and not set(groups.iloc[fit]) & set(groups.iloc[held])
    alone = Table(Path(), "windows", "series", table.items.assign(group="g0"))
    assert len(parted(alone, np.arange(len(table)), 32, 3, seed=0)) == 3  # of one machine it is time that is cut


def test_too_few_windows_cannot_be_parted() -> None:
    with pytest.raises(UserError, match="cannot be parted"):
        parted(windows(1, 64, 32, 32), np.arange(2), 32, 3, seed=0)


def test_a_window_bears_the_first_fault_that_it_touches(machine: Path) -> None:
    table = scan(machine / "test")
    _, prep, _ = kind("series").ready(table, 64, 16, 0.0)
    assert isinstance(prep, series.SeriesPrep)
    cut = series.again(table, prep, 16)
    names = dict(zip(cut.items["path"], faulty(cut, strips(cut, prep), 64), strict=True))
    assert names["0.csv@0+64"] == "" and names["0.csv@48+64"] == "spike" and names["0.csv@160+64"] == ""
    assert names["0.csv@256+64"] == "stuck" and names["2.csv@96+64"] == ""


def test_close_stretches_are_one() -> None:
    course = np.array([9.0, 0.0, 9.0, 0.0, 0.0, 9.0])
    assert runs(marked(course, [(0, 6)], 5.0, gap=1)) == [(0, 3), (5, 6)]


def test_drawn_faults_change_what_they_say_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    changed = []
    for number in range(300):
        x = rng.normal(size=(3, 1 + number % 60)).astype(np.float32)
        bad, where = plant(x, rng)
        assert bad.dtype == np.float32 and np.isfinite(bad).all() and where.any()
        assert np.array_equal(bad[:, ~where], x[:, ~where])
        changed.append((bad[:, where] != x[:, where]).any())
    assert np.mean(changed) > 0.85


def test_filters_are_blind_to_where_time_begins_and_the_net_takes_any_number_of_variables() -> None:
    x = torch.randn(1, 2, 2048)
    whole, later = answers(x), answers(x[:, :, 256:1792])
    torch.testing.assert_close(whole[:, :, 856:1156], later[:, :, 600:900], atol=1e-4, rtol=1e-4)
    assert answers(x[:, :, :256]).shape[1] == whole.shape[1] - 6  # the widest scale needs long windows
    assert Marks(later.shape[1], 8, 3)(later).shape == (1, 1536)


def test_what_lies_behind_the_end_is_never_unusual() -> None:
    looks, method = Series(size=8, channels=2), catalog.load("methods", "simclr")
    assert issubclass(method, Method)
    raw = torch.ones(1, 2, 8)
    raw[0, 0, 4:] = 0
    eye = Eye(torch.nn.Identity(), looks, open_device(CPU))  # type: ignore[arg-type]
    maps = within(eye, raw, torch.tensor([[[1.0, 0.5, 9.0, 9.0]]]))
    assert maps.tolist() == [[[1.0, 0.5, 0.5, 0.5]]]
