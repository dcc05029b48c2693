"""Maps: they find what was planted, agree with captum and with slow loops, and hold to the contract."""

from typing import Any

import numpy as np
import pytest
import torch
from planted import OverTime, Planted, build
from torch import Tensor, nn

from unlabeled import catalog
from unlabeled.encoders import Encoder, _build
from unlabeled.encoders.timm import Timm
from unlabeled.encoders.vit import ViT
from unlabeled.errors import UserError
from unlabeled.explain import Explainer, _layers, _places
from unlabeled.explain.grad_cam import GradCam
from unlabeled.explain.integrated_gradients import IntegratedGradients
from unlabeled.explain.occlusion import Occlusion
from unlabeled.explain.rollout import Rollout

KINDS = ("resnet", "vit", "series")
captum = pytest.importorskip("captum.attr")


@pytest.fixture(scope="module", params=KINDS)
def planted(request: pytest.FixtureRequest) -> Planted:
    return build(request.param)


@pytest.fixture(scope="module")
def resnet() -> Planted:
    return build("resnet")


def explainers(encoder: Encoder) -> list[tuple[str, Explainer]]:
    """Those of the catalog that can look into the encoder."""
    names = [n for n in catalog.names("explain") if n != "rollout" or isinstance(encoder, ViT)]
    return [(n, catalog.load("explain", n)()) for n in names]


def test_every_explainer_gives_a_value_for_every_place(planted: Planted) -> None:
    for name, explainer in explainers(planted.encoder):
        maps = explainer.explain(planted.score, planted.encoder, planted.views)
        assert isinstance(explainer, Explainer)
        assert maps.shape == (len(planted.views), *planted.views.shape[2:]), name
        assert maps.dtype == torch.float32 and maps.isfinite().all() and not maps.requires_grad, name


def test_every_explainer_treats_each_item_by_itself(planted: Planted) -> None:
    """The copies that an explainer makes stay with their own item's score."""
    from unlabeled.explain._questions import of_embedding

    some = planted.views[:3]
    for name, explainer in explainers(planted.encoder):
        together = explainer.explain(of_embedding(planted.lens, some), planted.encoder, some)
        for i in range(3):
            alone = some[i : i + 1]
            mine = explainer.explain(of_embedding(planted.lens, alone), planted.encoder, alone)
            torch.testing.assert_close(together[i : i + 1], mine, atol=2e-5, rtol=1e-3, msg=name)


def test_the_planted_place_is_found(planted: Planted) -> None:
    """The class hangs on a sixteenth of the picture, on a fifth of the series: there the maps are strongest."""
    for name, explainer in explainers(planted.encoder):
        if name == "rollout":  # it follows attention alone, whatever the question is
            continue
        maps = explainer.explain(planted.score, planted.encoder, planted.views)
        share = planted.where.float().mean().item()
        inside = maps[:, planted.where].clamp_min(0).sum(1) / maps.clamp_min(0).flatten(1).sum(1)
        assert inside.median() > 2.5 * share, (name, inside)
        best = maps.flatten(1).argmax(1)
        assert planted.where.flatten()[best].float().mean() >= 0.75, name


def test_grad_cam_is_captums(resnet: Planted) -> None:
    net: Any = resnet.encoder.net
    theirs = captum.LayerGradCam(resnet.score, net.layer4).attribute(resnet.views)  # (B, 1, h, w)
    ours = GradCam().explain(resnet.score, resnet.encoder, resnet.views)
    torch.testing.assert_close(ours, _places.spread(theirs.flatten(1), (32, 32)), atol=1e-5, rtol=1e-4)


def test_integrated_gradients_are_captums_and_add_up(planted: Planted) -> None:
    ours = IntegratedGradients(steps=20).explain(planted.score, planted.encoder, planted.views)
    start = _places.hidden(planted.views, "mean")
    theirs = captum.IntegratedGradients(planted.score).attribute(planted.views, start, n_steps=20).sum(1)
    torch.testing.assert_close(ours, theirs.float(), atol=1e-5, rtol=1e-3)
    told = planted.score(planted.views) - planted.score(start)
    fine = IntegratedGradients(steps=200).explain(planted.score, planted.encoder, planted.views)
    torch.testing.assert_close(fine.flatten(1).sum(1), told, atol=0.05, rtol=0.02)


def test_integrated_gradients_of_a_line_are_its_slope_times_the_way() -> None:
    slope, x = torch.randn(1, 2, 6, 6), torch.randn(3, 2, 6, 6)
    maps = IntegratedGradients(steps=1).explain(lambda v: (v * slope).sum((1, 2, 3)), OverTime(), x)
    torch.testing.assert_close(maps, (slope * x).sum(1))


def test_occlusion_is_a_slow_loop() -> None:
    two = build("resnet", items=2)
    fall, count = np.zeros((2, 32, 32)), np.zeros((32, 32))
    for top in range(0, 25, 4):
        for left in range(0, 25, 4):
            covered = two.views.clone()
            covered[:, :, top : top + 8, left : left + 8] = 0
            with torch.no_grad():
                drop = two.score(two.views) - two.score(covered)
            fall[:, top : top + 8, left : left + 8] += drop.numpy()[:, None, None]
            count[top : top + 8, left : left + 8] += 1
    ours = Occlusion(window=0.25).explain(two.score, two.encoder, two.views)
    np.testing.assert_allclose(ours.numpy(), fall / count, atol=1e-4, rtol=1e-3)


def test_windows_cover_every_place_of_any_side() -> None:
    for side in (1, 2, 7, 30, 128):
        for window in (0.01, 0.125, 0.4, 1.0):
            seen = np.zeros(side)
            for part in Occlusion(window=window)._along(side):
                seen[part] += 1
            assert (seen > 0).all(), (side, window)


def test_roll_out_is_a_slow_loop_over_the_blocks_own_attention() -> None:
    """Against the weights that timm's attention itself uses, seen at its dropout, item by item and head by head."""
    torch.manual_seed(0)
    encoder = ViT(1, 16, width=32, depth=3, heads=4, patch_size=4).eval()
    views, seen = torch.randn(2, 1, 16, 16), list[Tensor]()
    for block in encoder.blocks:
        attention: Any = block.attn
        attention.fused_attn = False
        attention.attn_drop.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
    encoder(views)
    expected = np.zeros((2, 16))
    for item in range(2):
        total = np.eye(16)
        for weights in seen:
            mean = sum(weights[item, head].numpy() for head in range(4)) / 4
            mixed = mean + np.eye(16)
            total = (mixed / mixed.sum(1, keepdims=True)) @ total
        expected[item] = total.mean(0)
    ours = Rollout().explain(lambda v: v.sum((1, 2, 3)), encoder, views)
    np.testing.assert_allclose(ours.numpy(), _places.spread(torch.tensor(expected), (16, 16)).numpy(), rtol=1e-4)


def test_roll_out_with_a_class_token_reads_its_row() -> None:
    encoder = Timm(1, 32, name="vit_tiny_patch16_224").eval()
    views = torch.randn(1, 1, 32, 32)
    maps = Rollout().explain(lambda v: v.sum((1, 2, 3)), encoder, views)
    assert maps.shape == (1, 32, 32) and (maps > 0).all()
    assert maps.mean() < 1 / 4  # the class token keeps a part for itself


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "vit"])
def test_the_last_map_is_found_in_any_encoder(name: str) -> None:
    encoder = _build.build(_build.spec("vit(width=32,depth=1,heads=2)" if name == "vit" else name), 3, 64).eval()
    views = torch.randn(2, 3, 64, 64)
    layers = _layers.last(encoder, views)
    features, slopes = _layers.activations(layers, lambda v: encoder(v).square().sum(1), views)
    assert slopes.shape == features.shape and (slopes != 0).any()
    if name == "vit_tiny_patch16_224":  # read by its class token: the patches count up to its last block alone
        inner: Any = encoder.net.blocks[-1].norm1  # type: ignore[union-attr, index]
        seen: list[Tensor] = []
        inner.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
        encoder(views)
        torch.testing.assert_close(features, seen[0][:, 1:])
    else:
        torch.testing.assert_close(features, encoder.tokens(views).detach())


def test_zeros_behind_the_end_of_a_recording_do_not_hide_the_layer() -> None:
    class Ends(OverTime):
        def tokens(self, x: Tensor) -> Tensor:
            return self.net(x).transpose(1, 2) * (torch.arange(16) < 10)[:, None]

    encoder = Ends().eval()
    layer = _layers.last(encoder, torch.randn(1, 3, 64))[0]
    assert layer.module is encoder.net


def test_recurrent_states_are_places() -> None:
    class Reads(OverTime):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.GRU(3, 24, batch_first=True)  # type: ignore[assignment]

        def forward(self, x: Tensor) -> Tensor:
            return self.tokens(x).amax(1)

        def tokens(self, x: Tensor) -> Tensor:
            return self.net(x.transpose(1, 2))[0]

    encoder = Reads().eval()
    maps = GradCam().explain(lambda v: encoder(v).sum(1), encoder, torch.randn(2, 3, 64))
    assert maps.shape == (2, 64) and (maps != 0).any()


def test_what_cannot_be_looked_into_is_said() -> None:
    class Own(OverTime):
        def tokens(self, x: Tensor) -> Tensor:
            return self.net(x).transpose(1, 2) * 2

    views = torch.randn(1, 3, 64)
    with pytest.raises(UserError, match="not the output of one of its modules; take occlusion"):
        GradCam().explain(lambda v: v.sum((1, 2)), Own().eval(), views)
    with pytest.raises(UserError, match="does not come through the encoder's places"):
        GradCam().explain(lambda v: v.sum((1, 2)), OverTime().eval(), views)
    with pytest.raises(UserError, match="no attention to roll out"):
        Rollout().explain(lambda v: v.sum((1, 2)), OverTime().eval(), views)
    with pytest.raises(UserError, match="0 steps"):
        IntegratedGradients(steps=0)
    with pytest.raises(UserError, match="a window of 2"):
        Occlusion(window=2)


def test_hiding_keeps_where_the_recording_is_and_a_blur_keeps_the_mean() -> None:
    series = torch.randn(2, 3, 40)
    for how in ("mean", "blur"):
        assert torch.equal(_places.hidden(series, how)[:, 0], series[:, 0])
    flat = torch.full((1, 2, 24, 24), 3.0)
    torch.testing.assert_close(_places.hidden(flat, "blur"), flat)
    picture = torch.randn(1, 1, 64, 64)
    assert _places.blurred(picture).std() < 0.1 * picture.std()
