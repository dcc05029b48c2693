"""What a search for faults found, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unlabeled.progress import count


def told(figures: Mapping[str, Any], unseen: bool) -> tuple[str, list[str], list[str]]:
    """The answer in a sentence, what else was found, and what it does not show."""
    rate, name = figures["rate"], str(figures["detector"]).partition("(")[0]
    events = figures.get("events")
    items, small, same = ("items", "pixels", "same camera, light and product")
    if events:
        items, small, same = ("windows", "steps", "same machine, sensors and way of working")
    details: list[str] = []
    if events:
        much = f"{count(events['recordings'], 'recording')} of {events['steps']:,} steps"
        found = count(events["found"], "stretch", "stretches")
        details.append(f"{found} of time found in {much}, all listed in events.csv")
    limits = [f"The rate of false alarms holds for good {items} like those learnt from: {same}."]
    if few := figures.get("groups"):
        limits.append(
            f"The good {items} that set the threshold are of {count(few, 'group')}, too few to vouch for {rate:.1%} in "
            f"a new one: the rate holds for new {items} of these groups."
        )
    if "images" in figures:
        alarms, every = figures["false_alarms"], figures["images"]["all"]
        flagged = f"({alarms['share']:.1%}; {rate:.1%} were allowed), AUROC {every['auroc']:.3f}{_span(every)}."
        are = "is" if alarms["hits"] == 1 else "are"
        if events:
            true = count(events["true"], "faulty stretch", "faulty stretches")
            sentence = (
                f"{name} finds {events['hit']} of {true} of time: {events['empty']} that it marks besides hold none; "
                f"{alarms['hits']} of {count(alarms['n'], 'good window')} {are} flagged {flagged}"
            )
        else:
            sentence = (
                f"{name} finds {every['found']:.0%} of {count(figures['faulty'], 'faulty item')}: "
                f"{alarms['hits']} of {count(alarms['n'], 'good one')} {are} flagged as well {flagged}"
            )
        details.append(
            f"F1 at the threshold {every['f1']:.3f}; the best of any threshold, an oracle's, {every['f1_oracle']:.3f}"
        )
        if pixels := figures["pixels"].get("all"):
            details.append(
                f"places: AUROC {pixels['auroc']:.3f}, average precision {pixels['ap']:.3f} "
                f"(share of faulty {small} {pixels['share']:.3f}), PRO up to 0.3 {pixels['pro']:.3f}"
            )
        kinds = {k: v for k, v in figures["images"].items() if k != "all"}
        if len(kinds) > 1 and min(v["auroc"] for v in kinds.values()) < 0.99:
            worst = min(kinds, key=lambda k: kinds[k]["auroc"])
            limits.append(
                f"{worst} is found worst: AUROC {kinds[worst]['auroc']:.3f}{_span(kinds[worst])}, "
                f"{kinds[worst]['found']:.0%} flagged."
            )
        if figures["unmasked"]:
            unmasked = count(figures["unmasked"], "faulty item has no mask and is", "faulty items have no mask and are")
            limits.append(f"{unmasked} left out of the figures on places.")
    elif "false_alarms" in figures:
        alarms, one = figures["false_alarms"], f"good {items.removesuffix('s')}"
        sentence = (
            f"{alarms['hits']} of {count(alarms['n'], one)} {'is' if alarms['hits'] == 1 else 'are'} flagged "
            f"({alarms['share']:.1%}; {rate:.1%} were "
            "allowed): none is marked as faulty, so how many faults are missed is not known."
        )
    else:
        are = "is" if figures["flagged"] == 1 else "are"
        flagged = f"{figures['flagged']} of {count(figures['items'], items.removesuffix('s'))} {are} flagged"
        sentence = f"{flagged}: {rate:.1%} of good ones would be by chance."
        if events:
            stretches = count(events["found"], "stretch of time stands out", "stretches of time stand out")
            sentence = f"{stretches}: {flagged}, {rate:.1%} of good ones would be by chance."
        limits.append("Nothing tells which test items are good, so how many faults are missed is not known.")
    if "images" in figures and not np.isfinite(figures["images"]["all"]["auroc_low"]):
        limits.append(f"The AUROC has no interval: the good or the faulty {items} are of one group, or all alike.")
    details += _gained([s for s in figures.get("shots", ()) if s["shots"]])
    if alarms := figures.get("false_alarms"):
        chance = f"(95 % interval {alarms['low']:.1%} to {alarms['high']:.1%})"
        if alarms["beyond"] > 0:
            limits.append(
                f"{alarms['share']:.1%} false alarms is more than {rate:.1%} by chance {chance}: the test items differ "
                "from the good ones that were learnt from."
            )
        elif alarms["beyond"] < 0:
            why = ": networks that judge as their mean are calmer than each by itself" if figures["folds"] else ""
            limits.append(f"{alarms['share']:.1%} false alarms is less than {rate:.1%} by chance {chance}{why}.")
        elif not alarms["low"] <= rate <= alarms["high"]:
            limits.append(
                f"{alarms['share']:.1%} false alarms, where {rate:.1%} were allowed, is no more than the chance that "
                f"lies in {figures['kept_apart']} good {items} that set the threshold."
            )
    if not unseen:
        limits.append("The encoder of the given run may have learnt from the items that set the threshold.")
    return sentence, details, limits


def _span(figures: Mapping[str, float]) -> str:
    """The interval of an AUROC, where it has one."""
    low, high = figures["auroc_low"], figures["auroc_high"]
    return f" ({low:.3f} to {high:.3f})" if np.isfinite([low, high]).all() else ""


def _gained(shots: Sequence[Mapping[str, float]]) -> list[str]:
    """What each number of labelled faults adds, over the draws that leave items to test on."""
    out = []
    for k in dict.fromkeys(int(s["shots"]) for s in shots):
        mine = [s for s in shots if s["shots"] == k]
        able = [s for s in mine if np.isfinite(s["after"])]
        said = []
        if able:
            before, after = (float(np.mean([s[w] for s in able])) for w in ("before", "after"))
            said.append(f"AUROC {after:.3f} on the others, {before:.3f} without")
        if len(able) < len(mine):
            draws = f"{len(mine) - len(able)} of {count(len(mine), 'draw')}"
            said.append(f"no good or no faulty item outside their groups is left to test on in {draws}")
        out.append(f"with {count(k, 'labelled fault')}: {'; '.join(said)}")
    return out
