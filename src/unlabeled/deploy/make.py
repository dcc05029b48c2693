"""Fit what a bundle needs and write it: head, temperature, label sets, detector of strangers, reference, card.

The labelled items are parted once, whole groups together: from one part the head (and the net, when it is fine-tuned)
and the detector learn; the other sets temperature, label sets and the detector's threshold, and its labels count as
labels. Test items are looked at once, at the end, for the card.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import unlabeled
from unlabeled import catalog
from unlabeled.confidence.conformal import needed, quantile
from unlabeled.confidence.temperature import temperature
from unlabeled.data.prepare import Prepared
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Store
from unlabeled.deploy import bundle, card, figures, strange
from unlabeled.deploy.committee import heads, one_of
from unlabeled.deploy.decide import Limits, class_limits
from unlabeled.deploy.eye import MOST, Eye, at_most
from unlabeled.deploy.head import PROTOCOLS, folded, probed
from unlabeled.deploy.levels import Levels
from unlabeled.deploy.net import Net, portable, view_of
from unlabeled.deploy.parts import by_domain, part, units
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.protocols.finetune import Classifier
from unlabeled.settings import Handover
from unlabeled.study.plan import needs
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import fingerprint

BATCH = 64


@dataclass(frozen=True)
class Start:
    """What the head is put on.

    Args:
        encoder: with its weights.
        recipe: that it was made by.
        fresh: its weights are random.
        words: where it comes from, such as `simclr, 300 steps, seed 0`.
        notes: what the card must say of it, a sentence each.
        others: further members of an ensemble, built by the same recipe.
    """

    encoder: Encoder
    recipe: Recipe
    fresh: bool
    words: str
    notes: tuple[str, ...] = ()
    others: tuple[Encoder, ...] = ()


def make(
    folder: Path,
    start: Start,
    prepared: Prepared,
    rows: np.ndarray,
    protocol: catalog.Spec,
    wish: Handover,
    device: Device,
    told: Mapping[str, Any],
    *,
    each: Callable[[int], None] | None = None,
) -> bundle.Bundle:
    """Fit everything and write the bundle.

    Args:
        folder: `name.ul`, not there yet.
        start: encoder and where it comes from.
        prepared: the data.
        rows: the labelled rows that may be used.
        protocol: one of PROTOCOLS, with settings.
        wish: what is promised.
        device: from `open_device`; everything is computed in float32.
        told: `command`, `data` (as given) and `seed`.
        each: called after each step of fine-tuning with 1, and with the number of those that an earlier call had made.
    """
    bundle.vacant(folder)
    if protocol.name not in PROTOCOLS:
        raise UserError(f"a bundle cannot hold what {protocol.name} learns", f"take one of {', '.join(PROTOCOLS)}")
    needed(wish.coverage), needed(wish.keep)
    seed, y = int(told["seed"]), prepared.table.labels
    recipe = portable(start.recipe)
    form = prepared.store.shape, prepared.store.dtype
    plain = Eye(view_of(recipe, *form), Levels(_plain_copy(recipe, start.encoder), "features"), prepared.store)
    kept = units(prepared, wish.groups_from, plain.features)
    learn, held = part(prepared, rows, wish.calibrate, seed, kept.of(rows))
    recipe = _read_as_learnt(recipe, protocol, len(learn), start.fresh)
    view = view_of(recipe, *form)
    where = by_domain(prepared, learn, held) if wish.sets_by == "domain" else None
    halves = [Halfway(folder.with_name(f"{folder.name}.halfway-{i}"), each) for i in range(1 + len(start.others))]
    encoder, head = _encoder(start, recipe, prepared, learn, protocol, device, seed, halves)
    eye = Eye(view, Levels(encoder, wish.detector_sees), prepared.store, head).learn(learn)
    head = head or heads(probed(eye, recipe, prepared, (learn, held), protocol, seed, kept))
    net = Net(eye.view, eye.look, *head)
    facts, reference = calibrate(net, eye, y, learn, held, wish, len(prepared.table.classes), where)
    facts["conformal"]["units"] = figures.units(len(held), kept.of(held))
    seen, near = at_most(np.setdiff1d(prepared.learning, learn), MOST), at_most(learn, MOST)
    drift = net.judged(eye(seen))
    reference |= {f"drift/{k}": drift[k] for k in ("probabilities", "features", "strangeness")}
    reference |= {"near/features": eye.features(near), "near/labels": y[near]}
    if wish.thumbnails:
        reference["near/thumbs"] = thumbs(prepared.store, near, recipe)
    facts = {
        "unlabeled": unlabeled.__version__,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": told["command"],
        "licence": wish.licence,
        "name": folder.name.removesuffix(".ul"),
        "recipe": recipe.to_json(),
        "input": _input(prepared),
        "classes": prepared.table.classes,
        "head": {"protocol": str(protocol), "start": start.words, "seed": seed},
        "members": 1 + len(start.others),
        "data": _data(prepared, learn, held, seen, told) | {"together": kept.told()},
        "thumbnails": wish.thumbnails,
        **facts,
        "notes": [*start.notes, *facts["notes"], *kept.notes(prepared, held, needed(wish.coverage))],
    }
    if len(test := prepared.test):
        facts["test"] = figures.figures(net.judged(eye(test)), y[test], Limits.of(facts), kept.of(test))
        facts["notes"] += figures.doubts(facts["test"], facts["conformal"], facts["strangers"])
    text = card.Card.of(facts)
    pages = {bundle.CARD: text.markdown(), bundle.PAGE: text.html()}
    made = bundle.write(folder, facts, net.tensors(), reference, pages)
    for halfway in halves:
        halfway.done()
    return made


def calibrate(
    net: Net,
    eye: Eye,
    y: np.ndarray,
    learn: np.ndarray,
    held: np.ndarray,
    wish: Handover,
    classes: int,
    domains: Mapping[str, np.ndarray] | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fit detector, temperature and limits; the net is given them.

    Args:
        net: with its head.
        eye: gives the features of rows.
        y: (N,) class number of every item.
        learn: rows that the head learnt from.
        held: rows kept back for calibration.
        wish: what is promised.
        classes: number of classes.
        domains: by name, which of the held rows are of it (N,) bool, where the promise is kept in each.

    Returns:
        The facts (`temperature`, `conformal`, `strangers`, `notes`) and the calibration items' arrays.
    """
    learnt = net.judged(eye(learn))
    seen = eye(learn)[:, eye.look.dim :] if eye.look.wide else learnt["features"]
    state = strange.fit(wish.detector, seen, y[learn], learnt["logits"], eye.look.parts(seen.shape[1]))
    net.strange = strange.Strange(catalog.read_spec(wish.detector).name, state)
    heat = temperature(net.judged(eye(held))["logits"], y[held])
    net.temperature.fill_(heat)
    kept = net.judged(eye(held))
    numbers = None if domains is None else np.stack(list(domains.values())).argmax(0)
    limit = class_limits(kept["probabilities"], y[held], wish.coverage, wish.sets_by, classes, numbers)
    threshold = quantile(kept["strangeness"], wish.keep)
    counts = {name: int(mine.sum()) for name, mine in (domains or {}).items()}
    notes = _notes(wish, held, threshold, limit, counts)
    if not np.isfinite(threshold):
        threshold = float(kept["strangeness"].max())
    sets = {"coverage": wish.coverage, "by": wish.sets_by, "items": len(held), "domains": counts}
    facts = {
        "temperature": heat,
        "conformal": sets | {"quantile": [float(q) if np.isfinite(q) else None for q in limit]},
        "strangers": {"detector": wish.detector, "sees": wish.detector_sees, "keep": wish.keep, "threshold": threshold},
        "notes": notes,
    }
    names = ("probabilities", "logits", "features", "strangeness")
    told = {} if numbers is None else {"domains": numbers}
    return facts, {"labels": y[held], **told, **{k: kept[k] for k in names}}


def thumbs(store: Store, rows: np.ndarray, recipe: Recipe, side: int = 64) -> np.ndarray:
    """Small pictures (N, S, S, 3) uint8 of items, as their modality shows them."""
    looks, out = recipe.looks(), []
    for at in range(0, len(rows), BATCH):
        shown = looks.show(looks.plain(store.batch(rows[at : at + BATCH])))
        step = max(1, -(-shown.shape[1] // side))
        out.append(shown[:, ::step, ::step])
    return np.concatenate(out)


def versions() -> dict[str, str]:
    """What the bundle was made with."""
    out = {"python": platform.python_version()}
    for name in ("torch", "torchvision", "timm", "numpy", "scikit-learn", "onnx", "onnxruntime"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


def _read_as_learnt(recipe: Recipe, protocol: catalog.Spec, labels: int, fresh: bool) -> Recipe:
    """The recipe with plain views of the size at which a net that learnt so reads items; a frozen one's stay."""
    if needs(protocol) != "encoder":
        return recipe
    how: Any = catalog.load("protocols", protocol.name)(**protocol.settings)
    looks = how.looks(recipe.looks(), labels, fresh)
    return replace(recipe, plain_size=getattr(looks, "plain_size", recipe.plain_size))


def _encoder(
    start: Start,
    recipe: Recipe,
    prepared: Prepared,
    learn: np.ndarray,
    protocol: catalog.Spec,
    device: Device,
    seed: int,
    halves: Sequence[Halfway],
) -> tuple[Encoder, tuple[np.ndarray, np.ndarray] | None]:
    """The encoders on the CPU in float32, fine-tuned if that is asked for, and the head if they got one by that."""
    members, found = [], []
    for number, encoder in enumerate((start.encoder, *start.others)):
        if needs(protocol) == "encoder":
            how: Any = catalog.load("protocols", protocol.name)(**protocol.settings)
            device.place(encoder)
            looks, y = recipe.looks(), prepared.table.labels[learn]
            items = Items(prepared.store, learn, groups=unit_numbers(prepared.table, learn))
            own = {"seed": seed + number, "fresh": start.fresh, "halfway": halves[number]}
            model: Classifier = how.fit(encoder, items, y, looks, device, **own)
            encoder = model.encoder
            found.append(folded(model))
        members.append(_plain_copy(recipe, encoder))
    return one_of(members), heads(found) if found else None


def _plain_copy(recipe: Recipe, encoder: Encoder) -> Encoder:
    """The encoder on the CPU, built anew: without what makes training fast."""
    fresh = recipe.build_encoder()
    fresh.load_state_dict({k: v.detach().float().cpu() if v.is_floating_point() else v.detach().cpu()
                           for k, v in encoder.state_dict().items()})  # fmt: skip
    return fresh.eval()


def _input(prepared: Prepared) -> dict[str, Any]:
    store = prepared.store
    out = {"modality": prepared.table.modality, "shape": list(store.shape), "dtype": str(np.dtype(store.dtype))}
    return out | {"prep": asdict(prepared.prep)}


def _data(
    prepared: Prepared, learn: np.ndarray, held: np.ndarray, seen: np.ndarray, told: Mapping[str, Any]
) -> dict[str, Any]:
    """The training data card; no path and no name of an item is in it."""
    table = prepared.table
    items = table.items
    counts = {
        name: {c: int((table.labels[rows] == i).sum()) for i, c in enumerate(table.classes)}
        for name, rows in (("learnt", learn), ("calibration", held), ("test", prepared.test))
    }
    return {
        "name": Path(str(told["data"])).resolve().name,
        "form": table.form,
        "counts": counts,
        "pretrained_on": len(prepared.learning),
        "reference": len(seen),
        "broken": len(table.broken),
        "groups": int(items["group"].nunique()),
        "domains": sorted(items["domain"].dropna().unique().tolist()),
        "split": prepared.seed,
        "items": fingerprint(items["path"].astype(str).tolist(), np.arange(len(table))),
    }


def _notes(
    wish: Handover, held: np.ndarray, threshold: float, limit: np.ndarray, domains: Mapping[str, int]
) -> list[str]:
    out = []
    least = needed(wish.coverage)
    few = [f"{name} has {n}" for name, n in domains.items() if n < least]
    if few:
        out.append(
            f"{', '.join(few)}, fewer than the {least} calibration items that {100 * wish.coverage:g} % needs in each "
            "domain: every label set holds every class, so that the model never answers; label more there, or take "
            "--sets-by all."
        )
    elif not np.isfinite(limit).all():
        what = "some classes have" if wish.sets_by == "class" else "there are"
        out.append(
            f"{what} fewer than the {least} calibration items that {100 * wish.coverage:g} % needs ({len(held)} in "
            "all): label sets hold every such class, so that the model often abstains; label more, give --calibrate "
            "0.5, or promise less with --coverage."
        )
    if not np.isfinite(threshold):
        out.append(
            f"{len(held)} calibration items are fewer than the {needed(wish.keep)} that keeping {100 * wish.keep:g} % "
            "needs: the threshold of the detector is the strangest of them, and more known items may be flagged."
        )
    return out
