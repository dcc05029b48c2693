"""Series: what was measured over time, of any number of variables, with gaps and ends where the recordings have them.

A raw item holds 1 inside the recording in its first channel, then the variables, NaN where nothing was measured. A view
begins with that first channel, then come the variables (normalised; what is missing holds the last value), and where
values can be missing, for each variable whether it was measured and, if it changes with time, how long ago.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.modalities import Modality, check_corruption, chosen_kinds
from unlabeled.settings import Augmentation
from unlabeled.views import draw, drawing, motion, wear

USUAL = {"crop": 0.6, "jitter": 0.2, "noise": 0.1, "cutout": 0.2}  # where the user says nothing
FARTHEST = 10.0  # standard deviations: what lies beyond is an error of writing more often than a measurement
OF_MASKS = 0.1  # how much less than a value it counts in a reconstruction whether one was measured
MILD = 0.8  # smallest share of the time that a mild crop keeps
GAIN, OFFSET = 0.4, 0.3  # standard deviations at full strength of random gain and offset
KINDS = ("gain", "offset", "rate", "noise", "gaps")
STRONGEST = {"gain": 0.5, "offset": 0.8, "rate": 0.3, "noise": 0.5, "gaps": 0.4}  # of an intervention, in its own unit


class Series(Modality):
    """Series, one length for all.

    Args:
        size: steps of a view.
        channels: of the raw items: 1, and one for each variable.
        mean: mean of each raw channel; that of the first is not used.
        std: standard deviation of each raw channel; below 0 where it was never measured, which views then leave out.
        augmentation: how far the random views go.
        plain_size: steps of the plain view; 0 takes `size`.
        missing: whether values can be missing, which views then tell.
        statics: how many of the last variables do not change with time.
    """

    name: ClassVar[str] = "series"
    space = 1

    def __init__(
        self,
        *,
        size: int = 128,
        channels: int = 2,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        augmentation: Augmentation = Augmentation(),
        plain_size: int = 0,
        missing: bool = False,
        statics: int = 0,
    ) -> None:
        if size < 1 or channels < 2:
            raise UserError(f"series of {size} steps and {channels - 1} variables were asked for", "give 1 or more")
        for what, given in (("mean", mean), ("std", std)):
            if len(given) not in (1, channels):
                raise UserError(
                    f"{len(given)} numbers were given as {what} of {channels} channels", "give one for each"
                )
        self.size, self.plain_size, self.missing, self.statics = size, plain_size or size, missing, statics
        self.variables = channels - 1
        self.channels = 1 + (3 * self.variables - statics if missing else self.variables)
        self.mean = torch.tensor((tuple(mean) * (channels // len(mean)))[1:])[:, None]
        spread = torch.tensor((tuple(std) * (channels // len(std)))[1:])[:, None]
        self.std = torch.where(spread > 1e-8, spread, 1.0)  # a constant channel stays what it is
        self.unknown = spread < 0
        self.leaves_out = bool(self.unknown.any())  # known before any item is seen, as an export wants it
        self.augmentation, known = augmentation, augmentation.known(USUAL)
        self.crop, self.jitter = known["crop"], known["jitter"]
        self.noise, self.cutout = known["noise"], known["cutout"]
        self._source = draw.generator(0, 0, 0)

    @classmethod
    def fitting(cls, prep: Mapping[str, Any], settings: Mapping[str, Any]) -> Self:
        """The modality for items that were prepared so, with its other settings."""
        return cls(missing=prep["missing"], statics=len(prep["statics"]), **settings)

    def plain(self, raw: Tensor) -> Tensor:
        """The one deterministic view (B, channels, T), float32."""
        self._check(raw)
        return self._view(raw[:, 0], self._scaled(raw))

    def augment(self, raw: Tensor, strength: Literal["strong", "mild", "small"] = "strong") -> Tensor:
        """A random view (B, channels, size) of each item, float32: a crop of its time, bent, other gains, noise, hidden
        parts; `mild` keeps 0.8 of the time or more and changes the gain a little; `small` has half the steps.

        Where values can be missing, time keeps its place, and a crop hides what lies outside.

        >>> Series(size=32, channels=3).at(0, 0).augment(torch.randn(2, 3, 32)).shape
        torch.Size([2, 3, 32])
        """
        self._check(raw)
        how, items, device = self.augmentation, len(raw), raw.device
        u = draw.uniforms(self._source, items, 16).to(device)
        pieces = draw.uniforms(self._source, items, max(1, how.permute)).to(device)
        seeds = draw.seeds(self._source, items)
        crop = self.crop
        least, most = {"strong": (crop, 1.0), "mild": (max(crop, MILD), 1.0), "small": (crop / 4, crop)}[strength]
        share = draw.between(u[:, 0], least, most)
        size = max(1, self.size // 2) if strength == "small" else self.size
        strong = strength != "mild"
        inside, x = raw[:, 0], self._scaled(raw)
        length = motion.lengths(inside)
        if self.missing:
            step = torch.arange(x.shape[2], device=device)
            first = (u[:, 1] * (1 - share) * length).floor()[:, None]
            outside = (step < first) | (step >= first + (share * length).ceil()[:, None])
            x = motion.hide(x, outside[:, None] & self._moving(device))
            if x.shape[2] != size:
                at = torch.linspace(0, x.shape[2] - 1, size, device=device).expand(items, -1)
                x, inside = motion.resample(x, at, False), motion.resample(inside[:, None], at, False)[:, 0]
        else:
            bend = how.warp * (2 * u[:, 2] - 1) if strong else torch.zeros_like(share)
            end = (length * size / raw.shape[2]).round().clamp(1, size).long()
            at = (
                motion.places(end, u[:, 1], share, bend, u[:, 3], size)
                * ((length - 1) / (end - 1).clamp(min=1))[:, None]
            )
            if strong and how.permute > 1:
                at = motion.permute(at, end, pieces, 1 + (u[:, 4] * how.permute).long())
            x = motion.resample(x, at, True)
            inside = (torch.arange(size, device=device) < end[:, None]).float()
        chance = draw.normals(seeds, (self.variables, 2 + (size if strong and self.noise else 0))).to(device)
        much = self.jitter * (1.0 if strong else 0.25)
        gain, shift = 1 + GAIN * much * chance[..., :1], OFFSET * much * chance[..., 1:2]
        x = x * torch.where(self._moving(device), gain, 1.0) + torch.where(self._moving(device), shift, 0.0)
        if strong:
            x = torch.where(self._moving(device), x + self.noise * chance[..., 2:], x) if self.noise else x
            x = self._hidden(x, u, seeds, motion.lengths(inside))
        return self._view(inside, x)

    def changes(self) -> frozenset[str]:
        """What a strong view changes beside its place and size."""
        how = self.augmentation
        amounts = {"jitter": self.jitter, "noise": self.noise, "cutout": self.cutout, "drop": how.drop}
        amounts |= {"warp": 0.0 if self.missing else how.warp, "permute": max(0.0, how.permute - 1.0)}
        return frozenset(name for name, much in amounts.items() if much > 0)

    def restyled(self, view: Tensor, amounts: Mapping[str, Tensor]) -> Tensor:
        """A view (B, C, T) as another sensor or another ward would have measured it."""
        amount = {k: STRONGEST[k] * much[:, None, None] for k, much in amounts.items()}
        seeds = draw.seeds(self._source, len(view))
        chance = draw.normals(seeds, (self.variables, 1 + view.shape[2])).to(view.device)
        inside, x = view[:, 0], self._nan(view)
        moving = self._moving(view.device)
        if "rate" in amount:
            middle = (motion.lengths(inside) - 1)[:, None] / 2
            step = torch.arange(view.shape[2], device=view.device) - middle
            at = (middle + step * amount["rate"][:, 0].exp()).clamp(min=0)
            x = torch.where(moving, motion.resample(x, torch.minimum(at, 2 * middle), True), x)
        if "gain" in amount:
            x = torch.where(moving, x * amount["gain"].exp(), x)
        if "offset" in amount:
            x = torch.where(moving, x + amount["offset"] * chance[..., :1].clamp(-2, 2), x)
        if "noise" in amount:
            x = torch.where(moving, x + amount["noise"].abs() * chance[..., 1:], x)
        if "gaps" in amount:
            dice = [torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(s ^ 1)) for s in seeds]
            lost = torch.stack(dice).to(x.device) < amount["gaps"].abs()
            x = motion.hide(x, lost & moving)
            x = x if self.missing else motion.fill(x)
        return self._view(inside, x)

    def interventions(self) -> tuple[str, ...]:
        """The kinds that `intervene` changes, in the order of the amounts; time keeps its rate where it has gaps."""
        there = tuple(k for k in KINDS if k != "rate" or not self.missing)
        return chosen_kinds(there, self.augmentation.interventions, "such series")

    def corrupt(self, raw: Tensor, kind: str, severity: int) -> Tensor:
        """Raw items (B, 1 + V, T) as a worse sensor would give them, severity 1 to 5; statics stay as they are.

        Raises:
            UserError: for another kind or severity.
        """
        self._check(raw)
        check_corruption(kind, wear.KINDS, severity)
        x = self._scaled(raw)
        worse = wear.corrupt(x, kind, severity, draw.seeds(self._source, len(raw)), gaps=self.missing)
        worse = torch.where(self._moving(raw.device), worse, x)
        back = worse * self.std.to(raw.device) + self.mean.to(raw.device)
        return torch.cat([raw[:, :1], back.masked_fill(raw[:, :1] < 0.5, float("nan"))], 1)

    def corruptions(self) -> list[str]:
        """The kinds that `corrupt` knows."""
        return list(wear.KINDS)

    def noisy(self, view: Tensor, std: float) -> Tensor:
        """A view with Gaussian noise on its values alone, from torch's own generator."""
        values = slice(1, 1 + self.variables)
        out = view.clone()
        out[:, values] += std * torch.randn_like(view[:, values]) * view[:, :1]
        if self.missing:  # a gap holds the last value as it was seen, and not another draw of it
            known = self.measured(view)[:, values] > 0.5
            out[:, values] = motion.fill(out[:, values].masked_fill(~known, float("nan"))) * view[:, :1]
        return out

    def tells(self, view: Tensor, hidden: Tensor) -> Tensor:
        """Where a view tells the values that are hidden (B, C, T): there, and in the gaps behind, which hold them."""
        if not self.missing:
            return hidden
        values = slice(1, 1 + self.variables)
        source = motion.latest(self.measured(view)[:, values] > 0.5)
        held = (source >= 0) & hidden[:, values].gather(2, source.clamp(min=0))
        out = hidden.clone()
        out[:, values] |= held
        return out

    def measured(self, view: Tensor) -> Tensor:
        """1 for values that were measured and for what tells the recording's length, 0 for values that are missing, and
        little for what tells which are.
        """
        out = torch.zeros_like(view)
        out[:, 0] = 1
        masks = slice(1 + self.variables, 1 + 2 * self.variables)
        known = view[:, masks] if self.missing else torch.ones_like(view[:, 1:])
        out[:, 1 : 1 + self.variables] = (known > 0.5) * (view[:, :1] > 0.5)
        if self.missing:
            out[:, masks] = OF_MASKS * (view[:, :1] > 0.5)
        return out

    def measurements(self, raw: Tensor) -> Tensor:
        """The variables (B, V, T) in their own units, NaN where nothing was measured."""
        return raw[:, 1:]

    def curves(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The variables that change with time (B, V, T), normalised, gaps held; and which were measured."""
        self._check(raw)
        x = ((raw[:, 1:] - self.mean.to(raw.device)) / self.std.to(raw.device)).clamp(-FARTHEST, FARTHEST)
        x = x[:, : self.variables - self.statics]
        known = ~x.isnan()
        before = motion.fill(x.flip(2)).flip(2)  # where a window begins in a gap, the first that was measured
        return torch.where(known.cummax(2).values, motion.fill(x), before), known

    def normalise(self, x: Tensor) -> Tensor:
        """Views whose values are in natural units, as the encoder takes them."""
        return self._swapped(x, lambda v: (v - self.mean.to(x.device)) / self.std.to(x.device))

    def natural(self, view: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return self._swapped(view, lambda v: v * self.std.to(view.device) + self.mean.to(view.device))

    def values(self, view: Tensor) -> Tensor:
        """The variables of views (B, V, T) in their own units, NaN where nothing was measured and behind the end."""
        known = self.measured(view)[:, 1 : 1 + self.variables] > 0.5
        return self.natural(view)[:, 1 : 1 + self.variables].masked_fill(~known, float("nan"))

    def show(self, view: Tensor) -> np.ndarray:
        """Views as curves, the variables in colours above each other: (B, 96, 96, 3) uint8; gaps stay open."""
        x = view.detach().to("cpu", torch.float32)
        known = self.measured(x)
        values = x[:, 1 : 1 + self.variables - self.statics].clone()
        if known is not None:
            values[known[:, 1 : 1 + values.shape[1]] < 0.5] = float("nan")
        return drawing.curves(values.numpy())

    def _hidden(self, x: Tensor, u: Tensor, seeds: list[int], length: Tensor) -> Tensor:
        """Some of the time and some variables taken away."""
        how = self.augmentation
        step = torch.arange(x.shape[2], device=x.device)
        chance = torch.stack(
            [torch.rand(self.variables, 1 + x.shape[2], generator=torch.Generator().manual_seed(s ^ 1)) for s in seeds]
        ).to(x.device)
        much = u[:, 5] * self.cutout
        if self.missing:
            lost = chance[..., 1:] < much[:, None, None]
        else:
            first = u[:, 6] * (1 - much) * length
            lost = ((step >= first[:, None]) & (step < (first + much * length)[:, None]))[:, None]
        lost = lost | (chance[..., :1] < how.drop) & (self.variables > 1)
        lost = lost & self._moving(x.device)
        return motion.hide(x, lost) if self.missing else x.masked_fill(lost, 0.0)

    def _moving(self, device: Any) -> Tensor:
        """Which variables change with time (V, 1)."""
        return (torch.arange(self.variables, device=device) < self.variables - self.statics)[:, None]

    def _scaled(self, raw: Tensor) -> Tensor:
        """Normalised values (B, V, T), NaN where missing if views tell that, else 0 there."""
        x = ((raw[:, 1:] - self.mean.to(raw.device)) / self.std.to(raw.device)).clamp(-FARTHEST, FARTHEST)
        if self.leaves_out:  # nobody has learnt what to make of it, nor in what units it comes
            x = x.masked_fill(self.unknown.to(raw.device), float("nan"))
        return x if self.missing else x.nan_to_num()

    def _nan(self, view: Tensor) -> Tensor:
        """The values (B, V, T) of a view, NaN where it says that they are missing."""
        x = view[:, 1 : 1 + self.variables]
        if not self.missing:
            return x
        return x.masked_fill(view[:, 1 + self.variables : 1 + 2 * self.variables] < 0.5, float("nan"))

    def _view(self, inside: Tensor, x: Tensor) -> Tensor:
        within = inside[:, None]
        if not self.missing:
            return torch.cat([within, x * within], 1)
        known = ~x.isnan() & (within > 0.5)
        told = motion.gaps(known[:, : self.variables - self.statics]) * within
        return torch.cat([within, motion.fill(x) * within, known.float(), told], 1)

    def _swapped(self, view: Tensor, change: Any) -> Tensor:
        values = slice(1, 1 + self.variables)
        out = view.clone()
        out[:, values] = change(view[:, values])
        return out

    def _check(self, raw: Tensor) -> None:
        if raw.ndim != 3 or raw.shape[1] != 1 + self.variables:
            wanted = f"(items, {1 + self.variables}, steps)"
            raise UserError(f"a raw batch of shape {tuple(raw.shape)} was given", f"give {wanted}")
