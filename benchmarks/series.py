"""Series and records on real data: who is walking, who survives, which vowel; methods beside rules without learning.

    python benchmarks/series.py activity --out work/       # unseen persons' activities from a phone
    python benchmarks/series.py ward --out work/           # death in hospital from the first two days in intensive care
    python benchmarks/series.py wards --out work/          # the same with every kind of unit kept back in turn
    python benchmarks/series.py archive --out work/        # five small sets, beside 1-NN with dynamic time warping
    python benchmarks/series.py ahead --out work/          # electricity: what comes next, from frozen features
    python benchmarks/series.py ragged                     # a GRU over records of 7 to 104 steps, beside torch's

Each writes what it learns from (a manifest, or a folder of links) and calls `unlabeled compare` or `transfer` with the
settings below; stopped, it goes on. Settings were chosen on training persons or patients that were kept apart; the test
part is that of the data. `--table` prints what stands there and trains nothing.
"""

import argparse
import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch.nn.utils import rnn

from unlabeled import stats
from unlabeled.ahead import scores
from unlabeled.ahead.forecast import LINEAR
from unlabeled.ahead.forecast import forecast as foretell
from unlabeled.data.prepare import prepare
from unlabeled.data.scan import scan
from unlabeled.encoders._gru import read
from unlabeled.encoders.gru import GRU
from unlabeled.modalities.series import Series
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs.compare import compare
from unlabeled.verbs.forecast import table
from unlabeled.verbs.pretrain import pretrain
from unlabeled.verbs.transfer import transfer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ACTIVITIES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
UNITS = {"1": "coronary", "2": "cardiac surgery", "3": "medical", "4": "surgical"}
SETS = ("ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels")
KEPT_BACK = ("3", "8", "16", "21")  # training persons that settings are chosen on


def activity(out: Path, choose: bool) -> Path:
    """A folder with the recordings, the split, and names for the six activities alone: transitions are no class."""
    root, folder = DATA / "har_smartphone", out / ("activity-choose" if choose else "activity")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "recordings").exists():
        (folder / "recordings").symlink_to(root / "recordings")
    names = "".join(f"{i},{name}\n" for i, name in enumerate(ACTIVITIES, 1))
    (folder / "activities.csv").write_text("id,name\n" + names)
    rows = pd.read_csv(root / "split.csv", dtype=str)
    if choose:
        rows = rows[rows["split"] != "test"]
        rows = rows.assign(split=np.where(rows["subject"].isin(KEPT_BACK), "test", "train"))
    rows.to_csv(folder / "split.csv", index=False)
    return folder


def ward(out: Path, choose: bool, *, told_unit: bool = True) -> Path:
    """A manifest of the patients: died or lived, and the kind of unit as the domain.

    Without `told_unit` the records themselves do not tell it: of a unit kept back it would be a number never seen.
    """
    root, file = DATA / "icu_physionet2012", out / ("ward-choose.csv" if choose else "ward.csv")
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    with (root / "outcomes.csv").open() as told, file.open("w", newline="") as handle:
        write = csv.writer(handle)
        write.writerow(["path", "label", "domain", "split"])
        for r in csv.DictReader(told):
            split = r["split"]
            if choose and split == "test":
                continue
            if choose:
                split = "test" if random.uniform() < 0.25 else "train"
            label = "died" if r["In_hospital_death"] == "1" else "lived"
            path = root / r["split"] / f"{r['RecordID']}.txt"
            if not told_unit:
                path = _without_unit(path, out.resolve() / "records")
            write.writerow([path, label, UNITS[r["ICUType"]], split])
    return file


def _without_unit(record: Path, folder: Path) -> Path:
    """A copy of a record that does not tell the kind of unit."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / record.name
    if not copy.exists():
        beside = copy.with_suffix(".part")
        beside.write_text("".join(line for line in record.open() if ",ICUType," not in line))
        beside.replace(copy)
    return copy


def run_compare(data: Path, args: argparse.Namespace, labels: Sequence[float], views: Augmentation) -> Path:
    """A comparison with the settings of the command line; its folder."""
    folder: Path = args.out / f"{data.stem}-{args.name}"
    if not args.table:
        found = compare(
            str(data),
            methods=args.methods.split(";"),
            labels=labels,
            seeds=args.seeds,
            draws=args.draws,
            protocols=args.protocols.split(";"),
            setup=Setup(encoder=args.encoder or None, out=str(folder), step=args.step),
            budget=Budget(epochs=args.epochs),
            training=Training(threads=1, device="cpu", batch_size=args.batch),
            augmentation=views,
        )
        print("\n".join(found.lines()))
    return folder


def show(folder: Path, metrics: Sequence[str], against: str) -> None:
    """Tables of a study in Markdown, with each contender's paired difference to one of them."""
    summary, differences = (pd.read_csv(folder / f"{n}.csv") for n in ("summary", "differences"))
    budgets = sorted(summary["labels"].unique())
    for metric in metrics:
        print(f"\n| {metric} | {' | '.join(f'{n:,} labels' for n in budgets)} |\n|---{'|---' * len(budgets)}|")
        part = summary[summary["metric"] == metric]
        order = part.groupby(["arm", "protocol"])["mean"].mean().sort_values(ascending=False).index
        for arm, protocol in order:
            own = part[(part["arm"] == arm) & (part["protocol"] == protocol)].set_index("labels")
            cells = [f"{own.loc[n, 'mean']:.3f} ± {own.loc[n, 'sd']:.3f}" if n in own.index else "" for n in budgets]
            print(f"| {arm}, {protocol} | {' | '.join(cells)} |")
    mine = differences[(differences["arm_b"] == against) & (differences["protocol_a"] == differences["protocol_b"])]
    print(f"\npoints of accuracy over {against}, paired, 95 %:")
    for r in mine.to_dict("records"):
        told = f"{100 * r['difference']:+.1f} ({100 * r['low']:+.1f} to {100 * r['high']:+.1f})"
        print(f"- {r['arm_a']}, {r['protocol_a']}, {r['labels']} labels: {told}")


def archive(args: argparse.Namespace) -> None:
    """Accuracy on the five sets: the default arm, random kernels, statistics, and 1-NN with dynamic time warping."""
    rows = {}
    for name in SETS:
        data = DATA / "ts_archive" / name
        folder = run_compare(data, args, [1.0], Augmentation())
        summary = pd.read_csv(folder / "summary.csv")
        part = summary[(summary["metric"] == "accuracy")]
        rows[name] = {f"{r['arm']}, {r['protocol']}": r["mean"] for r in part.to_dict("records")}
        rows[name]["1-NN, dynamic time warping"] = warped(data)
        print(name, rows[name]["1-NN, dynamic time warping"], flush=True)
    table = pd.DataFrame(rows)
    table["mean"] = table.mean(axis=1)
    for arm, row in table.sort_values("mean", ascending=False).iterrows():
        print(f"| {arm} | {' | '.join('' if pd.isna(v) else f'{v:.3f}' for v in row)} |")


def warped(data: Path) -> float:
    """Accuracy of the nearest neighbour under dynamic time warping of all variables together, unbounded."""
    prepared = prepare(data)
    table, store = prepared.table, prepared.store
    spread = np.array(prepared.std[1:])[:, None]
    items = [(x[1:, : int(x[0].sum())] / np.where(spread > 0, spread, 1)).T for x in store.array]
    labels = table.labels
    right = 0
    for row in prepared.test:
        found = [_dtw(items[row], items[other]) for other in prepared.labelled]
        right += labels[prepared.labelled[int(np.argmin(found))]] == labels[row]
    return right / len(prepared.test)


def ragged(rounds: int = 9) -> None:
    """CPU time of a GRU, both ways: ours packed, ours filled up and masked, and that of torch packed; over vowels of
    7 to 29 steps, and over records of 104 with the width of `icu_physionet2012`.
    """
    torch.set_num_threads(1)
    vowels = prepare(DATA / "ts_archive" / "JapaneseVowels")
    look = Series(size=32, channels=13, mean=vowels.mean, std=vowels.std)
    long = torch.randn(128, 119, 104)
    long[:, 0] = torch.arange(104) < torch.randint(90, 105, (128, 1))
    for name, view in (("vowels", look.plain(vowels.store.batch(vowels.learning[:256]))), ("records", long)):
        filled = view.clone()
        filled[:, 0] = 1  # as if all were whole: every step is computed
        torch.manual_seed(0)
        encoder = GRU(view.shape[1], view.shape[2], width=128)
        ways = {"ours": (view, read), "filled up": (filled, read), "torch's": (view, _of_torch)}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (x, reads) in ways.items():
                began = time.process_time()
                with mock.patch("unlabeled.encoders.gru.read", reads):
                    torch.autograd.backward(encoder(x).square().mean())
                seconds[way].append(time.process_time() - began)
        print(f"{name}: {view[:, 0].mean().item():.0%} of the steps lie inside a record")
        took = {way: float(np.median(all_)) for way, all_ in seconds.items()}
        for way, mine in took.items():
            print(f"- {way}: {1000 * mine:.0f} ms, {mine / took['ours']:.2f} times ours")


def _of_torch(net: torch.nn.GRU, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    packed, end = net(rnn.pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False))
    return rnn.pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0], end


def ahead(args: argparse.Namespace) -> None:
    """Errors of forecasts 24 and 168 hours ahead, for each of the two transformers, from a week; with `--choose` for
    the first alone, tested on the months that settings are chosen on, the map's strength on the last ones before them.
    """
    for name in ("ETTh1",) if args.choose else ("ETTh1", "ETTh2"):
        rows = pd.read_csv(DATA / "ett" / "split.csv", dtype=str)
        data = args.out / (f"{name}-choose.csv" if args.choose else f"{name}.csv")
        own = rows[rows["file"] == f"{name}.csv"]
        if args.choose:
            own = own[own["split"] != "test"].replace({"split": {"val": "test"}})
        own.assign(file=str(DATA / "ett" / f"{name}.csv")).to_csv(data, index=False)
        runs = []
        for method in args.methods.split(";"):
            for seed in range(args.seeds):
                folder = args.out / f"{name}-{args.name}-{method.partition('(')[0]}-s{seed}"
                where = Setup(encoder=args.encoder or None, out=str(folder), size=168, stride=4, seed=seed)
                how = Training(threads=1, device="cpu", batch_size=args.batch)
                views = Augmentation(jitter=args.jitter, crop=args.crop)
                budget = Budget(epochs=args.epochs)
                pretrain(str(data), method=method, setup=where, budget=budget, training=how, augmentation=views)
                runs.append(str(folder))
        found = foretell([Run.open(r) for r in runs], scan(str(data)), (24, 168), open_device(Training(threads=1)))
        print("\n".join(table(scores.summary(found.errors, found.groups, "horizon", LINEAR), "horizon")))
        for told in _apart(found.errors, found.groups):
            print(f"- {name}, {told}", flush=True)


def _apart(errors: Sequence[Mapping[str, Any]], groups: Mapping[int, np.ndarray]) -> Iterator[str]:
    """Of every arm the squared error, and by how much it is above the linear rule's and the untrained encoder's, paired
    on windows and, of the latter, on seeds.
    """
    arms = list(dict.fromkeys(str(e["arm"]) for e in errors))
    for h, own in groups.items():
        cells = {a: [(e["seed"], 0, e["mse"]) for e in errors if e["arm"] == a and e["horizon"] == h] for a in arms}
        for arm in arms:
            mean = np.array([x.mean() for _, _, x in cells[arm]])
            told = f"{arm}, {h} h: {mean.mean():.3f} ± {mean.std(ddof=1) if len(mean) > 1 else 0:.3f}"
            linear = [(s, d, cells[LINEAR][0][2]) for s, d, _ in cells[arm]]
            for beside, theirs in ((LINEAR, linear), ("random", cells["random"])):
                if arm not in (LINEAR, beside) and (beside == LINEAR or len(theirs) == len(mean)):
                    gap = stats.paired_difference(cells[arm], theirs, groups=own)
                    told += f"; over {beside} {gap.difference:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
            yield told


def _dtw(a: np.ndarray, b: np.ndarray) -> float:
    """Dynamic time warping of (T, V) and (S, V), one anti-diagonal of the table at a time."""
    cost = ((a[:, None] - b[None]) ** 2).sum(2)
    n, m = cost.shape
    before, last = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    last[0] = 0.0
    for d in range(2, n + m + 1):
        i = np.arange(max(1, d - m), min(n, d - 1) + 1)
        now = np.full(n + 1, np.inf)
        now[i] = cost[i - 1, d - i - 1] + np.minimum(np.minimum(last[i - 1], last[i]), before[i - 1])
        before, last = last, now
        if d == 2:
            before[0] = np.inf
    return float(last[n])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("activity", "ward", "wards", "archive", "ahead", "ragged"))
    parser.add_argument("--out", type=Path, default=Path("work"))
    parser.add_argument("--name", default="study", help="of the folder")
    parser.add_argument("--methods", default="simclr;byol;vicreg;mae;c2ssl", help="by semicolons")
    parser.add_argument("--protocols", default="linear", help="by semicolons")
    parser.add_argument("--encoder", default="")
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--step", type=float, default=0, help="of the grid in time; 0 takes what the files suggest")
    parser.add_argument("--jitter", type=float, default=0.5)
    parser.add_argument("--crop", type=float, default=None, help="least share of a window's time in a view, of `ahead`")
    parser.add_argument(
        "--choose", action="store_true", help="on training persons, patients or months that are kept apart"
    )
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    views = Augmentation(jitter=args.jitter)
    if args.what == "activity":
        folder = run_compare(activity(args.out, args.choose), args, [0.01, 0.05, 0.1, 1.0], views)
        show(folder, ("accuracy", "macro_f1"), "statistics")
    elif args.what == "ward":
        folder = run_compare(ward(args.out, args.choose), args, [0.1, 1.0], views)
        show(folder, ("auroc", "auprc", "ece"), "random")
    elif args.what == "archive":
        archive(args)
    elif args.what == "ahead":
        ahead(args)
    elif args.what == "ragged":
        ragged()
    else:
        found = transfer(
            str(ward(args.out, False, told_unit=False)),
            methods=args.methods.split(";"),
            adapt=("dann",),
            without_target=("dann",),
            seeds=args.seeds,
            detector="knn",
            setup=Setup(encoder=args.encoder or None, out=str(args.out / f"wards-{args.name}"), step=args.step),
            budget=Budget(steps=round(args.epochs * 2200 / args.batch)),
            training=Training(threads=1, device="cpu", batch_size=args.batch),
            augmentation=views,
        )
        print("\n".join(found.lines()))


if __name__ == "__main__":
    main()
