"""Time and memory of the parts against their peers, on one thread, alternating in one run, with the results compared.

    python benchmarks/parts.py                     # all parts at the sizes that are claimed
    python benchmarks/parts.py knn --bank 5000     # one part, smaller

Times are processor seconds of this process, the median over the rounds, so that other programs on the machine weigh
little. Peak memory is read in a fresh process for each side, above what was held when the call began. lightly comes
with `uv sync --group bench`.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

Pair = dict[str, Callable[[], Any]]


def rounds(pair: Pair, count: int) -> dict[str, list[float]]:
    """Processor seconds of each side, the sides taking turns, after one call of each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in pair}
    for turn in range(count + 1):
        for name, call in pair.items():
            start = time.process_time()
            call()
            if turn:
                times[name].append(time.process_time() - start)
    return times


def peak(make: Callable[..., Pair], name: str, size: tuple[int, ...]) -> float:
    """MB that one side needs above what is held when it starts, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=_peak, args=(make, name, size, answer))
    process.start()
    process.join()
    return float(answer.get())


def _peak(make: Callable[..., Pair], name: str, size: tuple[int, ...], answer: SimpleQueue[float]) -> None:
    torch.set_num_threads(1)
    make(64, *size[1:])[name]()  # libraries are loaded before the count begins
    call = make(*size)[name]
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew at what is held now
    before = _highest()
    call()
    answer.put(_highest() - before)


def _highest() -> float:
    """Most memory in MB that this process held."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def nt_xent(batch: int, width: int) -> Pair:
    """Loss and gradients of two views."""
    from lightly.loss.ntx_ent_loss import NTXentLoss

    from unlabeled.objectives.info_nce import info_nce

    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(batch, width, generator=random, requires_grad=True) for _ in range(2))
    loss = NTXentLoss(temperature=0.2)

    def run(function: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, ...]:
        value = function(a, b)
        return value.detach(), *torch.autograd.grad(value, (a, b))

    return {"unlabeled": lambda: run(info_nce), "lightly": lambda: run(loss)}


def neighbours(bank: int, width: int, queries: int) -> Pair:
    """The most probable class of each query among a bank of labelled features around 10 centres."""
    from lightly.utils.benchmarking.knn import knn_predict

    from unlabeled.protocols.knn import Knn

    random = np.random.default_rng(0)
    y = random.integers(0, 10, bank)
    centres = random.normal(size=(10, width)).astype(np.float32)
    x = centres[y] + 4 * random.normal(size=(bank, width)).astype(np.float32)
    ask = centres[random.integers(0, 10, queries)] + 4 * random.normal(size=(queries, width)).astype(np.float32)
    probe = Knn(k=20, temperature=0.1).fit(x, y)
    held = torch.nn.functional.normalize(torch.from_numpy(x), dim=1).T.contiguous()
    labels = torch.from_numpy(y)

    def theirs() -> np.ndarray:
        unit = torch.nn.functional.normalize(torch.from_numpy(ask), dim=1)
        parts = [knn_predict(part, held, labels, 10, knn_k=20, knn_t=0.1)[:, 0] for part in torch.split(unit, 256)]
        return torch.cat(parts).numpy()

    return {"unlabeled": lambda: probe.predict(ask).argmax(1), "lightly": theirs}


def labelled(items: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features around class centres that overlap, most of their spread in few directions, as encoders give them."""
    random = np.random.default_rng(0)
    y = random.permutation(np.arange(items) % classes)
    mix = random.normal(size=(width, width)) * np.arange(1, width + 1) ** -0.5
    centres = 0.12 * random.normal(size=(classes, width))
    return ((centres[y] + random.normal(size=(items, width))) @ mix.T).astype(np.float32), y


def probe(items: int, width: int, classes: int, pull: float = 0.0) -> Pair:
    """A linear probe: 13 strengths by 5-fold cross-validation and the last fit, or one fit where `pull` is given."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from unlabeled.data.splits import inner_folds
    from unlabeled.protocols import linear

    x, y = labelled(items, width, classes)
    folds = inner_folds(y, None, 5, 0)
    grid = [pull] if pull else np.geomspace(linear.STRONGEST, linear.WEAKEST, 13)

    def mine() -> linear.Linear:
        return linear.Linear(strength=pull / items).fit(x, y)

    def theirs() -> tuple[LogisticRegression, np.ndarray]:
        z = StandardScaler().fit_transform(x.astype(np.float64))
        scores = []
        for strength in grid if len(grid) > 1 else []:
            loss = 0.0
            model = LogisticRegression(max_iter=5000)
            for learn, check in folds:
                model.set_params(C=items / (strength * len(learn) * width)).fit(z[learn], y[learn])
                loss -= float(np.log(model.predict_proba(z[check])[np.arange(len(check)), y[check]]).sum())
            scores.append(loss)
        best = grid[int(np.argmin(scores))] if scores else pull
        return LogisticRegression(C=1 / (best * width), tol=1e-5, max_iter=5000).fit(z, y), z

    return {"unlabeled": mine, "scikit-learn": theirs}


def same_probe(pair: Pair, items: int, width: int) -> str:
    """Objectives of both, at the strength that each chose."""
    mine, (model, z) = pair["unlabeled"](), pair["scikit-learn"]()
    y = labelled(items, width, len(model.classes_))[1]
    strength = 1 / (model.C * items * width)
    logits = z @ model.coef_.T + model.intercept_
    logits -= logits.max(1, keepdims=True)
    log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    value = -log[np.arange(items), y].mean() + strength / 2 * width * np.square(model.coef_).sum()
    return f"strength {mine.strength:.3g} / {strength:.3g}, objective {mine.objective:.8f} / {value:.8f}"


def row(part: str, peer: str, pair: Pair, count: int, memory: str, same: str) -> None:
    """Print one line of the table."""
    times = rounds(pair, count)
    ratios = [b / a for a, b in zip(times["unlabeled"], times[peer], strict=True)]
    seconds = [statistics.median(times[name]) for name in ("unlabeled", peer)]
    span = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    print(f"| {part} | {seconds[0]:.3f} s | {peer} {seconds[1]:.3f} s | {span} | {memory} | {same} |", flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["nt-xent", "knn", "probe", "fit"], help="nt-xent, knn, probe, fit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4096, help="of NT-Xent, vectors of 128")
    parser.add_argument("--bank", type=int, default=50_000, help="of kNN, vectors of 512")
    parser.add_argument("--queries", type=int, default=1000, help="of kNN")
    parser.add_argument("--items", type=int, default=1200, help="labelled, of the linear probe, vectors of 512")
    parser.add_argument("--classes", type=int, default=6, help="of the linear probe")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| part | unlabeled | peer | times faster | peak memory | same result |\n|---|---|---|---|---|---|")
    if "nt-xent" in args.parts:
        pair = nt_xent(args.batch, 128)
        mine, theirs = pair["unlabeled"](), pair["lightly"]()
        gap = max(float((m - t).abs().max() / t.abs().max()) for m, t in zip(mine, theirs, strict=True))
        mb = [peak(nt_xent, name, (args.batch, 128)) for name in ("unlabeled", "lightly")]
        memory = f"{mb[0]:.0f} MB / {mb[1]:.0f} MB, {mb[1] / mb[0]:.1f} times less"
        row(f"NT-Xent, batch {args.batch}", "lightly", pair, args.rounds, memory, f"within {gap:.0e}")
    if "knn" in args.parts:
        pair = neighbours(args.bank, 512, args.queries)
        equal = np.mean(pair["unlabeled"]() == pair["lightly"]())
        row(f"kNN, bank {args.bank}", "lightly", pair, args.rounds, "", f"{100 * equal:.2f} % of predictions")
    for part, pull in (("probe", 0.0), ("fit", 0.1)):
        if part in args.parts:
            pair = probe(args.items, 512, args.classes, pull)
            same = same_probe(pair, args.items, 512)
            row(f"linear {part}, {args.items} items", "scikit-learn", pair, args.rounds, "", same)


if __name__ == "__main__":
    main()
