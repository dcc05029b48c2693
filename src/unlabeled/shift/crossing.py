"""From some domains to another that was kept back: who may learn from what, and what each arm makes of it.

Of the target domain nothing is learnt, measured or chosen by any arm but those that adapt, which see the pictures of
its training items without labels. Test items, of the target as of the sources, are predicted and never learnt from.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import catalog, metrics
from unlabeled.data.prepare import Prepared, measured
from unlabeled.errors import UserError
from unlabeled.ood import Detector
from unlabeled.protocols.finetune import Finetune
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.styled import Styled
from unlabeled.shift.strangers import KEEP, TEXTURE, check_split, split
from unlabeled.shift.texture import Texture
from unlabeled.study.fits import Bench, full, groups, write_arrays
from unlabeled.study.plan import Arm, needs, safe
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items, embed
from unlabeled.training.run import create, fingerprint, learn

HIDDEN, HIDDEN_TEST = "target", "target test"  # splits of the domain that is kept back
SPREADS = frozenset(("mahalanobis", TEXTURE))  # detectors that need to know how items of a class differ
FROZEN = ("method", "random")  # kinds of arm whose encoder never sees a label
ADAPTS, ALIKE = "adaptation", "without target"  # kinds that see the target's pictures, and that make the sources alike


@dataclass(frozen=True)
class Crossing:
    """One target domain, and the others to learn from.

    Args:
        target: its name.
        source: the data without it: mean, spread and mirrors are of the source's training items alone.
        unseen: rows of the target's training items, for arms that adapt.
        test: rows of the target's labelled test items.
        lacking: classes that no label of the source shows; such items of the target count as wrong for every arm.
    """

    target: str
    source: Prepared
    unseen: np.ndarray
    test: np.ndarray
    lacking: tuple[str, ...] = ()


def crossings(prepared: Prepared, targets: Sequence[str]) -> list[Crossing]:
    """One crossing for each target; `all` stands for every domain with labelled test items.

    Raises:
        UserError: when there are fewer than two domains, a target has no test items, or two would share their files.
    """
    items, labels = prepared.table.items, prepared.table.labels
    domain = items["domain"]
    tested = sorted(domain.iloc[prepared.test].dropna().unique().tolist())
    if domain.nunique() < 2 or not tested:
        raise UserError(
            f"{prepared.table.root} names {domain.nunique()} domains with {len(tested)} among the labelled test items",
            'give a manifest with a column "domain" (site, device), or take --by group',
        )
    names = tested if "all" in targets else list(dict.fromkeys(targets))
    files = {safe(name): name for name in names}
    if twins := [name for name in names if files[safe(name)] != name]:
        raise UserError(
            f'the domains "{twins[0]}" and "{files[safe(twins[0])]}" are too alike to name files by',
            "give one of them another name",
        )
    out = []
    for name in names:
        if name not in tested:
            raise UserError(f'no labelled test item is of the domain "{name}"', f"take some of {', '.join(tested)}")
        there = (domain == name).to_numpy()
        away = (domain.isna()).to_numpy()  # items of no known domain might be of this one
        test = (items["split"] == "test").to_numpy()
        hidden = items.assign(
            split=items["split"].where(~(there | away), HIDDEN).where(~(test & (there | away)), HIDDEN_TEST)
        )
        table = replace(prepared.table, items=hidden)
        source = measured(table, prepared.store, prepared.prep, prepared.size)
        mine = np.flatnonzero(there & test & (labels >= 0))
        lacking = set(labels[mine].tolist()) - set(labels[source.labelled].tolist())
        if len(np.unique(labels[source.labelled])) < 2 or not len(source.test):
            raise UserError(f"without {name} there are too few labelled items", "label items of other domains")
        names_of = tuple(table.classes[i] for i in sorted(lacking))
        out.append(Crossing(name, source, np.flatnonzero(there & ~test), mine, names_of))
    return out


def check(todo: Sequence[Crossing], arms: Sequence[Arm], seeds: Sequence[int], detector: str) -> None:
    """Refuse before hours of training what an arm would refuse after them.

    Args:
        todo: the crossings.
        arms: of each of them.
        seeds: of all arms.
        detector: that looks for items of the target.

    Raises:
        UserError: when an arm has nothing to adapt to, or too few items are labelled to hold some out.
    """
    kinds = {arm.kind for arm in arms}
    for c in todo:
        domains = c.source.table.items["domain"].iloc[c.source.labelled].unique()
        if ADAPTS in kinds and not len(c.unseen):
            raise UserError(
                f"{c.target} has no training items to adapt to", "leave --adapt empty, or name other --targets"
            )
        if ALIKE in kinds and len(domains) < 2:
            raise UserError(
                f"without {c.target} all labelled items are of {', '.join(domains)}: no other domain is left to align",
                "leave --without-target empty, or give items of more domains",
            )
        for seed in seeds:
            (check_split if detector in SPREADS else split)(c.source, c.source.labelled, seed)


@dataclass(frozen=True)
class Place:
    """Where the crossings are worked on.

    Args:
        folder: of all results.
        device: from `open_device`.
        detector: name of the detector of `ood/` that looks for items of the target.
        data: the path as the user gave it.
    """

    folder: Path
    device: Device
    detector: str
    data: str

    def bench(self, crossing: Crossing) -> Bench:
        """The bench of a crossing, in a folder of its own."""
        return Bench(self.folder / "targets" / safe(crossing.target), crossing.source, self.device, {}, {})

    def cell(self, crossing: Crossing, arm: Arm, seed: int) -> Path:
        """The file of a cell."""
        return self.folder / "cells" / safe(crossing.target) / f"{safe(arm.name)}-s{seed}.npz"


def fit(place: Place, crossing: Crossing, arm: Arm, seed: int) -> None:
    """Train and predict one cell, unless it stands already.

    The file holds `target` and `source`, class probabilities (N, classes) of the test items; for frozen encoders also
    `flagged` and `kept` (bool, of target and source test items at the threshold of held-out source items) and
    `auroc`; and `facts` as JSON.
    """
    path = place.cell(crossing, arm, seed)
    if path.is_file():
        return
    bench, data = place.bench(crossing), crossing.source
    probe, arm = arm.protocols[0], source_of(arm)
    if arm.kind == "method":
        paths = data.table.items["path"].astype(str).tolist()
        facts = {"data": place.data, "items": fingerprint(paths, data.learning), "without": crossing.target}
        run = create(bench.run(arm, seed), arm.for_seed(seed), facts)
        title = f"pretrain {arm.name} · seed {seed} · without {crossing.target}"
        learn(run, Items(data.store, data.learning), place.device, title=title)
    if arm.kind in FROZEN:
        write_arrays(path, _frozen(place, bench, crossing, replace(arm, protocols=(probe,)), seed))
        return
    halfway = Halfway(path.with_suffix(".halfway"))
    write_arrays(path, _trained(place, crossing, arm, seed, halfway))
    halfway.done()


def read_by(arm: Arm, probe: catalog.Spec) -> Arm:
    """The same frozen encoder under another probe, an arm of its own."""
    return replace(arm, name=f"{arm.name}, {probe}", protocols=(probe,))


def source_of(arm: Arm) -> Arm:
    """The arm whose encoder another probe reads: itself where its probe is its own."""
    return replace(arm, name=arm.name.removesuffix(f", {arm.protocols[0]}"))


def _frozen(place: Place, bench: Bench, crossing: Crossing, arm: Arm, seed: int) -> dict[str, np.ndarray]:
    data, rows = crossing.source, crossing.source.labelled
    y, classes = data.table.labels, len(data.table.classes)
    known, test = bench.features(arm, seed)  # of the source alone
    encoder = bench.encoder(arm, seed).eval()
    place.device.place(encoder)
    away = embed(encoder, arm.recipe.looks(), data.store, crossing.test, place.device).numpy()

    def fitted(some: np.ndarray) -> Linear:
        how, units = arm.protocols[0], groups(data, some)
        if needs(how) != "views":
            x = known[np.searchsorted(data.pool, some)]
            return Linear().fit(x, y[some], groups=units, seed=seed, unlabelled=known)
        protocol: Styled = catalog.load("protocols", how.name)(**how.settings)
        looks, items = arm.recipe.looks(), Items(data.store, some)
        return protocol.fit(encoder, items, y[some], looks, place.device, groups=units, seed=seed).probe

    probe = fitted(rows)
    out = {"target": full(probe.predict(away), y[rows], classes), "source": full(probe.predict(test), y[rows], classes)}
    facts: dict[str, Any] = {"strength": float(probe.strength), "convergence": probe.convergence}
    inside, held = split(data, rows, seed)
    if place.detector == TEXTURE:
        seen = Texture(encoder, arm.recipe.looks()).fit(data.store, inside, y[inside])
        scores = [seen.score(data.store, r) for r in (held, data.test, crossing.test)]
    else:
        x, h = (known[np.searchsorted(data.pool, r)] for r in (inside, held))
        part = fitted(inside)
        found: Detector = catalog.load("ood", place.detector)().fit(x, y[inside], part.logits(x))
        scores = [found.score(f, part.logits(f)) for f in (h, test, away)]
    threshold, kept, flagged = metrics.detection(*scores, keep=KEEP)
    facts |= {"threshold": threshold, "held": len(held), "auroc": metrics.separation(scores[1], scores[2])["auroc"]}
    return out | {"kept": kept, "flagged": flagged, "facts": np.array(json.dumps(facts))}


def _trained(place: Place, crossing: Crossing, arm: Arm, seed: int, halfway: Halfway) -> dict[str, np.ndarray]:
    data, looks = crossing.source, arm.recipe.looks()
    rows = data.labelled
    y = data.table.labels[rows]
    how = arm.protocols[0]
    folder = "adaptation" if arm.kind in (ADAPTS, ALIKE) else "protocols"
    protocol: Finetune = catalog.load(folder, how.name)(**how.settings)
    seen, domains = rows, None
    if arm.kind == ALIKE:
        domains = np.unique(data.table.items["domain"].iloc[rows].to_numpy(str), return_inverse=True)[1].ravel()
    if arm.kind == ADAPTS:
        seen = np.concatenate([rows, crossing.unseen])
        y = np.concatenate([y, np.full(len(crossing.unseen), -1)])
    encoder = arm.for_seed(seed).build_encoder()
    place.device.place(encoder)
    items = Items(data.store, seen, domains, groups(data, seen))
    model = protocol.fit(encoder, items, y, looks, place.device, seed=seed, fresh=True, halfway=halfway)
    out = {
        word: full(model.predict(Items(data.store, r), looks, place.device), y[y >= 0], len(data.table.classes))
        for word, r in (("target", crossing.test), ("source", data.test))
    }
    facts = {"rate": model.rate, "steps": protocol.length(len(rows), looks, True), "unlabelled": len(seen) - len(rows)}
    return out | {"facts": np.array(json.dumps(facts))}
