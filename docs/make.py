"""Write the pages that are made from the source: `python docs/make.py`.

The table of methods comes from the catalog, the example method from its file; a test says when they are stale.
"""

import ast
import re
from pathlib import Path

from unlabeled import catalog

DOCS = Path(__file__).parent
FOLDERS = ("methods", "encoders", "protocols", "arms", "anomaly", "ood", "adaptation")
LEADS = {
    "methods": "Written by `python docs/make.py` from the source. A method with settings is written "
    "`simclr(temperature=0.5)`, or its settings are given as flags: `--method simclr --temperature 0.5`.",
    "encoders": "`vit(width=256)`, or any model of [timm](https://huggingface.co/docs/timm) by its name with the "
    'settings of `timm`: `resnet18`, `convnext_atto`, `resnet50(stem="small")`.',
    "protocols": "How labels are used: `--protocols linear,knn`. What is behind them: "
    "[how it is measured](protocols.md).",
    "arms": "They stand in every comparison beside the methods, with `supervised`: the same encoder from scratch on "
    "the labels alone, by the protocol `finetune`.",
    "anomaly": "Detectors of faults, learnt from good items alone: `unlabeled detect good/ --on parts/ --detector "
    "planted`, see [faults](anomalies.md).",
    "ood": "Detectors of strangers, items of no known class: `unlabeled shift RUN data/ --ood far=photos/`, see "
    "[a change of the world](shift.md).",
    "adaptation": "Ways to adapt to a domain without labels of it: `unlabeled transfer scans.csv --adapt dann,coral`.",
}
COST = (
    "Cost: time of a step beside SimCLR's, with the same items in a step, each method with its own encoder "
    "(`python benchmarks/methods.py`)."
)


def encoders(entry: catalog.Entry) -> str:
    """What a method looks through unless another is given, by modality where they differ."""
    kinds = entry.facts.get("modalities", ("image",))
    found = {kind: entry.encoder_for(kind) for kind in kinds}
    if len(set(found.values())) == 1:
        return f"`{found[kinds[0]]}`"
    return ", ".join(
        f"`{net}` ({', '.join(k for k in kinds if found[k] == net)})" for net in dict.fromkeys(found.values())
    )


def cost(e: catalog.Entry) -> str:
    """The measured cost of a method's step in words."""
    measured = float(e.facts.get("cost", 0.0))
    return f"{measured:.1f} x" if measured else ""


def methods_page() -> str:
    """All catalogs with their settings."""
    text = []
    for level, folder in enumerate(FOLDERS):
        text += [f"{'#' if level == 0 else '##'} {folder.capitalize()}", "", LEADS[folder], ""]
        entries = [catalog.entry(folder, name) for name in catalog.names(folder)]
        there = catalog.names("modalities")
        if folder == "methods":
            text += [
                "| name | family | for | in one sentence | wants | take it | cost |",
                "|---|---|---|---|---|---|---|",
            ]
            for e in entries:
                kinds = ", ".join(m for m in e.facts.get("modalities", ("image",)) if m in there)
                row = [f"[`{e.name}`](#{e.name})", e.facts.get("family", ""), kinds, _cell(e.summary)]
                row += [e.facts.get("wants", ""), e.facts.get("when", ""), cost(e)]
                text.append("| " + " | ".join(row) + " |")
            text += ["", COST, ""]
        for e in entries:
            text += [f"### {e.name}", "", e.summary, ""]
            if folder == "methods":
                text += [f"Encoder unless given: {encoders(e)}.", ""]
            if e.parameters:
                text += ["| setting | kind | default | |", "|---|---|---|---|"]
                for p in e.parameters:
                    default = "needed" if p.default is catalog.REQUIRED else f"`{p.default!r}`"
                    text.append(f"| `{p.name}` | `{_cell(p.annotation)}` | {default} | {_cell(p.help)} |")
                text.append("")
    return "\n".join(text).rstrip() + "\n"


def write_a_method_page() -> str:
    """The page as it stands, with the class of the example as it stands in its file."""
    source = (DOCS.parent / "examples" / "turns.py").read_text("utf-8")
    [node] = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef)]
    page = (DOCS / "write-a-method.md").read_text("utf-8")
    mark = re.compile(r"(<!-- the class of examples/turns\.py -->\n```python\n).*?(```)", re.DOTALL)
    return mark.sub(lambda m: f"{m[1]}{ast.get_source_segment(source, node)}\n{m[2]}", page)


def pages() -> dict[str, str]:
    """Name and text of every page that is made."""
    return {"methods.md": methods_page(), "write-a-method.md": write_a_method_page()}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")
        print(f"docs/{name}")
