"""Files that safetensors writes, as Python's own `open` would have written them."""

import os
import re
from collections.abc import Callable
from pathlib import Path


def written(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written and flushed to the disk. Those may read it whom the umask lets read new files, where
    safetensors keeps it to its owner; and a full disk is an `OSError`, where it tells of one of its own.

    Args:
        path: of a file that is renamed into place afterwards; what lies there goes.
        write: writes it.

    Raises:
        OSError: when the disk is full, or does not take it for another reason.
    """
    from safetensors import SafetensorError

    path.unlink(missing_ok=True)
    path.touch()
    mode = path.stat().st_mode
    try:
        write(path)
    except SafetensorError as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error
    path.chmod(mode)
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
