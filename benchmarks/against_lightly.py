"""Train from a folder of JPEGs, lightly's own script and ours in turns, and print speed, memory and accuracy.

    python benchmarks/against_lightly.py                        # all bars
    python benchmarks/against_lightly.py simclr-64 mae-64 --rounds 4

Each contender is a process of its own that stays alive and waits for its turn; a turn is one pass over the training
folder, with everything that belongs to it (lightly's loader starts its workers anew at each pass, as its script does).
The held-out pictures for the kNN figure are taken from the training folder; the test folder is never opened.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BATCH = 64


@dataclass(frozen=True)
class Bar:
    """One comparison and what it must show.

    Args:
        method: a name of our catalog that lightly has as well.
        size: side of the views, pixels.
        steps: optimizer steps of one pass; sets how many pictures the folder gets.
        speed: least ratio of speeds against each of lightly's forms.
        memory: largest ratio of peak memories, each with all the processes that it starts.
        busy: whether another process takes one core.
    """

    method: str
    size: int
    steps: int
    speed: dict[str, float]
    memory: float | None = None
    busy: bool = False


BARS = {
    "simclr-64": Bar("simclr", 64, 14, {"lightly": 3.0, "lightly-bf16": 2.4}, 1.0),
    "simclr-224": Bar("simclr", 224, 4, {"lightly": 3.5, "lightly-bf16": 1.55}, 0.75),
    "busy-core": Bar("simclr", 64, 5, {"lightly": 4.0}, busy=True),
    "mae-64": Bar("mae", 64, 14, {"lightly": 2.2}),
    "mae-224": Bar("mae", 224, 4, {"lightly": 2.2}),
    **{f"{m}-64": Bar(m, 64, 8, {"lightly": 1.5}) for m in ("moco", "byol", "simsiam", "vicreg", "swav", "dino")},
    "ijepa-64": Bar("ijepa", 64, 8, {"lightly": 1.5}),
    "ijepa-224": Bar("ijepa", 224, 4, {"lightly": 1.5}),
}
COLUMNS = (
    *("bar", "against", "threads", "lightly, images/s", "ours, images/s", "ratio", "with decoding", "must", "met"),
    *("ratio of CPU time", "MB of all processes", "MB of the main one", "kNN after equal steps"),
)
DEFAULT = ("simclr-64", "simclr-224", "busy-core", "mae-64")


class Contender:
    """A process that trains one pass whenever it is told to."""

    def __init__(self, kind: str, bar: Bar, folder: Path, threads: int) -> None:
        self.kind = kind
        command = [
            sys.executable,
            str(HERE / "_lightly_turns.py"),
            kind,
            bar.method,
            str(bar.size),
            str(folder),
            str(threads),
        ]
        env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        env |= {"UNLABELED_CACHE": str(folder / ".cache"), "UNLABELED_QUIET": "1", "PYTHONWARNINGS": "ignore"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE.parent / "src"), env.get("PYTHONPATH"))))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        told, heard = self.process.stdin, self.process.stdout
        if told is None or heard is None:
            raise SystemExit(f"{kind} was started without pipes")
        self.told, self.heard = told, heard
        self.start = self._answer()
        self.rates: list[float] = []
        self.seconds = self.cpu = self.items = 0.0

    def ask(self, word: str) -> dict[str, Any]:
        self.told.write(word + "\n")
        self.told.flush()
        return self._answer()

    def turn(self) -> None:
        answer = self.ask("turn")
        self.rates.append(answer["items"] / answer["seconds"])
        self.seconds += answer["seconds"]
        self.cpu += answer["cpu"]
        self.items += answer["items"]

    @property
    def rate(self) -> float:
        """Items a second, the middle one of the turns."""
        return statistics.median(self.rates)

    @property
    def whole_rate(self) -> float:
        """Items a second over all turns together with the decoding that came before them."""
        decoding: float = self.start["decode"]
        return self.items / (self.seconds + decoding)

    def close(self) -> None:
        self.told.close()
        self.process.wait(60)

    def _answer(self) -> dict[str, Any]:
        line = self.heard.readline()
        if not line:
            raise SystemExit(f"{self.kind} ended with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def pictures(data: Path, training: int, held: int) -> Iterator[Path]:
    """A folder with `train` and `test` class folders, both drawn evenly from the class folders of `data`."""
    classes = sorted(p for p in data.iterdir() if p.is_dir())
    by_turn = [sorted(c.iterdir()) for c in classes]
    files = [fs[i] for i in range(max(map(len, by_turn))) for fs in by_turn if i < len(fs)]
    if len(files) < training + held:
        raise SystemExit(f"{data} holds {len(files)} pictures, {training + held} are needed")
    with tempfile.TemporaryDirectory() as name:
        for number, file in enumerate(files[: training + held]):
            place = Path(name) / ("test" if number < held else "train") / file.parent.name / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        yield Path(name)


@contextmanager
def one_core_taken(wanted: bool) -> Iterator[None]:
    """Another process that never rests on the first core."""
    if not wanted:
        yield
        return
    code = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        try:
            yield
        finally:
            other.kill()


def compare(name: str, bar: Bar, args: argparse.Namespace) -> list[str]:
    """Measure one bar and return its rows of the table."""
    steps, rounds = args.steps or bar.steps, args.rounds
    with pictures(args.data, BATCH * steps, args.held_out) as folder, one_core_taken(bar.busy):
        kinds = [*bar.speed, "unlabeled"]
        # With a core taken, ours is left to find that out itself (0); lightly keeps what torch gives it.
        field = [Contender(k, bar, folder, 0 if bar.busy and k == "unlabeled" else args.threads) for k in kinds]
        for contender in field:
            contender.ask("warm")
        for _ in range(rounds):
            for contender in field:
                contender.turn()
        ends = [contender.ask("watch") | contender.ask("end") for contender in field]
        for contender in field:
            contender.close()
    ours, mine = field[-1], ends[-1]
    rows = []
    for them, theirs in zip(field[:-1], ends[:-1], strict=True):
        must = bar.speed[them.kind]
        ratio = ours.rate / them.rate
        whole = ours.whole_rate / them.whole_rate
        memory = mine["peak_mb"] / theirs["peak_mb"]
        limit = f" (≤ {bar.memory})" if bar.memory and them.kind == "lightly" else ""
        rows.append(
            f"| {name} | {them.kind} | {them.start['threads']}, {ours.start['threads']} "
            f"| {them.rate:.1f} ({min(them.rates):.1f}-{max(them.rates):.1f}) "
            f"| {ours.rate:.1f} ({min(ours.rates):.1f}-{max(ours.rates):.1f}) "
            f"| **{ratio:.2f}** | {whole:.2f} | ≥ {must} | {'yes' if whole >= must else 'NO'} "
            f"| {them.cpu / them.items * ours.items / ours.cpu:.2f} "
            f"| {theirs['tree_mb']:.0f}, {mine['tree_mb']:.0f}: {mine['tree_mb'] / theirs['tree_mb']:.2f}{limit} "
            f"| {theirs['peak_mb']:.0f}, {mine['peak_mb']:.0f}: {memory:.2f} "
            f"| {theirs['knn']:.3f}, {mine['knn']:.3f} ({mine['steps']} steps) |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", metavar="BAR", help=f"of {', '.join(BARS)}; default {' '.join(DEFAULT)}")
    default = HERE.parents[1] / "shared" / "data" / "neu_steel" / "train"
    parser.add_argument("--data", type=Path, default=default, help="folder of class folders of JPEGs")
    parser.add_argument("--threads", type=int, default=2, help="of both contenders")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each contender")
    parser.add_argument("--steps", type=int, default=0, help="optimizer steps of a turn; 0: each bar's own")
    parser.add_argument("--held-out", type=int, default=300, help="pictures for the kNN figure")
    args = parser.parse_args()
    if wrong := set(args.bars) - set(BARS):
        parser.error(f"there is no bar {', '.join(sorted(wrong))}; take {', '.join(BARS)}")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|", flush=True)
    for name in args.bars or DEFAULT:
        for row in compare(name, BARS[name], args):
            print(row, flush=True)
    print(
        f"\nBatch {BATCH}; load {os.getloadavg()[0]:.1f} at the end. Memory of all processes: the peak of a "
        "pass of its own, what several share counted once."
    )


if __name__ == "__main__":
    main()
