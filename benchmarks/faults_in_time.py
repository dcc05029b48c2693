"""Faults in recordings, learnt from good ones alone: `detect` beside rules that look at the values themselves.

`python benchmarks/faults_in_time.py ett har bleeding --out work/ --seeds 3`

Good: the training months of ETTh1, the training persons of `har_smartphone`, the good part of one series of the UCR
anomaly archive. To test on: pieces of the test months and of other persons with faults of ten kinds drawn by another
generator than the detector's own, as many pieces without; and that series' real fault. With `--choose` the pieces come
from the validation months and from training persons that are kept apart.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from unlabeled.anomaly import _figures
from unlabeled.formats import recording
from unlabeled.settings import Budget, Setup, Training
from unlabeled.verbs.detect import detect

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
KINDS = ("spike", "shift", "noise", "stuck", "drift", "gain", "tempo", "decoupled", "flipped", "foreign")
EACH = {"ett": 24, "har": 20}  # pieces of each kind
PIECE = {"ett": 256, "har": 384}  # their steps
MONTH = 30 * 24
PLAIN = 16  # steps of the pieces that plain rules look at


def fault(x: np.ndarray, kind: str, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A series (V, T) in units of the data's spread with one fault of a kind, and which steps bear it (T,)."""
    variables, steps = x.shape
    x, where = x.copy(), np.zeros(steps, bool)
    n = int(rng.integers(8, 32))
    a = int(rng.integers(0, steps - n))
    part = slice(a, a + n)
    where[part] = True
    some = rng.permutation(variables)[: int(rng.integers(1, variables // 2 + 2))]
    if kind == "spike":
        where[:] = False
        at = a + rng.permutation(n)[: int(rng.integers(1, 4))]
        where[at] = True
        for v in some:
            x[v, at] += rng.choice([-1, 1]) * rng.uniform(1.5, 4, len(at))
    elif kind == "tempo":
        times = a + np.arange(n) * rng.choice([0.5, 2.0])
        for v in range(variables):
            x[v, part] = np.interp(times % steps, np.arange(steps), x[v])
    elif kind == "decoupled":
        for v in some:
            x[v, part] = np.roll(x[v], int(rng.integers(16, 64)))[part]
    else:
        for v in some:
            own, sign = x[v, part].copy(), rng.choice([-1, 1])
            x[v, part] = {
                "shift": own + sign * rng.uniform(0.5, 1.5),
                "noise": own + rng.uniform(0.3, 1.0) * rng.normal(size=n),
                "stuck": np.full(n, own[0]),
                "drift": own + sign * rng.uniform(0.8, 2.0) * np.linspace(0, 1, n),
                "gain": own.mean() + (own - own.mean()) * rng.choice([0.3, 2.5]),
                "flipped": own[::-1] if rng.random() < 0.5 else 2 * own.mean() - own,
                "foreign": other[v, part],
            }[kind]
    return x, where


def ett(choose: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A year to learn from, and four months to draw on."""
    x = pd.read_csv(DATA / "ett" / "ETTh1.csv").iloc[:, 1:].to_numpy(np.float64).T
    first = (12 if choose else 16) * MONTH
    return [x[:, : 12 * MONTH]], [x[:, first : first + 4 * MONTH]]


def har(choose: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Recordings of persons to learn from, and of others to draw on."""
    rows = pd.read_csv(DATA / "har_smartphone" / "split.csv")
    persons = sorted(rows[rows["split"] == "train"]["subject"].unique())
    apart = persons[-4:] if choose else sorted(rows[rows["split"] == "test"]["subject"].unique())
    learn = persons[:-4] if choose else persons
    out: list[list[np.ndarray]] = [[], []]
    for file, subject in zip(rows["file"], rows["subject"], strict=True):
        side = 0 if subject in learn else 1 if subject in apart else None
        if side is not None:
            found = recording.read(DATA / "har_smartphone" / file)
            out[side] += [r.values.astype(np.float64) for r in found.values()]
    return out[0], out[1]


def write(name: str, folder: Path, choose: bool) -> tuple[Path, Path]:
    """Good recordings and pieces to test on, as tables."""
    good, other = {"ett": ett, "har": har}[name](choose)
    rng, size = np.random.default_rng(0), PIECE[name]
    every = np.concatenate(good, 1)
    mean, spread = every.mean(1, keepdims=True), every.std(1, keepdims=True)
    places = (folder / f"{name}-good", folder / f"{name}-test{'-choose' if choose else ''}")
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    for number, x in enumerate(good):
        _table(x).to_csv(places[0] / f"{number:02d}.csv", index=False)

    def piece() -> np.ndarray:
        x = other[int(rng.integers(len(other)))]
        a = int(rng.integers(0, x.shape[1] - size + 1))
        return np.asarray((x[:, a : a + size] - mean) / spread)

    for kind in (*KINDS, *[""] * len(KINDS)):
        for number in range(EACH[name]):
            x, where = piece(), np.zeros(size, bool)
            if kind:
                x, where = fault(x, kind, piece(), rng)
            marks = np.where(where, kind, "good")
            file = f"{kind or f'good{rng.integers(1 << 30)}'}-{number:02d}.csv"
            _table(x * spread + mean).assign(label=marks).to_csv(places[1] / file, index=False)
    return places


def _table(x: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(x.T, columns=[f"v{i}" for i in range(len(x))])
    return table.assign(time=np.arange(x.shape[1]))


def plain(good: Path, test: Path, seed: int) -> dict[str, dict[str, float]]:
    """AUROC of steps by an isolation forest and by the nearest neighbour, on pieces of a few steps as they are."""

    def pieces(file: Path) -> tuple[np.ndarray, np.ndarray]:
        frame = pd.read_csv(file)
        ill = ~frame["label"].isin(["good", "0", 0]).to_numpy() if "label" in frame else np.zeros(len(frame), bool)
        x = frame.drop(columns=["time", "label"], errors="ignore").to_numpy()
        at = np.arange(len(x)) - PLAIN // 2
        rows = np.clip(at[:, None] + np.arange(PLAIN), 0, len(x) - 1)
        return x[rows].reshape(len(x), -1), ill

    rng = np.random.default_rng(seed)
    learn = np.concatenate([pieces(f)[0][:: 8 if good.is_dir() else 1] for f in _files(good)])
    learn = learn[rng.permutation(len(learn))[:8000]]
    mean, spread = learn.mean(0), learn.std(0) + 1e-9
    found = [pieces(f) for f in _files(test)]
    x, ill = (np.concatenate([f[i] for f in found]) for i in (0, 1))
    learn, x = (learn - mean) / spread, (x - mean) / spread
    forest = IsolationForest(n_estimators=200, random_state=seed, n_jobs=1).fit(learn)
    near = NearestNeighbors(n_neighbors=1, n_jobs=1).fit(learn)
    scores = {"isolation forest": -forest.score_samples(x), "nearest neighbour": near.kneighbors(x)[0][:, 0]}
    return {k: {"steps": _figures.auroc(s[ill], s[~ill])} for k, s in scores.items()}


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.csv")) if path.is_dir() else [path]


def run(name: str, args: argparse.Namespace) -> None:
    """All detectors on one set."""
    if name == "bleeding":
        own = DATA / "ts_archive" / "InternalBleeding16"
        good, test = (args.out / f"bleeding-{part}.csv" for part in ("good", "test"))
        for part, file in (("TRAIN", good), ("TEST", test)):
            table = pd.read_csv(own / f"InternalBleeding16_{part}.csv")
            table.rename(columns={"timestamp": "time", "is_anomaly": "label"}).to_csv(file, index=False)
    else:
        good, test = write(name, args.out, args.choose)
    rows = []
    for seed in range(args.seeds):
        rows += [{"arm": k, "seed": seed, **v} for k, v in plain(good, test, seed).items()]
        for detector in args.detectors.split(";"):
            spec, _, method = detector.partition("@")
            out = (
                args.out / f"{name}{'-choose' if args.choose else ''}-{spec.partition('(')[0]}-{method or '0'}-s{seed}"
            )
            done = detect(
                str(good), on=str(test), detector=spec, method=method or None,
                setup=Setup(out=str(out), seed=seed, size=128, stride=64 if name == "har" else 0, encoder=args.encoder),
                budget=Budget(steps=args.steps) if method else Budget(),
                training=Training(threads=1, device="cpu", batch_size=64),
            )  # fmt: skip
            f = done.figures
            row = {"arm": detector, "seed": seed, "steps": f["pixels"]["all"]["auroc"]}
            row |= {"windows": f["images"]["all"]["auroc"], "alarms": f["false_alarms"]["share"]}
            row |= {"hit": f["events"]["hit"], "true": f["events"]["true"], "empty": f["events"]["empty"]}
            kinds = {k: round(v["auroc"], 3) for k, v in f["pixels"].items() if k != "all"}
            print(json.dumps(row | {"kinds": kinds}), flush=True)
            rows.append(row)
    table = pd.DataFrame(rows)
    print(
        name, table.groupby("arm", sort=False).agg(["mean", "std"]).round(3).drop(columns="seed").to_string(), sep="\n"
    )
    table.to_csv(args.out / f"{name}{'-choose' if args.choose else ''}.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", choices=("ett", "har", "bleeding"))
    parser.add_argument("--out", type=Path, default=Path("work"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--detectors", default="stretches;patches@simclr;patches@tst;reconstruction@tst")
    parser.add_argument("--encoder", default=None, help="of the detectors that look through one")
    parser.add_argument("--steps", type=int, default=300, help="of their pretraining")
    parser.add_argument("--choose", action="store_true", help="on months and persons that settings may be chosen on")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        run(name, args)


if __name__ == "__main__":
    main()
