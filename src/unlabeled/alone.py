"""One process at a time writes into a folder; the operating system frees it when that process ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from unlabeled import progress
from unlabeled.errors import UserError

LOCK = ".lock"


@contextmanager
def alone(folder: Path, mine: bool = True) -> Iterator[None]:
    """Keep other processes of this machine out of a folder, so that no two of them write one run or one study.

    Where the file system knows no locks it does nothing.

    Args:
        folder: where results are written; made when it is not there.
        mine: false for the processes of a group that do not write.

    Raises:
        UserError: when another process is at it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place, alone(Path(place)):
    ...     with alone(Path(place)):
    ...         pass
    Traceback (most recent call last):
    ...
    unlabeled.errors.UserError: ...
    """
    if not mine:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, is_singleton=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(
            f"another process is writing into {folder}", "wait until it ends, stop it, or take another --out"
        ) from None
    except (NotImplementedError, OSError) as error:  # some network file systems
        progress.say(f"mind: other processes cannot be kept out of {folder}: {error}")
    try:
        yield
    finally:
        lock.release()
