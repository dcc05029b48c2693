"""The same network, computed faster on a CPU: nothing here changes a parameter's name, shape or value.

Four things are done, each for the reason measured in `benchmarks/README.md`:

- A 3 x 3 convolution on a map of 2 x 2 places multiplies mostly padding. Here each output place is one matrix product
  over the input places inside the map (16 of 36 products at 2 x 2).
- The slope of a convolution's weights on a map of 7 x 7 places or less takes oneDNN most of the way back. Here it is
  one matrix product in bf16, with the windows of the input laid side by side.
- The C library gives every large activation back to the system when it is freed, and the next step pays for getting
  the pages again, one fault for each 4 kB. Here freed memory stays with the process, but for the largest pieces.
- A transformer's block makes pieces larger than that from 200 patches on. Here it takes a few items at a time.
"""

import ctypes
import functools
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
KEPT = 2**25  # bytes: the largest piece that is kept; to keep larger ones costs more memory than it saves time
BLOCK = "timm.models.vision_transformer.Block"  # by name, so that nets without it need no timm
SMALL = 49  # output places up to which the weights' slope is one matrix product


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
            kind: Any = type(part)
            if f"{kind.__module__}.{kind.__name__}" == BLOCK:
                part.__class__ = _in_pieces(kind)
    return module


def keep_memory() -> bool:
    """Keep freed memory with this process instead of giving it back to the system; false where the C library cannot.

    It holds for the whole process from now on, for pieces of up to 32 MB: between peaks of use it does not shrink.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def _fits(conv: nn.Conv2d) -> bool:
    square = conv.kernel_size[0] == conv.kernel_size[1] > 1 and conv.stride[0] == conv.stride[1] <= 2
    padded = isinstance(conv.padding, tuple) and conv.padding[0] == conv.padding[1] and conv.padding_mode == "zeros"
    return square and padded and conv.groups == 1 and conv.dilation == (1, 1)


class _InPieces(nn.Module):
    """A transformer's block that takes as many items at once as make no activation larger than what is kept."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Tokens (B, T, D) to tokens (B, T, D)."""
        pieces = 1 if x.device.type != "cpu" or torch.compiler.is_compiling() else -(-self._bytes(x) // KEPT)
        if pieces < 2 or len(x) < 2:
            whole: Tensor = super().forward(x, attn_mask, is_causal)
            return whole
        some = -(-len(x) // pieces)
        masks: tuple[Tensor | None, ...] = (attn_mask,) * pieces
        if attn_mask is not None and attn_mask.ndim == 4 and len(attn_mask) == len(x):  # (B, 1 or heads, 1 or T, T)
            masks = torch.split(attn_mask, some)
        parts = zip(torch.split(x, some), masks, strict=False)  # fewer where the last items fit in one piece less
        return torch.cat([super(_InPieces, self).forward(part, mask, is_causal) for part, mask in parts])

    def _bytes(self, x: Tensor) -> int:
        """The largest of a block's activations: how places attend to each other, in float32, or the hidden layer."""
        block: Any = self
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        each = max(block.attn.num_heads * x.shape[1] * 4, block.mlp.fc1.out_features * dtype.itemsize)
        return len(x) * x.shape[1] * int(each)


@functools.cache
def _in_pieces(kind: Any) -> Any:
    return type(kind.__name__, (_InPieces, kind), {})


class Conv2d(nn.Conv2d):
    """A square convolution that looks at the map it is given and takes the form that is faster for it."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps (B, O, H', W')."""
        if input.ndim != 4 or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        high, wide = ((side + 2 * padding - kernel) // stride + 1 for side in input.shape[2:])
        few = 0 < high * wide <= 4
        if min(high, wide) < 1 or not (few or (high * wide <= SMALL and dtype == torch.bfloat16)):
            return super().forward(input)
        form = _PlaceByPlace if few else _OneSlope
        y: Tensor = form.apply(input, self.weight, stride, padding, dtype)
        return y if self.bias is None else y + self.bias.to(dtype)[:, None, None]


class _PlaceByPlace(torch.autograd.Function):
    """A convolution as one matrix product for each output place, over the input places inside the map alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dtype: torch.dtype) -> Tensor:
        ctx.types, ctx.steps = (x.dtype, weight.dtype), (stride, padding)
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
        whole = x.dtype == torch.bfloat16  # in float32 the products with padding cost more than they spare
        dx = torch.zeros(x.shape)  # sums over places are kept in float32
        dw = _slope_of_weights(x, slope, w.shape[1], *ctx.steps) if whole else torch.zeros(w.shape)
        for i, (high, up) in enumerate(rows):
            for j, (wide, across) in enumerate(columns):
                here, seen, taps = slope[:, i, j], x[:, high, wide], w[:, up, across]
                dx[:, high, wide] += (here @ taps.reshape(len(w), -1)).view(seen.shape)
                if not whole:
                    dw[:, up, across] += (here.T @ seen.reshape(len(x), -1)).view(taps.shape)
        of_x, of_weight = ctx.types
        return dx.to(of_x).permute(0, 3, 1, 2), dw.to(of_weight).permute(0, 3, 1, 2), None, None, None


class _OneSlope(torch.autograd.Function):
    """torch's own convolution, but for its weights' slope: one matrix product over all windows of the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dtype: torch.dtype) -> Tensor:
        ctx.types, ctx.steps = (x.dtype, weight.dtype), (stride, padding)
        x, w = (t.to(dtype, memory_format=torch.channels_last) for t in (x, weight))
        ctx.save_for_backward(x, w)
        return nn.functional.conv2d(x, w, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        x, w = ctx.saved_tensors
        (stride, padding), (of_x, of_weight) = ctx.steps, ctx.types
        maps = x.permute(0, 2, 3, 1), slope.permute(0, 2, 3, 1)
        dw = _slope_of_weights(*maps, w.shape[2], stride, padding).to(of_weight).permute(0, 3, 1, 2)
        if not ctx.needs_input_grad[0]:
            return None, dw, None, None, None
        how = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [True, False, False]
        dx: Tensor = torch.ops.aten.convolution_backward(slope, x, w, None, *how)[0]
        return dx.to(of_x), dw, None, None, None


def _slope_of_weights(x: Tensor, slope: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Slope (O, K, K, C) of weights from maps (B, H, W, C) and the slope (B, H', W', O) of what came out."""
    high, wide = (stride * (side - 1) + 1 for side in slope.shape[1:3])
    x = nn.functional.pad(x, (0, 0, *[padding] * 4))
    taps = [(i, j) for i in range(kernel) for j in range(kernel)]
    seen = torch.cat([x[:, i : i + high : stride, j : j + wide : stride] for i, j in taps], -1)
    return (slope.flatten(0, 2).T @ seen.flatten(0, 2)).view(slope.shape[-1], kernel, kernel, -1)


def _windows(side: int, kernel: int, stride: int, padding: int) -> Iterator[tuple[slice, slice]]:
    """For each output place along one side: the input places it sees, and the kernel's places that meet them."""
    for start in range(-padding, side + padding - kernel + 1, stride):
        low, high = max(start, 0), min(start + kernel, side)
        yield slice(low, high), slice(low - start, high - start)
