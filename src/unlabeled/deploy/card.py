"""The model card: what it is, what it learnt from, what it is worth on unseen items, and what it does not show.

After Mitchell et al. (2019, arXiv:1810.03993). One content, written as Markdown and as a page.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlabeled import progress
from unlabeled.confidence.conformal import expected, needed
from unlabeled.confidence.ensemble import ENOUGH

SEEN = {
    "texture": "encoder's early maps and the spectrum",
    "levels": "encoder's early maps",
    "features": "last features",
}
STYLE = """
:root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;max-width:52rem;
margin:2.5rem auto;padding:0 1rem}
h1{font-size:1.9rem;letter-spacing:-.02em;line-height:1.15}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.94rem}
th,td{text-align:right;padding:.35rem .6rem .35rem 0;
border-top:1px solid #8884}th:first-child,td:first-child{text-align:left}
thead th{font-weight:550;border-top:0;opacity:.75}code,pre{font:.88em ui-monospace,monospace}pre{overflow-x:auto}
.scroll{overflow-x:auto}p,h1,td:first-child{overflow-wrap:anywhere}td:first-child{min-width:8rem}
"""
FIGURES: Mapping[str, tuple[str, bool]] = {
    "accuracy": ("right", True),
    "macro_f1": ("macro F1", True),
    "ece": ("calibration error, 15 bins of equal width", True),
    "ece_mass": ("calibration error, 15 bins of equal mass", True),
    "ece_class": ("calibration error, mean over classes", True),
    "nll": ("log-loss, nats", False),
    "brier": ("Brier score, sum over classes, 0 to 2", False),
    "aurc": ("area under risk and coverage", False),
    "coverage": ("label sets that hold the true label", True),
    "size": ("mean size of a label set", False),
    "flagged": ("flagged as strangers", True),
    "abstained": ("no answer given", True),
    "answered_accuracy": ("right where an answer is given", True),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A part of the card: heading, sentences, and a table (headings, rows) where it has one."""

    title: str
    text: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    code: str = ""


@dataclass(frozen=True)
class Card:
    """A model card.

    Args:
        title: its name.
        parts: in order.
    """

    title: str
    parts: Sequence[Part]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Card":
        """The card of a bundle's facts."""
        return cls(
            facts["name"], (_what(facts), *_worth(facts), _promise(facts), _data(facts), _limits(facts), _made(facts))
        )

    def markdown(self) -> str:
        """The card as Markdown."""
        out = [f"# {_plain(self.title)}", ""]
        for part in self.parts:
            out += [f"## {part.title}", ""]
            out += [line for text in part.text for line in (_plain(text), "")]
            if part.rows:
                out += ["| " + " | ".join(part.head) + " |", "|" + "---|" * len(part.head)]
                out += ["| " + " | ".join(_plain(c).replace("|", "\\|") for c in row) + " |" for row in part.rows] + [
                    ""
                ]
            if part.code:
                out += ["```console", part.code, "```", ""]
        return "\n".join(out)

    def html(self) -> str:
        """The card as a page that needs nothing else."""
        safe = html.escape
        out = [f"<h1>{safe(self.title)}</h1>"]
        for part in self.parts:
            out.append(f"<h2>{safe(part.title)}</h2>")
            out += [f"<p>{safe(text)}</p>" for text in part.text]
            if part.rows:
                head = "".join(f"<th>{safe(h)}</th>" for h in part.head)
                rows = "".join("<tr>" + "".join(f"<td>{safe(c)}</td>" for c in row) + "</tr>" for row in part.rows)
                out.append(
                    f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
                )
            if part.code:
                out.append(f"<pre>{safe(part.code)}</pre>")
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
            f"<title>{safe(self.title)}: model card</title><style>{STYLE}</style>\n" + "\n".join(out) + "\n</html>\n"
        )


def _plain(text: str) -> str:
    """Text for Markdown in one line, in which no name of a class is taken for HTML."""
    return " ".join(text.splitlines()).replace("<", "\\<")


def show(figure: Mapping[str, float | None], share: bool) -> tuple[str, str]:
    """A figure and its 95 % interval in words.

    >>> show({"value": 0.9712, "low": 0.95, "high": 0.985}, True)
    ('97.1 %', '95.0 to 98.5')
    """

    def one(value: float | None) -> str:
        return "not defined" if value is None else progress.in_percent(value) if share else f"{value:.3f}"

    value = one(figure["value"])
    known = figure["value"] is not None and figure["low"] is not None
    return value + (" %" if share and figure["value"] is not None else ""), (
        f"{one(figure['low'])} to {one(figure['high'])}" if known else ""
    )


def _what(facts: Mapping[str, Any]) -> Part:
    names = facts["classes"]
    shown = ", ".join(names) if len(names) <= 30 else f"{', '.join(names[:30])} and {len(names) - 30} more"
    recipe, taken = facts["recipe"], facts["input"]
    size = " x ".join(map(str, taken["shape"]))
    return Part(
        "What it is",
        (
            f"A classifier of {taken['modality']} items into {len(names)} classes: {shown}.",
            f"Encoder: {recipe['encoder']['name']} {recipe['encoder']['settings'] or ''}, from "
            f"{facts['head']['start']}. Head: {facts['head']['protocol']}.{_members(facts)} "
            f"It reads items as {size} {taken['dtype']}.",
            f"Licence: {facts['licence']}.",
        ),
    )


def _members(facts: Mapping[str, Any]) -> str:
    count = int(facts.get("members", 1))
    few = "" if count >= ENOUGH else f" ({ENOUGH} or more are advised)"
    return "" if count == 1 else f" An ensemble of {count} such models{few}, whose probabilities are averaged."


def _worth(facts: Mapping[str, Any]) -> tuple[Part, ...]:
    test = facts.get("test")
    if not test:
        return (Part("What it is worth", ("The data had no labelled test items: nothing is known.",)),)
    rows = [(title, *show(test[key], share)) for key, (title, share) in FIGURES.items()]
    by_class = [
        (r["class"], str(r["n"]), " ".join(show(r["recall"], True)), " ".join(show(r["coverage"], True)))
        for r in test["by_class"]
    ]
    bins = [
        (f"{100 * b['low']:.0f} to {100 * b['high']:.0f} %", f"{100 * b['confidence']:.1f} %",
         f"{100 * b['accuracy']:.1f} %", str(b["count"])) for b in test["reliability"]
    ]  # fmt: skip
    risk = [(f"{100 * c:.0f} %", f"{100 * r:.1f} %") for c, r in test["risk"]]
    sets = test["sets"]
    shares = ", ".join(f"{100 * sets[k]:.1f} % {word}" for k, word in
                       (("empty", "are empty"), ("single", "hold one class"), ("full", "hold all")))  # fmt: skip
    lead = f"On {progress.count(test['n'], 'test item')}, which nothing was fitted to; "
    lead += "95 % intervals by bootstrap of items or groups."
    return (
        Part("What it is worth", (lead,), ("", "test items", "interval"), rows),
        Part("By class", (f"Of the label sets {shares}.",), ("class", "n", "found", "in its set"), by_class),
        Part("Is its confidence honest", _by_chance(test), ("says", "mean", "right", "items"), bins),
        Part("If only the surest are answered", (), ("answered", "wrong"), risk),
    )


def _by_chance(test: Mapping[str, Any]) -> tuple[str, ...]:
    """What the calibration error must be read against."""
    if "ece_chance" not in test:
        return ()
    mean, most = (f"{100 * test['ece_chance'][k]:.1f} %" for k in ("mean", "most"))
    return (
        f"On {progress.count(test['n'], 'item')} an honest model with these confidences would show a calibration "
        f"error of {mean}, and of {most} or more once in 20 times; "
        f"this one shows {show(test['ece'], True)[0]} (bins of equal width).",
    )


def _promise(facts: Mapping[str, Any]) -> Part:
    told, odd = facts["conformal"], facts["strangers"]
    between = (
        _between(told["items"], int(told.get("units", told["items"])), told["coverage"])
        if told["by"] == "all"
        else "".join(f"; {name}: {n}" for name, n in told.get("domains", {}).items())
    )
    per = {"class": " in each class", "domain": " in each of the domains that were seen"}.get(told["by"], "")
    return Part(
        "What it promises",
        (
            f"Label sets hold the true label for {100 * told['coverage']:g} % of new items{per}, if these come from "
            f"the same source: {told['items']} calibration items stand behind that{between}. Under another camera, "
            "site or season the promise is void.",
            f"Strangers are told by {odd['detector']} on the {SEEN[odd['sees']]}, at a threshold that lets "
            f"{100 * odd['keep']:g} % of known items pass. It abstains on strangers, and where the label set does not "
            "hold exactly one class.",
            f"Temperature: {facts['temperature']:.3f} (above 1: it had been too sure).",
        ),
    )


def _between(items: int, units: int, coverage: float) -> str:
    """How far the share that is really held may be off: items of one group stand for one, where there are groups."""
    of = "" if units == items else f" of {units} groups"
    if units < min(items, needed(coverage)):
        return f"{of}, too few groups to tell how far from that the share really held may be"
    ends = [f"{100 * end:.1f}" for end in expected(units, coverage)]
    return f"{of}, with which the share really held lies between {ends[0]} and {ends[1]} % in 19 of 20 calibrations"


def _data(facts: Mapping[str, Any]) -> Part:
    data = facts["data"]
    counts = data["counts"]
    rows = [(c, *(str(counts[k].get(c, 0)) for k in counts)) for c in facts["classes"]]
    total = ("all", *(str(sum(counts[k].values())) for k in counts))
    used = sum(sum(counts[k].values()) for k in ("learnt", "calibration"))
    told = (
        f"{data['name']}, {data['form']}. {progress.count(used, 'label was', 'labels were')} used, those for "
        f"calibration counted; {progress.count(data['pretrained_on'], 'item was', 'items were')} there to learn from "
        "without labels."
    )
    groups = _groups(data)
    sites = f"Domains: {', '.join(data['domains'])}." if data["domains"] else "No domains (sites, devices) are named."
    kept = (
        "Small pictures of training items are in this bundle: treat it as you treat the data."
        if facts["thumbnails"]
        else "The bundle holds features of items that were learnt from, no pictures, paths or names of them. Features "
        "can give some of an item away: mind that where items are private."
    )
    return Part("What it learnt from", (told, groups, sites, kept), ("class", *counts), (*rows, total))


def _groups(data: Mapping[str, Any]) -> str:
    """What was kept together when labels were kept back."""
    if data["groups"]:
        return f"{data['groups']} groups, none on two sides of a split."
    told = data.get("together", {})
    if told.get("from") != "order":
        order = "" if "alike" not in told else (
            " Files that follow one another are not much more alike than others (mean rank "
            f"{told['alike']:.2f}, chance 0.50)."
        )  # fmt: skip
        return f"No groups (patients, parts) are named: if several items are of one, all figures flatter.{order}"
    return (
        "No groups (patients, parts) are named, and blocks of neighbouring files were kept together, as if each were a "
        f"group: {told['block']} files in the order of their names. The next file has the mean rank "
        f"{told['alike']:.2f} among all of its folder, by likeness (chance 0.50), and most of that is lost after "
        f"{told['reach']} files."
    )


def _limits(facts: Mapping[str, Any]) -> Part:
    text = [*facts["notes"]]
    text.append("Test items come from the same source as the others; another site, camera or season was not tried.")
    return Part("What this does not show", text)


def _made(facts: Mapping[str, Any]) -> Part:
    made = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    return Part(
        "How it was made",
        (f"unlabeled {facts['unlabeled']}, {made}; {facts['created']}.",),
        code=f"$ {facts['command']}",
    )
