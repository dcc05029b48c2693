"""Put one question to several explainers, and their maps to the tests: are they faithful, do they need the weights?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unlabeled import catalog
from unlabeled.errors import UserError
from unlabeled.explain import Complete, Explainer, Score, _faithful, _places, _sanity
from unlabeled.explain._questions import Lens

DRAWS = 19  # random maps: to beat all of them happens to one in 20 by chance


@dataclass(frozen=True)
class Question:
    """What is asked about items.

    Args:
        kind: why this class, why this embedding, or why near to another item.
        ask: from a lens to the score; the same question can so be put to other weights.
        value: what of the score is watched while places are hidden.
    """

    kind: Literal["class", "embedding", "nearness"]
    ask: Callable[[Lens], Score]
    value: _faithful.Value = Tensor.float


@dataclass(frozen=True, eq=False)
class Found:
    """What an explainer found.

    Args:
        name: of the explainer.
        maps: (B, ...) of the items.
        faith: their curves beside random maps'.
        likeness: (B,) rank correlation with the maps of random weights.
        missing: (B,) by which share the sum of the map misses the score's difference; None where none is promised.
        seconds: spent on the maps.
        of: (B,) how many different moved maps there are of each item: fewer than were drawn where it is short.
    """

    name: str
    maps: Tensor
    faith: _faithful.Faith
    likeness: np.ndarray
    missing: np.ndarray | None
    seconds: float
    of: np.ndarray

    def beaten(self) -> np.ndarray:
        """How many of the moved maps it beats (B,), by the area under insertion less that under deletion."""
        own = self.faith.own.inserted - self.faith.own.deleted
        wins = [own > m.inserted - m.deleted for m in self.faith.moved]
        return np.asarray(np.sum([win & (draw < self.of) for draw, win in enumerate(wins)], 0, dtype=int))


def chosen(how: Sequence[str]) -> list[tuple[catalog.Spec, Explainer]]:
    """Explainers by name with settings; all of the catalog when none is named."""
    specs = [catalog.parse("explain", text) for text in how or catalog.names("explain")]
    return [(spec, catalog.load("explain", spec.name)(**spec.settings)) for spec in specs]


def examine(
    how: Sequence[str],
    question: Question,
    lens: Lens,
    views: Tensor,
    *,
    random: Sequence[Lens],
    draws: int = DRAWS,
    seed: int = 0,
    each: Callable[[int], None] | None = None,
) -> tuple[list[Found], list[str]]:
    """Ask each explainer, and test what it says.

    Args:
        how: explainers by name; with none named all are asked, and those that cannot look into this encoder are left.
        question: what is asked.
        lens: looks at the items.
        views: (B, C, ...) the items.
        random: lenses with random weights, for the sanity check.
        draws: random maps that each map is measured against.
        seed: of the random maps.
        each: called after each explainer, for a progress bar.

    Returns:
        What was found, and a sentence for each explainer that was left out.

    Raises:
        UserError: when an explainer that was named cannot look into this encoder.
    """
    score = question.ask(lens)
    few = min(draws, _faithful.DRAWS)
    none = lens.encoder.nothing
    scattered = _faithful.scattered_curves(score, views, value=question.value, draws=few, seed=seed, nothing=none)
    found, left = list[Found](), list[str]()
    for spec, explainer in chosen(how):
        began = time.perf_counter()
        try:
            maps = explainer.explain(score, lens.encoder, views)
        except UserError as reason:
            if how:
                raise
            left.append(f"{spec} is left out: {reason.wrong}.")
            continue
        seconds = time.perf_counter() - began
        again = [explainer.explain(question.ask(other), other.encoder, views) for other in random]
        likeness = _sanity.changed(maps, again, _places.inside(views)) if again else np.full(len(views), np.nan)
        faith = _faithful.faith(
            score, views, maps, value=question.value, scattered=scattered, draws=draws, seed=seed, nothing=none
        )
        missing = _missing(explainer, score, views, maps)
        found.append(Found(str(spec), maps.cpu(), faith, likeness, missing, seconds, _different(views, draws)))
        if each is not None:
            each(1)
    return found, left


def _different(views: Tensor, draws: int) -> np.ndarray:
    """How many of so many moved maps are different ones, of each of the views (B,)."""
    there = _places.inside(views)
    if there is None:
        return np.full(len(views), draws)
    return np.array([min(draws, len(_faithful.shifts(int(count)))) for count in there.sum(1).tolist()])


def _missing(explainer: Explainer, score: Score, views: Tensor, maps: Tensor) -> np.ndarray | None:
    """By which share of the score's difference the sum of a complete explainer's map misses it (B,)."""
    if not isinstance(explainer, Complete):
        return None
    with torch.no_grad():
        told = score(views) - score(explainer.start(views))
        share = (maps.flatten(1).sum(1) - told).abs() / told.abs().clamp_min(1e-9)
    return np.asarray(share.cpu().numpy())
