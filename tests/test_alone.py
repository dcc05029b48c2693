import errno
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from unlabeled.alone import LOCK, alone
from unlabeled.errors import UserError


def hold(folder: Path, there: "multiprocessing.connection.Connection") -> None:
    with alone(folder):
        there.send("held")
        there.recv()


@pytest.fixture
def other(tmp_path: Path):
    """A process of its own that holds the folder."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path, there))
    process.start()
    there.close()
    assert here.recv() == "held"
    yield process
    process.kill()
    process.join()


def test_another_process_is_kept_out_until_it_ends(other: multiprocessing.Process, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"another process is writing into .*; wait until it ends, stop it, or take"),
        alone(tmp_path),
    ):
        pass
    with alone(tmp_path, lead=False):  # a process of the same group
        pass
    os.kill(other.pid or 0, signal.SIGKILL)
    other.join()
    with alone(tmp_path):
        pass


def test_an_error_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="within"), alone(tmp_path / "new"):
        raise ValueError("within")
    with alone(tmp_path / "new"):
        assert (tmp_path / "new" / LOCK).is_file()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_told_and_used_and_nothing_outlives_a_kill(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if sys.platform == "win32":
        pytest.skip("locks are made otherwise there")
    import fcntl

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.delenv("UNLABELED_QUIET", raising=False)
    monkeypatch.setattr(fcntl, "flock", fail)
    with alone(tmp_path), alone(tmp_path):  # no marker of the first stands in the way of the second
        pass
    told = f"mind: other processes cannot be kept out of {tmp_path}: its file system knows no locks\n"
    assert capsys.readouterr().err == 2 * told


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_to_is_no_folder_without_locks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, *_: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match=LOCK) as told, alone(tmp_path):
        raise AssertionError("it went on, beside whoever holds the lock")
    assert told.value.errno == number
