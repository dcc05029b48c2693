"""Texts on real data: topics with few labels, likeness of sentences, what follows what, bits per byte.

    python benchmarks/text.py news --out work/      # topic of a news item from 1 % of the labels
    python benchmarks/text.py likeness --out work/  # Spearman's correlation with people's scores
    python benchmarks/text.py next --out work/      # does this part of an unseen book follow that
    python benchmarks/text.py bytes --out work/     # bits per byte of an unseen book, beside xz and gzip

Each trains by `unlabeled pretrain` with the settings below, one run a seed, and writes a line of JSON a seed into
`work/<what>.jsonl`; stopped, it goes on. Settings were chosen on parts of the training data that were kept apart
(`--choose`); the test part is that of the data.
"""

import argparse
import csv
import gzip
import json
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from unlabeled.arms.tfidf import vectorizer
from unlabeled.data.splits import nested_draws
from unlabeled.data.texts import TextPrep
from unlabeled.methods.causal_lm import CausalLM
from unlabeled.methods.nsp import NSP
from unlabeled.methods.quick_thoughts import QuickThoughts
from unlabeled.metrics import spearman
from unlabeled.modalities.text import Text
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.words import bits_per_byte, features, likeness, next_part
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs.pretrain import pretrain

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TRAINING = Training(threads=1, device="cpu", precision="auto")
DRAWS = 5  # of the labels
KEPT = 2_000  # news items of the training part that settings are chosen on
KEPT_BOOK = "a_tale_of_two_cities.txt"
DIRECTIONS = (100, 200, 300, 500)  # of LSA, chosen on the validation pairs


def learnt(place: Path, data: Path, method: str, seed: int, steps: int, rest: dict[str, Any]) -> Run:
    """A run, finished; `rest` has the encoder and what else differs from the defaults."""
    views = Augmentation(**rest.get("views", {}))
    training = Training(**{**TRAINING.__dict__, **rest.get("training", {})})
    setup = Setup(seed=seed, out=str(place), **rest.get("setup", {}))
    return pretrain(
        str(data), method=method, setup=setup, budget=Budget(steps=steps), training=training, augmentation=views
    )


def views_of(run: Run) -> Text:
    """The views of a run, which learnt from texts."""
    return cast(Text, run.modality())


def texts(out: Path, name: str, lines: Sequence[str]) -> Path:
    """A table of texts without labels."""
    file = out / f"{name}.csv"
    if not file.is_file():
        with file.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([["text"], *([line] for line in lines)])
    return file


def news(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Accuracy of probes on about a hundred labels (1 %), the mean of five draws; TF-IDF gets the same labels."""
    train, test = (pd.read_csv(DATA / "ag_news" / f"{n}.csv") for n in ("train", "test"))
    if args.choose:
        order = np.random.default_rng(0).permutation(len(train))
        train, test = train.iloc[order[KEPT:]], train.iloc[order[:KEPT]]
    data = texts(args.out, f"news{'-choose' if args.choose else ''}", train["text"].tolist())
    classes = sorted(train["label"].unique())
    y, truth = (np.searchsorted(classes, part["label"].to_numpy(str)) for part in (train, test))
    said, asked = train["text"].tolist(), test["text"].tolist()
    device = open_device(TRAINING)
    vectors: dict[str, tuple[Any, Any]] = {}
    for name, (method, steps, rest) in NEWS.items():
        run = learnt(args.out / f"{data.stem}-{name}-s{seed}", data, method, seed, steps, rest)
        encoder, looks = device.place(run.encoder()), views_of(run)
        vectors[name] = (features(encoder, looks, said, device), features(encoder, looks, asked, device))
        if "untrained" not in vectors:
            encoder = device.place(run.recipe.build_encoder())
            vectors["untrained"] = (features(encoder, looks, said, device), features(encoder, looks, asked, device))
    counts = vectorizer(said)
    sparse = (counts.transform(said), counts.transform(asked))
    svd = TruncatedSVD(100, random_state=seed).fit(sparse[0])
    vectors["lsa"] = tuple(svd.transform(part) for part in sparse)
    scores: dict[str, list[float]] = {name: [] for name in (*vectors, "tfidf")}
    for draw in nested_draws(y, np.arange(len(y)), [0.01], DRAWS, 0):
        rows = draw[0.01]
        for name, (x, z) in vectors.items():
            scores[name].append(float((Linear().fit(x[rows], y[rows], seed=0).predict(z).argmax(1) == truth).mean()))
        plain = LogisticRegressionCV(Cs=np.geomspace(0.1, 1000, 9), cv=4, max_iter=2000, use_legacy_attributes=False)
        scores["tfidf"].append(float(plain.fit(sparse[0][rows], y[rows]).score(sparse[1], truth)))
    whole = LogisticRegression(C=10, max_iter=2000).fit(sparse[0], y).score(sparse[1], truth)
    return {"labels": len(rows), "all labels, tfidf": whole} | {k: float(np.mean(v)) for k, v in scores.items()}


def alike(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Spearman's correlation on scored pairs: SimCSE from scratch, MLM alone, LSA, TF-IDF, untrained; same texts."""
    known = pd.read_csv(DATA / "sts_benchmark" / "train.csv")
    mine = sorted({*known["sentence1"], *known["sentence2"]})
    data = texts(args.out, "sentences", mine)
    file = DATA / "sts_benchmark" / ("val.csv" if args.choose else "test.csv")
    device = open_device(TRAINING)
    out: dict[str, Any] = {}
    for name, (method, steps, rest) in LIKENESS.items():
        run = learnt(args.out / f"sentences-{name}-s{seed}", data, method, seed, steps, rest)
        looks = views_of(run)
        out[name] = likeness(device.place(run.encoder()), looks, file, device)["spearman"]
        out.setdefault("untrained", likeness(run.recipe.build_encoder(), looks, file, device)["spearman"])
    words = vectorizer(mine)
    counts = words.transform(mine)

    def cosine(turn: Callable[[Any], Any], where: Path) -> float:
        pairs = pd.read_csv(where)
        a, b = (turn(words.transform(pairs[c])) for c in ("sentence1", "sentence2"))
        a, b = (p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-9) for p in (a, b))
        return spearman((a * b).sum(1), pairs["score"].to_numpy(np.float64))

    best = (-1.0, 0, 0.0)
    for size in DIRECTIONS:
        svd = TruncatedSVD(size, random_state=seed).fit(counts)
        found = cosine(svd.transform, DATA / "sts_benchmark" / "val.csv")
        best = max(best, (found, size, cosine(svd.transform, file)))
    return out | {"lsa": best[2], "lsa directions": best[1], "tfidf": cosine(lambda x: x.toarray(), file)}


def books(args: argparse.Namespace) -> Path:
    """The books, or the training books alone with one of them as the unseen one."""
    if not args.choose:
        return DATA / "books"
    folder: Path = args.out / "books-choose"
    for file in (DATA / "books" / "train").glob("*.txt"):
        place = folder / ("test" if file.name == KEPT_BOOK else "train") / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(file)
    return folder


def following(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Share of pairs of parts from unseen books that are told right; wrong seconds are drawn among 64 windows: of the
    other book, of the same, and of any.
    """
    data, (method, steps, rest) = books(args), NEXT
    run = learnt(args.out / f"{data.name}-next-s{seed}", data, method, seed, steps, rest)
    device, prep = open_device(TRAINING), TextPrep(**run.recipe.prep)
    model, looks = device.place(cast(NSP | QuickThoughts, run.method())), views_of(run)
    out: dict[str, Any] = next_part(model, looks, prep, data, device)
    for file in sorted((data / "test").glob("*.txt")):
        found = next_part(model, looks, prep, data, device, only=f"test/{file.name}")
        out |= {file.stem: found["accuracy"], f"{file.stem} pairs": found["pairs"]}
    return out


def surprise(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Bits per byte of unseen books, beside xz and gzip on the same bytes, alone and behind the training text."""
    data, (method, steps, rest) = books(args), BYTES
    run = learnt(args.out / f"{data.name}-bytes-s{seed}", data, method, seed, steps, rest)
    device, prep = open_device(TRAINING), TextPrep(**run.recipe.prep)
    model, looks = device.place(cast(CausalLM, run.method())), views_of(run)
    out: dict[str, Any] = {}
    before = b"".join(f.read_bytes() for f in sorted((data / "train").glob("*.txt")))
    for file in sorted((data / "test").glob("*.txt")):
        raw = file.read_bytes()
        xz = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]
        size = {name: len(lzma.compress(b, filters=xz)) for name, b in (("alone", before), ("both", before + raw))}
        out[file.stem] = {
            "causal_lm": bits_per_byte(model, looks, prep, file, device)["bits per byte"],
            "xz -9": 8 * len(lzma.compress(raw, preset=9)) / len(raw),
            "gzip -9": 8 * len(gzip.compress(raw, 9)) / len(raw),
            "xz -9e behind the training books": 8 * (size["both"] - size["alone"]) / len(raw),
        }
    return out


NEWS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "simcse": ("simcse(mlm=0.0, temperature=0.2)", 400, {
        "setup": {"encoder": "bert(width=128, depth=1, heads=2)", "size": 64},
        "training": {"batch_size": 128, "lr": 3e-3}, "views": {"crop": 0.3, "cutout": 0.8},
    }),
}  # fmt: skip
SENTENCES = {"encoder": "bert(width=256, depth=1, heads=4, pooling='rare')", "size": 64}
LIKENESS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "mlm": ("mlm", 80, {"setup": SENTENCES, "training": {"batch_size": 128, "lr": 1e-3}}),
    "simcse": ("simcse(mlm=0.0)", 80, {
        "setup": SENTENCES, "training": {"batch_size": 128, "lr": 3e-4}, "views": {"cutout": 0.5},
    }),
}  # fmt: skip
NEXT: tuple[str, int, dict[str, Any]] = (
    "quick_thoughts", 300, {
        "setup": {"encoder": "bert(width=1024, depth=0, heads=8, pooling='rare')", "size": 256},
        "training": {"batch_size": 32, "lr": 1e-3},
    },
)  # fmt: skip
BYTES: tuple[str, int, dict[str, Any]] = (
    "causal_lm", 300, {
        "setup": {"encoder": "gpt(width=128, depth=2, heads=2, dropout=0.0)", "size": 128,
                  "tokenizer": "cased(vocabulary=4000)"},
        "training": {"batch_size": 16, "lr": 3e-3},
    },
)  # fmt: skip
WHAT = {"news": news, "likeness": alike, "next": following, "bytes": surprise}


def told(file: Path) -> None:
    """Mean and standard deviation over the seeds of what stands in a record."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    flat = pd.json_normalize([{k: v for k, v in r.items() if k != "seed"} for r in rows])
    for name in flat:
        spread = flat[name].std(ddof=1) if len(flat) > 1 else float("nan")
        print(f"| {name} | {flat[name].mean():.4f} ± {spread:.4f} | {len(flat)} seeds |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(WHAT))
    parser.add_argument("--out", type=Path, default=Path("work"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="on a part of the training data that is kept apart")
    parser.add_argument("--table", action="store_true", help="print what stands there and train nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / f"{args.what}{'-choose' if args.choose else ''}.jsonl"
    done = {json.loads(line)["seed"] for line in file.read_text("utf-8").splitlines()} if file.is_file() else set()
    for seed in range(0 if args.table else args.seeds):
        if seed not in done:
            row = {"seed": seed} | WHAT[args.what](args, seed)
            with file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    told(file)


if __name__ == "__main__":
    main()
