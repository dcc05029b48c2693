"""The store holds what the readers read, opens at once, and loses nothing when it is hurt."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unlabeled.data import doctor, store, survey
from unlabeled.data.scan import scan
from unlabeled.data.series import SeriesPrep
from unlabeled.data.store import Prep, build, plan
from unlabeled.data.table import Table, frame
from unlabeled.errors import UserError
from unlabeled.formats import picture, recording, sound, text


@pytest.fixture
def hurt(digits: Path, tmp_path: Path) -> Path:
    """100 digits, 5 of them cut short, and a text file with a picture's name."""
    root = tmp_path / "hurt"
    for number, path in enumerate(sorted(digits.glob("train/*/*.png"))[::14][:100]):
        target = root / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        target.write_bytes(data[: len(data) // 2] if number % 20 == 7 else data)
    (root / "0" / "diary.png").write_text("dear diary")
    return root


def test_rows_of_table_and_store_belong_together(hurt: Path, tmp_path: Path) -> None:
    prep = Prep(16, 1)
    whole = scan(hurt)
    table, items = build(whole, prep, cache=tmp_path, progress=False)
    assert (len(whole), len(table), len(items)) == (101, 95, 95)
    assert {b.path for b in table.broken} == set(whole.items["path"]) - set(table.items["path"])
    assert {b.reason for b in table.broken if "diary" in b.path} == {"it is not a picture"}
    for row in range(len(table)):
        assert np.array_equal(items.array[row], picture.read(hurt / table.items["path"].iloc[row], 16, channels=1))


def test_batches(hurt: Path, tmp_path: Path) -> None:
    _, items = build(scan(hurt), Prep(8, 3), cache=tmp_path, progress=False)
    batch = items.batch(np.array([5, 2, 5]))
    assert (batch.shape, batch.dtype, batch.is_contiguous()) == ((3, 3, 8, 8), torch.uint8, True)
    assert np.array_equal(batch.numpy(), items.array[[5, 2, 5]])
    batch[:] = 0
    assert items.array[5].any()  # a batch is a copy


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 12, 12), dtype=np.uint16)
    (tmp_path / "a").mkdir()
    for i, p in enumerate(pixels):
        Image.fromarray(p).save(tmp_path / "a" / f"{i}.png")
    prep = plan(scan(tmp_path / "a"), 12)
    assert prep == Prep(12, 1, dtype="uint16")
    _, items = build(scan(tmp_path / "a"), prep, cache=tmp_path / "cache", progress=False)
    assert items.batch(np.arange(5)).dtype == torch.uint16
    assert np.array_equal(items.array[:, 0], pixels)


def test_arrays_are_stored_like_pictures(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (7, 9, 9), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(7) % 2)
    _, items = build(scan(tmp_path / "a.npz"), Prep(9, 1), cache=tmp_path, progress=False)
    assert np.array_equal(items.array[:, 0], x)


def test_statistics_are_the_pixels_own(hurt: Path, tmp_path: Path) -> None:
    _, items = build(scan(hurt), Prep(8, 3), cache=tmp_path, progress=False)
    rows = np.arange(0, 90, 3)
    mean, std = items.statistics(rows)
    pixels = items.array[rows].astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1) / 255
    assert np.allclose(mean, pixels.mean(axis=1), atol=1e-9)
    assert np.allclose(std, pixels.std(axis=1), atol=1e-9)


def test_a_second_run_opens_and_a_changed_file_is_decoded_again(
    hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, items = build(scan(hurt), Prep(8, 1), cache=tmp_path, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_decode", lambda *_: pytest.fail("it decoded again"))
        second, again = build(scan(hurt), Prep(8, 1), cache=tmp_path, progress=False)
    assert np.array_equal(items.array, again.array)
    assert first.items.equals(second.items)
    assert first.broken == second.broken
    changed = hurt / first.items["path"].iloc[0]
    Image.new("L", (8, 8), 77).save(changed)
    _, new = build(scan(hurt), Prep(8, 1), cache=tmp_path, progress=False)
    assert (new.array[0] == 77).all()
    assert not (items.array[0] == 77).all()


@pytest.mark.parametrize("suffix", sorted(sound.SUFFIXES | recording.SUFFIXES | text.SUFFIXES))
def test_every_part_of_a_file_is_known_to_change_with_it(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix.upper()}"
    file.touch()
    parts = [file.name + part for part in ("#3", "#bed#1", "#bed#1@0+8", "@0+8")]
    table = Table(tmp_path, "", "series", frame(parts, ["train"] * len(parts)))
    before = [store.key(replace(table, items=table.items.iloc[[i]]), SeriesPrep(8, 2, 1.0, ("x",))) for i in range(4)]
    file.write_text("changed")
    after = [store.key(replace(table, items=table.items.iloc[[i]]), SeriesPrep(8, 2, 1.0, ("x",))) for i in range(4)]
    assert not set(before) & set(after)


def test_arrays_may_end_in_capitals(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    with (tmp_path / "X.NPZ").open("wb") as file:
        np.savez(file, x=x)
    for path in (tmp_path, tmp_path / "X.NPZ"):
        _, found = build(scan(path), Prep(8, 1), cache=tmp_path / "cache", progress=False)
        assert np.array_equal(found.array[:, 0], x)


def test_plan_follows_the_pictures(steel: Path, tmp_path: Path) -> None:
    table = scan(steel)
    assert plan(table, 64) == Prep(128, 1)
    assert plan(table, 128) == Prep(200, 1)
    assert plan(table, 224) == Prep(224, 1)
    Image.new("RGB", (40, 30), (9, 90, 200)).save(tmp_path / "a.png")
    assert plan(scan(tmp_path), 16) == Prep(30, 3)


def test_a_cache_of_the_wrong_length_does_not_count(hurt: Path, tmp_path: Path) -> None:
    _, items = build(scan(hurt), Prep(8, 1), cache=tmp_path, progress=False)
    want = np.array(items.array)
    file = next(tmp_path.glob("*/items.bin"))
    os.truncate(file, file.stat().st_size - 1)
    _, again = build(scan(hurt), Prep(8, 1), cache=tmp_path, progress=False)
    assert np.array_equal(again.array, want)


KILLED = """
import sys
from pathlib import Path
from unlabeled.data import doctor, store, survey
from unlabeled.data.scan import scan
store.CHUNK_BYTES = 64 * 5
slow = store.Source.read
def read(self, row, *rest):
    import time
    time.sleep(0.01)
    return slow(self, row, *rest)
store.Source.read = read
store.build(scan(sys.argv[1]), store.Prep(8, 1), cache=Path(sys.argv[2]), progress=False)
"""


def test_killed_while_decoding_it_goes_on_where_it_was(
    hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, clean = tmp_path / "cache", tmp_path / "clean"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(hurt), str(cache)])
    deadline = time.monotonic() + 300
    while not (logs := list(cache.glob("*.part/log.jsonl"))) or logs[0].read_text().count("\n") < 3:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not list(cache.glob("*/about.json"))
    safe = json.loads(logs[0].read_text().splitlines()[2])["until"]
    with logs[0].open("a") as log:
        log.write('{"until": 99, "ke')  # as if it had been killed while it wrote this line
    with (logs[0].parent / "items.bin").open("ab") as items:
        items.write(b"half an item")
    read = store.Source.read
    rows: list[int] = []
    monkeypatch.setattr(store.Source, "read", lambda self, row, *rest: (rows.append(row), read(self, row, *rest))[1])
    table, after = build(scan(hurt), Prep(8, 1), cache=cache, progress=False)
    assert min(rows) >= safe > 0
    whole, never_hurt = build(scan(hurt), Prep(8, 1), cache=clean, progress=False)
    assert np.array_equal(after.array, never_hurt.array)
    assert table.broken == whole.broken
    assert table.items.equals(whole.items)
    assert not list(cache.glob("*.part"))


def test_a_disk_that_is_too_small_is_told_before_it_starts(
    hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"need 0.03 GB.*0.00 GB free"):
        build(scan(hurt), Prep(512, 1), cache=tmp_path, progress=False)


FULL = """
import resource, sys
from pathlib import Path
from unlabeled.data import doctor, store, survey
from unlabeled.data.scan import scan
from unlabeled.errors import UserError
store.CHUNK_BYTES = 64 * 10
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 45, -1))
try:
    store.build(scan(sys.argv[1]), store.Prep(8, 1), cache=Path(sys.argv[2]), progress=False)
except UserError as error:
    sys.exit(str(error))
"""


def test_a_disk_that_fills_up_loses_nothing(hurt: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    child = subprocess.run([sys.executable, "-c", FULL, str(hurt), str(cache)], capture_output=True, text=True)
    assert child.returncode == 1
    assert "cannot write the decoded pictures" in child.stderr
    assert child.stderr.count("\n") == 1
    assert json.loads(next(cache.glob("*.part/log.jsonl")).read_text().splitlines()[-1])["kept"] >= 30
    _, items = build(scan(hurt), Prep(8, 1), cache=cache, progress=False)
    assert len(items) == 95


def test_nothing_readable_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for i in range(3):
        (tmp_path / "a" / f"{i}.png").write_text("no")
    table = scan(tmp_path / "a")
    with pytest.raises(UserError, match="none of the 3 pictures") as told:
        build(table, Prep(8, 1), cache=tmp_path, progress=False)
    assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="none of 3 pictures"):
        plan(table, 8)


def test_a_chunk_that_did_not_reach_the_disk_is_decoded_again(hurt: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    subprocess.run([sys.executable, "-c", FULL, str(hurt), str(cache)], capture_output=True)
    file = next(cache.glob("*.part/items.bin"))
    data = bytearray(file.read_bytes())
    data[64 * 15 : 64 * 20] = bytes(64 * 5)  # as after a power cut
    file.write_bytes(data)
    _, items = build(scan(hurt), Prep(8, 1), cache=cache, progress=False)
    _, never_hurt = build(scan(hurt), Prep(8, 1), cache=tmp_path / "clean", progress=False)
    assert np.array_equal(items.array, never_hurt.array)


def test_two_at_once_decode_once(hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    decoded = []
    decode = store._decode
    monkeypatch.setattr(store, "_decode", lambda *a: (decoded.append(1), decode(*a))[1])

    def once(_: int) -> tuple[Table, store.Store]:
        return build(scan(hurt), Prep(8, 1), cache=tmp_path, progress=False)

    with ThreadPoolExecutor(2) as pool:
        (_, a), (_, b) = pool.map(once, range(2))
    assert len(decoded) == 1
    assert np.array_equal(a.array, b.array)


@pytest.mark.parametrize(("mode", "colours"), [("L", 1), ("RGB", 1), ("RGB", 0)])
def test_a_few_coloured_pictures_among_many_grey_ones_are_seen(tmp_path: Path, mode: str, colours: int) -> None:
    for i in range(400):
        Image.fromarray(np.full((8, 8), i % 250, np.uint8)).convert(mode).save(tmp_path / f"{i:03}.png")
    for i in range(colours):  # none of the 64 that tell the sizes
        Image.fromarray(np.eye(8, dtype=np.uint8)[..., None] * np.array([255, 0, 9], np.uint8)).save(
            tmp_path / f"{203 + i}.png"
        )
    table = scan(tmp_path)
    found = plan(table, 8)
    assert found.channels == (3 if colours else 1)
    told = next(f.text for f in doctor.examine(table).findings if f.kind == "channels")
    assert told.endswith("all are read as coloured") == bool(colours)


def test_what_scan_says_of_colour_is_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "OPENED", 2)
    for i in range(200):
        Image.new("RGB", (8, 8), (i, 0, 9) if i == 102 else (i, i, i)).save(tmp_path / f"{i:03}.png")
    table = scan(tmp_path)
    assert plan(table, 8).channels == 1
    told = next(f.text for f in doctor.examine(table).findings if f.kind == "channels")
    assert "all are read as grey" in told


def test_what_could_not_be_read_is_tried_again_when_it_can_be(
    hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with permissions, or a package that was installed afterwards; the files stay what they are."""
    table, prep, read = scan(hurt), Prep(8, 1), picture.read

    def closed(path: Path, *args: object, **named: object) -> np.ndarray:
        if Path(path).name.startswith("diary") or Path(path).parent.name == "3":
            raise picture.Unreadable("no permission to read it")
        return read(path, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(picture, "read", closed)
    few = build(table, prep, cache=tmp_path, progress=False)[0]
    made = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("items.bin")}
    again = build(table, prep, cache=tmp_path, progress=False)[0]
    assert len(again) == len(few) < 90 and made == {file: file.stat().st_mtime_ns for file in made}
    monkeypatch.setattr(picture, "read", read)
    assert len(build(table, prep, cache=tmp_path, progress=False)[0]) == 95
