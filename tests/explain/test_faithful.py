"""Faithfulness and sanity: figures that must be good for a true map, bad for its opposite, and nothing for chance."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from unlabeled.explain import _faithful, _places, _sanity

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


@pytest.mark.parametrize("words", [0, 1, 2, 7, 8, 15, 30, 62])
def test_maps_are_moved_among_the_words_that_are_there(words: int) -> None:
    there = torch.zeros(2, 64, dtype=torch.bool)
    there[:, 1 : 1 + words] = True
    maps = torch.rand(2, 64) * there
    found = [_faithful.moved(maps, 0, draw, there) for draw in range(19)]
    least = max(1, -(-words // 8))
    for other in found:
        assert (other[~there] == 0).all()
        for a, b in zip(maps, other, strict=True):
            own, moved = a[1 : 1 + words], b[1 : 1 + words]
            torch.testing.assert_close(moved.sort().values, own.sort().values)
            if words > 1:
                assert least <= int(torch.nonzero(moved == own[0])[0]) <= words - least
    different = {tuple(other[0].tolist()) for other in found}
    assert len(different) == (min(19, len(_faithful.shifts(words))) if words > 1 else 1)


def test_what_is_behind_the_end_comes_last_and_is_not_compared() -> None:
    there = torch.arange(64) < 20
    own = torch.where(there, torch.rand(1, 64) - 2, 0.0)  # all below what is behind the end
    turns = _faithful.ranked(own, 0, there[None])
    assert sorted(turns[0, :20].tolist()) == list(range(20))
    other = torch.where(there, torch.rand(1, 64) + 1, 0.0)
    assert _sanity.likeness(own, other)[0] < -0.3
    expected = spearmanr(own[0, :20], other[0, :20]).statistic
    assert _sanity.likeness(own, other, there[None])[0] == pytest.approx(expected, abs=1e-6)


def test_a_map_that_knows_nothing_of_a_short_text_seldom_beats_all() -> None:
    """Of 15 words in a window of 128, so that there are twelve shifts."""
    torch.manual_seed(0)
    views = torch.zeros(120, 128, dtype=torch.long)
    views[:, 0], views[:, 1:16], views[:, 16] = 2, torch.randint(5, 50, (120, 15)), 3
    worth = torch.rand(120, 128)
    there = _places.inside(views)
    assert there is not None

    def score(x: Tensor) -> Tensor:
        return (worth.repeat(len(x) // 120, 1) * (x >= 5)).sum(1)

    found = _faithful.faith(score, views, torch.rand(120, 128) * there, draws=19, nothing=4)
    own = found.own.inserted - found.own.deleted
    of = len(_faithful.shifts(15))
    wins = np.sum([own > m.inserted - m.deleted for m in found.moved[:of]], 0)
    assert of == 12 and (wins == of).mean() < 0.2  # it was one in two
