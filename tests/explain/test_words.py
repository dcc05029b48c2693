"""Rows of words: the word that a score hangs on is found by hiding each in turn; others say what to take."""

import pytest
import torch
from torch import Tensor

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.explain import _faithful
from unlabeled.explain.grad_cam import GradCam
from unlabeled.explain.integrated_gradients import IntegratedGradients
from unlabeled.explain.occlusion import Occlusion

MASK, TOLD = 3, 77  # the number that hides a word, and the word that the score hangs on


class Nobody(Encoder):
    """Never asked: the score looks at the rows themselves."""

    nothing = MASK


@pytest.fixture
def rows() -> Tensor:
    out = torch.tensor([[1, 9, TOLD, 8, 7, 2, 0, 0], [1, 5, 6, 7, 8, TOLD, 9, 2]])
    assert out.dtype == torch.int64
    return out


def score(views: Tensor) -> Tensor:
    return (views == TOLD).any(1).float() + 0.1 * (views == MASK).sum(1)


def test_the_word_that_counts_is_found(rows: Tensor) -> None:
    maps = Occlusion().explain(score, Nobody(), rows)
    assert maps.argmax(1).tolist() == [2, 5] and maps.max().item() == pytest.approx(0.9)
    assert maps[0, 0] == 0 and maps[0, 5:].abs().max() == 0, "beginning, end and filling stay"


def test_its_map_is_faithful_and_others_are_not(rows: Tensor) -> None:
    def told(views: Tensor) -> Tensor:
        return (views == TOLD).any(1).float()

    maps = Occlusion().explain(told, Nobody(), rows)
    found = _faithful.faith(told, rows, maps, draws=8, nothing=MASK)
    lower, higher = found.gains()
    assert (lower > 0).all() and (higher > 0).all()
    assert found.own.deletion[:, 0].tolist() == [1, 1] and found.own.deletion[:, 1].tolist() == [0, 0]


def test_others_say_what_to_take(rows: Tensor) -> None:
    for other in (GradCam(), IntegratedGradients()):
        with pytest.raises(UserError, match="take occlusion"):
            other.explain(score, Nobody(), rows)
