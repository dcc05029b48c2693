"""PatchTST: each variable by itself, each window in units of its own, and nothing of what is hidden."""

from typing import Any

import pytest
import torch
from torch import Tensor

from unlabeled import catalog
from unlabeled.encoders import Encoder, Maskable, _build
from unlabeled.encoders.patchtst import FLOOR
from unlabeled.errors import UserError
from unlabeled.methods import Batch
from unlabeled.modalities.series import Series

CHANNELS, SIZE, WIDTH = 4, 32, 16
SPEC = f"patchtst(width={WIDTH}, depth=2, heads=2, patch_size=4)"


def built(channels: int = CHANNELS, size: int = SIZE) -> Maskable:
    torch.manual_seed(0)
    encoder = _build.build(_build.spec(SPEC), channels, size, 1).eval()
    assert isinstance(encoder, Maskable)
    return encoder


def views(items: int = 3, channels: int = CHANNELS) -> Tensor:
    x = torch.randn(items, channels, SIZE, generator=torch.Generator().manual_seed(1)).cumsum(2)
    x[:, 0] = 1
    x[-1, :, 22:] = 0
    return x


def shares(tokens: Tensor) -> Tensor:
    """Tokens (B, T, D) as the variables' own vectors (B, T, C - 1, W)."""
    return tokens.unflatten(2, (-1, WIDTH))


@torch.no_grad()
def test_variables_that_change_places_change_the_places_of_their_vectors() -> None:
    encoder, x = built(), views()
    assert encoder.apart and encoder.dim == encoder.token_dim == 3 * WIDTH and encoder.patch_values == 4 * CHANNELS
    torch.testing.assert_close(shares(encoder.tokens(x[:, [0, 3, 1, 2]])), shares(encoder.tokens(x))[:, :, [2, 0, 1]])
    torch.testing.assert_close(
        encoder(x[:, [0, 3, 1, 2]]).unflatten(1, (-1, WIDTH)), encoder(x).unflatten(1, (-1, WIDTH))[:, [2, 0, 1]]
    )
    other = x.clone()
    other[:, 2] = -(other[:, 2] ** 2)
    assert torch.equal(shares(encoder.tokens(other))[:, :, [0, 2]], shares(encoder.tokens(x))[:, :, [0, 2]])


@torch.no_grad()
def test_level_and_spread_are_told_to_all_places_alike_and_the_shape_does_not_feel_them() -> None:
    encoder, x = built(), views()
    other = x.clone()
    other[:, 1] = (7 * other[:, 1] - 4) * x[:, 0]
    before, after = shares(encoder.tokens(x)), shares(encoder.tokens(other))
    shift = (after - before)[:, :, 0]
    assert shift.abs().amax(2).min() > 0.05  # they are told
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(after[:, :, 1:], before[:, :, 1:])
    assert (before[:, 0, 0] - before[:, 3, 0]).abs().amax() > 0.1  # and there is a shape


@torch.no_grad()
def test_nothing_that_is_hidden_reaches_the_visible_patches() -> None:
    encoder, x = built(), views()
    keep = torch.tensor([[5, 0, 2], [1, 7, 4], [3, 1, 7]])  # of the last item one lies behind the end
    seen = encoder.visible(x, keep)
    other = x.clone()
    for item, patches in enumerate(keep):
        hidden = [p for p in range(encoder.places) if p not in patches]
        for p in hidden:
            other[item, 1:, 4 * p : 4 * p + 4] = 1e3 * x[item, :1, 4 * p : 4 * p + 4]
    assert torch.equal(encoder.visible(other, keep), seen) and torch.equal(
        encoder.glimpse(other, keep), encoder.glimpse(x, keep)
    )
    other[0, 1, 20:24] *= -2
    assert not torch.allclose(encoder.visible(other, keep)[0], seen[0], atol=1e-3)
    torch.testing.assert_close(encoder.visible(x, torch.arange(8).expand(3, -1)), encoder.tokens(x))


def test_constant_channels_short_recordings_and_large_numbers_stay_finite() -> None:
    encoder, x = built().train(), views(4)
    x[0, 1] = 5.0  # never changes
    x[1, :, 1:] = 0  # one step
    x[2, 2] = 1e4 * x[2, 2]
    x[3] = 0  # nothing at all
    x.requires_grad_()
    features, tokens = encoder.both(x)
    features.square().mean().backward()  # type: ignore[no-untyped-call]
    grads = [p.grad for p in encoder.parameters()]
    assert x.grad is not None and features.isfinite().all() and tokens.isfinite().all() and x.grad.isfinite().all()
    assert all(g is not None and g.isfinite().all() and g.any() for g in grads)
    with torch.no_grad():  # what wobbles less than the floor is no shape
        wobble = x.detach().clone()
        wobble[0, 1] += 1e-3 * FLOOR * torch.randn(SIZE)
        torch.testing.assert_close(encoder(wobble), encoder(x.detach()), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mae", {"mask_ratio": 0.5}),
        ("tst", {"mask_ratio": 0.4}),
        ("simclr", {}),
        ("ts2vec", {}),
        ("forecasting", {}),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_methods_learn_with_it(name: str, settings: dict[str, Any], missing: bool) -> None:
    looks = Series(size=SIZE, channels=3, missing=missing)
    encoder = built(looks.channels)
    method = catalog.load("methods", name)(encoder, **settings)
    random = torch.Generator().manual_seed(0)
    phase = 6 * torch.rand(64, 2, 1, generator=random)
    raw = torch.ones(64, 3, SIZE)
    raw[:, 1:] = torch.sin(torch.arange(SIZE) * 0.8 + phase) + 2 * torch.randn(64, 2, 1, generator=random)
    if missing:
        raw[:, 1:].masked_fill_(torch.rand(64, 2, SIZE, generator=random) < 0.2, float("nan"))
    optimizer = torch.optim.Adam(method.parameters(), 3e-3)
    losses = []
    for step in range(30):
        loss = method.loss(method.views(Batch(raw, torch.arange(64)), looks.at(0, step % 3)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])


def test_holes_of_tst_leave_the_mean_of_a_variable_where_it_is() -> None:
    looks = Series(size=SIZE, channels=4)
    encoder, x = built(), views() + 3 * torch.tensor([0.0, 1.0, 2.0, 3.0])[:, None]
    x = x * (views()[:, :1] > 0.5)
    method = catalog.load("methods", "tst")(encoder, mask_ratio=0.4)
    holed, whole, hidden = method.holes(x, looks.at(0, 0))
    assert (
        torch.equal(whole, x) and torch.equal(holed[:, 0], x[:, 0]) and not hidden[:, 0].any() and hidden[:, 1:].any()
    )
    within, seen = x[:, :1], x[:, :1] * (1 - hidden[:, 1:])
    wanted = (x[:, 1:] * seen).sum(2) / seen.sum(2)
    torch.testing.assert_close((holed[:, 1:] * within).sum(2) / within.sum(2), wanted)
    usual = catalog.load("methods", "tst")(_build.build(_build.spec("tcn(width=4)"), 4, SIZE, 1), mask_ratio=0.4)
    holed, _, hidden = usual.holes(x, looks.at(0, 0))
    assert hidden[:, 1:].any() and not holed[hidden > 0].any()
    assert torch.equal(holed[:, 0], x[:, 0]) and not hidden[:, 0].any()  # where the recording is is never asked for


def test_encoders_that_mix_their_channels_say_so() -> None:
    kinds: list[type[Encoder]] = [catalog.load("encoders", n) for n in catalog.names("encoders")]
    assert [kind.__name__ for kind in kinds if kind.apart] == ["PatchTST"]


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="do not fit 30"):
        built(size=30)


@torch.no_grad()
def test_a_program_for_any_number_of_items_answers_as_the_encoder_does() -> None:
    encoder, x = built(), views(5)
    items = torch.export.Dim("items", min=1)
    program = torch.export.export(encoder, (x[:2],), dynamic_shapes=({0: items},)).module()
    torch.testing.assert_close(program(x), encoder(x), atol=1e-5, rtol=1e-4)
