"""Time the way from files to items: the index of many paths, a scan with all its checks, decoding, opening again.

    python benchmarks/scan.py --pictures steel/train --paths 1000000

Without `--pictures` it writes pictures of its own (200 x 200 grey JPEGs of smoothed noise). Beside the seconds by the
clock stand the processor's, which say more where other programs run. One core and all cores take turns.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image, ImageFilter

from unlabeled.data import store
from unlabeled.data.scan import scan as index
from unlabeled.data.source import workers
from unlabeled.verbs.scan import scan


def timed(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor in all threads."""
    clock, processor = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - clock, time.process_time() - processor


def row(what: str, seconds: tuple[float, float], count: int) -> None:
    print(f"| {what} | {seconds[0]:.2f} | {seconds[1]:.2f} | {count / seconds[0]:,.0f} |", flush=True)


def folders(root: Path, paths: int) -> None:
    """Empty files in 100 class folders; the index opens none."""
    for c in range(100):
        (root / f"class_{c:02d}").mkdir(parents=True)
        for i in range(paths // 100):
            os.close(os.open(root / f"class_{c:02d}" / f"picture_{i:06d}.jpg", os.O_CREAT | os.O_WRONLY))


def pictures(root: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for i in range(count):
        (root / str(i % 6)).mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(random.integers(0, 256, (200, 200), dtype=np.uint8))
        noise.filter(ImageFilter.GaussianBlur(1)).save(root / str(i % 6) / f"{i}.jpg", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures")
    parser.add_argument("--count", type=int, default=2000, help="pictures that are written when no folder is given")
    parser.add_argument("--paths", type=int, default=1_000_000, help="empty files for the index; 0 leaves it out")
    parser.add_argument("--size", type=int, default=64, help="side of the views")
    parser.add_argument("--rounds", type=int, default=3, help="turns of one core and all cores")
    given = parser.parse_args()
    os.environ["UNLABELED_QUIET"] = "1"
    print("| what | seconds | processor seconds | items/s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        if given.paths:
            folders(here / "many", given.paths)
            row(f"index of {given.paths:,} paths", timed(lambda: index(here / "many")), given.paths)
            shutil.rmtree(here / "many")
        data = given.pictures or here / "pictures"
        if given.pictures is None:
            pictures(data, given.count)
        table = index(data)
        count = len(table)
        row(f"scan of {count:,} pictures with all checks", timed(lambda: scan(str(data))), count)
        prep = store.plan(table, given.size)
        for _ in range(given.rounds):
            for cores in dict.fromkeys((1, workers())):
                shutil.rmtree(here / "cache", ignore_errors=True)
                with patch.object(store, "workers", return_value=cores):
                    seconds = timed(lambda: store.build(table, prep, cache=here / "cache", progress=False))
                row(f"decoding to {prep.size} px, threads: {cores}", seconds, count)
        row("opening them again", timed(lambda: store.build(table, prep, cache=here / "cache", progress=False)), count)


if __name__ == "__main__":
    main()
