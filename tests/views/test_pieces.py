"""Parts of series as recordings of their own, and stretches of time to hide."""

import pytest
import torch

from unlabeled.views.motion import piece, stretches


def test_a_piece_is_the_steps_that_were_asked_for() -> None:
    view = torch.randn(3, 2, 10, generator=torch.Generator().manual_seed(0))
    out = piece(view, torch.tensor([0, 4, 8]), torch.tensor([3, 10, 2]), 5)
    assert torch.equal(out[0, :, :3], view[0, :, :3]) and not out[0, :, 3:].any()
    assert torch.equal(out[1], view[1, :, 4:9])
    assert torch.equal(out[2, :, :2], view[2, :, 8:]) and not out[2, :, 2:].any()


@pytest.mark.parametrize(("ratio", "length"), [(0.15, 3.0), (0.5, 8.0)])
def test_hidden_stretches_have_the_share_and_the_mean_length(ratio: float, length: float) -> None:
    hidden = stretches(torch.rand(4000, 200, generator=torch.Generator().manual_seed(0)), ratio, length)
    assert hidden.float().mean().item() == pytest.approx(ratio, abs=0.01)
    starts = (hidden[:, 1:] & ~hidden[:, :-1]).sum() + hidden[:, 0].sum()
    ends = hidden[:, -1].sum()  # cut off there: counted as whole ones they shorten the mean a little
    assert hidden.sum().item() / (starts - ends / 2).item() == pytest.approx(length, rel=0.05)


def test_the_lengths_are_geometric() -> None:
    """A stretch goes on with the same probability after one step as after three."""
    hidden = stretches(torch.rand(5000, 100, generator=torch.Generator().manual_seed(1)), 0.2, 4.0)
    for steps in (1, 3):
        here = hidden.unfold(1, steps + 2, 1)
        long = ~here[..., 0] & here[..., 1 : steps + 1].all(-1)
        assert here[..., -1][long].float().mean().item() == pytest.approx(0.75, abs=0.01)
