import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from filelock import FileLock

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
    with alone(tmp_path, mine=False):  # a process of the same group
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


@pytest.mark.parametrize("error", [NotImplementedError("no flock here"), OSError("no locks available")])
def test_a_file_system_without_locks_is_told_and_used(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("UNLABELED_QUIET", raising=False)
    monkeypatch.setattr(FileLock, "acquire", fail)
    with alone(tmp_path):
        pass
    assert f"mind: other processes cannot be kept out of {tmp_path}: {error}" in capsys.readouterr().err
