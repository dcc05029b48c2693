"""The faster network is the same network: outputs, gradients, names, training."""

import copy
import ctypes
import sys

import pytest
import torch
from torch import Tensor, nn

from unlabeled.encoders._fast import Conv2d, _windows, accelerate, keep_memory
from unlabeled.encoders.timm import Timm
from unlabeled.encoders.vit import ViT

CPU = torch.device("cpu")


def both(conv: nn.Conv2d, shape: tuple[int, ...], *, bf16: bool) -> list[tuple[Tensor, ...]]:
    """Output, input gradient, weight gradient and bias gradient of the plain and of the faster convolution."""
    results = []
    for net in (copy.deepcopy(conv), accelerate(copy.deepcopy(conv), device=CPU)):
        torch.manual_seed(1)
        x = torch.randn(shape).to(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = net(x)
        y.backward(torch.randn(y.shape).to(y.dtype))
        given = [p.grad for p in net.parameters()]
        results.append((y.detach(), x.grad, *given))
    assert type(net) is Conv2d
    return results


MAPS = [  # channels in and out, kernel, stride, padding, height, width
    (8, 16, 3, 1, 1, 2, 2),
    (8, 16, 3, 1, 1, 1, 1),
    (8, 16, 3, 1, 1, 1, 4),
    (8, 16, 3, 2, 1, 4, 4),
    (8, 16, 3, 2, 1, 3, 3),
    (8, 16, 3, 2, 1, 8, 8),
    (8, 16, 3, 2, 1, 7, 5),
    (3, 5, 2, 2, 0, 5, 4),
    (3, 5, 5, 1, 2, 2, 2),
    (3, 5, 3, 1, 2, 1, 1),  # 3 x 3 places of which the corners see only padding but one
    (3, 5, 3, 1, 0, 4, 4),
    (8, 16, 3, 1, 1, 7, 6),
    (8, 16, 3, 2, 1, 14, 9),
    (8, 16, 5, 1, 2, 5, 7),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("form", MAPS)
def test_float32_is_the_plain_convolution(form: tuple[int, ...], bias: bool) -> None:
    channels, out, kernel, stride, padding, high, wide = form
    conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=bias)
    for plain, fast in zip(*both(conv, (6, channels, high, wide), bf16=False), strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", MAPS)
def test_bf16_is_no_farther_from_the_truth_than_the_plain_convolution(form: tuple[int, ...]) -> None:
    channels, out, kernel, stride, padding, high, wide = form
    conv = nn.Conv2d(channels, out, kernel, stride, padding)
    truth = both(conv, (16, channels, high, wide), bf16=False)[0]
    plain, fast = both(conv, (16, channels, high, wide), bf16=True)
    for exact, usual, ours in zip(truth, plain, fast, strict=True):
        assert ours.dtype == usual.dtype and ours.shape == usual.shape
        error = (ours.float() - exact).norm() / exact.norm()
        assert error <= 1.1 * (usual.float() - exact).norm() / exact.norm() + 1e-3
        assert error < 0.02


def test_the_matrix_form_is_taken_on_small_maps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    plain = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: taken.append(tuple(x.shape[2:])) or plain(self, x))
    same, halving = (accelerate(nn.Conv2d(2, 2, 3, stride, 1), device=CPU) for stride in (1, 2))
    for bf16, through in ((True, [(8, 8), (16, 16)]), (False, [(4, 4), (8, 8), (8, 8), (16, 16)])):
        taken.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for net, side in ((same, 2), (same, 4), (same, 8), (halving, 4), (halving, 8), (halving, 16)):
                net(torch.zeros(1, 2, side, side))
        assert taken == through


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"), [(2, 3, 1, 1), (4, 3, 2, 1), (5, 2, 2, 0), (3, 5, 1, 2)]
)
def test_windows_name_the_places_that_meet(side: int, kernel: int, stride: int, padding: int) -> None:
    padded = [None] * padding + list(range(side)) + [None] * padding
    for number, (places, taps) in enumerate(_windows(side, kernel, stride, padding)):
        seen = padded[number * stride : number * stride + kernel]
        assert [s for s in seen if s is not None] == list(range(side))[places]
        assert [t for t in range(kernel) if seen[t] is not None] == list(range(kernel))[taps]
    assert number == (side + 2 * padding - kernel) // stride


def test_a_resnet_keeps_its_names_and_values_and_its_outputs() -> None:
    torch.manual_seed(0)
    plain = Timm(1, 64, name="resnet18").to(memory_format=torch.channels_last)
    fast = accelerate(copy.deepcopy(plain), device=CPU)
    assert sum(type(m) is Conv2d for m in fast.modules()) > 10
    assert list(fast.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(8, 1, 64, 64)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-4, atol=1e-4)
    fast(x).square().mean().backward()
    plain(x).square().mean().backward()
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, (3, 1), padding=(1, 0)),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 4, stride=4),
        nn.Linear(4, 4),
    ],
)
def test_what_it_cannot_compute_is_left_alone(other: nn.Module) -> None:
    kind = type(other)
    assert type(accelerate(other, device=CPU)) is kind


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("items", [1, 5, 6])
def test_a_block_in_pieces_is_the_same_block(items: int, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.models.vision_transformer import Block

    torch.manual_seed(0)
    plain = Block(16, 2, qkv_bias=True)
    fast = accelerate(copy.deepcopy(plain), device=CPU)
    plain.attn.fused_attn = False
    monkeypatch.setattr("unlabeled.encoders._fast.KEPT", 2 * 9 * 16 * 4 * 4)  # two items of nine tokens
    taken: list[int] = []
    fast.attn.register_forward_hook(lambda _, given, __: taken.append(len(given[0])))
    x = torch.randn(items, 9, 16)
    mask = torch.rand(items, 1, 1, 9) > 0.3 if masked else None
    torch.testing.assert_close(fast(x, mask), plain(x, mask))
    assert taken == [2] * (items // 2) + [1] * (items % 2)
    fast(x, mask).square().mean().backward()
    plain(x, mask).square().mean().backward()
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


@pytest.mark.parametrize("shape", [(1, 1, 9, 9), (9, 9)])
def test_one_mask_for_all_items_goes_to_every_piece(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:  # and with as many items as places it is no mask an item
    from timm.models.vision_transformer import Block

    plain = Block(16, 2)
    fast = accelerate(copy.deepcopy(plain), device=CPU)
    monkeypatch.setattr("unlabeled.encoders._fast.KEPT", 9 * 16 * 4 * 4)
    x, mask = torch.randn(9, 9, 16), (torch.rand(shape) > 0.3) | torch.eye(9, dtype=torch.bool)
    torch.testing.assert_close(fast(x, mask), plain(x, mask))


def test_a_transformer_keeps_its_names_when_its_blocks_go_in_pieces() -> None:
    from timm.models.vision_transformer import Block

    plain = ViT(1, 32, width=32, depth=2, heads=2)
    fast = accelerate(copy.deepcopy(plain), device=CPU)
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert all(isinstance(b, Block) and type(b) is not Block for b in fast.blocks)
    once = [type(b) for b in fast.blocks]
    assert [type(b) for b in accelerate(fast, device=CPU).blocks] == once
    torch.testing.assert_close(copy.deepcopy(fast)(torch.ones(2, 1, 32, 32)), plain(torch.ones(2, 1, 32, 32)))


def test_other_devices_are_left_alone() -> None:
    assert type(accelerate(nn.Conv2d(4, 4, 3, padding=1), device=torch.device("meta"))) is nn.Conv2d


def test_freed_memory_stays_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt"):
        import resource

        assert keep_memory()
        new_pages = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            pieces = [torch.ones(4 << 20) for _ in range(8)]  # 128 MB: 32,768 pages when they are given back
            del pieces
            new_pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        assert min(new_pages) < 100
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_memory()
