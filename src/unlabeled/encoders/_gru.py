"""The arithmetic of `nn.GRU` over records of many lengths on a CPU, with a shorter way back.

torch goes back through a packed GRU one small operation at a time and adds up the weights' slopes at every step, which
takes it seven times as long as the way forward. Here the way back knows its formula: what does not depend on the later
steps is computed for all steps at once, a step has one matrix product, and each slope of the weights is one product at
the end. Parameters, their names and the results are those of `nn.GRU`, which is taken itself where nothing is learnt.
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout, linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def read(net: nn.GRU, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """All states and the last ones of records that begin together and end apart.

    Args:
        net: batch first; its parameters are used as they are.
        x: steps (B, T, C), float32.
        length: steps of each record (B,), 1 to T, on the CPU.

    Returns:
        States (B, T, H), 0 behind the end, and those at the end (layers, B, H), where H counts both directions if the
        net has two.

    >>> states, end = read(nn.GRU(3, 4, batch_first=True), torch.zeros(2, 5, 3), torch.tensor([5, 2]))
    >>> states.shape, end.shape
    (torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))
    """
    learning = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in net.parameters()))
    if x.device.type == "cpu" and learning:
        packed = pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
        found, end = _layers(net, packed, length)
        states, _ = pad_packed_sequence(found, batch_first=True, total_length=x.shape[1])
        return states, end
    frozen = learning and not net.training  # through such a net cuDNN knows no way back, torch's own kernels do
    with torch.backends.cudnn.flags(enabled=False) if frozen else nullcontext():
        if bool((length == x.shape[1]).all()):
            states, ends = net(x)
        else:
            found, ends = net(pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False))
            states, _ = pad_packed_sequence(found, batch_first=True, total_length=x.shape[1])
    ways = 2 if net.bidirectional else 1
    return states, ends.view(net.num_layers, ways, *ends.shape[1:]).transpose(1, 2).flatten(2)


def _layers(net: nn.GRU, packed: PackedSequence, length: Tensor) -> tuple[PackedSequence, Tensor]:
    counts = packed.batch_sizes.tolist()
    data, ends = packed.data, []
    back = _mirror(length.sort(descending=True).values, packed.batch_sizes) if net.bidirectional else None
    for layer in range(net.num_layers):
        if layer:
            data = dropout(data, net.dropout, net.training)
        both, last = [], []
        for suffix in ("", "_reverse") if net.bidirectional else ("",):
            w_in, w, b_in, b = (
                getattr(net, f"{n}_l{layer}{suffix}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            given = linear(data if not suffix else data[back], w_in, b_in)
            states, end = _Steps.apply(given, w, b, counts)
            both.append(states if not suffix else states[back])
            last.append(end)
        data = torch.cat(both, 1) if len(both) > 1 else both[0]
        ends.append(torch.cat(last, 1)[packed.unsorted_indices])
    return packed._replace(data=data), torch.stack(ends)


def _mirror(length: Tensor, counts: Tensor) -> Tensor:
    """For each row of packed records, of these falling lengths, the row of the step as far from the other end."""
    first = counts.cumsum(0) - counts
    step = torch.repeat_interleave(torch.arange(len(counts)), counts)
    item = torch.arange(len(step)) - first[step]
    return first[length[item] - 1 - step] + item


class _Steps(torch.autograd.Function):
    """One direction of one layer: gates that the input gives (rows, 3 H), packed, to states (rows, H) and ends (B, H).

    With h the state before, of gates r, z, n and m = W_n h + b_n: n = tanh(given_n + r m), new = n + z (h - n).
    """

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
        size = weight.shape[1]
        gates, states = given.new_empty(len(given), 4 * size), given.new_empty(len(given), size)  # r, z, n, m
        across, end, at = weight.T, given.new_zeros(counts[0], size), 0
        for count in counts:
            rows, before = slice(at, at + count), end[:count]
            told = torch.addmm(bias, before, across)
            r, z, n, m = gates[rows].chunk(4, 1)
            torch.add(given[rows, : 2 * size], told[:, : 2 * size], out=gates[rows, : 2 * size]).sigmoid_()
            m.copy_(told[:, 2 * size :])
            torch.addcmul(given[rows, 2 * size :], r, m, out=n).tanh_()
            new = torch.lerp(n, before, z, out=states[rows])
            end = new if count == len(end) else torch.cat([new, end[count:]])
            at += count
        ctx.save_for_backward(weight, gates, states)
        ctx.counts = counts
        return states, end.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor, of_end: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        weight, gates, states = ctx.saved_tensors
        counts: list[int] = ctx.counts
        r, z, n, m = gates.chunk(4, 1)
        starts = [0, *torch.tensor(counts).cumsum(0).tolist()]
        before = torch.zeros_like(states)
        for step in range(1, len(counts)):
            before[starts[step] : starts[step + 1]] = states[starts[step - 1] : starts[step - 1] + counts[step]]
        of_n = (1 - z) * (1 - n * n)  # what each gate's input gets of its state's slope
        to_gates = torch.cat([of_n * m * r * (1 - r), (before - n) * z * (1 - z), of_n * r], 1)
        slope, of_new = of_end, torch.empty_like(states)
        for step in reversed(range(len(counts))):
            rows = slice(starts[step], starts[step + 1])
            new = torch.add(slope[: counts[step]], of_states[rows], out=of_new[rows])
            here = to_gates[rows].view(len(new), 3, -1).mul_(new[:, None]).flatten(1)
            earlier = torch.addmm(new * z[rows], here, weight)
            slope = earlier if len(earlier) == len(slope) else torch.cat([earlier, slope[counts[step] :]])
        of_weight, of_bias = to_gates.T @ before, to_gates.sum(0)
        of_given = to_gates
        of_given[:, 2 * weight.shape[1] :] = of_new * of_n
        return of_given, of_weight, of_bias, None
