"""Maps of the test features coloured by class and by domain, and how well each can be told from them."""

from typing import Any

import numpy as np

from unlabeled.report.blocks import Block, Row, legend, percent, points
from unlabeled.report.plots import HUES
from unlabeled.report.section import Section

TITLE = "Features"


def section(source: Any) -> Section:
    """Gather the numbers, and two maps for each arm."""
    table, arrays = source.frame("representation"), source.arrays("maps.npz")
    what, classes = str(source.answer["told"]), [str(c) for c in source.answer["classes"]]
    sides = [str(n) for n in arrays["names"]]
    rows = []
    for arm, part in table.groupby("arm", sort=False):
        cells = []
        for told in ("class", what):
            mine = part[part["told"] == told]
            cells += [percent(float(mine["accuracy"].mean())), percent(float(mine["chance"].iloc[0]))]
        rows.append(Row(str(arm), cells, colour=source.colours[arm]))
    head = ["arm", "class told", "chance", f"{what} told", "chance"]
    caption = "Balanced accuracy in % of 5 nearest neighbours in cross-validation, mean over seeds"
    blocks, figures = [Block(caption=caption, head=head, rows=rows)], dict[str, Any]()
    for i, arm in enumerate(k.removesuffix("/plane") for k in arrays if k.endswith("/plane")):
        at = arrays[f"{arm}/plane"]
        for word, names, of in (("class", classes, arrays["labels"]), (what, sides, arrays["sides"])):
            name, hues = f"features-{i}-{word}", {n: f"var(--h{k % HUES})" for k, n in enumerate(names)}
            figures[name] = points([(n, hues[n], at[of == k]) for k, n in enumerate(names) if (of == k).any()])
            there = {n: hues[n] for k, n in enumerate(names) if (of == k).any()}
            alt = f"t-SNE map of the test features of {arm}, {len(np.asarray(of))} items coloured by {word}"
            blocks.append(Block(f"{arm}, coloured by {word}", name, alt, 360, legend(name, there)))
    return Section({"lead": "", "blocks": blocks}, figures)
