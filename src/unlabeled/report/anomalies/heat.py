"""Heat maps: the item, where the detector finds it unusual, and the mask that people drew."""

from typing import Any

from unlabeled.report.anomalies.inspected import Inspected
from unlabeled.report.folder import Absent
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Where"


def section(found: Inspected) -> Section | None:
    """Gather the items that `shown.npz` holds, kind by kind; None where items are not pictures."""
    if found.figures.get("modality", "image") != "image":
        return None
    arrays, frame = found.arrays("shown.npz"), found.scores
    if {"rows", "pictures", "heats", "masks", "drawn"} - arrays.keys():
        raise Absent("shown.npz does not hold the pictures")
    groups: dict[str, list[dict[str, Any]]] = {}
    for i, row in enumerate(arrays["rows"].tolist()):
        item = frame.iloc[row]
        kind = item["label"] if isinstance(item["label"], str) else "not labelled"
        mask = (arrays["masks"][i][..., None] * [255, 255, 255]).astype("uint8")
        groups.setdefault(kind, []).append({
            "path": item["path"], "p": f"{item['p_value']:.3f}", "flagged": bool(item["flagged"]),
            "right": bool(item["flagged"]) == (kind != "good"), "known": kind != "not labelled",
            "picture": uri(arrays["pictures"][i]), "heat": uri(arrays["heats"][i]),
            "mask": uri(mask) if arrays["drawn"][i] else "",
        })  # fmt: skip
    return Section({"groups": groups})
