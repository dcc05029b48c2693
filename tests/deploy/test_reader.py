"""Uploads that are no pictures: read as every file is, refused in words, and never answered by a part of them."""

import io
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from unlabeled.data.prepare import Prepared, as_stored, prepare
from unlabeled.deploy.inputs import table_of
from unlabeled.deploy.serve.reader import Reader, Refused


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


def reader(ready: Prepared) -> Reader:
    return Reader({"modality": ready.table.modality, "prep": asdict(ready.prep)}, 1_000_000)


def why(read: Reader, data: bytes) -> str:
    with pytest.raises(Refused) as found:
        read.read(data)
    assert found.value.status == 422 and "/" not in found.value.reason and "upload" not in found.value.reason
    return found.value.reason


def rows(steps: int, names: str = "time,x,y") -> bytes:
    return "\n".join([names, *(f"{i},{i % 5},{i % 3}" for i in range(steps))]).encode()


def test_a_recording_is_read_whole_or_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    for i in range(3):
        (tmp_path / "items" / f"{i}.csv").write_bytes(rows(16 + i))
    ready = prepare(tmp_path / "items", size=24)
    read = reader(ready)
    assert np.array_equal(read.read(rows(16)), ready.store.array[0], equal_nan=True)
    assert (
        why(read, rows(40))
        == "it is longer than an item: cut it into parts of at most 24 steps, and send each as a file"
    )
    assert why(read, rows(25)).startswith("it is longer than an item"), "by one step, which nobody would look at"
    assert why(read, rows(16, "time,a,b")) == "the file cannot be read: all its values are missing"
    two = rows(8, "time,x,id") + b"\n" + rows(8, "time,x,id").replace(b"time,x,id\n", b"")
    named = b"\n".join([b"patient,time,x,y", *(b"007," + row for row in rows(16).split(b"\n")[1:])])
    assert np.array_equal(read.read(named), ready.store.array[0], equal_nan=True), "one patient's, and it says whose"
    assert why(read, two) == "the file cannot be read: it holds several recordings"


def test_what_a_recording_lacks_is_told_with_it(tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    for i in range(3):
        (tmp_path / "items" / f"{i}.csv").write_bytes(rows(16 + i))
    read = reader(prepare(tmp_path / "items", size=24))
    assert read.noted(rows(16))[1] == ()
    [note] = read.noted(rows(16, "time,x,speed"))[1]
    assert note.startswith("y of what was learnt from is in none of the recordings, and speed in them was not learnt")


def test_a_sound_is_read_whole_or_refused_with_the_reason(chirps: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    ready = prepare(chirps)
    read = reader(ready)
    file = chirps / ready.table.items["path"].iloc[0]
    assert np.array_equal(read.read(file.read_bytes()), ready.store.array[0])
    wave, rate = soundfile.read(file)
    long = io.BytesIO()
    soundfile.write(long, np.tile(wave, 9), rate, format="WAV")
    assert why(read, long.getvalue()).startswith("it is longer than an item: cut it into parts of at most 0.")
    soundfile.write(long := io.BytesIO(), np.tile(wave, 9)[: ready.store.shape[1] + rate // 10], rate, format="WAV")
    assert why(read, long.getvalue()).startswith("it is longer than an item")
    assert why(read, b"no sound").startswith("the file cannot be read: it is no sound that can be read")


def test_what_promises_more_than_an_item_takes_no_room(tmp_path: Path, chirps: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    (tmp_path / "items").mkdir()
    for i in range(3):
        (tmp_path / "items" / f"{i}.csv").write_bytes(rows(16 + i))
    far = "\n".join(["time,x,y", *(f"{50 * i},{i}," for i in range(20_000))]).encode()
    soundfile.write(flac := io.BytesIO(), np.zeros(800), 8000, format="FLAC")
    head, body = flac.getvalue()[18:26], flac.getvalue()
    length = ((int.from_bytes(head, "big") >> 36 << 36) | 200_000_000).to_bytes(8, "big")  # samples, by the header
    for place, data in ((tmp_path / "items", far), (chirps, body[:18] + length + body[26:])):
        read = reader(prepare(place, size=24))
        tracemalloc.start()
        try:
            assert why(read, data).startswith("it is longer than an item")
            assert tracemalloc.get_traced_memory()[1] < 25_000_000
        finally:
            tracemalloc.stop()


def test_a_text_is_cut_off_where_those_with_labels_are(tmp_path: Path) -> None:
    for label, word in (("sea", "ship"), ("land", "road")):
        (tmp_path / "items" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "items" / label / f"{i}.txt").write_text(f"the {word} {i}. " * 9)
    ready = prepare(tmp_path / "items", size=12)
    texts = [(tmp_path / "items" / name).read_text() for name in ready.table.items["path"]]
    assert np.array_equal(reader(ready).read(texts[0].encode()), ready.store.array[0])
    assert why(reader(ready), "café".encode("latin-1")) == "the file cannot be read: it is not text in UTF-8"
    with table_of([texts[0], texts[1], "a ship"], "text") as given:
        table = as_stored(given, ready.prep)
        assert len(table) == 3, "a row each, as features are told by place"
        found = ready.prep.reader(table)
        assert np.array_equal(found(1), ready.store.array[1])
