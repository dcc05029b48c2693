"""The head of a bundle: whatever learnt it, weights and a bias for each class, on features as they come."""

from typing import Any

import numpy as np

from unlabeled import catalog
from unlabeled.data.prepare import READ, Prepared
from unlabeled.deploy.committee import listed
from unlabeled.deploy.eye import Eye, at_most
from unlabeled.deploy.parts import Units
from unlabeled.protocols.finetune import Classifier
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Training
from unlabeled.study.plan import needs
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items
from unlabeled.training.recipe import Recipe

PROTOCOLS = ("linear", "propagate", "styled", "finetune")  # that end in one matrix, which is what a bundle holds
STANDARD = 4000  # items whose mean and spread standardise the features


def probed(
    eye: Eye,
    recipe: Recipe,
    prepared: Prepared,
    parts: tuple[np.ndarray, np.ndarray],
    protocol: catalog.Spec,
    seed: int,
    kept: Units,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probes on the frozen features of each member, as weights (classes, D) and bias (classes,).

    Args:
        eye: the encoders and the features of rows.
        recipe: how items are viewed.
        prepared: the data.
        parts: the rows to learn from, and those kept back for calibration, which stand in no graph of unlabelled items.
        protocol: `linear`, `propagate` or `styled`, with settings.
        seed: of its draws.
        kept: the rows that stay together.
    """
    learn, held = parts
    y, groups, found, at = prepared.table.labels[learn], kept.of(learn), [], 0
    most = READ if protocol.name == "propagate" else STANDARD
    for member in listed(eye.look.encoder):
        how: Any = catalog.load("protocols", protocol.name)(**protocol.settings)
        own = slice(at, at := at + member.dim)
        if needs(protocol) == "views":
            plain = open_device(Training(device="cpu", precision="fp32"))
            how = how.fit(member, Items(prepared.store, learn), y, recipe.looks(), plain, groups=groups, seed=seed)
        else:
            further = eye.features(at_most(np.setdiff1d(prepared.learning, held), most))[:, own]
            how.fit(eye.features(learn)[:, own], y, groups=groups, seed=seed, unlabelled=further)
        found.append(_full(how if isinstance(how, Linear) else how.probe, len(prepared.table.classes)))
    return found


def folded(model: Classifier) -> tuple[np.ndarray, np.ndarray]:
    """Weights (classes, D) and bias of a fine-tuned head, its batch norm folded in."""
    state = {k: v.detach().double().cpu().numpy() for k, v in model.head.state_dict().items()}
    scale = np.sqrt(state["0.running_var"] + 1e-8)  # the batch norm's own eps
    weight = state["1.weight"] / scale
    return weight, state["1.bias"] - weight @ state["0.running_mean"]


def _full(probe: Linear, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The probe's weights (classes, D) and bias; a class that no label shows is never the answer."""
    weight, bias = probe.coefficients()
    all_weight, all_bias = np.zeros((classes, weight.shape[1])), np.full(classes, bias.min() - 30.0)
    all_weight[probe.classes], all_bias[probe.classes] = weight, bias
    return all_weight, all_bias
