"""What was answered is kept when the work is stopped, for the same items and the same model alone."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import unlabeled as ul
from unlabeled.deploy import pieces
from unlabeled.deploy.model import Model

Stop = Callable[[int], list[int]]


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    """Stop after so many chunks as Ctrl-C does, and list how many items were answered."""
    frame = Model.frame

    def after(chunks: int) -> list[int]:
        answered: list[int] = []

        def counted(self: Model, *args: object) -> pd.DataFrame:
            if len(answered) == chunks:
                raise KeyboardInterrupt
            part = frame(self, *args)  # type: ignore[arg-type]
            answered.append(len(part))
            return part

        monkeypatch.setattr(Model, "frame", counted)
        return answered

    return after


@pytest.fixture
def pictures(digits: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "new"
    shutil.copytree(digits / "test", folder)
    (folder / "3" / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("suffix", pieces.SUFFIXES)
def test_a_stopped_table_goes_on(model: Path, pictures: Path, tmp_path: Path, stop: Stop, suffix: str) -> None:
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    expected = ul.predict(str(model), str(pictures), out=str(whole))
    stop(3)
    with pytest.raises(KeyboardInterrupt):
        ul.predict(str(model), str(pictures), out=str(out))
    assert not out.exists() and pieces.folder(out).is_dir()
    answered = stop(99)
    found = ul.predict(str(model), str(pictures), out=str(out))
    assert sum(answered) == 361 - 3 * 64
    if suffix == ".parquet":  # its groups of rows are the pieces
        pd.testing.assert_frame_equal(pd.read_parquet(whole), pd.read_parquet(out))
    else:
        assert out.read_bytes() == whole.read_bytes()
    assert not pieces.folder(out).exists()
    told = (expected.items, expected.labels, expected.abstained, expected.strange, expected.unread, expected.broken)
    assert told == (found.items, found.labels, found.abstained, found.strange, found.unread, found.broken)
    pd.testing.assert_frame_equal(expected.first, found.first)


def test_nothing_is_taken_up_that_another_model_or_other_items_left(
    model: Path, pictures: Path, tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "CELLS", 1)  # a piece a chunk
    out = tmp_path / "out.parquet"

    def left() -> int:
        """Rows that the next call takes up of four chunks."""
        answered = stop(99)
        ul.predict(str(model), str(pictures), out=str(out))
        return 361 - sum(answered)

    def stopped(**other: float) -> None:
        stop(4)
        with pytest.raises(KeyboardInterrupt):
            ul.predict(str(model), str(pictures), out=str(out), **other)  # type: ignore[arg-type]

    stopped()
    assert left() == 4 * 64
    stopped(coverage=0.8)
    assert left() == 0, "label sets of another promise"
    stopped()
    third = sorted(pieces.folder(out).glob("*.parquet"))[2]
    third.write_bytes(third.read_bytes()[:100])
    assert left() == 2 * 64, "a damaged piece"
    stopped()
    paths = pd.concat(pd.read_parquet(f)["path"] for f in sorted(pieces.folder(out).glob("*.parquet")))
    os.utime(pictures / paths.iloc[70], ns=(1, 1))
    assert left() == 64, "the 71st picture was written over"
    stopped()
    (pictures / "0" / "0.png").write_bytes((pictures / paths.iloc[70]).read_bytes())
    answered = stop(99)
    assert ul.predict(str(model), str(pictures), out=str(out)).items == sum(answered) == 362, "one more, in front"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_no_two_write_one_table(model: Path, pictures: Path, tmp_path: Path) -> None:
    from unlabeled.alone import alone

    out = tmp_path / "out.csv"
    with alone(pieces.folder(out)), pytest.raises(ul.UserError, match="another process is writing into"):
        ul.predict(str(model), str(pictures), out=str(out))


def test_what_is_left_aside_is_told(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNLABELED_QUIET", raising=False)
    some = tmp_path / "some"
    some.mkdir()
    file = sorted(pictures.rglob("*.png"))[0]
    (some / file.name).write_bytes(file.read_bytes())
    (some / "digits.txt").write_text("12345")
    assert ul.predict(str(model), str(some)).items == 1
    assert "mind: other files were left aside: 1 .txt\n" in capsys.readouterr().err


def test_of_several_frames_the_first_is_answered_for_and_that_is_said(
    model: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stacks"
    folder.mkdir()
    pictures = [Image.open(file) for file in sorted((digits / "test" / "3").iterdir())[:3]]
    pictures[0].save(folder / "film.tif", save_all=True, append_images=pictures[1:])
    pictures[0].save(folder / "one.tif")
    (folder / "broken.tif").write_bytes(b"no picture")
    assert ul.predict(str(model), str(folder)).items == 3
    told = [line for line in capsys.readouterr().err.splitlines() if "frames" in line]
    assert len(told) == 1 and "film.tif holds 3 frames: of each file the first alone" in told[0]
    (folder / "film.tif").unlink()
    ul.predict(str(model), str(folder))
    assert "frames" not in capsys.readouterr().err
