"""What each section hands to the page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        facts: what its template shows.
        figures: plotly figures by the name under which the template places them.
        style: CSS that only this section can know, such as a sheet of thumbnails.
    """

    facts: Mapping[str, Any]
    figures: Mapping[str, Any] = field(default_factory=dict)
    style: str = ""
