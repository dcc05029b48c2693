"""The whole computation as one module: from raw items to probabilities, features and strangeness.

What torch predicts with, what is exported and what is calibrated is this one module, so that nothing is computed twice
in two ways.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled import catalog
from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.committee import one_of, pooled
from unlabeled.deploy.levels import Levels
from unlabeled.deploy.strange import Strange
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.training.recipe import Recipe


class Net(nn.Module):
    """Raw items in, answers out.

    Args:
        view: raw items to views.
        look: views (B, C, ...) to features (B, D) and what the detector sees behind them.
        weight: (classes, D) of the head; (members, classes, D) of an ensemble.
        bias: (classes,), or (members, classes).
        temperature: that the logits are divided by.
        strange: detector of strangers, or None while it is not fitted.
    """

    look: Levels
    weight: Tensor
    bias: Tensor
    temperature: Tensor

    def __init__(
        self,
        view: nn.Module,
        look: Levels,
        weight: np.ndarray,
        bias: np.ndarray,
        temperature: float = 1.0,
        strange: Strange | None = None,
    ) -> None:
        super().__init__()
        self.view, self.look, self.strange = view, look, strange
        self.register_buffer("weight", torch.from_numpy(np.array(weight, np.float32)))
        self.register_buffer("bias", torch.from_numpy(np.array(bias, np.float32)))
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32))
        self.eval()

    @property
    def encoder(self) -> Encoder:
        """What makes the features."""
        return self.look.encoder

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Raw items (B, ...) to probabilities (B, classes), features (B, D), strangeness (B,)."""
        seen = self.look(self.view(raw))
        probabilities, strangeness = self.judge(seen)
        return probabilities, seen[:, : self.look.dim], strangeness

    def judge(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and strangeness from what `look` gave, (B, D + L)."""
        features, levels = seen[:, : self.look.dim], seen[:, self.look.dim :]
        logits = pooled(features, self.weight, self.bias)
        strangeness = (
            torch.zeros_like(logits[:, 0])
            if self.strange is None
            else self.strange(levels if self.look.wide else features, logits)
        )
        return torch.softmax(logits / self.temperature, 1), strangeness

    @torch.no_grad()
    def judged(self, seen: np.ndarray) -> dict[str, np.ndarray]:
        """`probabilities`, `logits`, `features` and `strangeness` of what `look` gave, (N, D + L), all float32."""
        whole = torch.from_numpy(np.asarray(seen, np.float32))
        probabilities, strangeness = self.judge(whole)
        x = whole[:, : self.look.dim]
        logits = pooled(x, self.weight, self.bias)
        found = {"probabilities": probabilities, "logits": logits, "features": x, "strangeness": strangeness}
        return {k: v.numpy() for k, v in found.items()}

    def tensors(self) -> dict[str, np.ndarray]:
        """All of it by name, as a bundle keeps it; the view follows from the recipe."""
        out = {f"encoder/{k}": v for k, v in self.encoder.state_dict().items()}
        out |= {"head/weight": self.weight, "head/bias": self.bias}
        out |= {f"look/{k}": v for k, v in self.look.state().items()}
        if self.strange is not None:
            out |= {f"strange/{k}": v for k, v in self.strange.state_dict().items()}
        return {k: v.detach().cpu().contiguous().numpy() for k, v in out.items()}


class Plain(nn.Module):
    """The plain view of a modality as a module.

    Args:
        modality: of the items.
    """

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality = modality

    def forward(self, raw: Tensor) -> Tensor:
        return self.modality.plain(raw)


def view_of(recipe: Recipe, shape: tuple[int, ...], dtype: np.dtype[Any]) -> nn.Module:
    """The plain view of a recipe's modality as a module, for raw items of one shape and type."""
    looks = recipe.looks()
    if recipe.modality not in catalog.names("deploy/views"):
        return Plain(looks)
    view: nn.Module = import_module(f"unlabeled.deploy.views.{recipe.modality}").View(looks, shape, dtype)
    return view


def portable(recipe: Recipe) -> Recipe:
    """The recipe with an encoder that any machine can build without the network.

    Raises:
        UserError: when the encoder is a user's own file, whose code a bundle does not carry.
    """
    if recipe.encoder.name.endswith(".py"):
        raise UserError(
            f"the encoder {recipe.encoder.name} is a file of your own, and a bundle carries no code",
            "take an encoder of the catalog or of timm",
        )
    settings = {k: v for k, v in recipe.encoder.settings.items() if k != "pretrained"}
    return replace(recipe, encoder=catalog.Spec(recipe.encoder.name, settings))


def load(bundle: Bundle) -> Net:
    """The module of a bundle, with its weights.

    Raises:
        UserError: when the weights do not fit the encoder that this version builds.
    """
    recipe = Recipe.from_json(bundle.facts["recipe"], bundle.folder)
    tensors = bundle.weights()
    encoder = one_of([recipe.build_encoder() for _ in range(int(bundle.facts.get("members", 1)))])
    try:
        encoder.load_state_dict(_part(tensors, "encoder/"))
    except RuntimeError as error:
        made = bundle.facts["versions"]
        raise UserError(
            f"the weights in {bundle.folder} do not fit {recipe.encoder} ({str(error).splitlines()[0]})",
            f"use the versions that it was made with: timm {made.get('timm')}, torch {made.get('torch')}",
        ) from None
    strange = Strange(bundle.facts["strangers"]["detector"], _arrays(tensors, "strange/"))
    view = view_of(recipe, bundle.shape, bundle.dtype)
    head = tensors["head/weight"], tensors["head/bias"]
    look = Levels(encoder, bundle.facts["strangers"]["sees"], _arrays(tensors, "look/"))
    return Net(view, look, *head, float(bundle.facts["temperature"]), strange)


def _arrays(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _part(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    return {k: torch.from_numpy(v.copy()) for k, v in _arrays(tensors, prefix).items()}
