"""Faithfulness and sanity: figures that must be good for a true map, bad for its opposite, and nothing for chance."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from unlabeled.explain import _faithful, _sanity

SIDE = 32


def seen(where: Tensor) -> _faithful.Score:
    """A score that is the mean of some places of the first channel, and of nothing else."""
    return lambda views: views[:, 0][:, where].mean(1)


@pytest.fixture
def corner() -> Tensor:
    where = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    where[:8, 24:] = True
    return where


def test_a_true_map_beats_random_ones_and_its_opposite_does_not(corner: Tensor) -> None:
    views = torch.rand(6, 2, SIDE, SIDE) - 1
    views[:, :, corner] += 3  # a blur lowers it
    true = corner.float().expand(6, -1, -1)
    for sign, maps in ((1, true), (-1, -true)):
        found = _faithful.faith(seen(corner), views, maps, draws=6)
        for against in ("moved", "scattered"):
            lower, higher = found.gains(against)
            if sign > 0:
                assert (lower > 0.1).all() and (higher > 0.1).all()
            elif against == "scattered":
                assert (lower < -0.1).all() and (higher < -0.1).all()


def test_a_map_of_chance_gains_nothing(corner: Tensor) -> None:
    views = torch.rand(200, 1, SIDE, SIDE)
    maps = torch.rand(200, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    lower, higher = _faithful.faith(seen(corner), views, maps, draws=3).gains("scattered")
    for gains in (lower, higher):
        found = _faithful.summary(gains)
        assert found.low < 0 < found.high


def test_curves_are_those_of_a_slow_loop() -> None:
    torch.manual_seed(0)
    views, maps = torch.rand(2, 1, SIDE, SIDE), torch.rand(2, SIDE, SIDE)
    weights = torch.rand(SIDE, SIDE)

    def score(x: Tensor) -> Tensor:
        return (x[:, 0] * weights).sum((1, 2)) ** 2

    found = _faithful.curves(score, views, _faithful.ranked(maps))
    for item in range(2):
        blocks = maps[item].view(16, 2, 16, 2).mean((1, 3)).flatten()
        order = blocks.argsort(descending=True)
        for step in range(13):
            x = views[item : item + 1].clone()
            for block in order[: round(256 * step / 12)].tolist():
                row, column = divmod(block, 16)
                x[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0
            assert found.deletion[item, step] == pytest.approx(float(score(x)), rel=1e-4)
    assert found.insertion[:, -1] == pytest.approx(score(views).numpy(), rel=1e-5)
    area = [np.trapezoid(row, found.share) for row in found.deletion]
    np.testing.assert_allclose(found.deleted, area, rtol=1e-5)


def test_series_are_cut_in_time() -> None:
    views = torch.ones(3, 2, 100)
    where = torch.arange(100) >= 90

    def score(x: Tensor) -> Tensor:
        return x[:, 1, where].mean(1)

    found = _faithful.faith(score, views, where.float().expand(3, -1), draws=5)
    assert (found.gains()[0] > 0.2).all()
    assert found.own.deletion.shape == (3, 13)


def test_blocks_that_a_map_holds_for_equal_take_turns_by_chance() -> None:
    turns = _faithful.ranked(torch.zeros(2, SIDE, SIDE))
    for turn in turns:
        assert sorted(turn.flatten().tolist()) == list(range(256))
    assert not torch.equal(turns[0], turns[1])
    assert abs(np.corrcoef(turns[0].flatten(), np.arange(256))[0, 1]) < 0.2


def test_moved_maps_hold_the_same_values_elsewhere() -> None:
    maps = torch.rand(4, SIDE, SIDE)
    for draw in range(3):
        other = _faithful.moved(maps, 0, draw)
        torch.testing.assert_close(other.flatten(1).sort().values, maps.flatten(1).sort().values)
        for a, b in zip(maps, other, strict=True):
            shift = torch.nonzero(b == a[0, 0])[0]
            assert (shift >= 4).all() and (shift <= SIDE - 4).all()


def test_likeness_is_the_rank_correlation_of_blocks() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(3, SIDE, SIDE), torch.rand(3, SIDE, SIDE)
    pool = torch.nn.functional.avg_pool2d
    expected = [
        spearmanr(pool(x[None], 2).flatten(), pool(y[None], 2).flatten()).statistic for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(_sanity.likeness(a, b), expected, atol=1e-6)
    np.testing.assert_allclose(_sanity.likeness(a, -2 * a), -1, atol=1e-6)
    assert _sanity.likeness(a, torch.zeros_like(a)).tolist() == [0, 0, 0]


def test_a_map_that_needs_no_weights_fails_in_words() -> None:
    edges = torch.rand(2, SIDE, SIDE)
    same = _sanity.changed(edges, [edges.clone() for _ in range(3)])
    assert _sanity.words("edges", float(same[0])).startswith("edges fails: its map stays much the same")
    other = _sanity.changed(edges, [torch.rand(2, SIDE, SIDE) for _ in range(3)])
    assert _sanity.words("cam", float(other[0])).startswith("cam passes: its map is another one")
