"""The same network, computed faster on a CPU: nothing here changes a parameter's name, shape or value.

Two things are done, each for the reason measured in `benchmarks/README.md`:

- A 3 x 3 convolution on a map of 2 x 2 places multiplies mostly padding. Here each output place is one matrix product
  over the input places inside the map (16 of 36 products at 2 x 2).
- The C library gives every large activation back to the system when it is freed, and the next step pays for getting
  the pages again, one fault for each 4 kB. Here freed memory stays with the process.
"""

import ctypes
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from glibc's malloc.h


def accelerate(module: nn.Module, *, device: torch.device) -> nn.Module:
    """Let a network's convolutions take the faster way where there is one; parameters and state dict stay as they are.

    Args:
        module: changed in place. On other devices than the CPU it is left alone.
        device: where it will run.

    Returns:
        The same module.

    >>> net = accelerate(nn.Conv2d(4, 8, 3, padding=1), device=torch.device("cpu"))
    >>> net(torch.zeros(2, 4, 2, 2)).shape
    torch.Size([2, 8, 2, 2])
    """
    if device.type == "cpu":
        keep_memory()
        for part in module.modules():
            if type(part) is nn.Conv2d and _fits(part):
                part.__class__ = Conv2d
            if getattr(part, "fused_attn", False):  # timm's attention; torch's fused one has a very slow way back here
                part.__dict__["fused_attn"] = False
    return module


def keep_memory() -> bool:
    """Keep freed memory with this process instead of giving it back to the system; false where the C library cannot.

    It holds for the whole process from now on: between peaks of use the process does not shrink.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def _fits(conv: nn.Conv2d) -> bool:
    square = conv.kernel_size[0] == conv.kernel_size[1] > 1 and conv.stride[0] == conv.stride[1] <= 2
    padded = isinstance(conv.padding, tuple) and conv.padding[0] == conv.padding[1] and conv.padding_mode == "zeros"
    return square and padded and conv.groups == 1 and conv.dilation == (1, 1)


class Conv2d(nn.Conv2d):
    """A square convolution that looks at the map it is given and takes the form that is faster for it."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps (B, O, H', W')."""
        if input.ndim != 4 or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        high, wide = ((side + 2 * padding - kernel) // stride + 1 for side in input.shape[2:])
        # Up to 4 output places pay always; with a stride of 2, which oneDNN does less well in bf16, up to 16.
        most = 16 if stride == 2 and dtype == torch.bfloat16 else 4
        if not (high > 0 and wide > 0 and high * wide <= most):
            return super().forward(input)
        y: Tensor = _PlaceByPlace.apply(input, self.weight, stride, padding, dtype)
        return y if self.bias is None else y + self.bias.to(dtype)[:, None, None]


class _PlaceByPlace(torch.autograd.Function):
    """A convolution as one matrix product for each output place, over the input places inside the map alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dtype: torch.dtype) -> Tensor:
        ctx.types = x.dtype, weight.dtype
        x = x.permute(0, 2, 3, 1).to(dtype).contiguous()  # (B, H, W, C)
        w = weight.permute(0, 2, 3, 1).to(dtype).contiguous()  # (O, K, K, C)
        (batch, *sides, _), (out, kernel) = x.shape, w.shape[:2]
        ctx.save_for_backward(x, w)
        ctx.places = rows, columns = [list(_windows(side, kernel, stride, padding)) for side in sides]
        y = x.new_empty(batch, len(rows), len(columns), out)
        for i, (high, up) in enumerate(rows):
            for j, (wide, across) in enumerate(columns):
                y[:, i, j] = x[:, high, wide].reshape(batch, -1) @ w[:, up, across].reshape(out, -1).T
        return y.permute(0, 3, 1, 2)  # (B, O, H', W'), channels last in memory

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, w = ctx.saved_tensors
        rows, columns = ctx.places
        slope = slope.permute(0, 2, 3, 1)  # (B, H', W', O)
        dx, dw = torch.zeros(x.shape), torch.zeros(w.shape)  # sums over places are kept in float32
        for i, (high, up) in enumerate(rows):
            for j, (wide, across) in enumerate(columns):
                here, seen, taps = slope[:, i, j], x[:, high, wide], w[:, up, across]
                dx[:, high, wide] += (here @ taps.reshape(len(w), -1)).view(seen.shape)
                dw[:, up, across] += (here.T @ seen.reshape(len(x), -1)).view(taps.shape)
        of_x, of_weight = ctx.types
        return dx.to(of_x).permute(0, 3, 1, 2), dw.to(of_weight).permute(0, 3, 1, 2), None, None, None


def _windows(side: int, kernel: int, stride: int, padding: int) -> Iterator[tuple[slice, slice]]:
    """For each output place along one side: the input places it sees, and the kernel's places that meet them."""
    for start in range(-padding, side + padding - kernel + 1, stride):
        low, high = max(start, 0), min(start + kernel, side)
        yield slice(low, high), slice(low - start, high - start)
