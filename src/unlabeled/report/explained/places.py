"""Where: the item, and beside it the map of each explainer."""

from typing import Any

from unlabeled.report.explained.story import short
from unlabeled.report.folder import Absent
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Places"
STYLE = """
.places .side, .near .side { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 200px), 1fr)); gap: 14px; }
.near .side { grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); }
.places .side img, .near .side img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px; display: block; background: var(--tint); }
.places figcaption, .near figcaption { margin: 6px 0 0; line-height: 1.3; }
"""  # noqa: E501
QUESTION = {
    "class": "Orange places speak for the class, blue ones against it.",
    "embedding": "Orange places make the embedding what it is, blue ones pull it towards the mean.",
    "nearness": "Orange places bring the two items near, blue ones keep them apart.",
}


def section(found: Any) -> Section:
    """Gather a row of pictures for each item."""
    arrays, f = found.arrays("shown.npz"), found.figures
    if "pictures" not in arrays or any(f"heat/{name}" not in arrays for name in found.names):
        raise Absent("shown.npz does not hold the pictures")
    rows = []
    for number, item in enumerate(f["items"]):
        mine = {r["explainer"]: r for r in f["explainers"] if r["item"] == number}
        maps = [
            {"name": name, "picture": uri(arrays[f"heat/{name}"][number]), "beats": mine[name]["beats"],
             "of": mine[name]["of"], "good": mine[name]["beats"] == mine[name]["of"]}
            for name in found.names
        ]  # fmt: skip
        rows.append({
            "name": short(item), "label": item["label"], "picture": uri(arrays["pictures"][number]), "maps": maps,
        })  # fmt: skip
    return Section({"rows": rows, "lead": QUESTION[f["kind"]]}, style=STYLE)
