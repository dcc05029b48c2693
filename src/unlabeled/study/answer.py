"""The sentence a person needs: which method, how sure, how many labels it saves, and what the result does not show."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from unlabeled import stats
from unlabeled.progress import count
from unlabeled.study.plan import Arm
from unlabeled.study.record import Tables

UNEVEN = 0.75  # share of one class from which accuracy says little


@dataclass(frozen=True)
class Answer:
    """What a study found.

    Args:
        sentence: the answer in one sentence.
        winner: name of the best arm.
        protocol: how its labels were used.
        details: further findings, a sentence each.
        limits: what the result does not show, a sentence each.
    """

    sentence: str
    winner: str
    protocol: str
    details: tuple[str, ...]
    limits: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain values."""
        return asdict(self)


def answer(results: Tables, plan: Sequence[Arm], facts: Mapping[str, Any]) -> Answer:
    """Read the answer off the tables.

    Args:
        results: of `record.tables`.
        plan: the study's arms.
        facts: `test` (number of test items), `seeds`, `draws`, `steps`, `cleared` (whether the split came with the
            data), `findings`, `majority` (the class of most training labels, and its share).
    """
    accuracy = results.summary[results.summary["metric"] == "accuracy"]
    kinds = {arm.name: arm.kind for arm in plan}
    means = accuracy.groupby(["arm", "protocol"])["mean"].mean().sort_values(ascending=False)
    learned = [pair for pair in means.index if kinds[pair[0]] == "method"]
    baselines = [pair for pair in means.index if kinds[pair[0]] != "method"]
    winner, protocol = means.index[0]
    few = accuracy["labels"].min()
    mine = accuracy[(accuracy["arm"] == winner) & (accuracy["protocol"] == protocol)].sort_values("labels")
    at_few = mine.iloc[0]
    details: list[str] = []
    short = stats.too_short(results.summary, (winner, protocol))
    if kinds[winner] == "method":
        rival, rival_protocol = _best_rival(accuracy, baselines, few)
        gap = _difference(results.differences, (winner, protocol), (rival, rival_protocol), few)
        clear = gap is None or gap["low"] > 0 or gap["high"] < 0
        who = f"{winner} with {_words(protocol)}"
        who, labels = f"{winner} with {_words(protocol)}", f"with {int(few)} labels"
        start = f"Take {who}: {labels} it" if clear else f"Nothing is clearly ahead: {labels} {who}"
        gain = _gain(results.differences, (winner, protocol), (rival, rival_protocol), few)
        sentence = f"{start} is right on {_percent(at_few)} of unseen items, {gain}"
        saved = _saved(accuracy, kinds, mine, {arm for arm, _ in short})
        sentence += f"; {saved}." if saved else "."
    else:
        best = learned[0] if learned else None
        sentence = (
            f"Pretraining is not worth it on these data as tried: {winner} with {_words(protocol)} is best, "
            f"{_percent(at_few)} with {int(few)} labels"
        )
        if best:
            sentence += f", {_gain(results.differences, (winner, protocol), best, few)}"
        sentence += "."
    details.extend(uneven(results.summary, facts.get("majority")))
    details.extend(_verdicts(results.differences, accuracy, learned, kinds))
    details.extend(_stopped(short))
    return Answer(sentence, winner, protocol, tuple(details), tuple(_limits(facts, kinds, winner)))


def uneven(summary: pd.DataFrame, majority: tuple[str, float] | None) -> list[str]:
    """Where one class holds most labels: that accuracy says little then, and who ranks the items best.

    Args:
        summary: of `record.tables`.
        majority: the class of most training labels, and its share; None where it is not known.
    """
    if majority is None or majority[1] < UNEVEN:
        return []
    name, share = majority
    ranks = summary[(summary["metric"] == "auroc") & summary["mean"].notna()]
    told = f'{100 * share:.0f} % of the training labels are "{name}"'
    out = [f"{told}, and always saying so is that often right: mind AUROC."]
    for labels in sorted({ranks["labels"].min(), ranks["labels"].max()} if len(ranks) else ()):
        best = ranks[ranks["labels"] == labels].sort_values("mean").iloc[-1]
        who = f"{best['arm']} with {_words(str(best['protocol']))}"
        out.append(f"By AUROC {who} is best with {int(labels)} labels: {best['mean']:.3f}.")
    return out


def _stopped(short: Mapping[tuple[str, str], float]) -> list[str]:
    if not short:
        return []
    names = ", ".join(f"{arm} {100 * v:.0f} %" for (arm, _), v in short.items())
    return [
        "Too short to be judged is the fine-tuning of those who do not know the very items that they learnt from: "
        f"{names}; more minutes would tell."
    ]


def _words(protocol: str) -> str:
    return {
        "linear": "a linear probe",
        "knn": "nearest neighbours",
        "propagate": "label propagation",
        "styled": "a probe on several styles",
        "finetune": "fine-tuning",
    }.get(protocol, protocol)


def _percent(row: Mapping[Any, Any]) -> str:
    return f"{100 * row['mean']:.0f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f})"


def _best_rival(accuracy: pd.DataFrame, baselines: Sequence[tuple[str, str]], labels: float) -> tuple[str, str]:
    part = accuracy[accuracy["labels"] == labels]
    part = part[[pair in baselines for pair in zip(part["arm"], part["protocol"], strict=True)]]
    best = part.sort_values("mean").iloc[-1]
    return str(best["arm"]), str(best["protocol"])


def _gain(differences: pd.DataFrame, a: tuple[str, str], b: tuple[str, str], labels: float) -> str:
    row = _difference(differences, a, b, labels)
    if row is None:
        return f"beside {b[0]} with {_words(b[1])}"
    points = f"{100 * row['difference']:+.0f} points ({100 * row['low']:+.0f} to {100 * row['high']:+.0f})"
    sure = "" if row["low"] > 0 or row["high"] < 0 else ", which is not beyond chance"
    return f"{points} against {b[0]} with {_words(b[1])}{sure}"


def _difference(
    differences: pd.DataFrame, a: tuple[str, str], b: tuple[str, str], labels: float
) -> Mapping[Any, Any] | None:
    d = differences
    part = d[
        (d["arm_a"] == a[0])
        & (d["protocol_a"] == a[1])
        & (d["arm_b"] == b[0])
        & (d["protocol_b"] == b[1])
        & (d["labels"] == labels)
    ]
    return None if part.empty else part.iloc[0].to_dict()


def _saved(accuracy: pd.DataFrame, kinds: Mapping[str, str], mine: pd.DataFrame, short: Collection[str]) -> str:
    """How many labels the supervised arm needs for what the winner reaches with the fewest; nothing is said of one
    that was stopped too early.
    """
    curves = accuracy[[kinds[a] == "supervised" for a in accuracy["arm"]]]
    if curves.empty:
        return ""
    best = curves.groupby("arm")["mean"].mean().idxmax()
    if best in short:
        return "supervised training was too short to be compared"
    curve = curves[curves["arm"] == best].sort_values("labels")
    few, target = int(mine.iloc[0]["labels"]), float(mine.iloc[0]["mean"])
    need = stats.crossing(curve["labels"].to_numpy(float), curve["mean"].to_numpy(float), target)
    if need is None:
        most = int(curve["labels"].max())
        return f"supervised training does not get there with all {most} labels"
    if need <= few:
        return "supervised training gets there with no more labels"
    return f"supervised training needs about {round(need)} labels for that, {need / few:.0f} times as many"


def _verdicts(
    differences: pd.DataFrame, accuracy: pd.DataFrame, learned: Sequence[tuple[str, str]], kinds: Mapping[str, str]
) -> list[str]:
    """For each method: did it learn anything that random weights do not have?"""
    out = []
    few = accuracy["labels"].min()
    for arm in dict.fromkeys(a for a, _ in learned):
        randoms = [a for a, k in kinds.items() if k == "random"]
        rows = [
            r for name in randoms if (r := _difference(differences, (arm, "linear"), (name, "linear"), few)) is not None
        ]
        if not rows:
            continue
        worst = min(rows, key=lambda r: float(r["low"]))
        span = f"{100 * worst['difference']:+.1f} points, {100 * worst['low']:+.1f} to {100 * worst['high']:+.1f}"
        if worst["low"] > 0:
            out.append(
                f"{arm} learned something: its frozen features beat random weights at {int(few)} labels by {span}."
            )
        else:
            out.append(f"{arm} learned nothing that shows at {int(few)} labels: frozen against random weights {span}.")
    return out


def _limits(facts: Mapping[str, Any], kinds: Mapping[str, str], winner: str) -> list[str]:
    out = [
        f"{count(facts['test'], 'test item')} and {count(facts['seeds'], 'pretraining seed')} x "
        f"{count(facts['draws'], 'label draw')} "
        "stand behind each interval"
        + (": too few seeds for a claim about another training." if facts["seeds"] < 3 else "."),
        "The best of several contenders was named on the same test items, which flatters it a little.",
        f"All methods had the same budget ({facts['steps']}); a longer one may order them differently.",
        "Test items come from the same source as the training items; another site, camera or season was not tried.",
    ]
    if not facts["cleared"]:
        out.append(
            "The test split was drawn from the data at random: items of one part, patient or day may stand on both "
            "sides if no group column says so."
        )
    out.extend(f[:1].upper() + f[1:] for f in facts["findings"])
    return out
