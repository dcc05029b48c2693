"""Audio: sounds of any length as log-mel bands over time, as a square picture of these, or as the waveform itself.

A raw item holds samples (1, N) int16, and `END` behind the end of the sound. Which of the three forms a view has is the
encoder's matter: `frames` (B, 1 + bands, T) and `wave` (B, 2, N) begin with a channel that is 1 inside the sound, as
series do; in a `map` (B, 1, S, S) the sound is stretched to the square, as pictures are.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.modalities import Modality, check_corruption, chosen_kinds
from unlabeled.settings import Augmentation
from unlabeled.views import acoustics, draw, drawing, sound

Form = Literal["frames", "map", "wave"]
END = -32768  # behind the end of a sound; no sample has this value
USUAL = {"crop": 0.8, "jitter": 0.5, "noise": 0.1, "cutout": 0.2, "pitch": 0.2}  # where the user says nothing
SILENCE = 1.0  # silence that a strong view adds at most, times the share that a crop may take away
MILD = 0.9  # smallest share of the time that a mild crop keeps
SOFTEST = 3.0  # nats of amplitude by which the softest noise is below the loudest
COLOUR, UNEVEN = 2.0, 0.5  # nats by which a noise is tilted at most, and by which its places differ
GAIN, TILT, ROOM, TAPS = 2.0, 2.0, 2.0, 8  # in nats of power at full jitter; waves of a random filter
KINDS = ("gain", "tilt", "room", "noise", "pitch")
STRONGEST = {"gain": 2.0, "tilt": 1.5, "room": 1.0, "noise": 8.0, "pitch": 0.3}  # the last in octaves, else nats


class Audio(Modality):
    """Sounds, one length for all.

    Args:
        size: frames of a view, 10 ms each.
        channels: of the raw items, 1.
        mean: mean of each log-mel band, in nats.
        std: standard deviation of each.
        augmentation: how far the random views go.
        plain_size: frames of the plain view; the same.
        rate: samples a second.
        bands: of the log-mel spectrum; the side of a map too.
        trim: nats below a sound's loudest moment from which on its beginning and end are silence and left out; 0 leaves
            nothing out.
    """

    name = "audio"
    marked = True

    def __init__(
        self,
        *,
        size: int = 100,
        channels: int = 1,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        augmentation: Augmentation = Augmentation(),
        plain_size: int = 0,
        rate: int = 16_000,
        bands: int = 64,
        trim: float = 0.0,
    ) -> None:
        if size < 1 or rate < 800 or channels != 1:
            raise UserError(f"sounds of {size} frames at {rate} Hz were asked for", "give a frame, and 800 Hz, or more")
        for what, given in (("mean", mean), ("std", std)):
            if len(given) not in (1, bands):
                raise UserError(f"{len(given)} numbers were given as {what} of {bands} bands", "give one for each")
        self.frames, self.rate, self.bands, self.hop, self.trim = size, rate, bands, hop_of(rate), trim
        self.mean = torch.tensor(tuple(mean) * (bands // len(mean)), dtype=torch.float32)[:, None]
        spread = torch.tensor(tuple(std) * (bands // len(std)), dtype=torch.float32)[:, None]
        self.std = torch.where(spread > 1e-8, spread, 1.0)
        self.augmentation, known = augmentation, augmentation.known(USUAL)
        self.crop, self.jitter, self.noise = known["crop"], known["jitter"], known["noise"]
        self.cutout, self.pitch, self.warp = known["cutout"], known["pitch"], augmentation.warp
        fft, width = sound.window(rate)
        sound.mel_filters(rate, fft, bands), sound.bases(fft, width)  # kept from here on, before any tracing
        self._source = draw.generator(0, 0, 0)
        self._take("frames")

    @classmethod
    def fitting(cls, prep: Mapping[str, Any], settings: Mapping[str, Any]) -> Self:
        """The modality for items that were prepared so, with its other settings."""
        return cls(rate=prep["rate"], bands=prep["bands"], trim=prep.get("trim", 0.0), **settings)

    def seen_by(self, space: int, sees: str) -> Self:
        """The same in the form that an encoder takes: pictures a map, the others frames, and `wave` the waveform."""
        other = copy.copy(self)
        other._take("wave" if sees == "wave" else "map" if space == 2 else "frames")
        return other

    def usual(self) -> Self:
        """The same as frames."""
        return self.seen_by(1, "")

    def _take(self, form: Form) -> None:
        self.form, self.space = form, 2 if form == "map" else 1
        self.channels = {"frames": 1 + self.bands, "map": 1, "wave": 2}[form]
        self.size = {"frames": self.frames, "map": self.bands, "wave": self.frames * self.hop}[form]
        self.plain_size = self.size

    def plain(self, raw: Tensor) -> Tensor:
        """The one deterministic view, float32; every sound is brought to the same loudness."""
        x, length = self._sound(raw)
        if self.form == "wave":
            return self._waves(x, length, self.size)
        y, ends = self._bands(x, length)
        first, columns = torch.zeros_like(ends), torch.full_like(ends, self.bands)
        y = sound.stretch(y, first, ends, columns, self.bands) if self.form == "map" else y
        return self._spectral(y, ends)

    def augment(self, raw: Tensor, strength: Literal["strong", "mild", "small"] = "strong") -> Tensor:
        """A random view of each item, float32: a crop of its time with another pace and silence around it, another
        voice, noise, another room and loudness, hidden times and bands; `mild` keeps 0.9 of the time or more; `small`
        has half the steps.

        >>> Audio(size=20, rate=8000).at(0, 0).augment(torch.ones(2, 1, 1600, dtype=torch.int16)).shape
        torch.Size([2, 65, 20])
        """
        x, length = self._sound(raw, whole=self.form == "wave")
        u = draw.uniforms(self._source, len(x), 16).to(x.device)
        seeds = draw.seeds(self._source, len(x))
        least, most = {
            "strong": (self.crop, 1.0), "mild": (max(self.crop, MILD), 1.0), "small": (self.crop / 4, self.crop)
        }[strength]  # fmt: skip
        share = draw.between(u[:, 0], least, most)
        size = max(1, self.size // 2) if strength == "small" else self.size
        if self.form == "wave":
            return self._wave_view(x, length, share, size, u, seeds, strength != "mild")
        return self._band_view(x, length, share, size, u, seeds, strength != "mild")

    def _wave_view(
        self, x: Tensor, length: Tensor, share: Tensor, size: int, u: Tensor, seeds: list[int], strong: bool
    ) -> Tensor:
        much = self.jitter * (1.0 if strong else 0.25)
        if strong:
            x, length = self._played(x, length, torch.exp2(self.pitch * (2 * u[:, 2] - 1)))
            x, length = self._shifted(x, length, SILENCE * (1 - self.crop) * u[:, 11], u[:, 12])
            hiss = self.noise * torch.exp(-SOFTEST * u[:, 3])
            if self.noise:
                x = x + hiss[:, None] * draw.normals(seeds, x.shape[1:]).to(x.device)
            x = sound.filtered(x * sound.within(length, x.shape[1]), self._echo(seeds, much * u[:, 5]))
        begin, span = (u[:, 1] * (1 - share) * length).floor(), (share * length).ceil().clamp(max=size)
        at = (begin[:, None] + torch.arange(size, device=x.device)).clamp(max=x.shape[1] - 1).long()
        gain = GAIN / 2 * much * (2 * u[:, 4] - 1)
        view = self._waves(x.gather(1, at) * gain.exp()[:, None], span, size)
        return self._hidden(view, u, span) if strong else view

    def _band_view(
        self, x: Tensor, length: Tensor, share: Tensor, size: int, u: Tensor, seeds: list[int], strong: bool
    ) -> Tensor:
        longest = -(-int(length.max()) // self.hop) * self.hop  # nothing is computed behind the longest sound
        y, ends = self._bands(x[:, :longest], length)
        signed, much = 2 * u - 1, self.jitter * (1.0 if strong else 0.25)
        span, bend = (share * ends).clamp(min=1), None
        first = u[:, 1] * (ends - span)
        if strong:
            y = sound.pitched(y, self.pitch * signed[:, 2], self.rate) if self.pitch else y
            spare = SILENCE * (1 - self.crop) * u[:, 11] * span
            around = math.ceil(SILENCE * (1 - self.crop) * y.shape[2])
            y = torch.nn.functional.pad(y, (around, around), value=math.log(sound.QUIET))
            first, span = first + around - u[:, 12] * spare, span + spare
            bend = self.warp / 2 * signed[:, 6]
        columns = (span * torch.exp2(self.warp * signed[:, 13])).round() if strong else span.ceil()
        columns = torch.full_like(span, size) if self.form == "map" else columns.clamp(1, size)
        y = sound.stretch(y, first, span, columns, size, bend)
        chance = draw.normals([s ^ 1 for s in seeds], (TAPS + (self.bands * size if strong and self.noise else 0),))
        chance = chance.to(y.device)
        slope = torch.linspace(-1, 1, self.bands, device=y.device)
        room = much * (ROOM * u[:, 5:6] * sound.curve(chance[:, :TAPS], self.bands) + TILT * signed[:, 15:16] * slope)
        y = y + room[..., None] + (GAIN * much * signed[:, 4])[:, None, None]
        if strong and self.noise:
            hiss = 2 * (math.log(self.noise) - SOFTEST * u[:, 3:4]) + COLOUR * signed[:, 14:15] * slope
            y = torch.logaddexp(y, hiss[..., None] + UNEVEN * chance[:, TAPS:].view(-1, self.bands, size))
        view = self._spectral(y, columns)
        if self.form == "map" and size != self.bands:
            view = torch.nn.functional.interpolate(view, (size, size), mode="bilinear", antialias=True)
        return self._hidden(view, u, columns) if strong else view

    def changes(self) -> frozenset[str]:
        """What a strong view changes beside its place and size."""
        amounts = {"jitter": self.jitter, "noise": self.noise, "cutout": self.cutout, "warp": self.warp}
        amounts["pitch"] = self.pitch
        return frozenset(name for name, much in amounts.items() if much > 0)

    def restyled(self, view: Tensor, amounts: Mapping[str, Tensor]) -> Tensor:
        """A view as another speaker, microphone or room would have given it."""
        seeds = draw.seeds(self._source, len(view))
        changed = self._waves_changed if self.form == "wave" else self._bands_changed
        return changed(view, {k: STRONGEST[k] * much for k, much in amounts.items()}, seeds)

    def interventions(self) -> tuple[str, ...]:
        """The kinds that `intervene` changes, in the order of the amounts."""
        return chosen_kinds(KINDS, self.augmentation.interventions, "sounds")

    def corrupt(self, raw: Tensor, kind: str, severity: int) -> Tensor:
        """Raw sounds (B, 1, N) int16 as a worse line or room would give them, severity 1 to 5; ends stay in place.

        Raises:
            UserError: for another kind or severity.
        """
        self._check(raw)
        check_corruption(kind, acoustics.KINDS, severity)
        inside = raw[:, 0] != END
        x = torch.where(inside, raw[:, 0].float() / -(END + 1), 0.0)
        chance = draw.normals(draw.seeds(self._source, len(raw)), x.shape[1:]).to(x.device)
        worse = acoustics.KINDS[kind](x, severity - 1, chance, self.rate).clamp(-1, 1)
        return torch.where(inside, (worse * -(END + 1)).round(), float(END)).to(raw.dtype)[:, None]

    def corruptions(self) -> list[str]:
        """The kinds that `corrupt` knows."""
        return list(acoustics.KINDS)

    def noisy(self, view: Tensor, std: float) -> Tensor:
        """A view with Gaussian noise on its values alone, from torch's own generator."""
        if self.space == 2:
            return view + std * torch.randn_like(view)
        return torch.cat([view[:, :1], view[:, 1:] + std * torch.randn_like(view[:, 1:]) * view[:, :1]], 1)

    def measured(self, view: Tensor) -> Tensor | None:
        """1 inside the sound and for what tells its length, 0 behind its end; a map has no end."""
        if self.space == 2:
            return None
        return torch.cat([torch.ones_like(view[:, :1]), (view[:, :1] > 0.5).to(view.dtype).expand_as(view[:, 1:])], 1)

    def measurements(self, raw: Tensor) -> Tensor:
        """Log-mel bands and how they change (B, 2 * bands, T), NaN behind the end."""
        y, ends = self._bands(*self._sound(raw))
        frame = torch.arange(y.shape[2], device=y.device)
        after = torch.minimum(frame + 1, ends[:, None].long() - 1).clamp(min=0)  # nothing is taken from behind the end
        before = (frame - 1).clamp(min=0).expand_as(after)
        near = [y.gather(2, at[:, None].expand_as(y)) for at in (after, before)]
        slope = (near[0] - near[1]) / (after - before).clamp(min=1)[:, None]
        outside = sound.within(ends, y.shape[2])[:, None] < 0.5
        return torch.cat([y, slope], 1).masked_fill(outside, float("nan"))

    def normalise(self, x: Tensor) -> Tensor:
        """Views whose bands are in nats, as the encoder takes them; waveforms are what they are."""
        return self._swapped(x, lambda y: (y - self.mean.to(y.device)) / self.std.to(y.device))

    def natural(self, view: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return self._swapped(view, lambda y: y * self.std.to(y.device) + self.mean.to(y.device))

    def show(self, view: Tensor) -> np.ndarray:
        """Views as spectrograms, low tones at the bottom: (B, 96, 96, 3) uint8; what lies behind the end is grey."""
        x = view.detach().to("cpu", torch.float32)
        inside = None if self.space == 2 else x[:, :1] > 0.5
        if self.form == "wave":
            y, ends = self._bands(x[:, 1], (x[:, 0] > 0.5).sum(1).clamp(min=1).float())
            x, inside = (y - self.mean) / self.std, sound.within(ends, y.shape[2])[:, None] > 0.5
        else:
            x = x[:, 0] if self.space == 2 else x[:, 1:]
        return drawing.heights((x if inside is None else x.masked_fill(~inside, float("nan"))).numpy())

    def heard(self, raw: Tensor) -> tuple[list[np.ndarray], int]:
        """Raw items as a person can hear them: samples (N,) int16, each as long as its sound, and the rate."""
        return [x[x != END].numpy() for x in raw[:, 0].cpu()], self.rate

    def _sound(self, raw: Tensor, whole: bool = True) -> tuple[Tensor, Tensor]:
        """Waveforms (B, N) of equal loudness, and their samples (B,) float32; whole, or as long as the longest."""
        self._check(raw)
        inside = raw[:, 0] != END
        length = inside.sum(1).clamp(min=1).to(torch.float32)
        longest = raw.shape[2] if whole else -(-int(length.max()) // self.hop) * self.hop
        inside, x = inside[:, :longest], raw[:, 0, :longest].to(torch.float32)
        x = torch.where(inside, x / -(END + 1), 0.0)
        if self.trim:
            x, length = sound.trimmed(x, length, self.hop, self.trim)
        return sound.levelled(x, length), length

    def _bands(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel bands (B, bands, T) in nats, and the frames (B,) of each sound."""
        return sound.log_mel(x, self.rate, self.hop, self.bands), (length / self.hop).ceil()

    def _spectral(self, y: Tensor, ends: Tensor) -> Tensor:
        x = (y - self.mean.to(y.device)) / self.std.to(y.device)
        if self.space == 2:
            return x[:, None]
        inside = sound.within(ends, y.shape[2])[:, None]
        return torch.cat([inside, x * inside], 1)

    def _waves(self, x: Tensor, length: Tensor, size: int) -> Tensor:
        inside = sound.within(length, size)
        return torch.stack([inside, x[:, :size] * inside], 1)

    def _played(self, x: Tensor, length: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms played faster or slower; what does not fit is cut off."""
        return sound.faster(x, ratio), (length / ratio).floor().clamp(1, x.shape[1])

    def _shifted(self, x: Tensor, length: Tensor, much: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Silence put before and behind, as shares of each sound's length: where a word begins is no part of it."""
        spare = torch.minimum(much * length, x.shape[1] - length).floor()
        at = torch.arange(x.shape[1], device=x.device) - (place * spare).floor()[:, None]
        return x.gather(1, at.clamp(min=0).long()) * (at >= 0), length + spare

    def _echo(self, seeds: list[int], wet: Tensor) -> Tensor:
        """Impulse responses of small rooms."""
        taps = self.rate // 10
        chance = draw.normals([s ^ 2 for s in seeds], (taps,)).to(wet.device)
        return sound.room(chance, torch.full_like(wet, taps), wet.abs())

    def _hidden(self, view: Tensor, u: Tensor, length: Tensor) -> Tensor:
        """A stretch of time and a run of bands hidden (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
        hidden = self._run(view.shape[-1], length, u[:, 7], u[:, 8])[:, None, :]
        if self.form == "map":
            tall = torch.full_like(length, view.shape[2])
            hidden = hidden | self._run(view.shape[2], tall, u[:, 9], u[:, 10])[..., None]
            return view.masked_fill(hidden[:, None], 0.0)
        if self.form == "frames":
            tall = torch.full_like(length, self.bands)
            hidden = hidden | self._run(self.bands, tall, u[:, 9], u[:, 10])[..., None]
        return torch.cat([view[:, :1], view[:, 1:].masked_fill(hidden, 0.0)], 1)

    def _run(self, size: int, length: Tensor, much: Tensor, place: Tensor) -> Tensor:
        """Up to the share `cutout` of each length (B,), somewhere: (B, size) bool."""
        wide = self.cutout * much * length
        first = (place * (length - wide))[:, None]
        step = torch.arange(size, device=length.device)
        return (step >= first) & (step < first + wide[:, None].floor())

    def _bands_changed(self, view: Tensor, amount: Mapping[str, Tensor], seeds: list[int]) -> Tensor:
        y = self.natural(view)
        y = y[:, 0] if self.space == 2 else y[:, 1:]
        chance = draw.normals(seeds, (TAPS + y.shape[2],)).to(y.device)
        if "pitch" in amount:
            y = sound.pitched(y, amount["pitch"], self.rate)
        if "room" in amount:
            y = y + (amount["room"][:, None] * sound.curve(chance[:, :TAPS], self.bands))[..., None]
        if "tilt" in amount:
            y = y + (amount["tilt"][:, None] * torch.linspace(-1, 1, self.bands, device=y.device))[..., None]
        if "gain" in amount:
            y = y + amount["gain"][:, None, None]
        if "noise" in amount:
            floor = math.log(sound.QUIET) + _above(amount["noise"]).log()[:, None, None] + 0.3 * chance[:, None, TAPS:]
            y = torch.logaddexp(y, floor)
        ends = None if self.space == 2 else view[:, 0].sum(1)
        return self._spectral(y, torch.zeros(len(y)) if ends is None else ends)

    def _waves_changed(self, view: Tensor, amount: Mapping[str, Tensor], seeds: list[int]) -> Tensor:
        x, length = view[:, 1], view[:, 0].sum(1).clamp(min=1)
        if "pitch" in amount:
            x, length = self._played(x, length, torch.exp2(amount["pitch"]))
        if "room" in amount:
            x = sound.filtered(x, self._echo(seeds, amount["room"]))
        if "tilt" in amount:
            x = x + 0.5 * amount["tilt"][:, None] * torch.nn.functional.pad(x, (1, 0))[:, :-1]
        if "gain" in amount:
            x = x * (amount["gain"] / 2).exp()[:, None]
        if "noise" in amount:
            hiss = draw.normals([s ^ 1 for s in seeds], x.shape[1:]).to(x.device)
            x = x + (sound.QUIET * _above(amount["noise"])).sqrt()[:, None] * hiss
        return self._waves(x, length, view.shape[2])

    def _swapped(self, view: Tensor, change: Any) -> Tensor:
        if self.form == "wave":
            return view
        if self.space == 2:
            return torch.as_tensor(change(view[:, 0]))[:, None]
        return torch.cat([view[:, :1], change(view[:, 1:])], 1)

    def _check(self, raw: Tensor) -> None:
        wanted = f"(items, 1, {self.frames * self.hop}) int16"
        if raw.ndim != 3 or raw.shape[1] != 1 or raw.shape[2] != self.frames * self.hop or raw.dtype != torch.int16:
            raise UserError(f"a raw batch of shape {tuple(raw.shape)}, {raw.dtype} was given", f"give {wanted}")


def _above(nats: Tensor) -> Tensor:
    """Power (B,) of a noise over that of silence: as many nats where it is loud, and 0 where it is 0."""
    return nats.abs().expm1()


def hop_of(rate: int) -> int:
    """Samples from one frame to the next: 10 ms."""
    return rate // 100
