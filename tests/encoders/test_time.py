"""Encoders of series: what lies behind the end of a recording counts for nothing, and shapes are what is promised."""

import pytest
import torch

from unlabeled import catalog
from unlabeled.encoders import Maskable, _build
from unlabeled.errors import UserError

SERIES = [
    "tcn(width=8)",
    "gru(width=8)",
    "gru(width=8, both_ways=true, layers=2)",
    "transformer(width=16, depth=2, heads=2)",
    "patchtst(width=8, depth=2, heads=2)",
]


@pytest.mark.parametrize("text", SERIES)
def test_what_lies_behind_the_end_counts_for_nothing(text: str) -> None:
    torch.manual_seed(0)
    encoder = _build.build(_build.spec(text), 4, 32, 1).eval()
    x = torch.randn(3, 4, 32)
    x[:, 0] = 1
    x[1, :, 20:] = 0
    behind = x.clone()
    behind[1, 1:, 20:] = 5.0
    with torch.no_grad():
        features, tokens = encoder.both(x)
        assert features.shape == (3, encoder.dim) and tokens.shape[::2] == (3, encoder.token_dim)
        torch.testing.assert_close(features, encoder(x))
        torch.testing.assert_close(tokens, encoder.tokens(x))
        # a kernel of the TCN and a patch of the transformer reach over the end; the modality keeps zeros there
        masked = behind * (x[:, :1] > 0.5)
        torch.testing.assert_close(encoder(masked), features)
        if text.startswith("gru"):
            torch.testing.assert_close(encoder(behind), features)
        changed = x.clone()
        changed[1, 1:, 19] += 1
        assert not torch.allclose(encoder(changed)[1], features[1])


@pytest.mark.parametrize("text", SERIES)
def test_an_item_does_not_feel_its_neighbours(text: str) -> None:
    torch.manual_seed(0)
    encoder = _build.build(_build.spec(text), 3, 24, 1).eval()
    x = torch.randn(4, 3, 24)
    x[:, 0] = 1
    x[2, :, 9:] = 0
    with torch.no_grad():
        torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]), atol=1e-5, rtol=1e-5)


def test_the_transformer_computes_visible_patches_alone() -> None:
    torch.manual_seed(0)
    encoder = _build.build(_build.spec("transformer(width=16, depth=1, heads=2, patch_size=4)"), 2, 16, 1).eval()
    assert isinstance(encoder, Maskable) and encoder.places == 4 and encoder.patch_values == 8
    x = torch.randn(2, 2, 16)
    x[:, 0] = 1
    everything = torch.arange(4).expand(2, -1)
    with torch.no_grad():
        torch.testing.assert_close(encoder.visible(x, everything), encoder.tokens(x))
        some = encoder.visible(x, torch.tensor([[2, 0], [2, 0]]))
        elsewhere = x.clone()
        elsewhere[:, 1:, 4:8] = 9
        torch.testing.assert_close(encoder.visible(elsewhere, torch.tensor([[2, 0], [2, 0]])), some)


def test_an_encoder_for_pictures_is_refused_in_one_line_and_the_other_way_round() -> None:
    with pytest.raises(
        UserError, match=r"resnet18 looks at pictures, not at series; take gru, patchtst, tcn, transformer"
    ):
        _build.build(_build.spec("resnet18"), 2, 16, 1)
    with pytest.raises(UserError, match="gru looks at series, not at pictures"):
        _build.build(_build.spec("gru"), 2, 16)


def test_each_method_that_serves_series_has_an_encoder_for_them() -> None:
    for name in catalog.names("methods"):
        entry = catalog.entry("methods", name)
        if "series" in entry.facts.get("modalities", ()):
            assert _build.build(_build.spec(entry.encoder_for("series")), 2, 32, 1).space == 1


def test_parts_of_a_recording_are_pooled_apart_and_never_empty() -> None:
    from unlabeled.encoders._time import pooled
    from unlabeled.encoders.tcn import TCN

    y = torch.randn(3, 2, 9, generator=torch.Generator().manual_seed(0))
    inside = (torch.arange(9) < torch.tensor([9, 5, 1])[:, None])[:, None].float()
    told = pooled(y, inside, 3).view(3, 3, 2, 2)
    for item, bounds in enumerate([[(0, 3), (3, 6), (6, 9)], [(0, 2), (1, 4), (3, 5)], [(0, 1)] * 3]):
        for part, (first, last) in enumerate(bounds):
            here = y[item, :, first:last]
            torch.testing.assert_close(told[item, part], torch.stack([here.mean(1), here.amax(1)]))
    encoder = TCN(3, 20, width=4, stages=1, parts=2).eval()
    assert encoder(torch.ones(2, 3, 20)).shape == (2, encoder.dim) == (2, 16)
    with pytest.raises(UserError, match="part"):
        TCN(3, 20, parts=0)


@pytest.mark.parametrize(
    "text",
    [
        "transformer(width=16, depth=2, heads=2)",
        "patchtst(width=8, depth=2, heads=2)",
        "vit(width=16, depth=2, heads=2)",
    ],
)
def test_a_glimpse_of_every_patch_is_the_whole_item(text: str) -> None:
    torch.manual_seed(0)
    picture = text.startswith("vit")
    encoder = _build.build(_build.spec(text), 1 if picture else 4, 32, 2 if picture else 1).eval()
    assert isinstance(encoder, Maskable)
    x = torch.randn(3, 1, 32, 32) if picture else torch.randn(3, 4, 32)
    if not picture:
        x[:, 0] = 1
        x[1, :, 20:] = 0  # it ends before the view does
    order = torch.rand(3, encoder.places).argsort(1)
    with torch.no_grad():
        for row in range(3):  # the first patch that is shown is never held for one behind the end
            inside = x[row, 0].reshape(-1, encoder.patch_size).amax(1) > 0 if not picture else None
            while inside is not None and not inside[order[row, 0]]:
                order[row] = order[row].roll(1)
        torch.testing.assert_close(encoder.glimpse(x, order), encoder(x), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(encoder.glimpse(x, order[:, : encoder.places // 2]), encoder(x), atol=1e-3)


def test_what_is_behind_the_end_changes_no_feature_of_a_network_over_time() -> None:
    """A norm's shift is not 0 there, and the next convolution looks beyond the end."""
    net = _build.build(_build.spec("tcn(width=8, stages=2)"), 3, 64, 1).eval()
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, torch.nn.BatchNorm1d):
                part.bias.uniform_(0.2, 1.0, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    x[:, 0] = 1.0
    longer = torch.nn.functional.pad(x, (0, 32))
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(longer), atol=1e-5, rtol=1e-5)
