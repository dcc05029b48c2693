"""The number of threads follows what other processes leave free."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from unlabeled.training import threads


def test_the_users_own_number_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads.free_threads(sample=0) == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")  # OpenMP's nested form: the outer number counts
    assert threads.free_threads(sample=0) == 3


@pytest.mark.parametrize("nonsense", ["", "0", "many"])
def test_a_number_that_is_none_is_not_taken(monkeypatch: pytest.MonkeyPatch, nonsense: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
    monkeypatch.setattr(threads, "_cores", lambda: [0, 1, 2])
    monkeypatch.setattr(threads.psutil, "cpu_count", lambda logical: 3)
    monkeypatch.setattr(threads, "_quota", lambda root: None)
    monkeypatch.setattr(threads, "_busy", lambda cores, sample: 1.02)
    assert threads.free_threads() == 2


@pytest.mark.parametrize(
    ("affinity", "physical", "quota", "expected"),
    [(2, 2, None, 2), (8, 4, None, 4), (8, None, None, 8), (8, 8, 3.9, 3), (8, 8, 0.5, 1), (1, 64, None, 1)],
)
def test_the_tightest_limit_counts(affinity: int, physical: int | None, quota: float | None, expected: int) -> None:
    assert threads.allowed_threads(affinity, physical, quota) == expected


@pytest.mark.parametrize(
    ("allowed", "busy", "expected"), [(2, 0.0, 2), (2, 0.4, 2), (2, 0.6, 1), (2, 1.0, 1), (2, 2.0, 1), (16, 3.1, 13)]
)
def test_a_core_more_than_half_taken_is_taken(allowed: int, busy: float, expected: int) -> None:
    assert threads.left_over(allowed, busy) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense\n"}, None),
        ({}, None),
    ],
)
def test_the_containers_grant_is_read(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads._quota(tmp_path) == expected


def test_another_process_at_work_is_seen() -> None:
    core = threads._cores()[-1:]
    stay = f"hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, {core})"
    spin = f"import os\n{stay}\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            seen = threads._busy(core, 0.3)
        finally:
            other.kill()
    assert seen > 0.5


def test_our_own_work_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def spin(interval: float, percpu: bool) -> list[float]:
        wall, cpu = time.perf_counter(), time.process_time()
        while time.process_time() - cpu < interval:
            pass
        return [100 * (time.process_time() - cpu) / (time.perf_counter() - wall)]

    monkeypatch.setattr(threads.psutil, "cpu_percent", spin)
    assert threads._busy([0], 0.2) < 0.1
