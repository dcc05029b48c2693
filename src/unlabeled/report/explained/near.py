"""The training items whose embeddings are nearest."""

from typing import Any

from unlabeled.report.explained.story import short
from unlabeled.report.folder import Absent
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Nearest training items"


def section(found: Any) -> Section:
    """Gather a row of neighbours for each item."""
    arrays, f = found.arrays("shown.npz"), found.figures
    rows = []
    for number, (item, near) in enumerate(zip(f["items"], f["neighbours"], strict=True)):
        pictures = arrays.get(f"near/{number}")
        if pictures is None or len(pictures) != len(near):
            raise Absent("shown.npz does not hold the neighbours")
        cards = [
            {
                "path": n["path"],
                "label": n["label"],
                "cosine": f"{n['cosine']:.2f}".replace("-", "−"),
                "picture": uri(p),
            }
            for n, p in zip(near, pictures, strict=True)
        ]
        rows.append({"name": short(item), "cards": cards})
    return Section({"rows": rows})
