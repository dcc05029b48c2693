"""Which test corruptions have a relative among what a run saw while it learnt, by name.

A corruption that training imitated is no test of the unforeseen: results are given over all kinds and over those
without a relative. What a run draws is found by watching its method draw the views of a few items.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from unlabeled.methods import Batch, Method
from unlabeled.modalities import Style
from unlabeled.training.recipe import Recipe

COLOURS = frozenset(("warmth", "tint", "hue", "pitch"))  # kinds of style that no corruption is like
TURNS = 2  # steps after which a method has drawn all that it draws: some look at other things in every second one
HIDING = frozenset(
    ("mae", "inpainting", "hybrid", "ijepa", "mlm", "nsp", "simcse", "tst", "ts2vec")
)  # methods that hide places
RELATIVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gaussian_noise": ("noise", "grain"),
        "shot_noise": ("noise", "grain"),
        "dead_pixels": ("grain",),
        "defocus_blur": ("blur", "focus", "filter"),
        "motion_blur": ("blur", "focus", "filter"),
        "brightness": ("jitter", "gamma", "gain", "offset"),
        "contrast": ("jitter", "contrast"),
        "haze": ("jitter", "contrast", "offset", "field"),
        "shadow": ("slope_x", "slope_y", "field", "gain"),
        "jpeg": (),
        "resolution": ("blur", "focus", "filter"),
        "occlusion": ("cutout", "masking"),
        "rain": ("grain",),
        "snow": ("jitter", "offset", "grain"),
        "white_noise": ("noise",),
        "spikes": ("noise",),
        "wander": ("jitter", "offset"),
        "clipping": (),
        "low_rate": ("rate", "warp"),
        "freeze": ("cutout", "gaps", "masking"),
        "quantised": (),
        "dropouts": ("cutout", "drop", "gaps", "masking"),
        "hiss": ("noise",),
        "hum": ("noise",),
        "crackle": ("noise",),
        "echo": ("jitter", "room"),
        "telephone": ("jitter", "room", "tilt"),
        "typos": (),
        "case": (),
        "deletions": ("cutout", "masking"),
        "joined": (),
        "swapped": (),
    }
)  # corruption: settings of Augmentation, kinds of interventions, and `masking` (methods that hide places of an item)


def drawn(recipe: Recipe, raw: Tensor, method: Method | None = None) -> frozenset[str]:
    """What the views of a run change in an item, in the words of `RELATIVES`.

    Args:
        recipe: of the run.
        raw: some items as the store holds them (B, C, H, W), two or more.
        method: of the run, which is not changed; built from the recipe when not given.
    """
    method = copy.deepcopy(method) if method else recipe.build()
    seen: set[str] = set()
    looks = copy.copy(recipe.looks().at(0, 0))
    augment, intervene, keep, noisy = looks.augment, looks.intervene, looks.keep, looks.noisy

    def watch_augment(raw: Tensor, strength: Any = "strong") -> Tensor:
        if strength != "mild":
            seen.update(looks.changes())
        return augment(raw, strength)

    def watch_intervene(*given: Any) -> Any:
        view, style = intervene(*given)
        seen.update(_changed(style))
        return view, style

    def watch_keep(items: int, tokens: int, ratio: float, device: Any) -> Tensor:
        seen.add("masking")
        return keep(items, tokens, ratio, device)

    def watch_noisy(view: Tensor, std: float) -> Tensor:
        seen.update(["noise"] if std > 0 else [])
        return noisy(view, std)

    watchers = {"augment": watch_augment, "intervene": watch_intervene, "keep": watch_keep, "noisy": watch_noisy}
    for name, watcher in watchers.items():
        setattr(looks, name, watcher)
    with torch.no_grad():
        for _ in range(TURNS):
            method.views(Batch(raw, torch.arange(len(raw))), looks)
            method.after_step(1.0)
    return frozenset(seen | ({"masking"} if recipe.method.name in HIDING else set()))


def restyled(recipe: Recipe, raw: Tensor) -> frozenset[str]:
    """What a probe that sees its labelled items in other styles is shown, in the same words."""
    looks = recipe.looks().at(0, 0)
    return frozenset(_changed(looks.intervene(looks.plain(raw))[1]))


def _changed(style: Style) -> set[str]:
    changed = (style.values != 0).any(0).tolist()
    return {name for name, on in zip(style.names, changed, strict=True) if on}


def relatives(kinds: Iterable[str], seen: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For each corruption its relatives among what was seen; kinds that the table does not know count as related.

    >>> relatives(["jpeg", "shot_noise"], {"noise", "blur"})
    {'jpeg': (), 'shot_noise': ('noise',)}
    """
    there = set(seen)
    return {
        kind: tuple(w for w in RELATIVES.get(kind, ("not in the table",)) if w in there or " " in w) for kind in kinds
    }


def words(arms: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """A sentence for each arm whose training imitated some of the corruptions.

    Args:
        arms: for each arm what `relatives` found.

    >>> words({"simclr": {"contrast": ("jitter",), "jpeg": ()}, "random": {"contrast": (), "jpeg": ()}})
    ['simclr saw relatives of 1 of the 2 corruptions while it learnt: contrast (jitter).']
    """
    out = []
    for arm, found in arms.items():
        known = [f"{kind} ({', '.join(names)})" for kind, names in found.items() if names]
        if known:
            out.append(
                f"{arm} saw relatives of {len(known)} of the {len(found)} corruptions while it learnt: "
                f"{', '.join(known)}."
            )
    return out


def unrelated(arms: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """The kinds that have no relative in any of the arms, so that means over them compare like with like."""
    kinds: list[str] = list(next(iter(arms.values()), {}))
    return [kind for kind in kinds if not any(found[kind] for found in arms.values())]
