"""The new items that are least like what was learnt from."""

from typing import Any

from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Strangest items"


def section(source: Any) -> Section | None:
    """Gather pictures with what the model says of them; None where none can be shown."""
    if not len(source.pictures):
        return None
    items = [
        {
            "uri": uri(pixels),
            "path": told["path"],
            "label": told["label"],
            "why": told["why"],
            "sure": told["confidence"],
        }
        for pixels, told in zip(source.pictures, source.told, strict=True)
    ]
    return Section({"items": items})
