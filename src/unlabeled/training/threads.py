"""How many CPU threads to train with: as many as there are cores that nobody else is using.

Threads wait for each other many times a step. When two threads share one free core, each waits for the other to be let
on again, and the pair is several times slower than one thread alone (`benchmarks/against_lightly.py` shows it). So the
load decides, not the number of cores.
"""

import os
import time
from pathlib import Path

import psutil


def free_threads(*, sample: float = 0.3) -> int:
    """The number of cores that other processes leave free, at least 1.

    The user's own word goes first: OMP_NUM_THREADS is taken as it is. Otherwise the cores that this process may use
    (affinity, quota, physical cores) are watched for a moment, and what other processes burn on them is subtracted.

    Args:
        sample: seconds to watch.

    >>> free_threads(sample=0.05) >= 1
    True
    """
    explicit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if explicit.isdigit() and int(explicit) > 0:
        return int(explicit)
    cores = _cores()
    allowed = allowed_threads(len(cores), psutil.cpu_count(logical=False), _quota(Path("/sys/fs/cgroup")))
    return left_over(allowed, _busy(cores, sample)) if allowed > 1 else 1


def allowed_threads(affinity: int, physical: int | None, quota: float | None) -> int:
    """The most threads that make sense on an otherwise idle machine.

    Args:
        affinity: logical cores this process may run on.
        physical: physical cores of the machine, where known: two threads on one gain nothing for matrix products.
        quota: cores' worth of time that the container grants, where there is a limit.

    >>> allowed_threads(8, 4, 2.5)
    2
    """
    return max(1, min(affinity, physical or affinity, int(quota) if quota else affinity))


def left_over(allowed: int, busy: float) -> int:
    """Threads that fit beside `busy` cores' worth of other work: a core more than half taken counts as taken.

    >>> left_over(2, 0.1), left_over(2, 0.98), left_over(2, 2.0)
    (2, 1, 1)
    """
    return max(1, int(allowed - busy + 0.5))


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quota(root: Path) -> float | None:
    """Cores granted by the container's own cgroup (version 2, then 1), None where there is no limit."""
    try:
        if (root / "cpu.max").is_file():
            limit, period = (root / "cpu.max").read_text().split()
        else:
            limit, period = ((root / "cpu" / f"cpu.cfs_{word}_us").read_text().strip() for word in ("quota", "period"))
        return float(limit) / float(period) if limit not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def _busy(cores: list[int], sample: float) -> float:
    """Cores' worth of work that other processes did on these cores during `sample` seconds."""
    began, own = time.perf_counter(), time.process_time()
    percent = psutil.cpu_percent(interval=sample, percpu=True)
    mine = (time.process_time() - own) / (time.perf_counter() - began)
    return max(0.0, sum(percent[core] for core in cores if core < len(percent)) / 100 - mine)
