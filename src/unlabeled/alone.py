"""One process at a time writes into a folder; the operating system frees it when that process ends, however it ends."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from unlabeled import progress
from unlabeled.errors import UserError

LOCK = ".lock"
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # some network file systems


@contextmanager
def alone(folder: Path, lead: bool = True) -> Iterator[None]:
    """Keep other processes of this machine out of a folder, so that no two of them write one run or one study.

    Where the file system knows no locks, that is told and nobody is kept out.

    Args:
        folder: where results are written; made when it is not there.
        lead: whether this is the one process of a group that writes; the others go in beside it.

    Raises:
        UserError: when another process is at it.
        OSError: when the folder cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place, alone(Path(place)):
    ...     with alone(Path(place)):
    ...         pass
    Traceback (most recent call last):
    ...
    unlabeled.errors.UserError: ...
    """
    if not lead:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, fallback_to_soft=False)  # a soft lock would outlive a process that was killed
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(
            f"another process is writing into {folder}", "wait until it ends, stop it, or take another --out"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        progress.say(f"mind: other processes cannot be kept out of {folder}: its file system knows no locks")
    try:
        yield
    finally:
        lock.release()
