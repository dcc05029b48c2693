"""From an encoder's name and settings to the encoder; a name that is not in the catalog is timm's."""

from collections.abc import Mapping, Sequence
from typing import Any

from unlabeled import catalog
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError

FIXED_SIZE = (  # words in the names of timm models with fixed positions
    "vit_", "deit", "beit", "swin", "eva", "mixer", "cait_", "gmlp", "resmlp", "pit_", "coatnet", "tnt_", "visformer",
    "volo", "hiera", "nest_",
)  # fmt: skip


def spec(text: str | Mapping[str, Any] | catalog.Spec) -> catalog.Spec:
    """Read `vit(width=256)`, `resnet18`, `resnet18(stem="small")` or a mapping with `name`.

    >>> str(spec("resnet18"))
    "timm(name='resnet18')"
    """
    what = catalog.read_spec(text)
    if what.name in catalog.names("encoders") or what.name.endswith(".py"):
        return catalog.parse("encoders", what)
    return catalog.parse("encoders", catalog.Spec("timm", {"name": what.name, **what.settings}))


def build(what: catalog.Spec, channels: int, size: int, space: int = 2) -> Encoder:
    """Build an encoder, with weights drawn from torch's current seed.

    Args:
        what: encoder and its settings.
        channels: of the views.
        size: side of the views in pixels, or their time steps.
        space: 2 for pictures (B, channels, size, size), 1 for series (B, channels, size), 0 for texts (B, size).

    Raises:
        UserError: when the encoder is made for another kind of item, or cannot be built with its settings.
    """
    kind: type[Encoder] = catalog.load("encoders", what.name)
    if kind.space != space:
        words = {0: "texts", 1: "series", 2: "pictures"}
        fit = [n for n in catalog.names("encoders") if catalog.entry("encoders", n).facts.get("space", 2) == space]
        remedy = f"take {', '.join(fit)}"
        raise UserError(f"{short(what)} looks at {words[kind.space]}, not at {words[space]}", remedy)
    try:
        encoder: Encoder = kind(channels, size, **what.settings)
    except (RuntimeError, ValueError, IndexError, ZeroDivisionError, AssertionError) as error:
        if not what.settings:
            raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"the encoder {what} cannot be built ({first})", "take other settings of it") from error
    encoder.channels, encoder.size, encoder.any_size = channels, size, any_size(what)
    return encoder


def looks_at(what: catalog.Spec) -> tuple[int, str]:
    """How many dimensions the places of an encoder's items have, and the form of the items that it asks for.

    >>> looks_at(spec("resnet18")), looks_at(spec("tcn"))
    ((2, ''), (1, ''))
    """
    facts = catalog.entry("encoders", what.name).facts
    return int(facts.get("space", 2)), str(facts.get("sees", ""))


def short(what: catalog.Spec) -> str:
    """The name that a person uses: timm's own name, or the catalog's."""
    return str(what.settings.get("name", what.name)) if what.name == "timm" else what.name


def tags(encoders: Sequence[catalog.Spec]) -> dict[str, str]:
    """A name for each encoder, as `str` writes it, that no other of them has: the short one, with the settings where
    that alone is not enough.

    >>> list(tags([spec("vit(width=64)"), spec("vit(width=32)"), spec("resnet18")]).values())
    ['vit(width=64)', 'vit(width=32)', 'resnet18']
    """
    every = {str(what): what for what in encoders}
    names = [short(what) for what in every.values()]
    return {text: _whole(what) if names.count(short(what)) > 1 else short(what) for text, what in every.items()}


def _whole(what: catalog.Spec) -> str:
    inner = {k: v for k, v in what.settings.items() if k != "name" or what.name != "timm"}
    return str(catalog.Spec(short(what), inner))


def any_size(what: catalog.Spec) -> bool:
    """Whether the encoder takes pictures of other sizes than it was built for: convolutions do, fixed positions do not.

    >>> any_size(spec("resnet18")), any_size(spec("vit"))
    (True, False)
    """
    if what.name != "timm":
        return bool(catalog.entry("encoders", what.name).facts.get("any_size", False))
    return not any(word in str(what.settings.get("name", "")) for word in FIXED_SIZE)
