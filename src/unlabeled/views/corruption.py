"""A worse world: fourteen corruptions in five severities.

In the spirit of ImageNet-C (Hendrycks & Dietterich 2019, arXiv:1903.12261). Strengths start from that paper's tables
(noise, brightness and contrast from its CIFAR form). Lengths are shares of the picture's side, so that a severity means
the same at every size, but never so short that nothing happens. Everything acts on values in 0 to 1, and an item's
corruption depends on its own seed alone: the same seed at a higher severity is the same corruption, stronger.

Blur, brightness and noise overlap with augmentations, and with `style`, whose farthest offset and contrast are those of
the second severity of brightness and contrast here, whose finest grain is as strong as the third of noise, and whose
strongest focus lies between the second and the third of blur. `shift.overlap` names what a run has seen relatives of.
"""

import io
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from torch import Tensor

from unlabeled.views import cover, draw

Draws = Tensor  # (B, 8) uniform numbers, the same at every severity
Seeds = list[int]  # one an item


def gaussian_noise(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Electronic noise of a dim exposure."""
    return x + _normals(seeds, x) * (0.04, 0.06, 0.08, 0.09, 0.10)[level]


def shot_noise(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Counting noise of few photons: its variance grows with the brightness."""
    photons = (500, 250, 100, 75, 50)[level]
    counts = [torch.poisson(one * photons, generator=_source(s)) for one, s in zip(x.cpu(), seeds, strict=True)]
    return torch.stack(counts).to(x.device) / photons


def dead_pixels(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Salt and pepper: pixels stuck at white or black."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[level]
    r = torch.stack([torch.rand(x.shape[1:], generator=_source(s)) for s in seeds]).to(x.device)
    return torch.where(r < share / 2, 0.0, torch.where(r > 1 - share / 2, 1.0, x))


def defocus_blur(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Out of focus: a disk of light for every point."""
    radius = max((0.013, 0.018, 0.027, 0.036, 0.045)[level] * x.shape[-1], 0.6 + 0.1 * level)
    at = _grid(math.ceil(radius) + 1)
    kernel = (radius + 0.5 - at.norm(dim=0)).clamp(0, 1)
    return _convolve(x, kernel.expand(len(x), -1, -1))


def motion_blur(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Camera or thing moved during the exposure, in any direction."""
    length = max((0.04, 0.06, 0.08, 0.11, 0.14)[level] * x.shape[-1], 1.5 + 0.3 * level)
    return _convolve(x, _lines(length, math.pi * u[:, 0]))


def brightness(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Overexposed: an equal amount added everywhere, and clipped."""
    return x + (0.1, 0.15, 0.2, 0.3, 0.4)[level]


def contrast(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Flat light: the differences from the picture's mean shrink."""
    mean = x.mean((2, 3), keepdim=True)
    return mean + (x - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[level]


def haze(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Fog in soft clouds, which veils towards light grey."""
    thickness = (0.2, 0.3, 0.4, 0.5, 0.6)[level]
    veil = thickness * (0.5 + 0.5 * _clouds(seeds, x))
    return x * (1 - veil) + 0.9 * veil


def shadow(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Something stands in the light: one side goes dark, with a soft edge."""
    depth = (0.2, 0.3, 0.4, 0.5, 0.65)[level]
    a = 2 * math.pi * u[:, 0, None, None]
    at = _places(x)
    across = torch.cos(a) * at[0] + torch.sin(a) * at[1]
    dark = torch.sigmoid((across - (u[:, 1, None, None] - 0.5)) / (0.05 + 0.15 * u[:, 2, None, None]))
    return x * (1 - depth * dark[:, None]).to(x.device)


def jpeg(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Stored small: through Pillow's JPEG codec, 8 bit; without three channels, one channel at a time."""
    quality = (25, 18, 15, 10, 7)[level]
    pictures = (x * 255).round().clamp(0, 255).to("cpu", torch.uint8)
    pictures = pictures.movedim(1, -1) if x.shape[1] == 3 else pictures.flatten(0, 1)
    decoded = np.stack([_through_jpeg(p, quality) for p in pictures.numpy()])
    out = torch.from_numpy(decoded).to(x.device, torch.float32) / 255
    return out.movedim(-1, 1) if x.shape[1] == 3 else out.view_as(x)


def resolution(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """A worse sensor, further away: fewer pixels, shown as large as before."""
    side = max(1, round(x.shape[-1] * (0.6, 0.5, 0.4, 0.3, 0.25)[level]))
    small = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return F.interpolate(small, size=x.shape[-2:], mode="bilinear")


def occlusion(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Something grey stands before it."""
    share = (0.05, 0.1, 0.17, 0.25, 0.35)[level]
    hidden = cover.inside(cover.rectangles(u[:, :4], share, share), *x.shape[-2:]).to(x.device)
    return torch.where(hidden, (0.2 + 0.6 * u[:, 4]).view(-1, 1, 1, 1).to(x.device), x)


def rain(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """Bright steep streaks, and a little less light."""
    share, length = (0.002, 0.004, 0.006, 0.009, 0.013)[level], 0.16
    streaks = _drops(seeds, x, share, length, math.pi * (0.45 + 0.1 * u[:, 0]))
    return x * (0.96, 0.94, 0.92, 0.9, 0.88)[level] + 0.6 * streaks * (1 - x)


def snow(x: Tensor, level: int, u: Draws, seeds: Seeds) -> Tensor:
    """White flakes, a little smeared, before a paler picture."""
    share, pale = (0.01, 0.018, 0.028, 0.04, 0.055)[level], (0.08, 0.12, 0.16, 0.2, 0.25)[level]
    flakes = _drops(seeds, x, share, 0.03, math.pi * (0.25 + 0.5 * u[:, 0]))
    return x + pale * (1 - x) + flakes * (1 - pale) * (1 - x)


_NOISE_AND_BLUR = (gaussian_noise, shot_noise, dead_pixels, defocus_blur, motion_blur)
_LIGHT_AND_WEATHER = (brightness, contrast, haze, shadow, rain, snow)
_LOSS = (jpeg, resolution, occlusion)
KINDS: Mapping[str, Callable[[Tensor, int, Draws, Seeds], Tensor]] = MappingProxyType(
    {kind.__name__: kind for kind in (*_NOISE_AND_BLUR, *_LIGHT_AND_WEATHER, *_LOSS)}
)


def corrupt(x: Tensor, kind: str, severity: int, source: torch.Generator) -> Tensor:
    """Apply one of KINDS at severity 1 to 5 to pictures x (B, C, H, W) in 0 to 1; clipped to 0 to 1."""
    seeds = draw.seeds(source, len(x))
    u = torch.stack([torch.rand(8, generator=_source(s + 1)) for s in seeds])
    return KINDS[kind](x, severity - 1, u, seeds).clamp(0, 1)


def _source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normals(seeds: Seeds, x: Tensor) -> Tensor:
    return draw.normals(seeds, x.shape[1:]).to(x.device)


def _places(x: Tensor) -> Tensor:
    """Places (2, H, W) of the pixels' centres, x then y, from -1 to 1."""
    rows, columns = ((torch.arange(n) * 2 + 1) / n - 1 for n in x.shape[-2:])
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


def _grid(radius: int) -> Tensor:
    """Offsets (2, K, K) from the middle of a kernel, x then y, K = 2 * radius + 1."""
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    return torch.stack(torch.meshgrid(at, at, indexing="xy"))


def _lines(length: float, angle: Tensor) -> Tensor:
    """Kernels (B, K, K): soft lines of a length in pixels at each item's angle."""
    at = _grid(math.ceil(length / 2) + 1)
    c, s = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along, beside = c * at[0] + s * at[1], -s * at[0] + c * at[1]
    return (length / 2 + 0.5 - along.abs()).clamp(0, 1) * (1 - beside.abs()).clamp(min=0)


def _convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """Every item of x (B, C, H, W) under its own kernel (B, K, K), scaled to sum to one; edges reflected."""
    b, c, h, w = x.shape
    k = kernels.shape[-1]
    kernels = (kernels / kernels.sum((1, 2), keepdim=True)).repeat_interleave(c, 0)[:, None].to(x.device)
    y = F.pad(x, (k // 2,) * 4, mode="reflect").reshape(1, b * c, h + k - 1, w + k - 1)
    return F.conv2d(y, kernels, groups=b * c).view_as(x)


def _clouds(seeds: Seeds, x: Tensor) -> Tensor:
    """Smooth noise (B, 1, H, W) in 0 to 1: octaves of random numbers, each twice as fine and 0.6 times as strong."""
    total = torch.zeros(len(x), 1, *x.shape[-2:])
    for octave in range(4):
        coarse = draw.normals([s + 2 + octave for s in seeds], (1, 2 ** (octave + 1) + 1, 2 ** (octave + 1) + 1))
        total += 0.6**octave * F.interpolate(coarse, size=x.shape[-2:], mode="bicubic", align_corners=True)
    low, high = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return ((total - low) / (high - low).clamp(min=1e-6)).to(x.device)


def _drops(seeds: Seeds, x: Tensor, share: float, length: float, angle: Tensor) -> Tensor:
    """Streaks (B, 1, H, W) in 0 to 1: points, each smeared over a length (share of the side), drawn at 96 pixels."""
    r = torch.stack([torch.rand(1, 96, 96, generator=_source(s)) for s in seeds])
    kernels = _lines(96 * length, angle)
    smeared = _convolve((r < share).float(), kernels)
    peak = kernels.amax((1, 2)) / kernels.sum((1, 2))
    drops = (smeared / peak[:, None, None, None]).clamp(0, 1)
    return F.interpolate(drops, size=x.shape[-2:], mode="bilinear", antialias=True).to(x.device)


def _through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    memory = io.BytesIO()
    Pillow.fromarray(picture).save(memory, "JPEG", quality=quality)
    with Pillow.open(memory) as decoded:
        return np.array(decoded)
