"""What a person reads after `unlabeled scan`."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from unlabeled.errors import UserError
from unlabeled.verbs.embed import embed
from unlabeled.verbs.scan import scan


def test_steel_in_words(steel: Path) -> None:
    result = scan(str(steel))
    lines = result.lines()
    assert lines[0] == f"{steel}: train and test folders, 1,559 pictures (1,199 train, 360 test)"
    assert "  patches          199 train, 60 test" in lines
    assert "200 x 200 pixels, grey, 8 bit" in lines
    assert lines[-1] == f"next: unlabeled compare {steel} --methods simclr,mae"
    assert len(result.table) == 1559


def test_broken_files_are_listed(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(next(digits.glob("train/0/*.png")).read_bytes())
    (tmp_path / "b.png").write_text("no")
    result = scan(str(tmp_path), broken=True)
    assert result.lines() == ["b.png: it is not a picture"]
    assert result.table.items["path"].tolist() == ["a.png"]


def test_nothing_readable_is_still_a_report(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("no")
    assert "error: no file can be read" in scan(str(tmp_path)).lines()


def test_one_is_one_and_a_class_is_one_line(digits: Path, tmp_path: Path) -> None:
    files = sorted(digits.glob("train/0/*.png"))[:4]
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    rows = [f'{file.name},"two\nlines {"and many words " * 9}"' for file in files[:3]]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows, f"{files[3].name},zero"]) + "\n")
    lines = scan(str(tmp_path / "table.csv")).lines()
    at = lines.index("2 classes, 4 labelled items")
    assert lines[at + 1].startswith("  two lines and many words") and lines[at + 2] == f"  {'zero':<40}  1 train"
    (tmp_path / "table.csv").write_text(f"path,label\n{files[0].name},zero\n{files[1].name},\n")
    assert "1 class, 1 labelled item" in scan(str(tmp_path / "table.csv")).lines()


def test_a_wrong_path_is_one_line() -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        scan("no/such/folder")


def test_where_features_go_is_made_ready_before_they_are_computed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"):
        embed(str(tmp_path / "gone"), str(tmp_path), out=str(tmp_path / "new" / "x.csv"))
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        embed(str(tmp_path / "gone"), str(tmp_path), out=str(tmp_path / "file" / "x.csv"))


def test_torch_is_not_needed(digits: Path) -> None:
    code = f"import sys, unlabeled; unlabeled.scan({str(digits)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_next_command_can_be_copied_where_names_have_spaces(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "my photos").symlink_to(digits)
    last = scan(str(tmp_path / "my photos")).lines()[-1]
    assert last.startswith("next: ")
    assert shlex.split(last)[3] == str(tmp_path / "my photos")


def test_the_next_command_learns_from_the_folder_beside_as_well(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "no labels.png").write_bytes(next(digits.glob("train/0/*.png")).read_bytes())
    words = shlex.split(scan(str(digits / "train"), deep=False, unlabeled=str(tmp_path)).lines()[-1])
    assert words[words.index("--unlabeled") + 1] == str(tmp_path)
