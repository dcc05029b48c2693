"""Time a step of every method beside SimCLR's, in turns in one process, and write the figures into the method files.

    python benchmarks/methods.py            # print the table
    python benchmarks/methods.py --write    # and put each cost into its file, from where the help and the docs take it

Each method has its own default encoder, the same items in a step and the same size of views, from decoded pictures, or
from recordings where the method is made for series.
"""

import argparse
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from unlabeled import catalog
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.errors import UserError
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training import optim
from unlabeled.training.devices import Device, open_device
from unlabeled.training.loop import Items, Step, begin_pass, train

HERE = Path(__file__).resolve().parent


def steps_of(name: str, prepared: Prepared, training: Training, device: Device) -> tuple[Iterator[Step], float]:
    """An endless training of a method, and each step's seconds of what the method does before a pass over the items."""
    parts = method_and_encoder(name, None, prepared.table.modality)
    recipe = compose(prepared, *parts, Augmentation(), training, 100_000, 0)
    method = device.place(recipe.build())
    optimizer = optim.build(optim.groups(method, 0.0), training, 1e-4, method.betas)
    items = Items(prepared.store, prepared.learning)
    looks = recipe.looks()
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        begin_pass(method, looks, items, device)
        before = (time.perf_counter() - began) / (len(items) // training.batch_size)
    whole = train(method, optimizer, items, looks, steps=recipe.steps, training=training, device=device, seed=0)
    return whole, before


def measure(name: str, prepared: Prepared, training: Training, device: Device, args: argparse.Namespace) -> float:
    """Seconds of a step over those of a SimCLR step, the median of the turns."""
    pair = [steps_of(n, prepared, training, device) for n in ("simclr", name)]
    ratios, seconds = [], 0.0
    for turn in range(args.rounds + 1):  # the first warms up
        took = []
        for steps, before in pair:
            began = time.perf_counter()
            for _ in range(args.steps):
                float(next(steps).loss)
            took.append((time.perf_counter() - began) / args.steps + before)
        if turn:
            ratios.append(took[1] / took[0])
            seconds = took[1]
    cost: float = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"| {name} | {seconds:.3f} | {training.batch_size / seconds:.0f} | {cost:.2f} | {spread} |", flush=True)
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="all of the catalog when none is named")
    grey = HERE.parents[1] / "shared" / "data" / "neu_steel"
    parser.add_argument("--data", type=Path, default=grey, help="folder of pictures")
    parser.add_argument(
        "--colour", type=Path, default=grey.parent / "traffic_signs", help="for methods that want colour"
    )
    parser.add_argument(
        "--series", type=Path, default=grey.parent / "har_smartphone", help="recordings, for methods made for series"
    )
    parser.add_argument("--size", type=int, default=64, help="of the pictures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    parser.add_argument("--write", action="store_true", help="put the costs into the method files")
    args = parser.parse_args()
    training = Training(threads=args.threads, device="cpu")
    device = open_device(training)
    print("| method | seconds a step | items/s | over SimCLR's | turns |\n|---|---|---|---|---|")
    for name in args.methods or catalog.names("methods"):
        pictures = "image" in catalog.entry("methods", name).facts.get("modalities", ("image",))
        prepared = prepare(args.data, size=args.size) if pictures else prepare(args.series)
        try:
            cost = measure(name, prepared, training, device, args)
        except UserError as error:
            try:
                cost = measure(name, prepare(args.colour, size=args.size), training, device, args)
            except UserError:
                print(f"{name}: not timed, {error}", flush=True)
                continue
        if args.write:
            file = catalog.locate("methods", name)
            text, line = file.read_text("utf-8"), f"    cost: ClassVar[float] = {cost:.1f}\n"
            if "    cost: ClassVar[float]" in text:
                text = re.sub(r"    cost: ClassVar\[float\] = [\d.]+\n", line, text)
            else:
                text = re.sub(r"(    when: ClassVar\[str\] = .*\n)", rf"\g<1>{line}", text, count=1)
            file.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
