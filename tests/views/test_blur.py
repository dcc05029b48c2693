"""Blur against a loop over pixels and taps."""

import math

import torch

from unlabeled.views import blur, draw


def test_blur_is_the_slow_loop() -> None:
    x = torch.rand(3, 2, 9, 11, generator=draw.generator(0))
    sigma, radius = (0.4, 1.0, 1.7), 4
    got = blur.blur(x, torch.tensor(sigma), radius)
    for i, s in enumerate(sigma):
        taps = [math.exp(-0.5 * (k / s) ** 2) for k in range(-radius, radius + 1)]
        total = sum(taps)
        for row in range(9):
            for column in range(11):
                expected = torch.zeros(2)
                for a, across in enumerate(taps):
                    for d, down in enumerate(taps):
                        y, z = row + d - radius, column + a - radius
                        y, z = 8 - abs(8 - abs(y)), 10 - abs(10 - abs(z))  # reflected at the edges
                        expected += across * down / total**2 * x[i, :, y, z]
                assert torch.allclose(got[i, :, row, column], expected, atol=1e-6)


def test_a_wide_blur_keeps_the_mean_of_a_flat_picture() -> None:
    x = torch.full((2, 1, 20, 20), 0.3)
    assert torch.allclose(blur.blur(x, torch.tensor([0.1, 2.0]), 6), x, atol=1e-6)


def test_only_the_chosen_items_change() -> None:
    x = torch.rand(4, 1, 16, 16, generator=draw.generator(1))
    got = blur.some(x.clone(), torch.tensor([0.0, 1.0, 0.0, 0.5]), 3)
    assert [bool((a == b).all()) for a, b in zip(got, x, strict=True)] == [True, False, True, False]
    assert torch.equal(got[1:2], blur.blur(x[1:2], torch.tensor([1.0]), 3))
