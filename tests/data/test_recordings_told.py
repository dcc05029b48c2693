"""What recordings lack, what their tables and lists tell of them, and what is asked for in words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from unlabeled.data import series
from unlabeled.data.prepare import as_stored, prepare
from unlabeled.data.scan import scan
from unlabeled.data.series import SeriesPrep
from unlabeled.data.texts import TextPrep
from unlabeled.errors import UserError
from unlabeled.formats import npz


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


def tables(root: Path, *columns: str, count: int = 6, steps: int = 24) -> Path:
    """Recordings of random numbers with a time, the last columns' names by the number of each."""
    root.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for i in range(count):
        names = columns[i % len(columns)].split()
        table = pd.DataFrame({"time": np.arange(steps)} | {n: random.normal(size=steps) for n in names})
        table.to_csv(root / f"{i}.csv", index=False)
    return root


def ready(root: Path) -> SeriesPrep:
    return series.ready(scan(root), 0, 0, 0.0)[1]


def test_ranges_of_one_recording_are_never_parted(tmp_path: Path) -> None:
    """Half-overlapping ones of sounds and of series, with labels and no group told."""
    ranges = [(first, first + 16) for first in range(0, 80, 8)]
    tables(tmp_path / "pumps", "x y", count=6, steps=96)
    (tmp_path / "calls").mkdir()
    for i in range(6):
        soundfile.write(tmp_path / "calls" / f"{i}.wav", 0.1 * np.random.default_rng(i).normal(size=16_000), 8_000)
    for folder, suffix, times in (("pumps", "csv", 1), ("calls", "wav", 100)):
        rows = [f"{i}.{suffix},{times * a},{times * b},{'ab'[i % 2]}" for i in range(6) for a, b in ranges]
        (tmp_path / folder / "ranges.csv").write_text("\n".join(["path,first,end,label", *rows]) + "\n")
        items = prepare(tmp_path / folder / "ranges.csv").table.items
        assert len(items) == 60 and set(items["split"]) == {"train", "test"}
        files = items["path"].str.split("@").str[0]
        assert items["group"].notna().all() and (items.groupby(files)["split"].nunique() == 1).all()


def test_arrays_beside_another_file_keep_what_they_tell(tmp_path: Path) -> None:
    x, random = {}, np.random.default_rng(0)
    for part, many in (("train", 20), ("test", 6)):
        x |= {f"series_{part}": random.normal(size=(many, 2, 30)), f"y_{part}": np.arange(many) % 2}
    np.savez(tmp_path / "data.npz", **x, groups_train=np.arange(20) // 2)
    alone = scan(tmp_path).items
    (tmp_path / "README.txt").write_text("two pumps")
    beside = scan(tmp_path).items
    assert beside["split"].value_counts().to_dict() == {"train": 20, "test": 6}
    for column in ("label", "group", "split"):
        assert beside[column].fillna("").tolist() == alone[column].fillna("").tolist()
    assert prepare(tmp_path).store.shape == prepare(tmp_path / "data.npz").store.shape


def test_a_variable_that_some_recordings_lack_is_missing_there(tmp_path: Path) -> None:
    root = tables(tmp_path / "wards", "hr bp", "hr spo2")
    prep = ready(root)
    assert prep.variables == ("hr", "bp", "spo2") and prep.missing
    assert series.survey(scan(root), 1.0)[0].gaps == pytest.approx(1 / 3), "two of three, in one half each"
    assert not ready(tables(tmp_path / "whole", "hr bp")).missing


def test_one_recording_with_an_empty_height_takes_it_from_no_other(tmp_path: Path) -> None:
    """`height` is a descriptor of patients, and here the level of a tank."""
    root = tables(tmp_path / "tanks", "flow height")
    odd = pd.read_csv(root / "3.csv").assign(height=np.nan)
    odd.to_csv(root / "3.csv", index=False)
    prep = ready(root)
    assert prep.variables == ("flow", "height") and prep.statics == ()
    assert series.survey(scan(root), 1.0)[0].gaps == pytest.approx(1 / 12), "one of two in one of six"
    constant = odd.assign(height=2.5)
    constant.to_csv(root / "3.csv", index=False)
    table = scan(root)
    windows, prep = series.ready(table, 0, 0, 0.0)
    assert (prep.reader(windows)(3)[2, :24] == 2.5).all(), "a level that stands still is one"


def test_numbers_in_place_of_names_are_one_line(tmp_path: Path) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    for i in range(4):
        values = np.random.default_rng(i).normal(size=(20, 3))
        np.savetxt(root / f"{i}.csv", values[:, np.argsort(-values[0])], delimiter=",")  # none begins in rising order
    with pytest.raises(UserError, match="first line holds numbers and no names: write a name over each column"):
        prepare(root)


def test_an_id_that_numbers_the_rows_parts_no_recording(tmp_path: Path) -> None:
    root = tables(tmp_path / "export", "x y", count=4)
    for file in root.iterdir():
        frame = pd.read_csv(file)
        frame.insert(0, "id", np.arange(len(frame)))
        frame.to_csv(file, index=False)
    assert len(scan(root)) == 4 and ready(root).variables == ("x", "y")


def test_damaged_arrays_are_one_line(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", series=np.random.default_rng(0).normal(size=(4, 2, 400)))
    whole = (tmp_path / "a.npz").read_bytes()
    for at in range(60, len(whole) - 200, 997):
        (tmp_path / "b.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        with pytest.raises(UserError, match="cannot read"):
            npz.shapes(tmp_path / "b.npz")
            npz.member(tmp_path / "b.npz", "series")


def test_a_table_of_nothing_but_its_head_is_one_line(tmp_path: Path) -> None:
    """Of texts, which are read row by row."""
    (tmp_path / "none.csv").write_text("text\n")
    table = scan(tmp_path / "none.csv")
    assert table.modality == "text" and len(table) == 0
    with pytest.raises(UserError, match="there are no items in"):
        as_stored(table, TextPrep(16, "{}", (0, 1, 2, 3)))
