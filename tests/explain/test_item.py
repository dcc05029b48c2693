"""What is named to be explained is one item: of several none is taken for the whole."""

from pathlib import Path

import numpy as np
import pytest

from unlabeled.data.prepare import prepare
from unlabeled.errors import UserError
from unlabeled.verbs._model import _place


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))


def recording(file: Path, steps: int) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("time,x,y\n" + "".join(f"{i},{i % 5},{i % 3}\n" for i in range(steps)))
    return file


def test_a_recording_longer_than_an_item_is_not_explained_by_its_beginning(tmp_path: Path) -> None:
    for i in range(3):
        recording(tmp_path / "items" / f"{i}.csv", 40)
    ready = prepare(tmp_path / "items", size=16)
    assert _place(ready, "1.csv@8+16")[0] == ready.table.items["path"].tolist().index("1.csv@8+16")
    with pytest.raises(
        UserError, match=r"1\.csv holds 4 items, and one is explained; name one of them, such as 1\.csv@0"
    ):
        _place(ready, str(tmp_path / "items" / "1.csv"))
    with pytest.raises(UserError, match=r"holds 4 items, and one is explained; give a file of one"):
        _place(ready, str(recording(tmp_path / "other" / "long.csv", 40)))
    row, short = _place(ready, str(recording(tmp_path / "other" / "short.csv", 16)))
    assert row == -1 and short is not None and len(short) == 1
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(UserError, match="holds pictures, and recordings were learnt from"):
        _place(ready, str(tmp_path / "x.npz"))


def test_a_long_text_is_cut_off_as_labelled_ones_are(tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    for i in range(3):
        (tmp_path / "items" / f"{i}.txt").write_text(f"a ship sailed past {i}. " * 9)
    ready = prepare(tmp_path / "items", size=12)
    (tmp_path / "other.txt").write_text("a ship sailed past us.\n\n" * 9)
    _, own = _place(ready, str(tmp_path / "other.txt"))
    assert own is not None and len(own) == 1 and "@" not in own.items["path"].iloc[0]
