"""NT-Xent against a slow loop, its blocks against the whole matrix, two processes against one."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from unlabeled.errors import UserError
from unlabeled.objectives import info_nce as module
from unlabeled.objectives._product import product
from unlabeled.objectives.gather import gather, ranks
from unlabeled.objectives.in_batch import in_batch
from unlabeled.objectives.info_nce import info_nce


def slow(a: Tensor, b: Tensor, temperature: float) -> float:
    """Equation 1 of the paper, item by item in double precision."""
    rows = [[float(v) for v in row] for row in torch.cat([a, b]).detach().double()]
    rows = [[v / math.sqrt(sum(u * u for u in row)) for v in row] for row in rows]
    n = len(rows) // 2
    total = 0.0
    for i, x in enumerate(rows):
        similar = [math.exp(sum(u * v for u, v in zip(x, y, strict=True)) / temperature) for y in rows]
        total -= math.log(similar[(i + n) % (2 * n)] / (sum(similar) - similar[i]))
    return total / (2 * n)


def views(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(n, d, generator=random)
    return a.requires_grad_(), (a.detach() + torch.randn(n, d, generator=random)).requires_grad_()


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_equals_the_paper_item_by_item(temperature: float) -> None:
    a, b = views(9, 5)
    assert info_nce(a, b, temperature).item() == pytest.approx(slow(a, b, temperature), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.03, 0.2, 1.0])
@pytest.mark.parametrize("other", [0, 70])
def test_blocks_give_the_loss_and_gradients_of_the_whole_matrix(
    temperature: float, other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 48)
    a, b = views(65, 16)  # three blocks, the last one short
    x = torch.nn.functional.normalize(torch.cat([a, b]).detach(), dim=1)
    o = torch.nn.functional.normalize(torch.randn(other, 16, generator=torch.Generator().manual_seed(3)), dim=1)
    weight = torch.linspace(0.5, 2, len(x))  # unequal, so that a row and its transpose cannot be mixed up
    results = []
    for form, dtype in ((module._lean, torch.float32), (module._dense, torch.float64)):
        y, z = x.to(dtype).requires_grad_(), o.to(dtype).requires_grad_()
        loss = (form(y, z, temperature) * weight).mean()
        results.append((loss, *torch.autograd.grad(loss, (y, z))))
    lean, dense = results
    assert lean[0].item() == pytest.approx(dense[0].item(), rel=1e-5)
    for mine, true in zip(lean[1:], dense[1:], strict=True):
        if true.numel():
            assert (mine - true).abs().max() <= 1e-5 * true.abs().max()


def test_large_batches_take_the_blocks_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = views(600, 8)
    made: list[str] = []
    lean_form = module._lean
    monkeypatch.setattr(module, "_lean", lambda *given: made.append("blocks") or lean_form(*given))
    lean = info_nce(a, b)
    assert made == ["blocks"]
    lean_gradient = torch.autograd.grad(lean, a)[0]
    monkeypatch.setattr(module, "DENSE", 10**6)
    dense = info_nce(a, b)
    dense_gradient = torch.autograd.grad(dense, a)[0]
    assert lean.item() == pytest.approx(dense.item(), rel=1e-6)
    assert (lean_gradient - dense_gradient).abs().max() <= 1e-5 * dense_gradient.abs().max()


def test_a_very_low_temperature_stays_finite_for_large_batches() -> None:
    a, _ = views(600, 4)
    loss = info_nce(a, -a, 0.005)  # the partner is the farthest vector of all
    loss.backward()
    assert loss.isfinite() and loss > 300 and a.grad is not None and a.grad.isfinite().all()


def test_scale_of_the_vectors_and_order_of_the_views_do_not_matter() -> None:
    a, b = views(7, 4)
    assert info_nce(3 * a, 0.1 * b).item() == pytest.approx(info_nce(b, a).item(), rel=1e-6)


def test_it_is_computed_in_float32_under_autocast() -> None:
    a, b = views(40, 16)
    with torch.autocast("cpu", torch.bfloat16):
        low = info_nce(a.bfloat16(), b.bfloat16(), 0.1)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(info_nce(a.bfloat16().float(), b.bfloat16().float(), 0.1).item(), rel=1e-6)


def test_equals_lightly() -> None:
    loss = pytest.importorskip("lightly.loss.ntx_ent_loss").NTXentLoss(temperature=0.2)
    a, b = views(520, 32)
    mine = torch.autograd.grad(info_nce(a, b, 0.2), (a, b))
    theirs = torch.autograd.grad(loss(a, b), (a, b))
    assert info_nce(a, b, 0.2).item() == pytest.approx(loss(a, b).item(), rel=1e-6)
    for m, t in zip(mine, theirs, strict=True):
        assert (m - t).abs().max() <= 1e-5 * t.abs().max()


@pytest.mark.parametrize(("shape", "temperature"), [((3, 4), 0.2), ((2, 4), 0.0)])
def test_wrong_input_is_told(shape: tuple[int, int], temperature: float) -> None:
    with pytest.raises(UserError, match="shapes" if temperature else "temperature"):
        info_nce(torch.ones(2, 4), torch.ones(shape), temperature)


@pytest.mark.parametrize("loss", [info_nce, in_batch])
def test_one_item_has_none_to_be_told_from(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(UserError, match=r"1 item .*--accumulate"):
        loss(torch.ones(1, 4), torch.ones(1, 4))
    assert loss(torch.ones(2, 4), torch.ones(2, 4)) > 0.5


def test_product_is_the_product() -> None:
    random = torch.Generator().manual_seed(0)
    x, y, bias = (torch.randn(n, generator=random) for n in ((33, 20), (17, 20), (17,)))
    assert torch.allclose(product(x, y, bias), (x.double() @ y.double().T + bias).float(), atol=1e-5)
    assert torch.allclose(product(x.T, y.T[:, :9].T[:, :0].new_ones(4, 33)), x.sum(0)[:, None].expand(20, 4), atol=1e-5)


def _process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    a, b = (v.detach()[6 * rank : 6 * rank + 6] for v in views(12, 5))
    for form, columns in (("dense", 10**6), ("lean", 0)):
        module.DENSE = columns
        weight = torch.arange(25.0).reshape(5, 5).sin().requires_grad_()
        loss = info_nce(a @ weight.T, b @ weight.T, 0.3)
        (gradient,) = torch.autograd.grad(loss, weight)
        for name, value in (("loss", loss.detach()), ("gradient", gradient)):
            distributed.all_reduce(value)  # what DDP does: the mean over processes
            np.save(folder / f"{form}-{name}-{rank}.npy", (value / 2).numpy())
    info_nce(a[:1], b[:1]), in_batch(a[:1], b[:1])  # the other process has an item too
    np.save(folder / f"order-{rank}.npy", gather(torch.full((2,), float(rank))).numpy())
    distributed.destroy_process_group()


def test_two_processes_with_averaged_gradients_are_one_big_batch(tmp_path: Path) -> None:
    multiprocessing.spawn(_process, (tmp_path,), nprocs=2)  # type: ignore[no-untyped-call]
    a, b = (v.detach() for v in views(12, 5))
    weight = torch.arange(25.0).reshape(5, 5).sin().requires_grad_()
    loss = info_nce(a @ weight.T, b @ weight.T, 0.3)
    loss.backward()
    for rank in range(2):
        for form in ("dense", "lean"):
            assert np.load(tmp_path / f"{form}-loss-{rank}.npy") == pytest.approx(loss.item(), rel=1e-6)
            gradient = np.load(tmp_path / f"{form}-gradient-{rank}.npy")
            np.testing.assert_allclose(gradient, weight.grad, rtol=1e-4, atol=1e-7)
        assert np.load(tmp_path / f"order-{rank}.npy").tolist() == [0, 0, 1, 1]


def test_gather_alone_changes_nothing() -> None:
    x = torch.ones(3, 2)
    assert ranks() == (0, 1) and gather(x) is x
