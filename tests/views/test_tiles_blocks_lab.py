"""Tiles, blocks of patches, and colours."""

import numpy as np
import pytest
import torch

from unlabeled import UserError
from unlabeled.views.block import block, numbers
from unlabeled.views.lab import in_gamut, to_lab, to_rgb
from unlabeled.views.tiles import cut, far_apart, lay


def test_tiles_without_gap_in_order_are_the_picture() -> None:
    x = torch.rand(2, 3, 24, 24)
    tiles = cut(x, 3, 0.0, torch.rand(2, 9, 2))
    assert torch.equal(lay(tiles, torch.arange(9).expand(2, 9), 24), x)


def test_tiles_stay_in_their_cells() -> None:
    """Every tile is a part of its own cell, wherever the draw puts it."""
    cells = torch.arange(9.0).view(3, 3).repeat_interleave(8, 0).repeat_interleave(8, 1)
    for place in (0.0, 0.5, 0.999):
        tiles = cut(cells[None, None], 3, 0.3, torch.full((1, 9, 2), place))
        assert tiles.shape == (1, 9, 1, 6, 6)
        assert torch.equal(tiles.mean((0, 2, 3, 4)), torch.arange(9.0))


def test_lay_puts_tiles_where_the_order_says() -> None:
    x = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(1, 4, 1, 2, 2)
    whole = lay(x, torch.tensor([[3, 1, 0, 2]]), 4)
    assert whole[0, 0].tolist() == [[3, 3, 1, 1], [3, 3, 1, 1], [0, 0, 2, 2], [0, 0, 2, 2]]


@pytest.mark.parametrize("size", [16, 22, 64])
def test_shuffled_pictures_keep_their_size(size: int) -> None:
    x = torch.rand(2, 1, size, size)
    assert lay(cut(x, 3, 0.2, torch.rand(2, 9, 2)), far_apart(9, 2), size).shape == x.shape


def test_more_orders_than_can_be_set_apart_are_refused() -> None:
    """Each is set against all the others: a million of them would take weeks."""
    with pytest.raises(UserError, match="take at most 10000"):
        far_apart(9, 999_999)


def test_orders_are_permutations_far_apart() -> None:
    orders = far_apart(9, 30).numpy()
    assert (np.sort(orders, 1) == np.arange(9)).all()
    apart = (orders[:, None] != orders[None]).sum(2)[np.triu_indices(30, 1)]
    draws = np.stack([np.random.default_rng(i).permutation(9) for i in range(30)])
    by_chance = (draws[:, None] != draws[None]).sum(2)[np.triu_indices(30, 1)]
    assert apart.min() > by_chance.min()
    assert torch.equal(far_apart(9, 30), torch.from_numpy(orders))


def test_few_tiles_have_few_orders() -> None:
    assert len(far_apart(2, 30)) == 2
    with pytest.raises(UserError, match="at least two"):
        far_apart(1, 30)


def test_blocks_have_one_shape_and_fit() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        inside = block(torch.rand(2), torch.rand(7, 2), 8, (0.15, 0.4), 1.5).view(7, 8, 8)
        count = inside.sum((1, 2))
        assert (count == count[0]).all() and 0.1 * 64 < count[0] < 0.5 * 64
        for one in inside:  # a full rectangle
            rows, columns = one.any(1), one.any(0)
            assert torch.equal(one, rows[:, None] & columns[None])


def test_numbers_come_from_inside_first() -> None:
    inside = torch.tensor([[False, True, False, True]])
    assert sorted(numbers(inside, torch.rand(1, 4) * 0.5, 2)[0].tolist()) == [1, 3]


def test_lab_of_known_colours() -> None:
    """Red, green and blue under D65, as CIE's formulas give them."""
    rgb = torch.eye(3)[:, :, None, None]
    expected = torch.tensor([[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]])
    assert torch.allclose(to_lab(rgb)[:, :, 0, 0], expected, atol=0.05)


def test_lab_and_back() -> None:
    rgb = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(to_rgb(to_lab(rgb)), rgb, atol=1e-3)


def test_every_colour_has_a_square() -> None:
    squares = in_gamut(20)
    pairs = to_lab(torch.rand(1, 3, 40, 40))[0, 1:].flatten(1).T
    assert float((pairs[:, None] - squares).abs().amax(2).amin(1).max()) <= 10.01
