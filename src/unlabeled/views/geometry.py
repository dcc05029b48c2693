"""Where a view looks: crops, mirror images and turns, resampled once.

Without a turn every item is cut out and resized by torch's own antialiased 8-bit kernel, which on a CPU is faster than
sampling a grid and does not alias. On other devices, and for 16 bit, the same filter is two matrix products for the
whole batch. With a turn it is one bilinear sampling, after averaging 2 x 2 pixels where the crop shrinks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def crops(u: Tensor, side: int, smallest: float, stretch: float, largest: float = 1.0) -> Tensor:
    """Random crop boxes, uniform in area and log-uniform in shape, as whole pixels.

    Args:
        u: uniform draws (B, 4).
        side: side of the raw pictures in pixels.
        smallest: smallest share of the area, 0 to 1.
        stretch: largest width over height, at least 1; a crop that would leave the picture is stretched less.
        largest: largest share of the area.

    Returns:
        Boxes (B, 4), int64: left, top, right, bottom; right and bottom exclusive.

    >>> crops(torch.rand(1, 4), 32, 1.0, 4 / 3).tolist()
    [[0, 0, 32, 32]]
    """
    area = smallest + (largest - smallest) * u[:, 0].double()
    limit = torch.clamp(-torch.log(area.clamp(min=1e-6)), max=math.log(stretch))
    shape = torch.exp((2 * u[:, 1] - 1) * limit)
    size = torch.stack((torch.sqrt(area * shape), torch.sqrt(area / shape)), 1)
    size = (size * side).round().clamp(1, side)
    low = (u[:, 2:4] * (side - size + 1)).floor().minimum(side - size)
    return torch.cat((low, low + size), 1).long()


def whole(items: int, side: int) -> Tensor:
    """Boxes (B, 4) that keep the whole picture."""
    return torch.tensor([[0, 0, side, side]]).expand(items, 4)


def resample(raw: Tensor, boxes: Tensor, mirror: Tensor, size: int) -> Tensor:
    """Cut out, mirror and resize every item, antialiased (triangle filter).

    Args:
        raw: (B, C, H, W) uint8 or uint16.
        boxes: (B, 4) int64 on the CPU.
        mirror: (B, 2) bool on the CPU: left-right, up-down.
        size: side of the result in pixels.

    Returns:
        (B, C, size, size), uint8 as the raw values where raw is uint8 on the CPU, else float32 in raw units.
    """
    if raw.dtype == torch.uint8 and raw.device.type == "cpu":
        return _by_item(raw, boxes, mirror, size)
    across = weights(boxes[:, [0, 2]], mirror[:, 0], raw.shape[-1], size).to(raw.device)  # (B, size, W)
    down = weights(boxes[:, [1, 3]], mirror[:, 1], raw.shape[-2], size).to(raw.device)  # (B, size, H)
    x = raw.to(torch.float32) @ across.transpose(1, 2)[:, None]  # (B, C, H, size)
    return down[:, None] @ x


def weights(span: Tensor, mirror: Tensor, side: int, size: int) -> Tensor:
    """The matrices (B, size, side) that cut `span` (B, 2) out of a line of pixels and resize it."""
    low, high = span[:, 0, None, None].float(), span[:, 1, None, None].float()  # (B, 1, 1)
    step = (high - low) / size
    place = torch.arange(size)[None, :, None] + 0.5
    place = torch.where(mirror[:, None, None], size - place, place)
    centre = low + place * step  # (B, size, 1)
    pixel = torch.arange(side) + 0.5
    w = (1 - (pixel - centre).abs() / step.clamp(min=1)).clamp(min=0)
    w = w * ((pixel > low) & (pixel < high))
    return w / w.sum(2, keepdim=True)


def turn(raw: Tensor, boxes: Tensor, mirror: Tensor, degrees: Tensor, size: int) -> Tensor:
    """Cut out, mirror, turn about the crop's centre and resize every item in one bilinear sampling.

    What a turn brings in from outside the picture is its reflection. Arguments as in `resample`, and `degrees` (B,),
    counter-clockwise; returns float32 (B, C, size, size) in raw units.
    """
    x = raw.to(torch.float32)
    side = raw.shape[-1]
    b = boxes.double() * (2 / side) - 1
    half, centre = (b[:, 2:] - b[:, :2]) / 2, (b[:, 2:] + b[:, :2]) / 2  # (B, 2), in units of half the picture
    sign = 1 - 2 * mirror.double()
    a = torch.deg2rad(degrees.double())
    matrix = torch.stack((torch.cos(a), -torch.sin(a), torch.sin(a), torch.cos(a)), 1).view(-1, 2, 2)
    matrix = (matrix * (half * sign)[:, None, :]).float().to(raw.device)
    at = torch.linspace(1 / size - 1, 1 - 1 / size, size, device=raw.device)
    grid = torch.empty(len(raw), size, size, 2, device=raw.device)
    for k in (0, 1):
        row = matrix[:, k, 1, None] * at + centre[:, k, None].float().to(raw.device)
        torch.add(row[:, :, None], (matrix[:, k, 0, None] * at)[:, None, :], out=grid[..., k])
    shrinks = (half.amax(1) * side / size > 1.4).nonzero()[:, 0].to(raw.device)
    out = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    if len(shrinks):
        coarse = F.interpolate(x[shrinks], size=(side + 1) // 2, mode="area")
        out[shrinks] = F.grid_sample(coarse, grid[shrinks], padding_mode="reflection", align_corners=False)
    return out


def _by_item(raw: Tensor, boxes: Tensor, mirror: Tensor, size: int) -> Tensor:
    items = [
        F.interpolate(raw[i : i + 1, :, y0:y1, x0:x1], size=(size, size), mode="bilinear", antialias=True)
        for i, (x0, y0, x1, y1) in enumerate(boxes.tolist())
    ]
    out = torch.cat(items)
    for axis, chosen in ((-1, mirror[:, 0]), (-2, mirror[:, 1])):
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            out[rows] = out[rows].flip(axis)
    return out
