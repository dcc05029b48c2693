"""What a study consists of: the arms, the label draws and the cells, fixed before any method runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled import catalog
from unlabeled.data.prepare import Prepared
from unlabeled.encoders import _build
from unlabeled.errors import UserError
from unlabeled.settings import Augmentation, Training
from unlabeled.training.recipe import Recipe
from unlabeled.values import safe as safe
from unlabeled.values import title

PLAIN = "plain"


@dataclass(frozen=True)
class Arm:
    """One way to get a classifier.

    Args:
        name: how tables call it: `simclr`, `random[resnet18]`, `pca`, `supervised[resnet18]`.
        kind: `method`, `random`, `supervised`, or `plain` for a rule of the catalog of arms.
        recipe: encoder and training; the steps are 0 where nothing is pretrained.
        protocols: how labels are used, each a name with its settings.
    """

    name: str
    kind: str
    recipe: Recipe
    protocols: tuple[catalog.Spec, ...]

    def for_seed(self, seed: int) -> Recipe:
        """The recipe with one pretraining seed."""
        return replace(self.recipe, seed=seed)


@dataclass(frozen=True)
class Cell:
    """One fit: an arm's features or encoder, a draw of labels, a protocol.

    Args:
        arm: name of the arm.
        share: share of the training labels, or 1.0 for all.
        labels: how many labels that is.
        seed: pretraining seed.
        draw: number of the label draw.
        protocol: the protocol as it was written, `finetune(encoder_lr=0)`.
    """

    arm: str
    share: float
    labels: int
    seed: int
    draw: int
    protocol: str

    @property
    def file(self) -> str:
        """Name of the cell's file of predictions."""
        return f"{safe(self.arm)}-{self.share:g}-s{self.seed}-d{self.draw}-{safe(self.protocol)}.npz"


def method_and_encoder(
    text: str | Mapping[str, Any], encoder: str | catalog.Spec | None, modality: str = "image", usual: str = ""
) -> tuple[catalog.Spec, catalog.Spec]:
    """Read a method's text or mapping; a mapping may bring an `encoder` of its own, else it is the method's own for
    the modality, or what is usual for the data.

    >>> [str(s) for s in method_and_encoder({"name": "mae", "encoder": "vit(width=64)"}, None)]
    ['mae', 'vit(width=64)']
    """
    own = encoder
    if isinstance(text, Mapping):
        own = text.get("encoder", encoder)
        text = {k: v for k, v in text.items() if k != "encoder"}
    method = catalog.parse("methods", text)
    return method, _build.spec(own or catalog.entry("methods", method.name).encoder_for(modality, usual))


def compose(
    prepared: Prepared,
    method: catalog.Spec,
    encoder: catalog.Spec,
    augmentation: Augmentation,
    training: Training,
    steps: int,
    seed: int,
) -> Recipe:
    """The recipe of a run on prepared data; views that were left open follow the data."""
    usual = {name: 0.5 if home else 0.0 for name, home in prepared.mirrors.items()}
    open_ones: dict[str, Any] = {name: value for name, value in usual.items() if getattr(augmentation, name) is None}
    return Recipe(
        method=method,
        encoder=encoder,
        modality=prepared.table.modality,
        size=prepared.size,
        plain_size=prepared.prep.size if _build.any_size(encoder) else prepared.size,
        channels=prepared.prep.channels,
        mean=prepared.mean,
        std=prepared.std,
        # as JSON brings it back: a run that is opened again must be found equal
        prep={k: list(v) if isinstance(v, tuple) else v for k, v in asdict(prepared.prep).items()},
        augmentation=replace(augmentation, **open_ones),
        training=training,
        steps=steps,
        seed=seed,
        items=len(prepared.learning),
        upright=not prepared.mirrors.get("vertical_flip", False),
    )


def suitable(
    prepared: Prepared, methods: Sequence[str | Mapping[str, Any]], encoder: str | None, training: Training
) -> tuple[list[str | Mapping[str, Any]], list[str]]:
    """The methods, with `all` replaced by every one of the catalog that can serve the data, and why others cannot of
    those that are made for such items.

    Where the encoder that was asked for does not fit a method, the method's own is taken.
    """
    out: list[str | Mapping[str, Any]] = []
    left: list[str] = []
    named = {str(m.get("name") if isinstance(m, Mapping) else catalog.read_spec(m).name) for m in methods}
    for given in methods:
        if given != "all":
            out.append(given)
            continue
        for name in catalog.names("methods"):
            made_for = catalog.entry("methods", name).facts.get("modalities", ("image",))
            if name in named or prepared.table.modality not in made_for:
                continue
            choices: list[str | Mapping[str, Any]] = [name]
            if encoder:
                usual = catalog.entry("methods", name).encoder_for(prepared.table.modality, prepared.usual_encoder)
                choices.append({"name": name, "encoder": usual})
            reasons = [_cannot(prepared, choice, encoder, training) for choice in choices]
            fits = [choice for choice, reason in zip(choices, reasons, strict=True) if not reason]
            out += fits[:1]
            left += [] if fits else [f"{name} is left out: {reasons[0]}"]
    return out, left


def _cannot(prepared: Prepared, given: str | Mapping[str, Any], encoder: str | None, training: Training) -> str:
    method, own = method_and_encoder(given, encoder, prepared.table.modality, prepared.usual_encoder)
    try:
        compose(prepared, method, own, Augmentation(), training, 0, 0).build()
    except UserError as error:
        return str(error)
    return ""


def arms(
    prepared: Prepared,
    methods: Sequence[str | Mapping[str, Any]],
    encoder: str | None,
    protocols: Sequence[str | Mapping[str, Any]],
    augmentation: Augmentation,
    training: Training,
    seed: int,
) -> list[Arm]:
    """The methods as arms, random and supervised for every encoder in use, and the plain rules that serve the data.

    Raises:
        UserError: when nothing is named, or something that does not exist, or the same twice.
    """
    uses = protocols_of(protocols)
    if not methods:
        raise UserError("no method was named", "give --methods simclr")
    on_nets = tuple(p for p in uses if needs(p) == "encoder")
    on_features = tuple(p for p in uses if needs(p) == "features")
    frozen = tuple(p for p in uses if needs(p) != "encoder")
    out: list[Arm] = []
    encoders: dict[str, Recipe] = {}
    chosen = [method_and_encoder(m, encoder, prepared.table.modality, prepared.usual_encoder) for m in methods]
    tags = _build.tags([enc for _, enc in chosen])
    for method, enc in chosen:
        recipe = compose(prepared, method, enc, augmentation, training, 0, seed)
        encoders.setdefault(str(enc), recipe)
        name = str(method)
        taken = [a for a in out if a.name == name]
        name = f"{name}[{tags[str(enc)]}]" if taken else name
        if any(str(a.recipe.method) == str(method) and a.recipe.encoder == enc for a in out):
            raise UserError(f"the method {name} was given twice", "give each method once, or with other settings")
        out.append(Arm(name, "method", recipe, uses))
    for recipe in encoders.values():
        tag = f"[{tags[str(recipe.encoder)]}]" if len(encoders) > 1 else ""
        if frozen:
            out.append(Arm(f"random{tag}", "random", recipe, frozen))
        if on_nets:
            out.append(Arm(f"supervised{tag}", "supervised", recipe, on_nets))
    if on_features:
        first = next(iter(encoders.values()))
        out += [Arm(name, PLAIN, first, on_features) for name in plain_arms(prepared)]
    return out


def protocols_of(given: Sequence[str | Mapping[str, Any]]) -> tuple[catalog.Spec, ...]:
    """The protocols, with settings that they take.

    Raises:
        UserError: when there is none, one is named twice, or does not take its settings.
    """
    out = tuple(catalog.parse("protocols", p) for p in given)
    if not out:
        raise UserError("no protocol was named", "give --protocols linear")
    for spec in out:
        if out.count(spec) > 1:
            raise UserError(f"the protocol {spec} was given twice", "give each protocol once, or with other settings")
        catalog.load("protocols", spec.name)(**spec.settings)
    return out


def check_arms(plan: Sequence[Arm]) -> None:
    """Refuse before the first training what would be refused at the last one: a method that does not take its settings,
    its encoder or the data.
    """
    for arm in plan:
        if arm.kind == "method":
            arm.recipe.build()


def cells(plan: Sequence[Arm], draws: Sequence[Mapping[float, Any]], seeds: Sequence[int]) -> list[Cell]:
    """All fits of a study; where each draw takes the same items, as with all labels, there is one draw only, and a rule
    without chance has one seed only. Of shares that come to as many labels one is fitted.
    """
    out: list[Cell] = []
    for arm in plan:
        alike = arm.kind == PLAIN and not catalog.entry("arms", arm.name).facts.get("random", False)
        for seed in seeds[:1] if alike else seeds:
            for number, draw in enumerate(draws):
                for share in budgets(draw):
                    rows = draw[share]
                    if number > 0 and all(np.array_equal(rows, other[share]) for other in draws):
                        continue
                    out.extend(Cell(arm.name, float(share), len(rows), seed, number, str(p)) for p in arm.protocols)
    return out


def budgets(draw: Mapping[float, Any]) -> list[float]:
    """The shares of a draw, one for each number of labels that they come to: where few are labelled, a hundredth and a
    tenth may both be one item a class. All labels go before another share that takes them all, else the first stays.

    >>> budgets({0.01: [7, 9], 0.1: [7, 9], 0.5: [3, 7, 9], 1.0: [1, 3, 7, 9]})
    [0.01, 0.5, 1.0]
    """
    kept: dict[int, float] = {}
    for share, rows in draw.items():
        if len(rows) not in kept or share == 1.0:
            kept[len(rows)] = share
    return list(kept.values())


def plain_arms(prepared: Prepared) -> list[str]:
    """The rules of the catalog of arms that serve the data; what looks at gaps alone needs gaps."""
    out = []
    for name in catalog.names("arms"):
        facts = catalog.entry("arms", name).facts
        fits = prepared.table.modality in facts.get("modalities", ())
        if fits and (not facts.get("needs_gaps", False) or getattr(prepared.prep, "missing", False)):
            out.append(name)
    return out


def needs(protocol: catalog.Spec) -> str:
    """What a protocol learns from: `features`, an `encoder` that it changes, or `views` through a frozen encoder."""
    return str(catalog.entry("protocols", protocol.name).facts.get("needs", "features"))


def folder_name(data: str, word: str) -> Path:
    """A default folder for results in the working directory: `unlabeled-steel-simclr`."""
    return Path(f"unlabeled-{safe(title(data) or 'data')}-{safe(word)}")
