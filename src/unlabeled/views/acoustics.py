"""How sounds get worse on their way, by kind and severity 1 to 5: waveforms (B, N) in -1 to 1, 0 behind their end.

Strengths are relative to each sound's own power; they are of our own choosing, as no table is agreed on.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from unlabeled.views import sound

Change = Callable[[Tensor, int, Tensor, int], Tensor]  # waveform, level, normal numbers of its shape, rate
NOISE = (20.0, 15.0, 10.0, 5.0, 0.0)  # decibels by which the sound is above a noise


def _beside(x: Tensor, noise: Tensor, decibels: float) -> Tensor:
    """A noise added so that the sound is so many decibels above it, both measured up to the sound's end."""
    place = torch.arange(1, x.shape[1] + 1, device=x.device)
    length = ((x != 0) * place).amax(1, keepdim=True).clamp(min=1)
    heard = [(y * (place <= length)).square().sum(1, keepdim=True) / length for y in (x, noise)]
    loud = [power.clamp(min=1e-9).sqrt() for power in heard]
    return x + noise * (loud[0] / loud[1] * 10 ** (-decibels / 20))


def _hiss(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """Pink noise: its power falls with the frequency, as in most rooms."""
    spectrum = torch.fft.rfft(chance)
    slope = torch.arange(spectrum.shape[1], device=x.device).clamp(min=1) ** -0.5
    return _beside(x, torch.fft.irfft(spectrum * slope, x.shape[1]), NOISE[level])


def _hum(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """The mains and its harmonics."""
    time = torch.arange(x.shape[1], device=x.device) / rate
    angle = 2 * math.pi * 50 * time + math.pi * chance[:, :1]
    return _beside(x, sum(((k * angle).sin() / k for k in range(1, 6)), torch.zeros_like(x)), NOISE[level] - 5)


def _crackle(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """Clicks as loud as the sound's peaks."""
    rare = torch.erf(chance.abs() / 2**0.5) > 1 - (20, 50, 100, 200, 400)[level] / rate
    return torch.where(rare, x.abs().amax(1, keepdim=True) * chance.sign(), x)


def _echo(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """A hard room: a tail behind every sound."""
    seconds = (0.1, 0.2, 0.35, 0.5, 0.8)[level]
    ones = torch.ones(len(x), device=x.device)
    taps = max(2, min(x.shape[1], round(seconds * rate)))
    wet = ones * (0.3, 0.6, 1.0, 2.0, 4.0)[level]
    return sound.filtered(x, sound.room(chance[:, :taps], ones * seconds * rate, wet))


def _telephone(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """A narrow band: what is below 300 Hz and above a limit is lost."""
    top = min((3400, 2800, 2200, 1700, 1200)[level], 0.45 * rate)
    hertz = torch.linspace(0, rate / 2, x.shape[1] // 2 + 1, device=x.device)
    passed = torch.sigmoid((hertz - min(300, top / 4)) / 20) * torch.sigmoid((top - hertz) / 50)
    out: Tensor = torch.fft.irfft(torch.fft.rfft(x) * passed, x.shape[1])
    return out


def _clip(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """Too loud for the microphone: peaks are cut at a share of the highest."""
    top = x.abs().amax(1, keepdim=True) * (0.5, 0.3, 0.2, 0.1, 0.05)[level]
    return torch.minimum(torch.maximum(x, -top), top)


def _coarse(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """Few bits."""
    step = x.abs().amax(1, keepdim=True).clamp(min=1e-6) / 2 ** (5, 4, 3, 2, 1)[level]
    return (x / step).round() * step


def _lose(x: Tensor, level: int, chance: Tensor, rate: int) -> Tensor:
    """Packets of 20 ms that never came."""
    packet = max(1, rate // 50)
    count = -(-x.shape[1] // packet)
    kept = torch.erf(chance[:, :count].abs() / 2**0.5) >= (0.05, 0.1, 0.2, 0.3, 0.5)[level]
    return x * kept.repeat_interleave(packet, 1)[:, : x.shape[1]]


KINDS: dict[str, Change] = {
    "hiss": _hiss, "hum": _hum, "crackle": _crackle, "echo": _echo, "telephone": _telephone,
    "clipping": _clip, "quantised": _coarse, "dropouts": _lose,
}  # fmt: skip
