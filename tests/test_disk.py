"""What safetensors writes is a file like others: it tells of a full disk as they do, and others may read it."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from unlabeled.deploy import bundle
from unlabeled.training import checkpoint


@pytest.fixture
def room_for_1000_bytes() -> Iterator[None]:
    """No file may be longer, which fails where a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("room_for_1000_bytes")
def test_a_checkpoint_without_room_is_an_error_of_the_disk(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c.safetensors", nn.Linear(1, 1), None, {"step": 1})
    with pytest.raises(OSError, match=r"File too large.*c\.safetensors\.part"):
        checkpoint.save(tmp_path / "c.safetensors", nn.Linear(100, 100), None, {"step": 2})
    assert checkpoint.header(tmp_path / "c.safetensors")["step"] == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("room_for_1000_bytes")
def test_a_bundle_without_room_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large"):
        bundle.write(tmp_path / "m.ul", {}, {"w": np.zeros(1000)}, {}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_they_may_be_read_by_whom_the_umask_lets(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        checkpoint.save(tmp_path / "c.safetensors", nn.Linear(1, 1), None, {"step": 1})
        bundle.write(tmp_path / "m.ul", {}, {"w": np.zeros(2)}, {"r": np.zeros(2)}, {})
    finally:
        os.umask(before)
    files = [tmp_path / "c.safetensors", *(tmp_path / "m.ul").iterdir()]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o666 & ~umask}
