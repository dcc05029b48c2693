"""What a served detector of faults is worth: `python benchmarks/inspection.py FOUND PICTURES --threads 1`.

FOUND is what `unlabeled detect` wrote, PICTURES a folder to ask about. Told are seconds until the server answers, and
pictures per second of clients that ask one after the other, with one picture each: /predict, and /map.
"""

import argparse
import asyncio
from pathlib import Path

import numpy as np
from _requests import clients, multipart, served


def main() -> None:
    """Read the command line."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("found", type=Path)
    ask.add_argument("pictures", type=Path)
    ask.add_argument("--threads", type=int, default=1)
    ask.add_argument("--seconds", type=float, default=10.0)
    ask.add_argument("--rounds", type=int, default=3)
    args = ask.parse_args()
    files = sorted(f for f in args.pictures.rglob("*") if f.suffix in (".jpg", ".png", ".bmp"))[:256]
    with served(args.found, "--threads", str(args.threads)) as (port, process, start):
        spent = sum(process.cpu_times()[:2])
        print(f"start {start:.1f} s, {spent:.1f} s of CPU", flush=True)
        for path in ("/predict", "/map"):
            bodies = [multipart(f.read_bytes(), path) for f in files]
            for count in (1, 16):
                asyncio.run(clients(port, bodies, count, 2.0))
                rates, spans, before = [], list[float](), sum(process.cpu_times()[:2])
                for _ in range(args.rounds):
                    times, bad = asyncio.run(clients(port, bodies, count, args.seconds))
                    rates.append(len(times) / args.seconds)
                    spans += times
                cpu = (sum(process.cpu_times()[:2]) - before) / len(spans)
                p50, p99 = (1e3 * np.quantile(spans, q) for q in (0.5, 0.99))
                print(f"{path}, {count} at once: {np.median(rates):.1f} pictures/s ({min(rates):.1f} to "
                      f"{max(rates):.1f}), p50 {p50:.0f} ms, p99 {p99:.0f} ms, {1e3 * cpu:.1f} ms of CPU each, "
                      f"not answered {bad}", flush=True)  # fmt: skip
        print(f"memory {process.memory_info().rss / 2**20:.0f} MB")


if __name__ == "__main__":
    main()
