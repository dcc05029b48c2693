"""Changes of style that leave every edge where it is: what a camera, a lamp or a sensor does to the same thing.

Each item draws one value in -1 to 1 for each kind; 0 changes nothing. In this order, on x in 0 to 1:

| name | what happens | at -1, at 1 |
|---|---|---|
| gamma | x ** (2 ** -v) | darker, brighter midtones |
| contrast | mean + (x - mean) * 2 ** v | a half, twice |
| warmth, tint (three channels) | red * k, blue / k; green / k: k = 1.25 ** v | blue, red; green, magenta |
| hue (three channels, on demand) | colours turned by v / 2 of the circle, brightness kept | the opposite colours |
| gain | x * 1.5 ** v | two thirds, half as much again |
| offset | x + 0.15 * v | -0.15, 0.15 |
| slope_x, slope_y | x * (1 + 0.4 * v * place), place -1 to 1 across, down | light from left or top, right or bottom |
| field | x * 1.5 ** (v * F), F a smooth random field in -1 to 1 | light and shade in patches, and their opposite |
| focus | x + v * (G * x - x), G a Gaussian of 1.2 pixels at 64 | sharpened, softened |
| filter | x + 0.6 * v * (K * x), K a random kernel whose sum is 0 | a lens, and its opposite |
| grain | x + 0.08 * v * N, N noise of unit variance, its grains 1 to 8 pixels, even or in specks | grain of a film |

Fields, kernels and grain are drawn from one seed an item, so that equal seeds and values give equal pictures.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError
from unlabeled.views import draw

KERNEL = 5  # pixels on a side, at 64 pixels and above; 3 below
SOFT, NARROW = 1.2 / 64, 64  # spread of the Gaussian over a picture's side; pixels up to which a kernel holds it
COARSEST = 4  # places on the side of the smooth field


KINDS = (
    "gamma", "contrast", "warmth", "tint", "hue", "gain", "offset", "slope_x", "slope_y", "field", "focus", "filter",
    "grain",
)  # fmt: skip
COLOUR = ("warmth", "tint", "hue")  # for three channels alone
ON_DEMAND = ("hue",)  # what things are is often told by their hue


def kinds(channels: int, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The kinds that pictures of so many channels get, in the order of the columns.

    Args:
        channels: of the pictures.
        wanted: some of KINDS; all that suit any picture when empty.

    Raises:
        UserError: for a word that is none of them, or a kind that needs colours where there are none.

    >>> kinds(1)
    ('gamma', 'contrast', 'gain', 'offset', 'slope_x', 'slope_y', 'field', 'focus', 'filter', 'grain')
    >>> kinds(3, ["hue", "gain"])
    ('hue', 'gain')
    """
    can = [k for k in KINDS if channels == 3 or k not in COLOUR]
    if wrong := [k for k in wanted if k not in can]:
        raise UserError(f'"{wrong[0]}" is no intervention for {channels} channels', f"take some of {', '.join(can)}")
    return tuple(k for k in can if (k in wanted if wanted else k not in ON_DEMAND))


def restyle(x: Tensor, values: Tensor, names: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """Pictures x (B, C, H, W) in 0 to 1 in another style, clipped to 0 to 1.

    Args:
        x: pictures.
        values: (B, S) how much of each kind, -1 to 1.
        names: the S kinds.
        seeds: one whole number an item, for fields, kernels and grain.
    """
    none = torch.zeros(len(x), 1, 1, 1, device=x.device)
    given = {name: values[:, i, None, None, None] for i, name in enumerate(names)}
    v = {name: given.get(name, none) for name in KINDS}
    field, kernel, grain = _random_parts(x, seeds)
    sigma, kernel = SOFT * x.shape[-1], 0.6 * v["filter"][:, 0] * kernel
    if x.shape[-1] <= NARROW:
        x = x + _convolve(x, kernel + v["focus"][:, 0] * _gauss(kernel.shape[-1], sigma).to(x.device))
    else:
        x = x + _convolve(x, kernel) + (v["focus"] * (_softened(x, sigma) - x) if "focus" in given else 0.0)
    x = x.clamp_min(0) ** (2 ** -v["gamma"])
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * 2 ** v["contrast"]
    if "hue" in given:
        x = _turned(x, v["hue"])
    if x.shape[1] == 3:
        warm, tint = 1.25 ** v["warmth"], 1.25 ** v["tint"]
        x = x * torch.cat((warm, 1 / tint, 1 / warm), 1)
    x = x * 1.5 ** v["gain"] + 0.15 * v["offset"]
    across = _places(x.shape[3], x.device)
    down = _places(x.shape[2], x.device)[:, None]
    x = x * (1 + 0.4 * v["slope_x"] * across) * (1 + 0.4 * v["slope_y"] * down)
    return (x * 1.5 ** (v["field"] * field) + 0.08 * v["grain"] * grain).clamp(0, 1)


def _random_parts(x: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth fields (B, 1, H, W) in -1 to 1, kernels (B, K, K) of sum 0 and unit norm, and grain (B, C, H, W)."""
    (count, channels, height, width), size = x.shape, KERNEL if x.shape[-1] >= 64 else 3
    fields, kernels, grain = [], [], torch.empty(count, channels, height, width)
    for i, seed in enumerate(seeds):
        source = torch.Generator().manual_seed(seed)
        fields.append(torch.randn(1, COARSEST, COARSEST, generator=source))
        kernels.append(torch.randn(size, size, generator=source))
        u = torch.rand(3, generator=source).tolist()
        tall, wide = (8 ** max(0.0, 2 * v - 1) for v in u[:2])  # pixels of a grain; half of them are 1
        shape = (1, channels, math.ceil(height / tall), math.ceil(width / wide))
        coarse = torch.randn(shape, generator=source)
        coarse = coarse.sign() * coarse.abs() ** (1 + 2 * u[2])  # from a bell curve to few strong specks
        grain[i] = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[0]
    smooth = functional.interpolate(torch.stack(fields), (height, width), mode="bicubic", align_corners=True)
    smooth = smooth / smooth.abs().amax((2, 3), keepdim=True).clamp_min(1e-6)
    kernel = torch.stack(kernels)
    kernel = kernel - kernel.mean((1, 2), keepdim=True)
    kernel = kernel / kernel.flatten(1).norm(dim=1)[:, None, None]
    grain = grain / grain.std((1, 2, 3), keepdim=True).clamp_min(1e-6)
    return smooth.to(x.device), kernel.to(x.device), grain.to(x.device)


def _gauss(side: int, sigma: float) -> Tensor:
    """A Gaussian of that many pixels less the picture itself (side, side): its sum is 0."""
    at = torch.arange(side) - side // 2
    line = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = torch.outer(line, line)
    kernel = kernel / kernel.sum()
    kernel[side // 2, side // 2] -= 1
    return kernel


def _softened(x: Tensor, sigma: float) -> Tensor:
    """Pictures under a Gaussian of so many pixels, one direction after the other; edges repeated."""
    far = round(2 * sigma)
    line = torch.exp(-0.5 * (torch.arange(-far, far + 1, device=x.device) / sigma) ** 2)
    line = line / line.sum()
    out = functional.pad(x.flatten(0, 1)[:, None], (far,) * 4, mode="replicate")
    with torch.autocast(x.device.type, enabled=False):
        out = functional.conv2d(functional.conv2d(out, line[None, None, None]), line[None, None, :, None])
    return out.view_as(x)


def _convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """Every item of x (B, C, H, W) under its own kernel (B, K, K), as a sum of shifted pictures; edges repeated."""
    side, (height, width) = kernels.shape[-1], x.shape[-2:]
    wide = functional.pad(x, (side // 2,) * 4, mode="replicate")
    out = torch.zeros_like(x)
    for i in range(side):
        for j in range(side):
            out.addcmul_(wide[..., i : i + height, j : j + width], kernels[:, i, j, None, None, None])
    return out


def _turned(x: Tensor, v: Tensor) -> Tensor:
    """Colours turned about the grey axis by v halves of the circle: v (B, 1, 1, 1)."""
    angle, grey = math.pi * v, x.mean(1, keepdim=True)
    across = (x.roll(1, 1) - x.roll(-1, 1)) / math.sqrt(3)  # grey axis cross colour
    return grey + (x - grey) * torch.cos(angle) + across * torch.sin(angle)


def values(source: torch.Generator, items: int, count: int) -> Tensor:
    """How much of each of `count` kinds for each item (items, count): half of them nothing, others even in -1 to 1."""
    on, amount = draw.uniforms(source, items, 2 * count).chunk(2, 1)
    return torch.where(on < 0.5, 2 * amount - 1, 0.0)


def _places(n: int, device: torch.device) -> Tensor:
    """Centres of n pixels, -1 to 1."""
    return (torch.arange(n, device=device) * 2 + 1) / n - 1
