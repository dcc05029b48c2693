"""What sounds are turned into: log-mel bands over time, stretched, filtered and played faster; functions on batches.

A waveform is (B, N) float32, 0 behind its end; `length` (B,) says where that is, in samples or in frames.
"""

import math
from functools import cache

import torch
from torch import Tensor

QUIET = 1e-5  # power below which a band holds nothing, where the sound's own mean power is 1
FAINT = 1e-3  # root mean square below which a sound is silence and is not made louder
SPARED = 2  # frames that are left of the silence before and behind a sound, and a third by the averaging


@cache
def mel_filters(rate: int, fft: int, bands: int) -> Tensor:
    """Triangles (bands, fft // 2 + 1) that sum a power spectrum into mel bands of equal area, as librosa has them.

    The scale is Slaney's: straight up to 1,000 Hz, logarithmic above (Slaney 1998, Auditory Toolbox).

    >>> mel_filters(8000, 256, 40).shape
    torch.Size([40, 129])
    """
    edges = _hertz(torch.linspace(0, _mels(rate / 2), bands + 2, dtype=torch.float64))
    bins = torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64)
    width = edges.diff()
    away = edges[:, None] - bins
    up, down = -away[:-2] / width[:-1, None], away[2:] / width[1:, None]
    return (torch.minimum(up, down).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def _mels(hertz: float) -> float:
    return hertz / (200 / 3) if hertz < 1000 else 15 + math.log(hertz / 1000) / (math.log(6.4) / 27)


def _hertz(mels: Tensor) -> Tensor:
    return torch.where(mels < 15, mels * (200 / 3), 1000 * ((mels - 15) * (math.log(6.4) / 27)).exp())


@cache
def bases(fft: int, width: int) -> tuple[Tensor, Tensor, float]:
    """A Hann window of `width` in the middle of `fft` samples, windowed cosines and sines (fft, 2 * bins), and the
    window's energy.
    """
    window = torch.zeros(fft)
    first = (fft - width) // 2
    window[first : first + width] = torch.hann_window(width)
    angle = 2 * math.pi / fft * torch.outer(torch.arange(fft), torch.arange(fft // 2 + 1)).double()
    waves = (window[:, None].double() * torch.cat([angle.cos(), angle.sin()], 1)).float()
    return window, waves, float(window.square().sum())


def log_mel(x: Tensor, rate: int, hop: int, bands: int) -> Tensor:
    """Logarithm of the power in mel bands (B, bands, N / hop) of waveforms (B, N), windows of 25 ms.

    White noise of mean power 1 has about 0 in every band; what is below `QUIET` counts as that.
    """
    fft, width = window(rate)
    around = torch.nn.functional.pad(x, ((fft - hop) // 2, fft - hop - (fft - hop) // 2))
    shape, parts, energy = bases(fft, width)
    if torch.compiler.is_exporting():  # runtimes have matrix products; few have this transform
        cosine, sine = (around.unfold(1, fft, hop) @ parts.to(x.device)).chunk(2, 2)
        power = (cosine.square() + sine.square()).transpose(1, 2)
    else:
        waves = torch.fft.rfft(around.unfold(1, fft, hop) * shape.to(x.device))
        power = (waves.real.square() + waves.imag.square()).transpose(1, 2)
    filters = mel_filters(rate, fft, bands).to(x.device) * (rate / fft / energy)
    return (filters @ power).clamp(min=QUIET).log()


def window(rate: int) -> tuple[int, int]:
    """Length of the transform, a power of two, and of the window of 25 ms, in samples."""
    width = max(8, rate // 40)
    return 1 << (width - 1).bit_length(), width


def within(length: Tensor, size: int) -> Tensor:
    """1 up to each length (B,), 0 behind it: (B, size) float32."""
    return (torch.arange(size, device=length.device) < length[:, None]).float()


def trimmed(x: Tensor, length: Tensor, hop: int, fall: float) -> tuple[Tensor, Tensor]:
    """Waveforms (B, N) and lengths (B,) without the silence before and behind: how wide a recording was cut says
    nothing of what was recorded.

    Silence is what is `fall` nats of power below the loudest frame, both averaged over three frames, so that a click
    does not pass for the whole sound.

    >>> x = torch.zeros(1, 120)
    >>> x[0, 50:70] = 1.0
    >>> trimmed(x, torch.tensor([120.0]), 10, 3.5)[1]
    tensor([80.])
    """
    power = torch.nn.functional.pad(x, (0, (-x.shape[1]) % hop)).reshape(x.shape[0], -1, hop).square().sum(2)
    power = torch.nn.functional.avg_pool1d(power[:, None], 3, 1, 1)[:, 0]
    heard = (power >= power.amax(1, keepdim=True) * math.exp(-fall)).to(torch.float32)
    first = (heard.argmax(1) - SPARED).clamp(min=0) * hop
    last = (heard.shape[1] - heard.flip(1).argmax(1) + SPARED) * hop
    length = (torch.minimum(last.to(length.dtype), length) - first).clamp(min=1)
    at = torch.arange(x.shape[1], device=x.device) + first[:, None]
    return x.gather(1, at.clamp(max=x.shape[1] - 1)) * within(length, x.shape[1]), length


def levelled(x: Tensor, length: Tensor) -> Tensor:
    """Waveforms (B, N) brought to a mean power of 1 over their length; silence stays silence."""
    loud = (x.square().sum(1) / length).sqrt().clamp(min=FAINT)
    return x / loud[:, None]


def stretch(x: Tensor, first: Tensor, span: Tensor, size: Tensor, columns: int, bend: Tensor | None = None) -> Tensor:
    """A part of each row of frames (B, F, T) over `size` (B,) of `columns` columns: averaged or drawn between frames.

    Args:
        x: frames.
        first: (B,) frame at which the part begins.
        span: (B,) frames that it has.
        size: (B,) columns that it shall fill; what comes behind has no meaning.
        columns: of what is given.
        bend: (B,) share of the columns, above -0.5 and below 0.5, by which the part's middle comes later.

    >>> one = torch.ones(1)
    >>> stretch(torch.tensor([[[0.0, 2.0, 4.0, 6.0]]]), 0 * one, 4 * one, 2 * one, 2).tolist()
    [[[1.0, 5.0]]]
    """
    edges = torch.arange(columns + 1, device=x.device) / size[:, None]
    if bend is not None:
        middle = 0.5 + bend[:, None]
        edges = 0.5 + (edges - middle) * torch.where(edges < middle, 0.5 / middle, 0.5 / (1 - middle))
    start = first[:, None] + span[:, None] * edges
    start, end, frame = start[:, :-1], start[:, 1:], torch.arange(x.shape[2], device=x.device)
    step = end - start
    last = (first + span - 1).clamp(min=0)[:, None]
    middle = torch.minimum((start + end) / 2 - 0.5, last)[:, None]  # nothing is taken from behind the end
    between = (1 - (frame[:, None] - middle).abs()).clamp(min=0)  # (B, T, columns)
    share = torch.minimum(end[:, None], frame[:, None] + 1.0) - torch.maximum(start[:, None], frame[:, None] + 0.0)
    weight = torch.where(step[:, None] > 1, share.clamp(min=0), between)  # many frames are averaged over a column
    weight = weight * (frame[:, None] < (first + span).ceil()[:, None, None])
    return x @ (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))


def faster(x: Tensor, ratio: Tensor) -> Tensor:
    """Waveforms (B, N) played `ratio` (B,) times as fast: pitch and length change together; 0 behind."""
    last = x.shape[1] - 1
    at = torch.arange(x.shape[1], device=x.device) * ratio[:, None]
    low = at.floor().clamp(max=last)
    near = [x.gather(1, place.long()) for place in (low, (low + 1).clamp(max=last))]
    return torch.lerp(near[0], near[1], (at - low).clamp(max=1)) * (at <= last)


def pitched(x: Tensor, octaves: Tensor, rate: int) -> Tensor:
    """Mel bands (B, F, T) as if the voice were higher by so many octaves (B,): each band is read from lower down."""
    edges = _hertz(torch.linspace(0, _mels(rate / 2), x.shape[1] + 2, dtype=torch.float64))[1:-1].float()
    asked = edges.to(x.device) * torch.exp2(-octaves)[:, None]  # (B, F): where each band's content was
    high = torch.searchsorted(edges.to(x.device), asked.contiguous()).clamp(1, x.shape[1] - 1)
    below, above = edges.to(x.device)[high - 1], edges.to(x.device)[high]
    mix = ((asked - below) / (above - below)).clamp(0, 1)[..., None]
    picked = [x.gather(1, at[..., None].expand(-1, -1, x.shape[2])) for at in (high - 1, high)]
    out: Tensor = torch.lerp(picked[0], picked[1], mix)
    return out


def filtered(x: Tensor, response: Tensor) -> Tensor:
    """Waveforms (B, N) through a filter of their own each: its impulse response (B, K); the length stays."""
    whole = x.shape[1] + response.shape[1] - 1
    size = 1 << (whole - 1).bit_length()
    out: Tensor = torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(response, size), size)
    return out[:, : x.shape[1]]


def room(chance: Tensor, decay: Tensor, wet: Tensor) -> Tensor:
    """Impulse responses (B, K) of a room: the sound itself, and noise that dies away behind it.

    Args:
        chance: (B, K) standard normal numbers.
        decay: (B,) samples after which the tail has lost 60 dB.
        wet: (B,) power of the tail over that of the sound itself.
    """
    step = torch.arange(chance.shape[1], device=chance.device)
    tail = chance * torch.exp(-6.908 * step / decay[:, None])
    tail[:, 0] = 0
    tail = tail / tail.square().sum(1, keepdim=True).clamp(min=1e-9).sqrt() * wet.sqrt()[:, None]
    tail[:, 0] = 1
    return tail


def curve(chance: Tensor, bands: int) -> Tensor:
    """Smooth curves over the bands (B, bands) of about unit height, from draws (B, K): what a room or microphone does
    to a spectrum.
    """
    at = (torch.arange(bands, device=chance.device) + 0.5) / bands
    waves = torch.cos(math.pi * torch.outer(torch.arange(1, chance.shape[1] + 1, device=chance.device), at))
    return chance @ waves / math.sqrt(chance.shape[1] / 2)
