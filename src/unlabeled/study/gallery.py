"""What a report shows of the items themselves: thumbnails, views, reconstructions and a map of the features."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from unlabeled.arms import batches
from unlabeled.data.prepare import Prepared
from unlabeled.methods import Batch
from unlabeled.modalities import Modality
from unlabeled.study.fits import write_arrays
from unlabeled.training.run import Run

MAP_ITEMS = 1_000
SOUNDS, SECONDS = 500, 3  # test items whose sound is kept, and how much of each


def thumbnails(prepared: Prepared, rows: np.ndarray, looks: Modality, side: int = 48) -> np.ndarray:
    """Small colour pictures (N, side, side, 3) uint8 of raw items; of series curves, of texts beginnings."""
    if len(prepared.store.shape) == 2:
        return np.concatenate([looks.show(looks.plain(prepared.store.batch(part))) for part in batches(rows, 256)])
    out = []
    for at in range(0, len(rows), 256):
        raw = prepared.store.batch(rows[at : at + 256]).float()
        small = torch.nn.functional.interpolate(raw, (side, side), mode="bilinear", antialias=True, align_corners=False)
        top = 65535.0 if prepared.store.dtype == np.uint16 else 255.0
        eight = (small / top * 255).round().clamp(0, 255).to(torch.uint8)
        out.append(eight.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy())
    return np.concatenate(out)


def test_items(folder: Path, prepared: Prepared, looks: Modality) -> None:
    """Write `test.npz`: rows, labels, paths and thumbnails of the test items."""
    rows = prepared.test
    paths = prepared.table.items["path"].iloc[rows].astype(str).to_numpy(dtype=str)
    write_arrays(
        folder / "test.npz",
        {
            "rows": rows,
            "labels": prepared.table.labels[rows],
            "paths": paths,
            "thumbs": thumbnails(prepared, rows, looks),
        },
    )


def sounds(folder: Path, prepared: Prepared, looks: Modality) -> None:
    """Write `sounds.npz` where items can be heard: their samples one after the other, where each ends, and the rate."""
    heard, rate = looks.heard(prepared.store.batch(prepared.test[:SOUNDS]))
    if heard:
        parts = [x[: SECONDS * rate] for x in heard]
        ends = np.cumsum([len(x) for x in parts])
        write_arrays(folder / "sounds.npz", {"samples": np.concatenate(parts), "ends": ends, "rate": np.array(rate)})


def views(folder: Path, prepared: Prepared, looks: Modality, items: int = 8, each: int = 4) -> None:
    """Write `views.npz`: some items, one a class first, and random strong views of them."""
    rows = _spread(prepared, items)
    raw = prepared.store.batch(rows)
    fixed = looks.at(0, 0)
    shown = [looks.show(fixed.augment(raw)) for _ in range(each)]
    write_arrays(folder / "views.npz", {"originals": looks.show(looks.plain(raw)), "views": np.stack(shown, 1)})


def reconstructions(folder: Path, name: str, run: Run, prepared: Prepared, items: int = 8) -> None:
    """Write `reconstructions-<arm>.npz` where the method paints pictures: original, masked, reconstructed."""
    method = run.method().eval()
    paint = getattr(method, "reconstruct", None)
    if paint is None:
        return
    looks = replace(run.recipe, plain_size=run.recipe.size).looks().at(0, 0)  # decoders paint at the views' own size
    raw = prepared.store.batch(_spread(prepared, items))
    with torch.no_grad():
        original, masked, painted = paint(Batch(raw, torch.arange(len(raw))), looks)
    shown = {"original": looks.show(original), "masked": looks.show(masked), "reconstructed": looks.show(painted)}
    write_arrays(folder / f"reconstructions-{name}.npz", shown)


def generated(folder: Path, name: str, run: Run, count: int = 24) -> None:
    """Write `generated-<arm>.npz` where the method can draw: new pictures (count, H, W, 3)."""
    method = run.method().eval()
    draw = getattr(method, "sample", None)
    if draw is None:
        return
    with torch.no_grad():
        looks = run.modality()
        pictures = looks.show(looks.drawn(draw(count, torch.Generator().manual_seed(0))))
    write_arrays(folder / f"generated-{name}.npz", {"pictures": pictures})


def maps(folder: Path, features: Mapping[str, tuple[np.ndarray, np.ndarray]], seed: int) -> None:
    """Write `tsne.npz`: test items on a plane by the features before and after pretraining.

    Args:
        folder: of the study.
        features: for each arm the test features before (random weights) and after.
        seed: of t-SNE and of the choice of at most 1,000 items.
    """
    if not features:
        return
    count = len(next(iter(features.values()))[0])
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:MAP_ITEMS])
    out: dict[str, np.ndarray] = {"rows_in_test": chosen}
    for name, (before, after) in features.items():
        for word, x in (("before", before), ("after", after)):
            out[f"{name}/{word}"] = plane(x[chosen], seed)
    write_arrays(folder / "tsne.npz", out)


def plane(x: np.ndarray, seed: int) -> np.ndarray:
    """Features (N, D) on a plane by t-SNE (N, 2) float32; all in one place where they are alike, or no numbers."""
    if len(x) < 4 or not np.isfinite(x).all() or not np.ptp(x, axis=0).any():
        return np.zeros((len(x), 2), np.float32)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    flat = PCA(min(50, *x.shape), random_state=seed % 2**32).fit_transform(x)
    plane = TSNE(perplexity=min(30.0, (len(x) - 1) / 3), random_state=seed % 2**32, init="pca", n_jobs=1).fit_transform(
        flat
    )
    return np.asarray(plane, np.float32)


def _spread(prepared: Prepared, count: int) -> np.ndarray:
    """Rows for showing: the classes in turn, else simply the first learning rows."""
    labels = prepared.table.labels[prepared.learning]
    by_class = [prepared.learning[labels == c] for c in np.unique(labels)]
    turn = [rows[i] for i in range(count) for rows in by_class if i < len(rows)]
    return np.asarray(turn[:count], np.int64)
