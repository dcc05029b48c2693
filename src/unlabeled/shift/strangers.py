"""Do detectors notice items that belong to none of the classes, by an arm's features or by what it sees on the way?

A fifth of the labelled training items (whole groups) is held out: probe and detectors are fitted on the others, and
the threshold of the detection rate is set on the fifth. Test items only show what comes of it; strangers set nothing.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlabeled import catalog, metrics, progress, stats
from unlabeled.data import kinds
from unlabeled.data.prepare import Prepared
from unlabeled.data.scan import scan
from unlabeled.data.splits import inner_folds, unit_numbers
from unlabeled.data.store import Store, build
from unlabeled.errors import UserError
from unlabeled.ood import Detector
from unlabeled.protocols.linear import Linear
from unlabeled.shift import severity
from unlabeled.shift.bench import Bench
from unlabeled.shift.subjects import LINEAR, SUPERVISED, Subject
from unlabeled.shift.texture import Texture
from unlabeled.study.claim import contents
from unlabeled.study.fits import groups, write_arrays
from unlabeled.training.loop import embed
from unlabeled.training.run import fingerprint
from unlabeled.values import title

KEEP = 0.95  # of the items that belong
TEXTURE = "texture"  # the detector of bundles, beside those of the catalog
HELD = 5  # one part in so many of the labelled items sets the threshold
FIGURES = ("auroc", "fpr95", "aupr_in", "base_in", "aupr_out", "base_out", "detected", "kept")


@dataclass(frozen=True, eq=False)
class Strangers:
    """What was found.

    Args:
        table: one row a fit, set of strangers and detector: arm, seed, draw, strangers, detector, the FIGURES,
            threshold, known (test items), strange, held.
        summary: mean over fits with the interval of the seeds: arm, strangers, detector, metric, mean, low, high, n.
        differences: paired differences of arms in the share of strangers flagged: arm_a, arm_b, strangers, detector,
            difference, low, high, n, seeds; whole groups of strangers are resampled where their table names any.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame


def split(prepared: Prepared, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labelled rows to fit on and rows to set thresholds on, stratified; no group is on both sides.

    Raises:
        UserError: when there are too few labelled items to hold some out.
    """
    folds = inner_folds(prepared.table.labels[rows], groups(prepared, rows), HELD, seed)
    if not folds:
        raise UserError(
            f"{len(rows)} labelled items are too few to hold some out for a threshold",
            "label two or more of each class",
        )
    fit, held = folds[0]
    return rows[fit], rows[held]


def check(prepared: Prepared, draws: Sequence[np.ndarray], texts: Sequence[str]) -> None:
    """Refuse before hours of work what `measure` would refuse after them.

    Args:
        prepared: the data.
        draws: labelled rows of each draw.
        texts: folders of strangers, as for `places`.

    Raises:
        UserError: when a folder is not there or holds no items of the data's kind, or too few items are labelled to
            hold some out.
    """
    for folder in places(texts).values():
        if not Path(folder).exists():
            raise UserError(f"there is no {folder}", "give folders of strangers: --ood near=cats/,far=noise/")
        if (found := scan(folder).modality) != prepared.table.modality:
            here, wanted = (kinds.kind(m).what for m in (found, prepared.table.modality))
            raise UserError(f"{folder} holds {here}, and the data {wanted}", f"give folders of {wanted}")
    for draw, rows in enumerate(draws):
        check_split(prepared, rows, draw)


def check_split(prepared: Prepared, rows: np.ndarray, seed: int) -> None:
    """Refuse labelled rows of which too few are left to fit a detector on where some are held out for its threshold.

    Raises:
        UserError: when that is so.
    """
    fit, _ = split(prepared, rows, seed)
    if len(fit) == len(np.unique(prepared.table.labels[fit])):
        raise UserError(
            f"{len(rows)} labelled items leave one of each class where some are held out for a threshold",
            "label three or more of a class",
        )


def places(texts: Sequence[str]) -> dict[str, str]:
    """Folders of strangers by name, from `folder` or `name=folder`.

    >>> places(["near=photos/cats", "photos/noise"])
    {'near': 'photos/cats', 'noise': 'photos/noise'}
    """
    out: dict[str, str] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        name, folder = (name, folder) if equals and not Path(text).exists() else (title(text), text)
        if name in out:
            raise UserError(f'two sets of strangers are called "{name}"', "name them: near=folder,far=folder")
        out[name] = folder
    return out


def measure(bench: Bench, subjects: Sequence[Subject], folders: Mapping[str, str]) -> Strangers:
    """Fit all detectors of the catalog and that of bundles for every arm, and score test items and strangers with them.

    Strangers go through the same reading, cutting and resizing as the data. Supervised arms are left out: their
    encoders have learnt from the held-out labels; and so are further probes of the same features.

    Args:
        bench: where the features lie.
        subjects: the arms.
        folders: sets of strangers by name, from `places`; all their items are taken.
    """
    sets: dict[str, tuple[str, Store]] = {}
    units: dict[str, np.ndarray | None] = {}
    for name, folder in folders.items():
        whole, prep = scan(folder), bench.prepared.prep
        items, store = build(kinds.kind(whole.modality).again(whole, prep), prep)
        if not len(items):
            raise UserError(f"{folder} holds no item that can be read", "give a folder of pictures")
        told = [*items.items["path"].astype(str), contents(store)]  # other folders may have files of the same names
        code = fingerprint(told, np.arange(len(told)))
        sets[name], units[name] = (code, store), unit_numbers(items, items.rows())
    rows: list[dict[str, Any]] = []
    flags: dict[tuple[str, str, str], list[stats.Cell]] = {}
    todo = [s for s in subjects if s.kind != SUPERVISED and s.probe == LINEAR]
    with progress.bar("strangers", len(todo) * len(sets)) as bar:
        for s, name in itertools.product(todo, sets):
            for draw in range(len(bench.draws)):
                for detector, scores in _scores(bench, s, draw, *sets[name]).items():
                    held, known, strange = scores
                    threshold, kept, flagged = metrics.detection(held, known, strange, keep=KEEP)
                    where = {"arm": s.arm, "seed": s.seed, "draw": draw, "strangers": name, "detector": detector}
                    found = metrics.separation(known, strange)
                    found |= {"detected": float(flagged.mean()), "kept": float(kept.mean()), "threshold": threshold}
                    rows.append(where | found | {"known": len(known), "strange": len(strange), "held": len(held)})
                    flags.setdefault((s.arm, name, detector), []).append((s.seed, draw, flagged))
            bar.advance(1, f"{s.arm} s{s.seed} · {name}")
    table = pd.DataFrame(rows)
    return Strangers(table, _summary(table), _differences(flags, units))


def detectors(x: np.ndarray, y: np.ndarray, logits: np.ndarray) -> dict[str, Detector]:
    """All detectors of the catalog, fitted on features (N, D), class numbers (N,) and logits (N, classes)."""
    return {name: catalog.load("ood", name)().fit(x, y, logits) for name in catalog.names("ood")}


def _scores(
    bench: Bench, s: Subject, draw: int, code: str, store: Store
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each detector the scores of held-out items, test items and strangers; computed once and kept."""
    path = bench.cell(s, f"strange-{code}-d{draw}")
    if not path.is_file():
        data = bench.prepared
        fit, held = split(data, bench.draws[draw], draw)
        learn, test = bench.features(s)
        x, h = (learn[np.searchsorted(data.pool, r)] for r in (fit, held))
        y = data.table.labels[fit]
        probe = Linear().fit(x, y, groups=groups(data, fit), seed=draw, unlabelled=learn)
        encoder = bench.models(s)[draw][0]
        odd = embed(encoder, bench.looks(s), store, np.arange(len(store)), bench.device).numpy()
        found = detectors(x, y, probe.logits(x))
        arrays = {
            f"{kind}/{word}": detector.score(part, probe.logits(part))
            for kind, detector in found.items()
            for word, part in (("held", h), ("known", test), ("strange", odd))
        }
        known, usual = _texture(bench, s, draw)
        arrays |= {f"{TEXTURE}/{word}": scores for word, scores in usual.items()}
        arrays[f"{TEXTURE}/strange"] = known.score(store, np.arange(len(store)))
        write_arrays(path, arrays)
    with np.load(path) as arrays:
        kinds = dict.fromkeys(key.partition("/")[0] for key in arrays.files)
        return {k: (arrays[f"{k}/held"], arrays[f"{k}/known"], arrays[f"{k}/strange"]) for k in kinds}


def _texture(bench: Bench, s: Subject, draw: int) -> tuple[Texture, dict[str, np.ndarray]]:
    """The detector that a bundle of this run would have, and its scores of held-out and test items; made once."""
    path = bench.cell(s, f"texture-d{draw}")
    known = Texture(bench.models(s)[draw][0], bench.looks(s))
    usual = known.load(path)
    if not usual:
        data = bench.prepared
        fit, held = split(data, bench.draws[draw], draw)
        known.fit(data.store, fit, data.table.labels[fit])
        usual = {"held": known.score(data.store, held), "known": known.score(data.store, data.test)}
        known.save(path, usual)
    return known, usual


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    out = []
    for (arm, name, detector), part in table.groupby(["arm", "strangers", "detector"], sort=False):
        by_seed = part.groupby("seed")[list(FIGURES)].mean()
        for metric in FIGURES:
            low, high = np.clip(stats.interval(by_seed[metric].to_numpy(float)), 0.0, 1.0)
            row = {"arm": arm, "strangers": name, "detector": detector, "metric": metric}
            out.append(row | {"mean": float(by_seed[metric].mean()), "low": low, "high": high, "n": len(part)})
    return pd.DataFrame(out)


def _differences(
    flags: Mapping[tuple[str, str, str], list[stats.Cell]], units: Mapping[str, np.ndarray | None]
) -> pd.DataFrame:
    out = []
    for (a, name, kind), (b, *other) in itertools.permutations(flags, 2):
        if [name, kind] != other or not severity.paired(flags[a, name, kind], flags[b, name, kind]):
            continue
        d = stats.paired_difference(flags[a, name, kind], flags[b, name, kind], groups=units[name])
        row = {"arm_a": a, "arm_b": b, "strangers": name, "detector": kind, "difference": d.difference}
        out.append(row | {"low": d.low, "high": d.high, "n": d.n, "seeds": d.seeds})
    columns = ["arm_a", "arm_b", "strangers", "detector", "difference", "low", "high", "n", "seeds"]
    return pd.DataFrame(out, columns=columns)
