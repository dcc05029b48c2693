"""A whole study folder from real data and real models, small enough for a test: scikit-learn's digits and estimators.

`rbm` is a restricted Boltzmann machine that learns from all training digits without labels, `kmeans` distances to
centres, `random` the machine before it learnt, `pca` components, `supervised` a small network on pixels. The study's
own code computes all tables and the answer.
"""

import json
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

SHARES = {0.02: 30, 0.1: 144, 1.0: 1437}
SEEDS, DRAWS = (0, 1), (0, 1)


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study folder; only to be read."""
    folder = tmp_path_factory.mktemp("real") / "digits-study"
    _make(folder)
    return folder


@pytest.fixture
def study(whole_study: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(whole_study, tmp_path / "study"))


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def _make(folder: Path) -> None:
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.manifold import TSNE
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    from unlabeled.study import answer, record
    from unlabeled.study.plan import Cell

    bunch = load_digits()
    x, y = bunch.data / 16.0, bunch.target
    test = np.arange(0, len(x), 5)
    train = np.setdiff1d(np.arange(len(x)), test)
    classes = [str(c) for c in range(10)]
    names = np.array([f"test/{y[i]}/{i:04d}.png" for i in test])
    (folder / "predictions").mkdir(parents=True)
    thumbs = _pictures(x[test], 48)
    np.savez(folder / "test.npz", rows=test, labels=y[test], paths=names, thumbs=thumbs)

    features: dict[tuple[str, int], np.ndarray] = {}
    for seed in SEEDS:
        trained, start = _rbm(x[train], seed, folder / "runs" / f"rbm-s{seed}")
        features["rbm", seed], features["random", seed] = trained.transform(x), start.transform(x)
        centres = KMeans(64, n_init=1, random_state=seed).fit(x[train])
        gaps = centres.transform(x)
        features["kmeans", seed] = np.maximum(0, gaps.mean(1, keepdims=True) - gaps)  # Coates et al. 2011
        if seed == 0:
            _painted(trained, x[train][:8], folder / "reconstructions-rbm.npz")
            _drawn(trained, folder / "generated-rbm.npz")
            _moved(trained, x[train][:200], folder / "causal-rbm.json")
    features["pca", 0] = PCA(32, random_state=0).fit(x[train]).transform(x)
    for seed in SEEDS:
        features["supervised", seed] = x

    plan = [
        ("rbm", "linear"),
        ("rbm", "knn"),
        ("kmeans", "linear"),
        ("random", "linear"),
        ("pca", "linear"),
        ("supervised", "finetune"),
    ]
    cells, draws = [], []
    for draw in DRAWS:
        order = _balanced(y[train], draw)
        for share, n in SHARES.items():
            if share == 1.0 and draw:
                continue
            rows = train[order[:n]]
            draws.append(
                {
                    "share": share,
                    "labels": n,
                    "draw": draw,
                    "per_class": {c: int((y[rows] == int(c)).sum()) for c in classes},
                }
            )
            for arm, protocol in plan:
                for seed in SEEDS if arm != "pca" else (0,):
                    model = {
                        "linear": LogisticRegression(C=1.0, max_iter=300),
                        "knn": KNeighborsClassifier(min(5, n // 10)),
                        "finetune": MLPClassifier(32, max_iter=200 if n < 1000 else 30, random_state=seed),
                    }[protocol]  # fmt: skip
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # the short trainings say that they are short
                        model.fit(features[arm, seed][rows], y[rows])
                    cell = Cell(arm, share, n, seed, draw, protocol)
                    own = float((model.predict(features[arm, seed][rows]) == y[rows]).mean())
                    np.savez(
                        folder / "predictions" / cell.file,
                        probabilities=model.predict_proba(features[arm, seed][test]).astype(np.float32),
                        facts=np.array(json.dumps({"fitted": own} if protocol == "finetune" else {})),
                    )
                    cells.append(cell)

    arms = [
        SimpleNamespace(
            name=a, kind="method" if a in ("rbm", "kmeans") else a, recipe=SimpleNamespace(encoder="rbm(100)")
        )
        for a in dict.fromkeys(a for a, _ in plan)
    ]
    labels = y.astype(np.int64)
    items = pd.DataFrame({"group": np.full(len(labels), None)})
    table = SimpleNamespace(labels=labels, classes=classes, items=items)
    prepared = SimpleNamespace(table=table, test=test, turns=None)
    results = record.tables(folder, prepared, arms, cells)  # type: ignore[arg-type]
    facts = {"test": len(test), "seeds": 2, "draws": 2, "steps": "10 passes", "cleared": True, "findings": []}
    found = answer.answer(results, arms, facts)  # type: ignore[arg-type]
    whole = found.to_json() | {"command": "unlabeled compare --config digits-study/config.yaml"}
    write_json(folder / "answer.json", whole | {"created": "2026-11-21T08:47:42+00:00", "seconds": 214.0})
    config = "data: digits/\nmethods: [rbm, kmeans]\nlabels: [0.02, 0.1, 1.0]\nseeds: 2\ndraws: 2\n"
    (folder / "config.yaml").write_text(config, "utf-8")
    write_json(folder / "data.json", _card(y, train, test, classes, draws))
    write_json(folder / "costs.json", _costs())
    originals = _pictures(x[train[:8]], 64)
    views = np.stack(
        [np.stack([np.roll(p, (dy, dx), (0, 1)) for dy, dx in ((6, 0), (-6, 3), (0, -8), (4, 8))]) for p in originals]
    )
    np.savez(folder / "views.npz", originals=originals, views=views)
    planes = {"rows_in_test": np.arange(len(test))}
    for arm, before in (("rbm", "random"), ("kmeans", "random")):
        for when, name in (("before", before), ("after", arm)):
            tsne = TSNE(random_state=0, init="pca", n_jobs=1, max_iter=300)
            planes[f"{arm}/{when}"] = tsne.fit_transform(features[name, 0][test]).astype(np.float32)
    np.savez(folder / "tsne.npz", **planes)


def _pictures(flat: np.ndarray, side: int) -> np.ndarray:
    """Digits (N, 64) in 0..1 as grey pictures (N, side, side, 3)."""
    grey = (np.clip(flat, 0, 1).reshape(-1, 8, 8) * 255).astype(np.uint8)
    return np.repeat(np.kron(grey, np.ones((1, side // 8, side // 8), np.uint8))[..., None], 3, axis=3)


def _balanced(labels: np.ndarray, seed: int) -> np.ndarray:
    """An order in which the classes come in turn."""
    random = np.random.default_rng(seed)
    turn = np.empty(len(labels))
    for c in np.unique(labels):
        mine = np.flatnonzero(labels == c)
        turn[mine] = random.permutation(len(mine))
    return np.argsort(turn, kind="stable")


def _rbm(x: np.ndarray, seed: int, run: Path) -> tuple[Any, Any]:
    """A machine that learnt, the same before it learnt, and its `metrics.jsonl` with real figures."""
    from sklearn.neural_network import BernoulliRBM

    rbm = BernoulliRBM(100, learning_rate=0.06, batch_size=10, random_state=seed)
    start = BernoulliRBM(100, learning_rate=1e-9, n_iter=1, random_state=seed).fit(x)
    start.components_ = np.random.default_rng(seed).normal(0, 0.3, start.components_.shape)
    rbm.partial_fit(x[:10])
    run.mkdir(parents=True)
    lines = []
    for epoch in range(1, 9):
        for batch in range(0, len(x), 10):
            rbm.partial_fit(x[batch : batch + 10])
        hidden = rbm.transform(x[:500])
        values = np.linalg.svd(hidden - hidden.mean(0), compute_uv=False)
        share = values / values.sum()
        rank, loss = float(np.exp(-(share * np.log(share + 1e-12)).sum())), -float(rbm.score_samples(x[:500]).mean())
        odd = "no gain since step 864; a shorter run or a higher learning rate would do as well"
        facts = {"step": epoch * 144, "epoch": epoch, "loss": loss, "lr": 0.06, "items_per_second": 9000.0}
        facts |= {"seconds": 0.3 * epoch, "spread": 0.6, "rank": rank, "wait": 0.0}
        lines.append(facts | {"health": odd if seed else "healthy"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text + '{"step": 17', "utf-8")  # a run that is being written
    return rbm, start


def _moved(model: Any, x: np.ndarray, path: Path) -> None:
    """How far gain and offset move the first six features, as a causal graph without edges among the features."""
    before = model.transform(x)[:, :6]
    after = {"gain": model.transform((1.3 * x).clip(0, 1)), "offset": model.transform((x + 0.1).clip(0, 1))}
    gone = {k: (v[:, :6] - before) / before.std(0) for k, v in after.items()}
    shift = np.array([np.abs(g.mean(0)) for g in gone.values()])
    write_json(
        path,
        {
            "kinds": list(gone),
            "adjacency": np.vstack([shift, np.zeros((6, 6))]).tolist(),
            "edge": 0.2,
            "effect": [np.abs(g).mean(0).tolist() for g in gone.values()],
            "shift": shift.tolist(),
            "free": np.flatnonzero((shift > 0.2).any(0)).tolist(),
            "words": ["Light moves some of the factors."],
        },
    )


def _drawn(rbm: Any, path: Path) -> None:
    """Pictures that the machine samples from mere chance."""
    state = np.random.default_rng(0).random((12, rbm.components_.shape[1]))
    for _ in range(200):
        hidden = rbm.transform(state)
        state = 1 / (1 + np.exp(-(hidden @ rbm.components_ + rbm.intercept_visible_)))
    np.savez(path, pictures=_pictures(state, 64))


def _painted(rbm: Any, x: np.ndarray, path: Path) -> None:
    """The lower half hidden, then filled in by the machine's own sampling with the upper half held."""
    seen = x.copy()
    seen[:, 32:] = 0.5
    state = seen.copy()
    for _ in range(200):
        hidden = rbm.transform(state)
        state = 1 / (1 + np.exp(-(hidden @ rbm.components_ + rbm.intercept_visible_)))
        state[:, :32] = x[:, :32]
    np.savez(path, original=_pictures(x, 64), masked=_pictures(seen, 64), reconstructed=_pictures(state, 64))


def _card(
    y: np.ndarray, train: np.ndarray, test: np.ndarray, classes: list[str], draws: list[dict[str, Any]]
) -> dict[str, Any]:
    counts = {
        split: {c: int((y[rows] == int(c)).sum()) for c in classes}
        for split, rows in (("train", train), ("test", test))
    }
    return {
        "root": "digits", "form": "train and test folders of class folders", "modality": "image", "classes": classes,
        "counts": counts,
        "unlabeled": 0, "size": [8, 8], "channels": 1, "draws": draws,
        "findings": [
            {"kind": "views", "severity": "warning", "examples": ["2 as 5", "6 as 9"],
             "text": "mirror images look like other classes, so flips would mix up classes; they are switched off"},
            {"kind": "sizes", "severity": "info", "text": "all pictures are 8 x 8 pixels", "examples": []},
        ],
        "broken": [{"path": "train/3/0007.png", "reason": "the file ends in the middle of the picture"}],
    }  # fmt: skip


def _costs() -> list[dict[str, Any]]:
    same = {"encoder": "rbm(100)", "device": "cpu", "threads": 1}
    learnt = same | {
        "stage": "pretrain",
        "items_per_second": 9000.0,
        "peak_memory_mb": 310.0,
        "steps": 1152,
        "items_seen": 11496,
    }
    fits = same | {"stage": "fit", "items_per_second": None, "peak_memory_mb": 290.0, "steps": 0, "items_seen": 0}
    out = [learnt | {"arm": a, "seed": s, "minutes": m} for a, m in (("rbm", 0.06), ("kmeans", 0.02)) for s in SEEDS]
    return out + [fits | {"arm": "supervised (finetune)", "seed": s, "minutes": 0.2} for s in SEEDS]
