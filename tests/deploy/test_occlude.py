"""The map by covering finds the place that the answer was made from, in pictures and in time."""

import numpy as np
import pytest

from unlabeled.deploy import occlude
from unlabeled.errors import UserError


def test_it_finds_the_corner_that_counts() -> None:
    raw = np.zeros((1, 36, 36), np.uint8)
    raw[0, 4:8, 28:32] = 255  # the answer looks here alone

    def odds(items: np.ndarray) -> np.ndarray:
        p = 0.1 + 0.8 * items[:, 0, 4:8, 28:32].mean((1, 2)) / 255
        return occlude.odds(np.stack([p, 1 - p], 1), 0)

    found = occlude.covered(raw, "image", {})
    heat = occlude.told(found, float(odds(raw[None])[0]), odds(found.copies))
    assert heat[1, 7] == heat.max() > 0 and heat[2, 5] < heat.max() and heat[5:, :4].max() == 0
    shown = occlude.overlay(raw, heat)
    orange = shown[..., 0].astype(int) - shown[..., 2]
    assert orange[4:8, 28:32].min() > 100 and orange[20:, :16].max() < 5


def test_series_keep_what_says_where_they_are_and_gaps_stay_quiet() -> None:
    raw = np.ones((3, 66), np.float32)
    raw[1], raw[2] = np.sin(np.arange(66)), np.nan
    found = occlude.covered(raw, "series", {})
    assert (found.copies[:, 0] == 1).all() and found.cells == (33,)
    assert np.allclose(found.copies[0, 1, :4], raw[1].mean(), atol=1e-6) and np.array_equal(
        found.copies[0, 1, 4:], raw[1, 4:]
    )


def test_every_word_is_hidden_in_turn() -> None:
    raw = np.array([[1, 9, 77, 8, 2, 0, 0]], np.uint16)
    found = occlude.covered(raw, "text", {"special": (0, 1, 2, 3)})
    assert found.copies[:, 0].tolist() == [
        [1, 3, 77, 8, 2, 0, 0], [1, 9, 3, 8, 2, 0, 0], [1, 9, 77, 3, 2, 0, 0]
    ]  # fmt: skip
    heat = occlude.told(found, 2.2, np.where((found.copies == 77).any((1, 2)), 2.2, -1.4))
    assert heat.argmax() == 2 and len(heat) == 5 and heat[[0, 1, 3, 4]].max() == 0
    with pytest.raises(UserError, match="hides a word"):
        occlude.covered(raw, "text", {"special": (0, 1, 2, -1)})


def test_sounds_are_silenced_and_keep_their_end() -> None:
    raw = np.full((1, 660), 1000, np.int16)
    raw[0, 500:] = occlude.SILENT
    found = occlude.covered(raw, "audio", {})
    assert (found.copies[:, 0, 500:] == occlude.SILENT).all() and (found.copies[0, 0, :40] == 0).all()
    assert (found.copies[0, 0, 40:500] == 1000).all()


def test_a_model_that_is_all_but_certain_is_explained() -> None:
    """In float32 the label's probability is 1 on every copy, and what differs is what the others have."""
    raw = np.zeros((1, 36), np.float32)
    raw[0, 8:12] = 1
    found = occlude.covered(np.concatenate([np.ones_like(raw), raw]), "series", {})
    strength = 20 + 20 * found.copies[:, 1, 8:12].mean(1)
    p = np.stack([1 / (1 + np.exp(-strength)), 1 / (1 + np.exp(strength))], 1).astype(np.float32)
    assert (p[:, 0] == 1).all()
    odds = occlude.odds(p, 0)
    assert odds == pytest.approx(strength, abs=1e-3)
    heat = occlude.told(found, 40.0, odds)
    assert 7 <= int(heat.argmax()) <= 11 and heat.max() > 5 and heat[20:].max() < 1e-3
