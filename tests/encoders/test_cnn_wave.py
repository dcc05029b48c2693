"""The small network for maps and the strided convolutions over waveforms: shapes, ends, and the forms they ask for."""

import pytest
import torch
from torch.nn import functional

from unlabeled.encoders import _build
from unlabeled.encoders.cnn import CNN, Block
from unlabeled.encoders.wave import Wave
from unlabeled.errors import UserError
from unlabeled.modalities.audio import Audio
from unlabeled.modalities.series import Series


def test_a_grid_keeps_where_things_were() -> None:
    torch.manual_seed(0)
    x = torch.zeros(2, 1, 64, 64)
    x[0, 0, :, :20] = x[1, 0, :, 44:] = torch.randn(64, 20)
    for grid in (1, 2):
        encoder = CNN(1, 64, width=4, stages=4, grid=grid).eval()
        features, places = encoder.both(x)
        assert features.shape == (2, encoder.dim) == (2, 64 * grid**2) and places.shape == (2, 16, encoder.token_dim)
        assert torch.equal(features, encoder(x)) and torch.equal(places, encoder.tokens(x))
        if grid == 2:
            early, late = features.detach().view(2, 2, 2, -1).unbind(2)
            assert not torch.allclose(early[0], late[0]) and not torch.allclose(early[0], early[1])
    flat = CNN(1, 64, width=4, stages=3, grid=4, rows=1).eval()
    assert flat(x).shape == (2, flat.dim) == (2, 2 * 16 * 4)
    four, same = flat(x).detach().view(2, 4, 2, 16), CNN(1, 64, width=4, stages=3, grid=4).dim
    assert same == 2 * 16 * 16 and not torch.allclose(four[0, 0], four[0, 3])
    torch.testing.assert_close(four[:, :, 1].amax(1), flat.tokens(x).amax(1))
    assert flat(x[..., ::8, ::8]).isfinite().all()  # a small view has fewer places than parts
    for size in (64, 32):
        assert CNN(1, size, width=4, stages=3, side=16, grid=4).tokens(torch.zeros(1, 1, size, size)).shape[1] == 16
    for wrong in ({"stages": 0}, {"stages": 7, "grid": 2}, {"stages": 4, "grid": 1, "rows": 5}, {"rows": -1}):
        with pytest.raises(UserError):
            CNN(1, 32, **wrong)


def test_what_lies_behind_the_end_of_a_waveform_does_not_count() -> None:
    torch.manual_seed(0)
    encoder = Wave(2, 1600, width=8, strides=(5, 4, 2)).eval()
    assert encoder.stride == 40
    x = torch.zeros(2, 2, 1600)
    x[0, :, :800] = torch.stack([torch.ones(800), torch.randn(800)])
    x[1] = x[0]
    x[1, 1, 800:] = 9.0
    features, places = encoder.both(x)
    assert places.shape == (2, 40, 8) and (places[:, 20:] == 0).all()
    torch.testing.assert_close(features[0], features[1], atol=1e-5, rtol=1e-4)
    assert encoder.tokens(x[..., :810]).shape == (2, 21, 8)  # a rest makes a place as well
    for wrong in ({"strides": ()}, {"strides": (0,)}, {"strides": (2000,)}):
        with pytest.raises(UserError):
            Wave(2, 1600, **wrong)


def test_the_encoder_decides_the_form_and_others_are_refused() -> None:
    forms = {name: _build.looks_at(_build.spec(name)) for name in ("cnn", "resnet18", "vit", "tcn", "gru", "wave")}
    seen = {name: Audio(size=20, rate=8_000).seen_by(*asked).form for name, asked in forms.items()}
    assert seen == {"cnn": "map", "resnet18": "map", "vit": "map", "tcn": "frames", "gru": "frames", "wave": "wave"}
    assert Series(size=20).seen_by(1, "").size == 20
    with pytest.raises(UserError, match="wave"):
        Series(size=20).seen_by(1, "wave")


@pytest.mark.parametrize("before", [2, 4, 7])
def test_the_way_around_a_block_is_a_strided_convolution_for_few_channels_too(before: int) -> None:
    """Slopes through few channels, last in memory: torch's own strided way back kills the process on some CPUs."""
    torch.manual_seed(0)
    block = Block(before, 8, 2).eval()
    weight = block.around.weight.detach().clone().requires_grad_()
    for side in (7, 16):
        x = torch.randn(16, before, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
        plain = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        y = functional.relu(block.norms[0](block.first(plain)))
        expected = functional.relu(block.norms[1](block.second(y)) + functional.conv2d(plain, weight, stride=2))
        found = block(x)
        assert torch.allclose(found, expected, atol=1e-5)
        found.square().sum().backward()
        expected.square().sum().backward()
        assert x.grad is not None and plain.grad is not None
        assert torch.allclose(x.grad, plain.grad, atol=1e-4)
    assert torch.allclose(block.around.weight.grad, weight.grad, atol=1e-3)
