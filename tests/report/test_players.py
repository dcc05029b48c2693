"""Sounds on the page: the samples that were kept come back whole, in data URIs, within a bound."""

import base64
import io
import wave
from pathlib import Path

import numpy as np
import pytest

from unlabeled.data.prepare import prepare
from unlabeled.modalities.audio import Audio
from unlabeled.report import players
from unlabeled.report.folder import Study
from unlabeled.study import gallery


def test_what_is_played_is_what_was_recorded(chirps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    ready = prepare(chirps)
    looks = Audio(size=ready.size, rate=4_000, bands=32)
    gallery.sounds(tmp_path, ready, looks)
    gallery.test_items(tmp_path, ready, looks)
    heard = players.Players(Study(tmp_path))
    for item in (0, 5):
        with wave.open(io.BytesIO(base64.b64decode(heard.uri(item).partition(",")[2]))) as file:
            found = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (4_000, 1, 2)
        raw = ready.store.array[ready.test[item], 0]
        np.testing.assert_array_equal(found, raw[raw != np.iinfo(np.int16).min])
    assert heard.uri(10_000) == ""
    assert Study(tmp_path).test["thumbs"].shape == (len(ready.test), 96, 96, 3)


def test_a_page_holds_so_much_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = np.arange(1, 11) * 100
    np.savez(tmp_path / "sounds.npz", samples=np.zeros(1000, np.int16), ends=ends, rate=np.array(8_000))
    monkeypatch.setattr(players, "MOST", 350)
    heard = players.Players(Study(tmp_path))
    assert [bool(heard.uri(i)) for i in range(10)].count(True) in (2, 3)
    assert players.Players(Study(tmp_path / "other")).uri(0) == ""
