"""The sentence a person needs: which method, how sure, how many labels it saves, and what the result does not show."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from scipy.stats import norm

from unlabeled import stats
from unlabeled.progress import count, in_percent
from unlabeled.study.plan import Arm
from unlabeled.study.record import Tables
from unlabeled.study.short import too_short

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
            data), `turns` (whether all labelled items are tested on in turn), `findings`, `majority` (the class of most
            training labels, and its share).
    """
    accuracy = results.summary[results.summary["metric"] == "accuracy"]
    kinds = {arm.name: arm.kind for arm in plan}
    means = accuracy.groupby(["arm", "protocol"])["mean"].mean().sort_values(ascending=False)
    learned = [pair for pair in means.index if kinds[pair[0]] == "method"]
    baselines = [pair for pair in means.index if kinds[pair[0]] != "method"]
    winner, protocol = means.index[0]
    pretrained = kinds[winner] == "method"
    short = too_short(results.summary, (winner, protocol))
    race = _Race(accuracy, results.differences, (winner, protocol), baselines if pretrained else learned)
    saved = _saved(accuracy, kinds, race.mine, short) if pretrained else ""
    sentence = race.told(pretrained, saved)
    details: list[str] = []
    details.extend(uneven(results.summary, facts.get("majority")))
    details.extend(_verdicts(results.differences, accuracy, learned, plan))
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
    told = f'{in_percent(share, 0)} % of the training labels are "{name}"'
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
        f"Fine-tuning was too short to be judged where not even the items that were learnt from are all known: {names} "
        "of them; more minutes would tell."
    ]


def _words(protocol: str) -> str:
    """A protocol as a sentence names it.

    >>> _words("linear"), _words("finetune(steps=20, trials=1)")
    ('a linear probe', 'fine-tuning (steps=20, trials=1)')
    """
    word, _, settings = protocol.partition("(")
    told = {
        "linear": "a linear probe",
        "knn": "nearest neighbours",
        "propagate": "label propagation",
        "styled": "a probe on several styles",
        "finetune": "fine-tuning",
        "cluster": "named clusters",
    }.get(word, word)
    return told + (f" ({settings}" if settings else "")


def _percent(row: Mapping[Any, Any]) -> str:
    ends = "" if pd.isna(row["low"]) else f" ({in_percent(row['low'], 0)} to {in_percent(row['high'], 0)})"
    return f"{in_percent(row['mean'], 0)} %{ends}"


@dataclass(frozen=True, eq=False)
class _Race:
    """The winner beside the best contender of the other kind, with each number of labels.

    Args:
        accuracy: rows of `summary` of accuracy.
        differences: of `record.tables`.
        winner: name and protocol of the best on average.
        rivals: those of the other kind.
    """

    accuracy: pd.DataFrame
    differences: pd.DataFrame
    winner: tuple[str, str]
    rivals: Sequence[tuple[str, str]]

    @property
    def mine(self) -> pd.DataFrame:
        """The winner's rows, fewest labels first."""
        return self._of(self.winner).sort_values("labels")

    def told(self, pretrained: bool, saved: str) -> str:
        """The answer in one sentence, judged with the fewest labels, where help is needed most; where the order turns
        with more of them, it says so.

        Args:
            pretrained: whether the winner is a method.
            saved: how many labels it saves; "" where nothing is known of it.
        """
        few = int(self.mine.iloc[0]["labels"])
        who, own = _who(self.winner), _percent(self.mine.iloc[0].to_dict())
        rival = self._rival(few)
        if rival is None:
            start = f"Take {who}" if pretrained else f"{who} is all that was tried"
            return f"{start}: with {few} labels it is right on {own} of unseen items{f'; {saved}' if saved else ''}."
        gap = _gain(self.differences, self.winner, rival, few)
        ahead = self._verdict(few)
        if ahead < 0:
            theirs = _percent(self._of(rival)[self._of(rival)["labels"] == few].iloc[0].to_dict())
            back = _gain(self.differences, rival, self.winner, few)
            start = (
                f"It depends on the number of labels: with {few} {_who(rival)} is ahead, right on {theirs} of unseen"
            )
            return f"{start} items, {back}{self._later(few, 1) or f'; on average over all budgets {who} is best'}."
        if ahead > 0 and not pretrained:
            start = f"Pretraining is not worth it on these data as tried: {who} is best, {own} with {few} labels, {gap}"
            return f"{start}{self._later(few, -1)}."
        start = (
            f"Take {who}: with {few} labels it" if ahead > 0 else f"Nothing is clearly ahead: with {few} labels {who}"
        )
        turns = self._later(few, -1) if ahead > 0 else self._later(few, 1) or self._later(few, -1)
        return f"{start} is right on {own} of unseen items, {gap}{f'; {saved}' if saved else ''}{turns}."

    def _later(self, few: int, sign: int) -> str:
        """With how many more labels the winner (1) or a rival (-1) is clearly ahead, and by how much; "" for never."""
        for labels in sorted({int(n) for n in self.mine["labels"]} - {few}):
            rival = self._rival(labels)
            if rival is not None and self._verdict(labels) == sign:
                first, second = (self.winner, rival) if sign > 0 else (rival, self.winner)
                gain = _gain(self.differences, first, second, labels)
                return f"; with {labels} labels {_who(first)} is ahead, {gain}"
        return ""

    def _verdict(self, labels: int) -> int:
        """1 where the winner is ahead of its best rival beyond chance, -1 where it is behind, else 0."""
        rival = self._rival(labels)
        row = None if rival is None else _difference(self.differences, self.winner, rival, labels)
        return 0 if row is None else int(row["low"] > 0) - int(row["high"] < 0)

    def _rival(self, labels: int) -> tuple[str, str] | None:
        """The best of the rivals with so many labels."""
        part = self.accuracy[self.accuracy["labels"] == labels]
        part = part[[pair in self.rivals for pair in zip(part["arm"], part["protocol"], strict=True)]]
        if part.empty:
            return None
        best = part.sort_values("mean").iloc[-1]
        return str(best["arm"]), str(best["protocol"])

    def _of(self, pair: tuple[str, str]) -> pd.DataFrame:
        return self.accuracy[(self.accuracy["arm"] == pair[0]) & (self.accuracy["protocol"] == pair[1])]


def _who(pair: tuple[str, str]) -> str:
    return f"{pair[0]} with {_words(pair[1])}"


def _gain(differences: pd.DataFrame, a: tuple[str, str], b: tuple[str, str], labels: float) -> str:
    row = _difference(differences, a, b, labels)
    if row is None:
        return f"beside {_who(b)}"
    points = f"{100 * row['difference']:+.0f} points"
    if pd.isna(row["low"]):
        return f"{points} against {_who(b)}, on too few items to tell how sure"
    sure = "" if row["low"] > 0 or row["high"] < 0 else ", which is not beyond chance"
    return f"{points} ({100 * row['low']:+.0f} to {100 * row['high']:+.0f}) against {_who(b)}{sure}"


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


def _saved(
    accuracy: pd.DataFrame, kinds: Mapping[str, str], mine: pd.DataFrame, short: Collection[tuple[str, str]]
) -> str:
    """How many labels the supervised arm, used in the way that serves it best, needs for what the winner reaches with
    the fewest; nothing is said of one that was stopped too early.
    """
    curves = accuracy[[kinds[a] == "supervised" for a in accuracy["arm"]]]
    if curves.empty:
        return ""
    means = curves.groupby(["arm", "protocol"])["mean"].mean()
    arm, protocol = means.index[int(means.to_numpy().argmax())]
    if (arm, protocol) in short:
        return "supervised training was too short to be compared"
    curve = curves[(curves["arm"] == arm) & (curves["protocol"] == protocol)].sort_values("labels")
    few, target = int(mine.iloc[0]["labels"]), float(mine.iloc[0]["mean"])
    need = stats.crossing(curve["labels"].to_numpy(float), curve["mean"].to_numpy(float), target)
    if need is None:
        most = int(curve["labels"].max())
        return f"supervised training does not get there with all {most} labels"
    if need <= few:
        return "supervised training gets there with no more labels"
    times = need / few
    return (
        f"supervised training needs about {count(round(need), 'label')} for that, "
        f"{times:.{0 if times >= 3 else 1}f} times as many"
    )


def _verdicts(
    differences: pd.DataFrame, accuracy: pd.DataFrame, learned: Sequence[tuple[str, str]], plan: Sequence[Arm]
) -> list[str]:
    """For each method: did it learn anything that random weights of its own network do not have? The more of them
    are judged, the clearer each has to show it (Bonferroni).
    """
    out = []
    few = accuracy["labels"].min()
    names = list(dict.fromkeys(a for a, _ in learned))
    wider = float(norm.ppf(1 - 0.025 / max(1, len(names))) / norm.ppf(0.975))
    for arm in names:
        net = str(next(a for a in plan if a.name == arm).recipe.encoder)
        randoms = [a.name for a in plan if a.kind == "random" and str(a.recipe.encoder) == net]
        rows = [
            r for name in randoms if (r := _difference(differences, (arm, "linear"), (name, "linear"), few)) is not None
        ]
        if not rows:
            continue
        worst = min(rows, key=lambda r: float(r["low"]))
        gain, low = float(worst["difference"]), float(worst["low"])
        if pd.isna(low):
            out.append(f"Whether {arm} learned something cannot be told: there are too few test items.")
            continue
        span = f"{100 * gain:+.1f} points, {100 * low:+.1f} to {100 * worst['high']:+.1f}"
        if gain - wider * (gain - low) > 0:
            text = f"{arm} learned something: its frozen features beat random weights at {int(few)} labels by {span}."
        elif low > 0:
            text = (
                f"{arm} may have learned something: frozen against random weights at {int(few)} labels {span}, which "
                f"chance shows now and then among {len(names)} methods."
            )
        else:
            text = f"{arm} learned nothing that shows at {int(few)} labels: frozen against random weights {span}."
        out.append(text)
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
        what = "The turns of the test items were dealt" if facts.get("turns") else "The test split was drawn"
        out.append(
            f"{what} from the data at random: items of one part, patient or day may stand on both sides if no group "
            "column says so."
        )
    out.extend(f[:1].upper() + f[1:] for f in facts["findings"])
    return out
