"""Pictures drawn from a run, and what says that they are synthetic."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

import unlabeled as ul
from unlabeled import UserError
from unlabeled.settings import Budget, Setup, Training

QUICK = {"training": Training(threads=1, batch_size=32), "budget": Budget(steps=3)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("method", ["vae", "gan"])
def test_every_picture_says_that_it_is_synthetic(method: str, digits: Path, tmp_path: Path) -> None:
    setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / "run"))
    run = ul.pretrain(str(digits), method=method, setup=setup, **QUICK)
    drawn = ul.sample(str(run.folder), count=70, out=str(tmp_path / "drawn"))
    assert len(drawn.files) == len(list((tmp_path / "drawn").iterdir())) == 70
    for file in drawn.files[::23]:
        assert file.name.startswith("synthetic-")
        with Image.open(file) as picture:
            assert picture.size == (16, 16) and picture.mode == "L"
            assert picture.info["Synthetic"] == "yes" and method in picture.info["Source"]
    first = [np.asarray(Image.open(f)) for f in drawn.files[:3]]
    (tmp_path / "drawn" / "synthetic-mine-00069.png").write_bytes(b"of somebody else")
    fewer = ul.sample(str(run.folder), count=3, out=str(tmp_path / "drawn"))
    left = {file.name for file in (tmp_path / "drawn").iterdir()}
    assert left == {file.name for file in fewer.files} | {"synthetic-mine-00069.png"}, "none of what was drawn before"
    again = ul.sample(str(run.folder), count=3, out=str(tmp_path / "again"))
    assert all((np.asarray(Image.open(f)) == x).all() for f, x in zip(again.files, first, strict=True))
    assert (first[0] != first[1]).any()


def test_a_method_that_cannot_draw_says_so(digits: Path, tmp_path: Path) -> None:
    setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / "run"))
    run = ul.pretrain(str(digits), method="simclr", setup=setup, **QUICK)
    with pytest.raises(UserError, match="simclr learns but cannot draw"):
        ul.sample(str(run.folder))


def test_series_are_tables_in_their_own_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "pumps").mkdir()
    for i in range(24):
        steps = 40 + i % 3 * 4
        flow = 300 + 20 * np.sin(np.arange(steps) / 4 + random.uniform(0, 6))
        heat = np.where(random.uniform(size=steps) < 0.3, np.nan, 60 + random.normal(size=steps))
        table = pd.DataFrame({"time": 5.0 * np.arange(steps), "flow": flow, "heat": heat})
        table.to_csv(tmp_path / "pumps" / f"{i}.csv", index=False)
    setup = Setup(encoder="tcn(width=8, stages=2)", size=40, out=str(tmp_path / "run"))
    run = ul.pretrain(
        str(tmp_path / "pumps"), method="vae", setup=setup, training=QUICK["training"], budget=Budget(steps=60)
    )
    drawn = ul.sample(str(run.folder), count=10, out=str(tmp_path / "drawn"))
    assert drawn.what == "series" and drawn.lines()[1] == f"to look at: {tmp_path / 'synthetic-drawn.png'}"
    tables = [pd.read_parquet(file) for file in drawn.files]
    assert len(tables) == 10 and all(list(t.columns) == ["time", "flow", "heat"] for t in tables)
    assert all(np.allclose(np.diff(t["time"]), 5) for t in tables)
    flow = np.concatenate([t["flow"] for t in tables])
    assert 250 < np.nanmean(flow) < 350  # in its own unit, not in spreads
    told = pq.read_schema(drawn.files[0]).metadata
    assert told[b"Synthetic"] == b"yes" and b"vae, seed 0" in told[b"Source"]
    with Image.open(tmp_path / "synthetic-drawn.png") as sheet:
        assert sheet.size == (8 * 100, 2 * 100) and sheet.info["Synthetic"] == "yes"
    assert ul.scan(str(tmp_path / "drawn")).table.modality == "series"  # they can be learnt from
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    again = ul.sample(str(run.folder), count=10, out=".")
    assert again.sheet == tmp_path / "synthetic-again.png"
    pd.testing.assert_frame_equal(pd.read_parquet(again.files[9]), tables[9])


def test_sounds_are_drawn_in_the_colours_that_the_report_shows(chirps: Path, tmp_path: Path) -> None:
    run = ul.pretrain(str(chirps), method="vae", setup=Setup(out=str(tmp_path / "run")), **QUICK)
    [file] = ul.sample(str(run.folder), count=1, out=str(tmp_path / "drawn")).files
    with Image.open(file) as picture:
        assert picture.mode == "RGB" and picture.info["Synthetic"] == "yes"
