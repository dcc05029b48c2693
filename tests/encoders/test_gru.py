"""Our way through a GRU is torch's: states, ends and every slope, for records of all lengths."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unlabeled.encoders._gru import read


def by_torch(net: nn.GRU, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    packed, end = net(pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False))
    states, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
    ways = 2 if net.bidirectional else 1
    layers = [torch.cat(list(end[i : i + ways]), 1) for i in range(0, len(end), ways)]
    return states, torch.stack(layers)


@pytest.mark.parametrize("lengths", [[7, 7, 7], [3, 7, 1], [2, 5, 5], [1, 1, 1]])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_states_ends_and_slopes_are_those_of_torch(layers: int, both_ways: bool, lengths: list[int]) -> None:
    torch.manual_seed(0)
    net = nn.GRU(3, 5, layers, batch_first=True, bidirectional=both_ways)
    x, length = torch.randn(3, 7, 3), torch.tensor(lengths)
    told = []
    for way, own in ((by_torch, copy.deepcopy(net)), (read, copy.deepcopy(net))):
        given = x.clone().requires_grad_()
        states, end = way(own, given, length)
        torch.manual_seed(1)
        ((states * torch.randn(states.shape)).sum() + (end * torch.randn(end.shape)).square().sum()).backward()
        told.append((states.detach(), end.detach(), given.grad, *(p.grad for p in own.parameters())))
    for theirs, ours in zip(*told, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    with torch.no_grad():  # where nothing is learnt, another way is taken
        for theirs, ours in zip(told[0][:2], read(net, x, length), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_slopes_are_those_of_small_differences() -> None:
    torch.manual_seed(0)
    net = nn.GRU(2, 3, batch_first=True).double()
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: read(net, given, torch.tensor([4, 2, 1])), (x,))


def test_dropout_between_layers_is_for_training_alone() -> None:
    torch.manual_seed(0)
    net, x, length = nn.GRU(2, 4, 2, batch_first=True, dropout=0.5), torch.randn(2, 6, 2), torch.tensor([6, 3])
    trained = [read(net, x, length)[0] for _ in range(2)]
    assert not torch.equal(*trained)
    net.eval()
    torch.testing.assert_close(read(net, x, length)[0], by_torch(net, x, length)[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="cuDNN is on GPUs alone")
@pytest.mark.parametrize("lengths", [[9, 9, 9], [9, 4, 1]])
def test_on_a_gpu_a_net_that_does_not_train_has_a_way_back(lengths: list[int]) -> None:
    net = nn.GRU(3, 5, batch_first=True).eval()
    x = torch.randn(3, 9, 3, generator=torch.Generator().manual_seed(0))
    slopes = []
    for device in ("cpu", "cuda"):
        mine = x.to(device).requires_grad_()
        read(copy.deepcopy(net).to(device), mine, torch.tensor(lengths))[0].square().sum().backward()
        slopes.append(mine.grad)
    torch.testing.assert_close(slopes[1].cpu(), slopes[0], atol=1e-4, rtol=1e-3)
