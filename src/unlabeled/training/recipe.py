"""Everything that determines a run's numbers, as one value that is written to and read from JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unlabeled import catalog
from unlabeled.encoders import Encoder, _build
from unlabeled.errors import UserError
from unlabeled.facts import BROKEN, why
from unlabeled.methods import Facts, Method
from unlabeled.modalities import Modality
from unlabeled.settings import Augmentation, Training
from unlabeled.training import start


@dataclass(frozen=True)
class Recipe:
    """What a run is made of.

    Args:
        method: self-supervised method and its settings.
        encoder: encoder and its settings.
        modality: name of the modality.
        size: side of the views in pixels, or their time steps.
        plain_size: the same of the plain view that features are read from.
        channels: channels of the stored items.
        mean: mean of each channel over the training items, in 0 to 1 for pictures.
        std: standard deviation of each channel.
        prep: how items were decoded (`data.store.Prep`, or that of the modality, as a mapping).
        augmentation: the random views.
        training: how the loop runs.
        steps: length of the run.
        seed: of weights, order and views.
        items: how many items are learnt from; 0 where it is not known.
        upright: whether the items have an up.
        start: folder whose encoder's weights the first step begins with; random ones where there is none.
    """

    method: catalog.Spec
    encoder: catalog.Spec
    modality: str
    size: int
    plain_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    prep: Mapping[str, Any]
    augmentation: Augmentation
    training: Training
    steps: int
    seed: int
    items: int = 0
    upright: bool = True
    start: str = ""

    @property
    def facts(self) -> Facts:
        """What the method may know before it starts."""
        looks = self.looks()
        kinds = len(looks.interventions())
        return Facts(self.items, self.steps, looks.channels, looks.size, self.upright, kinds)

    def looks(self) -> Modality:
        """The modality with this recipe's views, in the form that the encoder takes."""
        kind: type[Modality] = catalog.load("modalities", self.modality)
        names = ("size", "plain_size", "channels", "mean", "std", "augmentation")
        looks = kind.fitting(self.prep, {name: getattr(self, name) for name in names})
        return looks.seen_by(*_build.looks_at(self.encoder))

    def build_encoder(self) -> Encoder:
        """The encoder with the weights that this recipe's seed draws."""
        looks = self.looks()
        torch.manual_seed(self.seed)
        encoder = _build.build(self.encoder, looks.channels, looks.size, looks.space)
        encoder.meet(looks)
        return encoder

    def build(self, *, begin: bool = False) -> Method:
        """The method around its encoder, with the weights that this recipe's seed draws; to begin a run, the encoder
        has those of its start.

        Raises:
            UserError: when the method does not serve the modality or the data.
        """
        kind = self.kind()
        kind.judge(self.facts)
        encoder = self.build_encoder()
        if begin and self.start:
            start.begin(encoder, self.start)
        try:
            method = kind(encoder, **self.method.settings)
            method.fit_to(self.facts)
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError, AssertionError) as error:
            if not self.method.settings:
                raise
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{self.method} cannot be built ({first})", f'see the ranges in "unlabeled methods {self.method.name}"'
            ) from error
        return method

    def kind(self) -> type[Method]:
        """The method's class.

        Raises:
            UserError: when the method does not serve the modality, or a user's own file holds none.
        """
        kind: type[Method] = catalog.load("methods", self.method.name)
        if not (isinstance(kind, type) and issubclass(kind, Method)):
            raise UserError(
                f"{kind.__name__} in {self.method.name} is no method", "derive it from unlabeled.methods.Method"
            )
        if self.modality not in kind.modalities:
            raise UserError(
                f"{self.method.name} works on {', '.join(kind.modalities)}, not on {self.modality}",
                'see "unlabeled methods"',
            )
        return kind

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values."""
        out = {k: v for k, v in self.__dict__.items() if not isinstance(v, catalog.Spec | Augmentation | Training)}
        out |= {"mean": list(self.mean), "std": list(self.std)}
        out["prep"] = {k: list(v) if isinstance(v, tuple) else v for k, v in self.prep.items()}
        for key in ("method", "encoder"):
            spec: catalog.Spec = getattr(self, key)
            out[key] = {"name": spec.name, "settings": dict(spec.settings)}
        return out | {"augmentation": asdict(self.augmentation), "training": asdict(self.training)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: Path | str = "") -> "Recipe":
        """Read what `to_json` wrote.

        Args:
            values: of the JSON.
            where: it stands.

        Raises:
            UserError: when it is something else.
        """
        try:
            return cls._read(values)
        except BROKEN as error:
            remedy = "copy what holds it again from where it was made, or make it again"
            raise UserError(
                f"the recipe{f' in {where}' if where else ''} cannot be read ({why(error)})", remedy
            ) from None

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> "Recipe":
        specs = {k: catalog.Spec(values[k]["name"], values[k]["settings"]) for k in ("method", "encoder")}
        return cls(
            **specs,
            modality=values["modality"],
            size=values["size"],
            plain_size=values["plain_size"],
            channels=values["channels"],
            mean=tuple(values["mean"]),
            std=tuple(values["std"]),
            prep=values["prep"],
            augmentation=Augmentation(**values["augmentation"]),
            training=Training(**values["training"]),
            steps=values["steps"],
            seed=values["seed"],
            items=values.get("items", 0),
            upright=values.get("upright", True),
            start=values.get("start", ""),
        )

    def with_steps(self, steps: int) -> "Recipe":
        """The same recipe for another length."""
        return replace(self, steps=steps)

    def numbers(self) -> dict[str, Any]:
        """What the run's numbers depend on: all but the place where it is computed."""
        out = self.to_json()
        out["training"] = {k: v for k, v in out["training"].items() if k not in ("threads", "device")}
        return out
