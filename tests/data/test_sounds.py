"""From files to sounds of one rate and shape: bad input named, windows that no split parts, what the doctor tells."""

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from unlabeled.data import doctor, sounds
from unlabeled.data.prepare import prepare, read_prep
from unlabeled.data.scan import scan
from unlabeled.data.sounds import AudioPrep
from unlabeled.data.table import Table
from unlabeled.deploy.inputs import table_of
from unlabeled.errors import UserError
from unlabeled.verbs.scan import scan as scan_verb
from unlabeled.views.sound import mel_filters, window


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


def hiss(seconds: float, rate: int, seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=round(seconds * rate))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Twelve good sounds at 8 kHz in two classes, and every kind of trouble beside them."""
    root = tmp_path / "mixed"
    for kind in ("a", "b"):
        (root / kind).mkdir(parents=True)
        for i in range(6):
            soundfile.write(root / kind / f"{i}.wav", hiss(0.3 + 0.02 * i, 8_000, i + 10 * (kind == "b")), 8_000)
    (root / "a" / "empty.wav").touch()
    soundfile.write(root / "a" / "song.mp3", hiss(0.4, 16_000, 50), 16_000)
    (root / "a" / "song.mp3").rename(root / "a" / "really-mp3.wav")
    soundfile.write(root / "b" / "fast.flac", np.stack([hiss(0.3, 96_000, 51)] * 2, 1), 96_000)
    soundfile.write(root / "b" / "silent.wav", np.zeros(2400), 8_000)
    soundfile.write(root / "b" / "loud.wav", np.clip(20 * hiss(0.3, 8_000, 52), -1, 1), 8_000)
    soundfile.write(root / "b" / "offset.wav", hiss(0.3, 8_000, 53) + 0.2, 8_000)
    soundfile.write(root / "b" / "click.wav", hiss(0.01, 8_000, 54), 8_000)
    shutil.copy(root / "a" / "0.wav", root / "b" / "copy.wav")
    return root


def test_one_rate_one_shape_and_bad_files_by_name(mixed: Path) -> None:
    found = prepare(mixed)
    assert found.table.modality == "audio" and len(found.table) == 19
    assert [b.path for b in found.table.broken] == ["a/empty.wav"]
    assert found.prep == sounds.AudioPrep(found.size, 8_000, 32) and found.size % 8 == 0
    assert read_prep("audio", {"size": found.size, "rate": 8_000, "bands": 32}) == found.prep
    assert found.store.shape == (1, found.size * 80) and found.store.dtype == np.int16
    at = {p: i for i, p in enumerate(found.table.items["path"])}
    length = (found.store.array[:, 0] != sounds.END).sum(1)
    assert length[at["a/0.wav"]] == 2400 and abs(length[at["b/fast.flac"]] - 2400) <= 1
    assert 3000 < length[at["a/really-mp3.wav"]] < 4200
    x, _ = soundfile.read(mixed / "a" / "0.wav", dtype="int16")
    assert np.abs(found.store.array[at["a/0.wav"], 0, :2400] - x).max() <= 1
    assert len(found.mean) == len(found.std) == 32


def test_the_doctor_hears_what_is_wrong(mixed: Path) -> None:
    report = doctor.examine(scan(mixed))
    told = {f.kind: f for f in report.findings}
    assert told["rates"].examples == ["a/really-mp3.wav: 16,000 Hz", "b/fast.flac: 96,000 Hz"]
    for kind, path in (("silent", "b/silent.wav"), ("clipped", "b/loud.wav"), ("offset", "b/offset.wav")):
        assert told[kind].examples == [path]
    assert "b/click.wav" in told["lengths"].examples and told["duplicates"].text.startswith("1 of")
    assert report.broken[0].path == "a/empty.wav" and report.facts["seconds"][0] == pytest.approx(0.01)
    lines = scan_verb(str(mixed)).lines()
    assert "19 sounds" in lines[0] or "20 sounds" in lines[0]
    assert any("8,000 Hz" in line for line in lines)


def test_equal_sounds_across_the_split_are_a_leak(tmp_path: Path) -> None:
    for s, split in enumerate(("train", "test")):
        for k, kind in enumerate(("a", "b")):
            (tmp_path / split / kind).mkdir(parents=True)
            for i in range(3):
                seed = 7 if i == 0 and kind == "a" else 100 * s + 10 * k + i + 20
                soundfile.write(tmp_path / split / kind / f"{i}.wav", hiss(0.2, 8_000, seed), 8_000)
    for store in (None, prepare(tmp_path).store):
        leak = [f for f in doctor.examine(scan(tmp_path), store=store).findings if f.kind == "leak"]
        assert len(leak) == 1 and leak[0].severity == "error" and "test/a/0.wav" in leak[0].examples[0]


def test_the_doctor_keeps_no_sound_in_memory(tmp_path: Path) -> None:
    for i in range(24):
        soundfile.write(tmp_path / f"{i:02}.wav", hiss(20.0, 8_000, i), 8_000)
    table, peaks = scan(tmp_path), []
    for count in (3, 24):
        some = Table(table.root, table.form, table.modality, table.items.iloc[:count])
        tracemalloc.start()
        doctor.examine(some)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_long_recordings_are_cut_and_never_parted(tmp_path: Path) -> None:
    root = tmp_path / "long"
    for kind in ("a", "b"):
        (root / kind).mkdir(parents=True)
        for i in range(4):
            rate = 16_000 if i == 3 else 8_000
            soundfile.write(root / kind / f"{i}.wav", hiss(5.3, rate, i), rate)
    found = prepare(root)
    assert found.size == sounds.WINDOW and len(found.table) == 8 * 4
    items = found.table.items
    assert items["path"].str.startswith("a/0.wav@8000+16000").sum() == 1
    assert items.groupby("group")["split"].nunique().max() == 1 and items["split"].eq("test").any()
    again = sounds.again(scan(root), found.prep)  # type: ignore[arg-type]
    assert set(again.items["path"]) == set(items["path"])
    assert (found.store.array[:, 0] != sounds.END).all()
    whole = sounds.again(scan(root), found.prep, keep=True)  # type: ignore[arg-type]
    assert "a/0.wav@26400+16000" in set(whole.items["path"]), "what is predicted is looked at to the end"


@pytest.mark.parametrize("rate", [800, 1_000, 1_500, 2_000, 8_000, 16_000])
def test_every_band_hears_something(rate: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", hiss(0.5, rate, 0), rate)
    prep = prepare(tmp_path).prep
    assert isinstance(prep, AudioPrep) and prep.rate == rate
    assert (mel_filters(rate, window(rate)[0], prep.bands).sum(1) > 0).all()


def test_a_list_without_labels_tells_which_columns_may_hold_them(tmp_path: Path) -> None:
    for i in range(2):
        soundfile.write(tmp_path / f"{i}.wav", hiss(0.2, 8_000, i), 8_000)
    (tmp_path / "split.csv").write_text("file,digit,speaker\n0.wav,3,ann\n1.wav,4,ben\n")
    for given in (tmp_path, tmp_path / "split.csv"):
        assert any("no column of split.csv" in n and "others: digit)" in n for n in scan(given).notes)
    (tmp_path / "split.csv").write_text("file,label,speaker,take\n0.wav,,ann,1\n1.wav,,ben,2\n")
    assert not any("no column" in n for n in scan(tmp_path).notes)


def test_no_sound_at_all_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no")
    with pytest.raises(UserError, match=r"none of the 1 sounds.*a\.wav: it is no sound"):
        prepare(tmp_path)


def test_arrays_of_sounds_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="sounds were given as arrays"), table_of(np.zeros((2, 800)), "audio"):
        pass


def test_spoken_digits_with_their_speakers(real: Callable[[str], Path], tmp_path: Path) -> None:
    root = real("spoken_digits")
    rows = pd.read_csv(root / "split.csv", dtype=str).iloc[::25]
    rows = rows.assign(path=[str(root / f) for f in rows["file"]], label=rows["digit"])
    rows[["path", "label", "speaker", "split"]].to_csv(tmp_path / "digits.csv", index=False)
    found = prepare(tmp_path / "digits.csv")
    assert found.prep.rate == 8_000 and set(found.table.items["group"]) == set(rows["speaker"])  # type: ignore[attr-defined]
    assert len(found.table.classes) == 10 and not found.table.broken
