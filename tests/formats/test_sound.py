"""Sounds from files of any kind: one channel, one rate, and bad files refused in words."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, sound


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "aiff", "mp3"])
def test_every_kind_of_file_gives_the_same_sound(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(16_000), 16_000)
    seen, x = sound.look(path), sound.read(path)
    assert seen.rate == 16_000 and seen.channels == 1 and abs(seen.seconds - 0.5) < 0.1
    assert x.dtype == np.float32 and 0.4 < np.abs(x).max() < 0.7
    spectrum = np.abs(np.fft.rfft(x))
    assert abs(spectrum.argmax() * 16_000 / len(x) - 440) < 5


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(16_000), 16_000)
    (tmp_path / "a.mp3").rename(tmp_path / "b.wav")
    assert abs(len(sound.read(tmp_path / "b.wav")) - 8000) < 2400


def test_channels_are_averaged_and_rates_changed(tmp_path: Path) -> None:
    both = np.stack([tone(96_000), np.zeros(48_000)], 1)
    soundfile.write(tmp_path / "a.wav", both, 96_000, "FLOAT")
    x = sound.read(tmp_path / "a.wav", 8_000)
    assert len(x) == 4_000
    middle = slice(400, -400)
    np.testing.assert_allclose(x[middle], tone(8_000)[middle] / 2, atol=0.01)
    high = np.sin(2 * np.pi * 30_000 * np.arange(48_000) / 96_000)
    soundfile.write(tmp_path / "high.wav", 0.5 * high, 96_000)
    assert np.abs(sound.read(tmp_path / "high.wav", 8_000)[middle]).max() < 0.01  # nothing is folded down


def test_a_part_is_counted_at_the_own_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.arange(1000) / 2000, 8_000, "FLOAT")
    np.testing.assert_allclose(sound.read(tmp_path / "a.wav", 0, 100, 50), np.arange(100, 150) / 2000, atol=1e-6)
    assert len(sound.read(tmp_path / "a.wav", 0, 990, 50)) == 10
    with pytest.raises(Unreadable, match="0 samples"):
        sound.read(tmp_path / "a.wav", 0, 1000)


def test_a_part_of_an_mp3_is_what_the_whole_has_there(tmp_path: Path) -> None:
    rate = 22_050
    noise = 0.05 * np.random.default_rng(0).normal(size=6 * rate)
    heard = tone(rate, 6.0) + noise
    soundfile.write(tmp_path / "a.mp3", heard, rate, bitrate_mode="VARIABLE", compression_level=0.9)
    whole = sound.read(tmp_path / "a.mp3")
    for first in range(0, 5 * rate, 3001):  # a frame that is decoded without those before it is silent or noise
        part = sound.read(tmp_path / "a.mp3", 0, first, 4000)
        np.testing.assert_allclose(part, whole[first : first + 4000], atol=1e-3)


def test_bad_files_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "nothing.wav").touch()
    (tmp_path / "words.wav").write_text("this is no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8_000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, np.inf]), 8_000, "FLOAT")
    soundfile.write(tmp_path / "cut.flac", tone(8_000), 8_000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "cut.flac").read_bytes()[:60])
    for name, words in (
        ("nothing.wav", "the file is empty"),
        ("words.wav", "no sound that can be read"),
        ("empty.wav", "0 samples"),
        ("nan.wav", "2 of its 3 samples are not finite"),
        ("cut.flac", "."),
        ("absent.wav", "No such file"),
    ):
        with pytest.raises(Unreadable, match=words) as fault:
            sound.read(tmp_path / name, 8_000)
        assert str(tmp_path) not in str(fault.value)


def test_what_is_louder_than_full_scale_is_brought_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 8 * tone(8_000), 8_000, "FLOAT")
    x = sound.read(tmp_path / "a.wav")
    assert np.abs(x).max() == 1
    np.testing.assert_allclose(x, 2 * tone(8_000), atol=0.01)


def test_a_missing_reader_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"unlabeled\[audio\]"):
        sound.read("a.wav")


def test_a_stream_without_a_length_is_refused_before_it_is_cut(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", 0.1 * np.random.default_rng(0).normal(size=8_000), 8_000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # what a program writes that cannot go back to the head: 0 samples
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(Unreadable, match="does not tell how long it is"):
        sound.look(tmp_path / "a.flac")
