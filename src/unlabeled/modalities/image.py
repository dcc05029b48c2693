"""Pictures: grey, coloured or of any number of channels, 8 or 16 bit.

The work is done by the pure functions of `unlabeled.views`; here they are put in order and given their random draws.
"""

import copy
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.modalities import Modality, check_corruption
from unlabeled.settings import Augmentation
from unlabeled.views import blur, colour, corruption, cover, draw, geometry, style

USUAL = {"crop": 0.2, "jitter": 0.5, "noise": 0.0, "cutout": 0.0}  # where the user says nothing
BLUR_FROM = 48  # pixels: below, nothing is blurred
FLAT = 1e-6  # standard deviation of a channel in which all is alike but for rounding
CHUNK = 2**20  # values worked on at a time: what the caches of a core hold


class Image(Modality):
    """Pictures, one size for all.

    Args:
        size: side of the views in pixels.
        channels: 1 for grey, 3 for colour, or any other number.
        mean: mean of each channel, 0 to 1; one number serves all channels.
        std: standard deviation of each channel, 0 or more; one number serves all channels. A channel with none, as red
            and blue have where a stain shines green, stays at 0; one channel at least must have some.
        augmentation: how far the random views go; mirror images that it leaves open are left-right ones alone.
        plain_size: side of the plain view in pixels; 0 takes `size`. Random crops show things larger than the whole
            picture does, so a network that takes any size sees more in a larger plain view (Touvron et al. 2019,
            arXiv:1906.06423).
    """

    name: ClassVar[str] = "image"
    space = 2

    def __init__(
        self,
        *,
        size: int = 64,
        channels: int = 1,
        mean: tuple[float, ...] = (0.5,),
        std: tuple[float, ...] = (0.25,),
        augmentation: Augmentation = Augmentation(),
        plain_size: int = 0,
    ) -> None:
        if size < 1 or channels < 1:
            raise UserError(
                f"pictures of {size} pixels and {channels} channels were asked for", "give at least 1 of each"
            )
        for what, given in (("mean", mean), ("std", std)):
            if len(given) not in (1, channels):
                raise UserError(
                    f"{len(given)} numbers were given as {what} of {channels} channels", "give one for each"
                )
        if min(std) < 0 or max(std) <= FLAT:
            raise UserError(
                f"there is nothing to see in these pictures: their standard deviation is {min(std):g}",
                "give pictures that differ, whose standard deviation is above 0",
            )
        self.size = size
        self.plain_size = plain_size or size
        self.channels = channels
        self.mean = torch.tensor(tuple(mean) * (channels // len(mean)))
        spread = torch.tensor(tuple(std) * (channels // len(std)))
        self.std = torch.where(spread > FLAT, spread, 1.0)
        known = augmentation.known(USUAL)
        self.crop, self.jitter = known["crop"], known["jitter"]
        self.noise, self.cutout = known["noise"], known["cutout"]
        aside, over = augmentation.horizontal_flip, augmentation.vertical_flip
        self.augmentation = augmentation
        self.mirrored = torch.tensor((0.5 if aside is None else aside, 0.0 if over is None else over))
        self._source = draw.generator(0, 0, 0)

    def even(self) -> "Image":
        """The same modality, whose plain view is as large as its random ones."""
        other = copy.copy(self)
        other.plain_size = other.size
        return other

    def whole(self) -> "Image":
        """The same modality, whose random views are as large as its plain one."""
        other = copy.copy(self)
        other.size = other.plain_size
        return other

    def growth(self) -> float:
        """How many times as many pixels the plain view has as a random one."""
        return (self.plain_size / self.size) ** 2

    def plain(self, raw: Tensor) -> Tensor:
        """The one deterministic view (B, C, plain_size, plain_size), float32: resized and normalised."""
        x = self._resized(raw, self.plain_size)
        return self._normalise(x, x)

    def augment(self, raw: Tensor, strength: Literal["strong", "mild", "small"] = "strong") -> Tensor:
        """A random view (B, C, size, size) of each item, float32; `mild` only crops and flips.

        `small` shows a quarter of what the smallest crop shows, or more, up to that crop, at half the size (multi-crop,
        Caron et al. 2020, arXiv:2006.09882).

        >>> raw = torch.randint(0, 256, (2, 1, 80, 80), dtype=torch.uint8)
        >>> Image(size=64).at(seed=0, step=0).augment(raw).shape
        torch.Size([2, 1, 64, 64])
        """
        self._check(raw)
        how, items, side = self.augmentation, len(raw), raw.shape[-1]
        u = draw.uniforms(self._source, items, 24)  # a fixed table: one kind of change never shifts another's draws
        small = strength == "small"
        size = max(1, self.size // 2) if small else self.size
        least, most = (self.crop / 4, self.crop) if small else (self.crop, 1.0)
        boxes = geometry.crops(u[:, :4], side, least, how.ratio, most)
        mirror = u[:, 4:6] < self.mirrored
        degrees = how.rotation * (2 * u[:, 6] - 1)
        light = colour.lights(u[:, 8:15], self.jitter)
        sigma = self._sigma(u[:, 15:17])
        hidden = cover.rectangles(u[:, 17:21], 0.0, self.cutout)
        strong = strength != "mild"
        seeds = draw.seeds(self._source, items) if strong and self.noise > 0 else []

        out = torch.empty(items, self.channels, size, size, device=raw.device)
        rows = max(1, CHUNK // out[:1].numel()) if raw.device.type == "cpu" else max(1, items)
        for part in (slice(i, i + rows) for i in range(0, items, rows)):
            if strong and how.rotation > 0:
                x = geometry.turn(raw[part], boxes[part], mirror[part], degrees[part], size)
            else:
                x = geometry.resample(raw[part], boxes[part], mirror[part], size).float()
            x = x.mul_(1 / _top(raw))
            if strong and self.jitter > 0:
                x = colour.jitter(x, light.part(part, x.device))
            if strong and how.blur > 0:
                x = blur.some(x, sigma[part], self._radius)
            if seeds:
                x = x.add_(draw.normals(seeds[part], x.shape[1:]).to(x.device), alpha=self.noise).clamp_(0, 1)
            self._normalise(x, out[part])
            if strong and self.cutout > 0:
                out[part].masked_fill_(cover.inside(hidden[part].to(x.device), size, size), 0.0)
        return out

    def changes(self) -> frozenset[str]:
        """What a strong view changes beside its place and size."""
        amounts = {"jitter": self.jitter, "noise": self.noise, "cutout": self.cutout}
        amounts["blur"] = self.augmentation.blur if self.size >= BLUR_FROM else 0.0
        return frozenset(name for name, much in amounts.items() if much > 0)

    def amounts(self, items: int, kinds: int) -> Tensor:
        """Random amounts of each kind (items, kinds): half of them nothing, others even in -1 to 1."""
        return style.values(self._source, items, kinds)

    def restyled(self, view: Tensor, amounts: Mapping[str, Tensor]) -> Tensor:
        """A view (B, C, H, W) in another style: `views.style` has kinds and ranges."""
        values, seeds = torch.stack(list(amounts.values()), 1), draw.seeds(self._source, len(view))
        x = style.restyle(self.natural(view).clamp_(0, 1), values, tuple(amounts), seeds)
        return self._normalise(x, x)

    def interventions(self) -> tuple[str, ...]:
        """The kinds that `intervene` changes, in the order of the amounts."""
        return style.kinds(self.channels, self.augmentation.interventions)

    def corrupt(self, raw: Tensor, kind: str, severity: int) -> Tensor:
        """Raw items as a worse world would give them, in the same shape and kind of number.

        Args:
            raw: (B, C, H, W) uint8 or uint16.
            kind: one of `corruptions()`.
            severity: 1 to 5.

        Raises:
            UserError: for another kind or severity.
        """
        self._check(raw)
        check_corruption(kind, corruption.KINDS, severity)
        worse = corruption.corrupt(raw.float() / _top(raw), kind, severity, self._source)
        return (worse * _top(raw)).round().to(raw.dtype)

    def corruptions(self) -> list[str]:
        """The kinds that `corrupt` knows."""
        return list(corruption.KINDS)

    def normalise(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in 0 to 1 as the encoder takes them."""
        return self._normalise(x, torch.empty_like(x))

    def natural(self, view: Tensor) -> Tensor:
        """Views (B, C, H, W) back in 0 to 1, not clipped."""
        return view * self.std.view(-1, 1, 1).to(view.device) + self.mean.view(-1, 1, 1).to(view.device)

    def show(self, view: Tensor) -> np.ndarray:
        """Views as a person can see them: (B, H, W, 3) uint8; grey is repeated, of many channels three show."""
        x = self.natural(view.detach().to("cpu", torch.float32))
        x = x[:, :3] if self.channels >= 3 else x[:, :1].expand(-1, 3, -1, -1)
        return np.asarray((x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())

    @property
    def _radius(self) -> int:
        """Where the blur's kernels are cut off: three times the widest."""
        return max(1, round(3 * self.size / 112))

    def _sigma(self, u: Tensor) -> Tensor:
        """Widths of the blur in pixels (B,), 0 for none, from draws (B, 2); up to 2 at 224 pixels, as SimCLR has it."""
        widest = self.size / 112
        on = (u[:, 0] < self.augmentation.blur) & (self.size >= BLUR_FROM)
        return torch.where(on, draw.between(u[:, 1], 0.05 * widest, widest), 0.0)

    def _resized(self, raw: Tensor, size: int) -> Tensor:
        """The whole picture with sides of `size` pixels, float32 in 0 to 1."""
        self._check(raw)
        boxes, upright = geometry.whole(len(raw), raw.shape[-1]), torch.zeros(len(raw), 2, dtype=torch.bool)
        return geometry.resample(raw, boxes, upright, size).float().mul_(1 / _top(raw))

    def _normalise(self, x: Tensor, out: Tensor) -> Tensor:
        scale, shift = (1 / self.std).view(-1, 1, 1), (-self.mean / self.std).view(-1, 1, 1)
        return torch.mul(x, scale.to(x.device), out=out).add_(shift.to(x.device))

    def _check(self, raw: Tensor) -> None:
        if raw.ndim != 4 or raw.shape[1] != self.channels or raw.shape[2] != raw.shape[3]:
            raise UserError(
                f"a raw batch of shape {tuple(raw.shape)} was given", f"give (items, {self.channels}, side, side)"
            )
        if raw.dtype not in (torch.uint8, torch.uint16):
            raise UserError(f"raw pictures of {raw.dtype} were given", "give uint8 or uint16")


def _top(raw: Tensor) -> float:
    """The value that white has."""
    return 255.0 if raw.dtype == torch.uint8 else 65535.0
