"""From an encoder's name and settings to the encoder; a name that is not in the catalog is timm's."""

from collections.abc import Mapping
from typing import Any

from unlabeled import catalog
from unlabeled.encoders import Encoder


def spec(text: str | Mapping[str, Any] | catalog.Spec) -> catalog.Spec:
    """Read `vit(width=256)`, `resnet18`, `resnet18(stem="small")` or a mapping with `name`.

    >>> str(spec("resnet18"))
    "timm(name='resnet18')"
    """
    if isinstance(text, catalog.Spec):
        return text
    name = str(text.get("name", "")) if isinstance(text, Mapping) else text.partition("(")[0].strip()
    if name in catalog.names("encoders") or name.endswith(".py"):
        return catalog.parse("encoders", text)
    if isinstance(text, Mapping):
        settings = {str(k): v for k, v in text.items() if k != "name"}
    else:
        settings = dict(catalog.parse("encoders", "timm" + text[len(name) :].strip()).settings)
    catalog.check(catalog.entry("encoders", "timm"), settings)
    return catalog.Spec("timm", {"name": name, **settings})


def build(what: catalog.Spec, channels: int, size: int) -> Encoder:
    """Build an encoder for pictures (B, channels, size, size), with weights drawn from torch's current seed."""
    encoder: Encoder = catalog.load("encoders", what.name)(channels, size, **what.settings)
    return encoder


def short(what: catalog.Spec) -> str:
    """The name that a person uses: timm's own name, or the catalog's."""
    return str(what.settings.get("name", what.name)) if what.name == "timm" else what.name
