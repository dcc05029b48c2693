"""Planted truth: digits whose colour predicts their class in 95 % of the training pictures and misleads at the test.

    python benchmarks/planted.py colours --seeds 0,1,2     # what each arm loses when the colour turns against it
    python benchmarks/planted.py graphs                    # is the causal graph found? beside gcastle's NOTEARS

`graphs` wants `uv pip install --no-deps gcastle`.

`colours`: scikit-learn's digits, drawn at 32 px in a hue of their class (one in twenty in a random hue), at any
brightness. Encoders learn without labels, a linear probe on the labels of the same confounded pictures; then the
held-out digits are shown in their usual hue and in that of another class. `graphs`: factors with known equations, half
of them under interventions, 1,000 pairs; structural Hamming distances. The spread of raw
factors gives their order away (Reisach et al. 2021, arXiv:2102.13647), which standardised ones, as ours are, do not.
"""

import argparse
import colorsys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from unlabeled.blocks.causal import EDGE, SPARSE, STILL, Equations
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.objectives import scm
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.styled import Styled
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, embed
from unlabeled.training.run import create, learn

ENCODER = "test_resnet"  # small, as the pictures are
KINDS = ("hue", "gain", "contrast", "gamma")
ARMS = {
    "simclr": "simclr",
    "simclr + interventions as augmentation": "c2ssl(weight=0, restyled=true)",
    "c2ssl, contrast only": "c2ssl(weight=0)",
    "c2ssl, consistency only": "c2ssl(contrast=0)",
    "c2ssl": "c2ssl",
    "c2ssl, alternating": "c2ssl(mode=alternate)",
    "c2ssl, squares": "c2ssl(consistency=squares, weight=0.5)",
    "c2ssl, interventions as augmentation too": "c2ssl(restyled=true)",
}


def paint(shapes: np.ndarray, hues: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Digits (N, 8, 8) in 0 to 1 as coloured pictures (N, 32, 32, 3) uint8."""
    big = torch.nn.functional.interpolate(torch.from_numpy(shapes)[:, None].float(), 32, mode="bilinear")[:, 0].numpy()
    colours = np.array([colorsys.hsv_to_rgb(h % 1, 0.8, v) for h, v in zip(hues, light, strict=True)])
    return np.asarray(255 * (0.1 + 0.9 * big[..., None] * colours[:, None, None]), np.uint8)


def planted(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """An array file of confounded digits, and the test digits in the hue of another class with their labels."""
    from sklearn.datasets import load_digits

    bunch, random = load_digits(), np.random.default_rng(0)
    y, shapes = bunch.target, bunch.images / 16
    hues = np.where(random.random(len(y)) < 0.95, y / 10, random.random(len(y)))
    hues, light = hues + random.normal(0, 0.01, len(y)), random.uniform(0.5, 1.0, len(y))
    test = np.arange(len(y)) % 4 == 0
    file = folder / "planted.npz"
    x = paint(shapes, hues, light)
    np.savez(file, x_train=x[~test], y_train=y[~test], x_test=x[test], y_test=y[test])
    other = (y + random.integers(1, 10, len(y))) % 10 / 10
    return file, paint(shapes, other, light)[test], y[test]


def one(prepared: Prepared, text: str, seed: int, steps: int, turned: np.ndarray) -> list[float]:
    """Accuracy of an arm on test digits in their usual and in misleading colours, linear and then styled probe."""
    training = Training(threads=1, device="cpu")
    device = open_device(training)
    method, encoder = method_and_encoder(text, ENCODER)
    augmentation = Augmentation(horizontal_flip=0.0, crop=0.4, interventions=KINDS)
    recipe = compose(prepared, method, encoder, augmentation, training, steps, seed)
    with tempfile.TemporaryDirectory() as scratch:
        run = create(Path(scratch) / "run", recipe, {"data": "planted"})
        net = learn(run, Items(prepared.store, prepared.learning), device, title=f"{text} seed {seed}").encoder()
    device.place(net)
    looks, labels = recipe.looks(), prepared.table.labels
    rows = prepared.labelled
    x, usual = (embed(net, looks, prepared.store, r, device).numpy() for r in (rows, prepared.test))
    linear = Linear().fit(x, labels[rows], seed=0)
    styled = Styled().fit(net, Items(prepared.store, rows), labels[rows], looks, device).probe
    raw = torch.from_numpy(turned).movedim(-1, 1).contiguous()
    with torch.no_grad(), device.autocast():
        misled = torch.cat([net(looks.plain(part)).float() for part in torch.split(raw, 128)]).numpy()
    truth = labels[prepared.test]
    return [float((p.predict(f).argmax(1) == truth).mean()) for p in (linear, styled) for f in (usual, misled)]


def colours(args: argparse.Namespace) -> None:
    heads = [
        f"{p}, {w}" for p in ("linear probe", "styled probe") for w in ("usual colour", "misleading", "drop, points")
    ]
    print(f"| {args.steps} steps of 64, seeds {args.seeds} | {' | '.join(heads)} |\n{'|---' * 7}|")
    with tempfile.TemporaryDirectory() as scratch:
        file, turned, _ = planted(Path(scratch))
        prepared = prepare(file, size=32)
        for name, text in ARMS.items():
            if args.arms and name not in args.arms.split(";"):
                continue
            found = np.array([one(prepared, text, int(s), args.steps, turned) for s in args.seeds.split(",")])
            cells = []
            for pair in (found[:, :2], found[:, 2:]):
                drop = 100 * (pair[:, 0] - pair[:, 1])
                sd = drop.std(ddof=1) if len(drop) > 1 else float("nan")
                cells += [*(f"{v:.3f}" for v in pair.mean(0)), f"{drop.mean():.1f} ± {sd:.1f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def truth(count: int, factors: int, kinds: int, seed: int, bent: bool) -> tuple[np.ndarray, ...]:
    """A random graph, and factors before and after do(s), with s: edges (S + K, K), (N, K), (N, K), (N, S)."""
    random = np.random.default_rng(seed)
    strength, order = np.zeros((kinds + factors, factors)), random.permutation(factors)

    def some() -> float:
        return float(random.uniform(0.7, 1.5) * random.choice([-1, 1]))

    for i, a in enumerate(order):
        for b in order[i + 1 :]:
            if random.random() < 1.5 / factors:
                strength[kinds + a, b] = some()
    style = random.choice(factors, factors // 2, replace=False)
    for i in range(kinds):
        strength[i, random.choice(style)] = some()
    noise = random.normal(size=(count, factors))
    s = np.where(random.random((count, kinds)) < 0.5, 0, random.uniform(-1, 1, (count, kinds)))

    def world(s: np.ndarray) -> np.ndarray:
        u = np.zeros((count, factors))
        for j in order:
            drive = u @ strength[kinds:, j] + s @ strength[:kinds, j]
            u[:, j] = (1.5 * np.tanh(drive) if bent else drive) + noise[:, j]
        return u

    return strength != 0, world(np.zeros_like(s)), world(s), s


def found(u: np.ndarray, changed: np.ndarray, s: np.ndarray, steps: int = 2000) -> np.ndarray:
    """Strengths (S + K, K) that the equations learn from pairs."""
    torch.set_default_dtype(torch.float32)
    mean, spread = u.mean(0), u.std(0)
    before, after, do = (
        torch.tensor(x, dtype=torch.float32) for x in ((u - mean) / spread, (changed - mean) / spread, s)
    )
    torch.manual_seed(0)
    model = Equations(s.shape[1], u.shape[1])
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        at = torch.randint(len(u), (64,))
        observed, noise = model.costs(before[at], after[at], do[at])
        loss = observed + STILL * noise + SPARSE * model.density() + 0.5 * 100 ** (step / steps) * model.cycles()
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    return scm.without_cycles(model.adjacency().detach(), s.shape[1], EDGE).numpy()


def graphs(args: argparse.Namespace) -> None:
    from castle.algorithms import Notears, NotearsNonlinear

    print("| equations | factors + interventions | true edges | ours, all edges | ours, among factors", end=" ")
    print("| NOTEARS, among raw factors | NOTEARS, among standardised factors |")
    print("|---|---|---|---|---|---|---|")
    for bent in (False, True):
        for factors, kinds in ((6, 4), (12, 6)):
            rows = []
            for seed in range(5):
                edges, u, changed, s = truth(1000, factors, kinds, seed, bent)
                mine = found(u, changed, s) > EDGE
                torch.set_default_dtype(torch.float64)  # what gcastle computes in
                peer = NotearsNonlinear() if bent else Notears()
                theirs = []
                for plain in (u, (u - u.mean(0)) / u.std(0)):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        peer.learn(plain)  # the plain factors alone: it knows no interventions
                    theirs.append(scm.hamming(np.asarray(peer.causal_matrix), edges[kinds:]))
                among = (scm.hamming(mine[kinds:], edges[kinds:]), *theirs)
                rows.append((edges.sum(), scm.hamming(mine, edges), *among))
            mean = np.mean(rows, 0)
            each = ", ".join(str(r[1]) for r in rows)
            kind = "tanh" if bent else "linear"
            print(f"| {kind} | {factors} + {kinds} | {mean[0]:.1f} | {mean[1]:.1f} ({each}) | {mean[2]:.1f}", end=" ")
            print(f"| {mean[3]:.1f} | {mean[4]:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("colours", "graphs"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--arms", default="", help="some of them, by semicolons")
    args = parser.parse_args()
    (colours if args.what == "colours" else graphs)(args)


if __name__ == "__main__":
    main()
