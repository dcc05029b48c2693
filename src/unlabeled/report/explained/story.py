"""What was found about an item, in sentences."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from unlabeled.explain import _examine, _sanity
from unlabeled.progress import count

MISSED = 0.05  # share of the score's difference by which a complete map may miss it before that is said
WATCHED = {
    "class": "probability of the class",
    "embedding": "share of the way to its embedding",
    "nearness": "cosine",
}
LABEL: Mapping[bool | None, str] = MappingProxyType(
    {
        False: "without its label",
        True: "and the probe learnt its label, so that how sure it is here says little of new items",
        None: "perhaps with its label, so that how sure the model is here says little of new items",
    }
)


def told(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Sentence, details and limits from the figures of `explained.json`."""
    return {"sentence": _sentence(figures), "details": _details(figures), "limits": _limits(figures)}


def short(item: Mapping[str, Any]) -> str:
    """An item's name without its folders."""
    return PurePath(item["name"]).name


def _sentence(f: Mapping[str, Any]) -> str:
    first = f["items"][0]
    name = short(first)
    if f["kind"] == "class":
        truth = f", and it is labelled {first['label']}" if first["label"] else ""
        head = f"{f['class']}, probability {f['probability']:.2f}: that is what {f['model']} says of {name}{truth}. "
    elif f["kind"] == "embedding":
        head = (
            f"What sets {name} apart: its embedding lies {f['distance']:.1f} times as far from the mean of the "
            f"training items as usual, farther than {100 * f['farther_than']:.0f} % of them. "
        )
    else:
        cosine = f"{f['cosine']:.2f}".replace("-", "−")  # in no name: that would be another file's
        head = (
            f"{'Near' if f['cosine'] > 0 else 'Not near'}, cosine {cosine}: {name} and {short(f['items'][1])} "
            f"are nearer than {100 * f['nearer_than']:.0f} % of the pairs of training items. "
        )
    return head + _believed(f)


def _believed(f: Mapping[str, Any]) -> str:
    """Which maps beat all random ones on every item."""
    names = list(dict.fromkeys(r["explainer"] for r in f["explainers"]))
    good = [n for n in names if all(r["beats"] == r["of"] > 0 for r in f["explainers"] if r["explainer"] == n)]
    draws = max((r["of"] for r in f["explainers"]), default=0)
    if not good:
        return f"No map names its places better than all of {draws} maps that point elsewhere: trust none of them here."
    verb = "names" if len(good) == 1 else "name"
    return f"{_list(good)} {verb} the places better than {draws} maps that point elsewhere."


def _details(f: Mapping[str, Any]) -> list[str]:
    out = []
    for item, near in zip(f["items"], f["neighbours"], strict=True):
        named = [n["label"] for n in near if n["label"]]
        if named:
            top = max(dict.fromkeys(named), key=named.count)
            out.append(
                f"Of the {len(near)} training items nearest to {short(item)} {named.count(top)} are labelled {top}."
            )
        if item["learnt"]:
            out.append(f"{short(item)} was itself learnt from, {LABEL[item.get('known', False)]}.")
    if f["kind"] == "class":
        others = ", ".join(f"{name} {p:.2f}" for name, p in f["classes"][1:3])
        out.append(f"The probe learnt from {count(f['labels'], 'label')}; next come {others}.")
    fails = _failing(f["explainers"])
    if fails:
        verb = "stays" if len(fails) == 1 else "stay"
        out.append(f"The map of {_list(fails)} {verb} much the same when the encoder's weights are random.")
    short_of = [r for r in f["explainers"] if r["missing"] is not None and r["missing"] > MISSED]
    out += [
        f"The map of {r['explainer']} misses the score's difference by {100 * r['missing']:.0f} %; give it more steps."
        for r in short_of
    ]
    return [*out, *f["left"]]


def _failing(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(r["explainer"] for r in rows if r["likeness"] >= _sanity.SAME))


def _limits(f: Mapping[str, Any]) -> list[str]:
    out = ["A map says what this model's answer hangs on, not what is true of the item or its cause."]
    out.append(
        "An item with hidden places looks like none that the model has learnt from; part of a fall is due to that."
    )
    if f["kind"] == "class" and f["probability"] < 0.5:
        out.append("The model is unsure, so the maps explain a class that it hardly believes in.")
    few = min((r["of"] for r in f["explainers"]), default=_examine.DRAWS)
    if few < _examine.DRAWS:
        left = f"{count(few, 'other place')} to point to" if few else "no other place to point to"
        out.append(f"So short an item has {left}: of maps that know nothing one in {few + 1} beats all of those.")
    return [*out, *f["notes"]]


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
