"""Where: the item, and beside it the map of each explainer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

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
.places .words { line-height: 1.9; margin: 0 0 14px; }
.places .words span { border-radius: 4px; padding: 2px 0; white-space: pre-wrap; }
"""  # noqa: E501
SHADES = 9  # of each colour, for words
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
        good = {name: r["beats"] == r["of"] > 0 for name, r in mine.items()}
        if "words" in item:
            values = found.arrays("maps.npz")
            told = [
                {"name": name, "beats": mine[name]["beats"], "of": mine[name]["of"],
                 "good": good[name], "words": _shaded(item["words"], values[name][number])}
                for name in found.names
            ]  # fmt: skip
            rows.append({"name": short(item), "label": item["label"], "texts": told, "maps": []})
            continue
        maps = [
            {"name": name, "picture": uri(arrays[f"heat/{name}"][number]), "beats": mine[name]["beats"],
             "of": mine[name]["of"], "good": good[name]}
            for name in found.names
        ]  # fmt: skip
        rows.append({
            "name": short(item), "label": item["label"], "picture": uri(arrays["pictures"][number]), "maps": maps,
            "texts": [],
        })  # fmt: skip
    return Section({"rows": rows, "lead": QUESTION[f["kind"]]}, style=STYLE + _shades())


def _shaded(words: Sequence[str], values: np.ndarray) -> list[dict[str, str]]:
    """Words with the class of their colour: f1 to f9 speak for the score, a1 to a9 against it."""
    top = float(np.abs(values[: len(words)]).max(initial=1e-12))
    out = []
    for word, value in zip(words, values, strict=False):
        strength = round(SHADES * abs(float(value)) / top)
        out.append({"word": word, "shade": f"{'f' if value > 0 else 'a'}{strength}" if strength else ""})
    return out


def _shades() -> str:
    colours = {"f": "255, 106, 0", "a": "30, 110, 255"}
    rows = [
        f".places .{side}{n} {{ background: rgba({colour}, {0.75 * n / SHADES:.2f}); }}"
        for side, colour in colours.items()
        for n in range(1, SHADES + 1)
    ]
    return "\n".join(rows)
