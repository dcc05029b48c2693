"""The modality of sounds: reproducible, per item, true to its inverses, silent behind the end, in all three forms."""

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.modalities.audio import END, KINDS, Audio
from unlabeled.settings import Augmentation
from unlabeled.views import acoustics, sound

RATE, SIZE = 8_000, 48
STILL = Augmentation(crop=1.0, jitter=0.0, noise=0.0, cutout=0.0, warp=0.0, pitch=0.0)
FORMS = {"frames": (1, ""), "map": (2, ""), "wave": (1, "wave")}
each_form = pytest.mark.parametrize("form", FORMS)


def items(count: int = 4, ends: bool = True) -> Tensor:
    """Raw items as a store holds them: a tone each, the later the higher and the shorter."""
    out = torch.full((count, 1, SIZE * 80), END, dtype=torch.int16)
    for i in range(count):
        length = SIZE * 80 - (700 * i if ends else 0)
        tone = torch.sin(2 * torch.pi * 300 * (1 + i) * torch.arange(length) / RATE)
        chance = torch.randn(length, generator=torch.Generator().manual_seed(i))
        out[i, 0, :length] = ((0.1 + 0.2 * i) * (tone + 0.05 * chance).clamp(-1, 1) * 32767).round().short()
    return out


def look(form: str, augmentation: Augmentation = STILL) -> Audio:
    mean, std = tuple(np.linspace(-4, -6, 64)), tuple(np.linspace(2, 3, 64))
    return Audio(size=SIZE, rate=RATE, mean=mean, std=std, augmentation=augmentation).seen_by(*FORMS[form])


@each_form
def test_a_still_augmentation_is_the_plain_view(form: str) -> None:
    raw = items()
    torch.testing.assert_close(look(form).augment(raw), look(form).plain(raw), atol=2e-4, rtol=1e-3)
    assert not torch.allclose(look(form, Augmentation()).augment(raw), look(form).plain(raw), atol=0.1)


@each_form
@pytest.mark.parametrize("strength", ["strong", "mild", "small"])
def test_views_follow_from_seed_step_and_rank_and_from_no_neighbour(form: str, strength: str) -> None:
    raw, how = items(), look(form, Augmentation())
    first, again = (how.at(1, 2, 3).augment(raw, strength) for _ in range(2))  # type: ignore[arg-type]
    assert torch.equal(first, again) and first.isfinite().all()
    size = how.size // 2 if strength == "small" else how.size
    assert first.shape == ((4, 1, size, size) if form == "map" else (4, how.channels, size))
    for other in (how.at(2, 2, 3), how.at(1, 3, 3), how.at(1, 2, 4)):
        assert not torch.equal(first, other.augment(raw, strength))  # type: ignore[arg-type]
    changed = raw.clone()
    changed[1:] = items(ends=False)[[3, 2, 1]]
    torch.testing.assert_close(how.at(1, 2, 3).augment(changed, strength)[0], first[0], atol=1e-4, rtol=1e-4)  # type: ignore[arg-type]


def longer(raw: Tensor) -> Tensor:
    return torch.nn.functional.pad(raw, (0, SIZE * 80), value=END)


def test_what_is_measured_is_the_same_however_long_the_longest_is() -> None:
    raw, wide = items(), Audio(size=2 * SIZE, rate=RATE)
    short, long = look("frames").measurements(raw), wide.measurements(longer(raw))
    torch.testing.assert_close(long[..., :SIZE], short, equal_nan=True)
    whole, _ = look("frames")._bands(*look("frames")._sound(raw[:1]))
    torch.testing.assert_close(short[:1, 64:], torch.gradient(whole, dim=2)[0])


@pytest.mark.parametrize(("kind", "decibels"), [("hiss", 20), ("hum", 15)])
def test_noise_is_as_far_below_a_sound_as_it_says_however_long_the_longest_is(kind: str, decibels: float) -> None:
    raw = longer(items())
    worse = Audio(size=2 * SIZE, rate=RATE).at(0, 0).corrupt(raw, kind, 1)
    for x, y in zip(raw[:, 0], worse[:, 0], strict=True):
        own = x[x != END].double()
        noise = y[x != END].double() - own
        assert abs(10 * torch.log10(own.square().mean() / noise.square().mean()) - decibels) < 0.3


@each_form
def test_loudness_is_no_matter_and_silence_stays_silent(form: str) -> None:
    raw = items(2)
    quiet = torch.where(raw == END, raw, (raw.float() / 4).round().short())
    a, b = look(form).plain(raw), look(form).plain(quiet)
    assert (a - b).abs().mean() < 0.02
    nothing = torch.where(raw == END, raw, torch.zeros_like(raw))
    assert look(form).plain(nothing).isfinite().all() and look(form).natural(look(form).plain(nothing)).max() <= 1


@pytest.mark.parametrize("form", ["frames", "wave"])
def test_nothing_lies_behind_the_end_and_no_loss_counts_there(form: str) -> None:
    raw, how = items(), look(form, Augmentation())
    for view in (how.plain(raw), how.at(0, 0).augment(raw), how.at(0, 0).intervene(how.plain(raw))[0]):
        inside = view[:, :1] > 0.5
        assert (view[:, 1:].masked_fill(inside, 0) == 0).all() and inside.any(2).all()
        known = how.measured(view)
        assert known is not None and torch.equal(known[:, 1:] > 0, inside.expand_as(known[:, 1:]))
    steps = how.plain(raw)[:, 0].sum(1) * (80 if form == "frames" else 1)
    assert ((steps - (raw[:, 0] != END).sum(1)).abs() < 80).all()


def within_silence(raw: Tensor, before: int, behind: int) -> Tensor:
    """The same sounds with faint noise around them, in a longer item."""
    out = torch.full((len(raw), 1, raw.shape[2] + (before + behind) * 80), END, dtype=torch.int16)
    faint = 20 * torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    for i in range(len(raw)):
        length = int((raw[i] != END).sum())
        out[i, 0, : length + (before + behind) * 80] = faint[i, 0, : length + (before + behind) * 80].round().short()
        out[i, 0, before * 80 : before * 80 + length] = raw[i, 0, :length]
    return out


@each_form
def test_silence_around_a_sound_is_no_part_of_its_view(form: str) -> None:
    raw = items(3)
    views = []
    for before, behind in ((4, 36), (30, 10)):
        kept, cut = (
            Audio(size=SIZE + 40, rate=RATE, trim=trim).seen_by(*FORMS[form]).plain(within_silence(raw, before, behind))
            for trim in (0.0, 3.5)
        )
        views.append(cut)
        assert not torch.allclose(kept, cut, atol=0.1)
        if form != "map":
            steps = cut[:, 0].sum(1) * (80 if form == "frames" else 1)
            assert ((steps - (raw[:, 0] != END).sum(1)).abs() <= 7 * 80).all()  # three frames are left at either side
    assert (views[0] - views[1]).abs().mean() < 0.25 * views[0].std()


def test_a_hum_without_words_and_silence_are_left_whole() -> None:
    x = torch.stack([torch.zeros(800), 0.1 * torch.randn(800, generator=torch.Generator().manual_seed(0))])
    kept, length = sound.trimmed(x, torch.tensor([800.0, 500.0]), 80, 3.5)
    assert length.tolist() == [800.0, 500.0] and torch.equal(kept[0], x[0])
    torch.testing.assert_close(kept[1, :500], x[1, :500])


def test_one_click_does_not_pass_for_the_whole_sound() -> None:
    x = torch.zeros(1, 4000)
    x[0, 1000:3000] = 0.1 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    x[0, 2000] = 1.0
    length = sound.trimmed(x, torch.tensor([4000.0]), 80, 3.5)[1]
    assert 2000 <= float(length) <= 2000 + 7 * 80


def test_a_bend_moves_the_middle_and_keeps_the_ends() -> None:
    ramp = torch.arange(40.0)[None, None].repeat(3, 1, 1)
    one = torch.ones(3)
    y = sound.stretch(ramp, 0 * one, 40 * one, 40 * one, 40, torch.tensor([0.0, 0.2, -0.2]))[:, 0]
    torch.testing.assert_close(y[0], ramp[0, 0])
    assert (y.diff(dim=1) > 0).all()
    assert float(y[1, 28]) == pytest.approx(20, abs=1) and float(y[2, 12]) == pytest.approx(20, abs=1)
    torch.testing.assert_close(y[:, -1], y[:1, -1].expand(3), atol=1, rtol=0)


@each_form
def test_inverses(form: str) -> None:
    raw, how = items(), look(form)
    view = how.plain(raw)
    patch = 16 if form == "map" else 8
    assert torch.equal(how.unpatch(how.patches(view, patch), patch), view)
    inside = torch.ones_like(view) if form == "map" else view[:, :1]
    torch.testing.assert_close(how.normalise(how.natural(view)) * inside, view * inside, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="divides"):
        how.patches(view, 7)


@each_form
@pytest.mark.parametrize("kind", KINDS)
def test_an_intervention_changes_what_it_names_by_as_much_as_it_says(form: str, kind: str) -> None:
    raw, how = items(), look(form, Augmentation(interventions=(kind,)))
    view = how.plain(raw)
    none, style = how.at(0, 0).intervene(view, torch.zeros(4, 1))
    assert style.names == (kind,) and (none - view).abs().mean() < 0.05
    little, much = (how.at(0, 0).intervene(view, torch.full((4, 1), v))[0] for v in (0.2, 1.0))
    assert 0 < (little - view).abs().mean() < (much - view).abs().mean()


@each_form
def test_an_intervention_of_nothing_leaves_silence_silent(form: str) -> None:
    """A style is set alone to see what it moves: noise must not come with it."""
    raw, how = items(ends=False), look(form, Augmentation())
    raw[:, :, 1600:2400] = 0
    view = how.plain(raw)
    still, _ = how.at(0, 0).intervene(view, torch.zeros(4, len(KINDS)))
    torch.testing.assert_close(still, view, atol=2e-4, rtol=1e-3)


def test_a_higher_pitch_moves_the_bands_up() -> None:
    raw = items(3)
    for form in ("frames", "map"):
        how = look(form, Augmentation(interventions=("pitch",)))
        y = [how.natural(v) for v in (how.plain(raw), how.intervene(how.plain(raw), torch.ones(3, 1))[0])]
        peak = [(v[:, 1:] if form == "frames" else v[:, 0])[:, :, 5].argmax(1) for v in y]
        assert (peak[1] > peak[0]).all()


@pytest.mark.parametrize("kind", acoustics.KINDS)
def test_corruptions_grow_keep_the_end_and_depend_on_the_item_alone(kind: str) -> None:
    raw, how = items(), look("frames")
    clean = how.plain(raw)
    away = []
    for severity in (1, 3, 5):
        worse = how.at(0, 0).corrupt(raw, kind, severity)
        assert worse.dtype == raw.dtype and torch.equal(worse == END, raw == END)
        away.append(float((how.plain(worse) - clean).abs().mean()))
        assert torch.equal(worse[:2], how.at(0, 0).corrupt(raw[:2], kind, severity))
    assert away[0] < away[2]
    with pytest.raises(UserError, match="no corruption"):
        how.corrupt(raw, "rain", 1)


@each_form
def test_a_spectrogram_is_shown_and_the_sound_is_heard(form: str) -> None:
    raw, how = items(), look(form)
    assert how.show(how.plain(raw)).shape == (4, 96, 96, 3)
    heard, rate = how.heard(raw)
    assert rate == RATE and [len(x) for x in heard] == [SIZE * 80 - 700 * i for i in range(4)]


def test_filters_are_those_of_librosa() -> None:
    filters = pytest.importorskip("librosa.filters")
    for rate, fft, bands in ((8_000, 256, 64), (16_000, 512, 64), (4_000, 128, 32)):
        theirs = filters.mel(sr=rate, n_fft=fft, n_mels=bands)
        np.testing.assert_allclose(sound.mel_filters(rate, fft, bands).numpy(), theirs, atol=1e-7)


def test_log_mel_is_what_a_slow_loop_gives() -> None:
    x = torch.randn(2, 800, generator=torch.Generator().manual_seed(0))
    ours = sound.log_mel(x, 8_000, 80, 64).numpy()
    shape = np.zeros(256)
    shape[28:228] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    around = np.pad(x.numpy().astype(float), ((0, 0), (88, 88)))
    for t in range(10):
        power = np.abs(np.fft.fft(around[:, 80 * t : 80 * t + 256] * shape)[:, :129]) ** 2
        bands = power @ sound.mel_filters(8_000, 256, 64).numpy().T * 8_000 / 256 / np.square(shape).sum()
        np.testing.assert_allclose(ours[:, :, t], np.log(np.maximum(bands, 1e-5)), rtol=1e-3, atol=1e-3)


def test_wrong_settings_and_shapes_are_refused() -> None:
    for wrong in ({"rate": 100}, {"channels": 2}, {"mean": (0.0, 1.0)}):
        with pytest.raises(UserError):
            Audio(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="raw batch"):
        look("frames").plain(torch.zeros(2, 1, 100, dtype=torch.int16))
    with pytest.raises(UserError, match="no intervention"):
        look("frames", Augmentation(interventions=("hue",))).interventions()
