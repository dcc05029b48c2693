"""Write results as one HTML file that needs nothing else: no network, no other file, no program but a browser."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from unlabeled.errors import UserError
from unlabeled.progress import count
from unlabeled.report import words
from unlabeled.report.folder import Absent, Study
from unlabeled.report.sections import (
    answer,
    budget,
    causal,
    classes,
    costs,
    data,
    generated,
    maps,
    ranking,
    reconstructions,
    repeat,
    samples,
    table,
    training,
)

HERE = Path(__file__).parent
ORDER: tuple[ModuleType, ...] = (
    answer, data, table, ranking, budget, classes, maps, causal, samples, reconstructions, generated, training, costs,
    repeat,
)  # fmt: skip


def write(study: Path, out: Path | None = None) -> Path:
    """Write the page of a study; the same folder gives the same bytes.

    A section whose files are missing or broken says so in words; the others stand.

    Args:
        study: folder of the study.
        out: file to write; `report.html` in the folder when not given.

    Returns:
        The path of the page.

    Raises:
        UserError: when the folder is not there or holds neither answer nor figures of a study.
    """
    if not study.is_dir():
        raise UserError(f"cannot read {study}: no such folder", 'give the folder that "unlabeled compare" wrote')
    if not any((study / name).is_file() for name in ("answer.json", "summary.csv", "data.json", "config.yaml")):
        raise UserError(f"{study} holds no study", 'give the folder that "unlabeled compare" wrote')
    found = Study(study)
    return publish(found, ORDER, out or study / "report.html", name=_name(found), title="what pretraining is worth")


def publish(source: Any, order: Sequence[ModuleType], target: Path, *, name: str, title: str) -> Path:
    """Write a page of any sections; the same source gives the same bytes.

    Args:
        source: what each section reads: it is handed to `section(source)`.
        order: the sections' modules, each with `TITLE`, `section(source)` (a `Section`, None where there is nothing of
            its kind, or `Absent` with the reason) and a template of its own name beside it; the first is the answer.
        target: file to write, beside and renamed into place.
        name: what the page is about, such as the data's name.
        title: what it tells of that, in a few words.

    Returns:
        The path of the page.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(_page(source, order, name, title).encode("utf-8"))
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return target


def _page(source: Any, order: Sequence[ModuleType], name: str, title: str) -> str:
    jinja = _jinja(order)
    figures: dict[str, Any] = {}
    parts, style = [], ""
    for module in order:
        part = module.__name__.rpartition(".")[2]
        try:
            found = module.section(source)
        except Absent as reason:
            parts.append({"id": part, "title": module.TITLE, "html": None, "reason": str(reason)})
            continue
        if found is None:  # there is nothing of this kind
            continue
        figures |= found.figures
        style += found.style
        html = jinja.get_template(f"{part}.html").render(**found.facts)
        parts.append({"id": part, "title": module.TITLE, "html": Markup(html), "reason": ""})
    scripts = [get_plotlyjs(), (HERE / "assets" / "page.js").read_text("utf-8")]
    return jinja.get_template("page.html").render(
        name=name,
        title=title,
        parts=parts,
        style=Markup((HERE / "assets" / "page.css").read_text("utf-8") + style),
        scripts=[Markup(s) for s in scripts],
        hashes=[_hash(s) for s in scripts],
        figures=Markup(_json(figures)),
    )


def _jinja(order: Sequence[ModuleType]) -> Environment:
    beside = dict.fromkeys(Path(str(module.__file__)).parent for module in order)
    loader = FileSystemLoader([HERE / "assets", *beside])
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.globals |= {"count": count, "interval": words.interval}
    return jinja


def _name(study: Study) -> str:
    try:
        root = str(study.data.get("root") or "")
    except Absent:
        root = ""
    return Path(root).name or study.path.resolve().name


def _hash(script: str) -> str:
    """What a browser compares an inline script with; no other script on the page may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()


def _json(value: Mapping[str, Any]) -> str:
    """JSON that cannot end its script element, whatever the data contain."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")
