"""Draws belong to an item's place alone; rectangles cover what they promise."""

import pytest
import torch

from unlabeled.views import cover, draw


def test_draws_do_not_depend_on_the_neighbours() -> None:
    for few, many in ((3, 64), (1, 17), (16, 33)):
        assert torch.equal(draw.uniforms(draw.generator(4), few, 5), draw.uniforms(draw.generator(4), many, 5)[:few])
        assert draw.seeds(draw.generator(4), few) == draw.seeds(draw.generator(4), many)[:few]
    seeds = draw.seeds(draw.generator(1), 4)
    assert torch.equal(draw.normals(seeds, (1, 5, 5))[2:3], draw.normals(seeds[2:3], (1, 5, 5)))


def test_every_part_of_the_key_counts() -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (11, 0, 0), (1, 10, 0), (-1, 0, 0), (2**40, 0, 0)]
    assert len({float(draw.uniforms(draw.generator(*k), 1, 1)) for k in keys}) == len(keys)


def test_rectangles_cover_the_promised_share() -> None:
    boxes = cover.rectangles(draw.uniforms(draw.generator(0), 2000, 4), 0.1, 0.3)
    share = cover.inside(boxes, 100, 100).float().mean((1, 2, 3))
    assert 0.09 < share.min() < 0.12 and 0.28 < share.max() < 0.31
    assert float(share.mean()) == pytest.approx(0.2, abs=0.005)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= 1 + 1e-6).all()


def test_a_share_of_zero_hides_nothing() -> None:
    assert not cover.inside(cover.rectangles(torch.rand(50, 4), 0.0, 0.0), 32, 32).any()


def test_inside_by_hand() -> None:
    mask = cover.inside(torch.tensor([[0.25, 0.0, 0.75, 0.5]]), 4, 4)[0, 0]
    expected = [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert mask.int().tolist() == expected
