"""What the answer says where accuracy would mislead, and where an arm was stopped too early to be judged."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd

from unlabeled.study.answer import answer, uneven
from unlabeled.study.plan import Arm
from unlabeled.study.record import Tables
from unlabeled.study.short import too_short
from unlabeled.verbs.compare import Comparison
from unlabeled.verbs.evaluate import Evaluation


def summary(rows: list[tuple[str, str, int, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["arm", "protocol", "labels", "metric", "mean"])


def test_where_one_class_holds_most_labels_the_best_by_rank_is_named() -> None:
    rows = [
        ("mae", "linear", 20, "auroc", 0.74),
        ("pca", "linear", 20, "auroc", 0.71),
        ("pca", "linear", 20, "accuracy", 0.99),
        ("mae", "linear", 200, "auroc", 0.80),
        ("mae", "finetune", 200, "auroc", 0.83),
        ("pca", "knn", 200, "auroc", float("nan")),
    ]
    first, few, many = uneven(summary(rows), ("lived", 0.86))
    assert first.startswith('86 % of the training labels are "lived"')
    assert few == "By AUROC mae with a linear probe is best with 20 labels: 0.740."
    assert many == "By AUROC mae with fine-tuning is best with 200 labels: 0.830."


def test_nothing_is_said_where_classes_are_even_or_nothing_can_be_ranked() -> None:
    rows = [("mae", "linear", 20, "auroc", 0.74)]
    assert uneven(summary(rows), ("a", 0.5)) == [] and uneven(summary(rows), None) == []
    assert len(uneven(summary([("mae", "linear", 20, "accuracy", 0.9)]), ("a", 0.9))) == 1


def arm(name: str, kind: str, net: str = "cnn") -> Arm:
    """As much of an arm as an answer asks for."""
    return cast(Arm, SimpleNamespace(name=name, kind=kind, recipe=SimpleNamespace(encoder=net)))


def study_of(fitted: float) -> tuple[Tables, list[Arm]]:
    """Results of a method, its random start and a supervised arm that knows that share of its own items."""
    rows = [
        ("simclr", "linear", 0.1, 10, "accuracy", 0.90),
        ("simclr", "linear", 1.0, 100, "accuracy", 0.95),
        ("random", "linear", 0.1, 10, "accuracy", 0.40),
        ("random", "linear", 1.0, 100, "accuracy", 0.60),
        ("supervised", "finetune", 0.1, 10, "accuracy", 0.20),
        ("supervised", "finetune", 1.0, 100, "accuracy", 0.50),
        ("supervised", "finetune", 0.1, 10, "fitted", 1.0),
        ("supervised", "finetune", 1.0, 100, "fitted", fitted),
    ]
    frame = pd.DataFrame(rows, columns=["arm", "protocol", "share", "labels", "metric", "mean"])
    frame = frame.assign(sd=0.0, low=frame["mean"] - 0.02, high=frame["mean"] + 0.02, n=3)
    names = ["arm_a", "arm_b", "protocol_a", "protocol_b", "labels", "difference", "low", "high"]
    kinds = {"simclr": "method", "random": "random", "supervised": "supervised"}
    return Tables(frame, frame, pd.DataFrame(columns=names)), [arm(n, k) for n, k in kinds.items()]


FACTS = {
    "test": 100,
    "seeds": 3,
    "draws": 3,
    "steps": "100 steps of 64",
    "cleared": True,
    "findings": [],
    "majority": None,
}


def test_supervised_training_that_does_not_know_its_own_items_is_no_measure_of_labels_saved() -> None:
    results, plan = study_of(fitted=0.55)
    assert too_short(results.summary, ("simclr", "linear")) == {("supervised", "finetune"): 0.55}
    found = answer(results, plan, FACTS)
    assert found.sentence.endswith("supervised training was too short to be compared.")
    assert any("supervised 55 %" in d for d in found.details)


def test_labels_saved_are_those_of_the_use_of_labels_that_serves_supervised_training_best() -> None:
    results, plan = study_of(fitted=0.99)
    rows = [("supervised", "finetune(trials=1)", 0.1, 10, "accuracy", 0.30)]
    rows += [("supervised", "finetune(trials=1)", 1.0, 100, "accuracy", 0.95)]
    more = pd.DataFrame(rows, columns=["arm", "protocol", "share", "labels", "metric", "mean"])
    whole = pd.concat([results.summary, more.assign(sd=0.0, low=more["mean"], high=more["mean"], n=3)])
    found = answer(Tables(whole, whole, results.differences), plan, FACTS)
    assert found.sentence.endswith("supervised training needs about 84 labels for that, 8 times as many.")


def test_supervised_training_that_was_trained_out_is() -> None:
    results, plan = study_of(fitted=0.99)
    found = answer(results, plan, FACTS)
    assert found.sentence.endswith("supervised training does not get there with all 100 labels.")
    assert not any("Too short" in d for d in found.details)


def test_no_test_split_is_told_of_where_all_labelled_items_are_tested_on_in_turn() -> None:
    results, plan = study_of(fitted=0.99)
    for turns, start in ((False, "The test split was drawn"), (True, "The turns of the test items were dealt")):
        found = answer(results, plan, FACTS | {"cleared": False, "turns": turns})
        assert next(limit for limit in found.limits if "at random" in limit).startswith(start)


def test_a_method_that_is_not_beyond_chance_ahead_is_not_told_to_be_taken() -> None:
    results, plan = study_of(fitted=0.99)
    rows = [("simclr", "random", "linear", "linear", 10, 0.02, low, 0.05) for low in (-0.01, 0.01)]
    for row, start in zip(rows, ("Nothing is clearly ahead: with 10 labels simclr", "Take simclr with"), strict=True):
        pairs = pd.DataFrame([row], columns=list(results.differences.columns))
        found = answer(Tables(results.table, results.summary, pairs), plan, FACTS)
        assert found.sentence.startswith(start)
        assert ("not beyond chance" in found.sentence) == start.startswith("Nothing")


def race(gaps: dict[int, tuple[float, float, float]], ours: dict[int, float], kind: str = "method") -> str:
    """What is said of an arm and its rival, by number of labels: the difference with its ends, and our accuracy."""
    other = "method" if kind != "method" else "pca"
    rows, pairs = [], []
    for labels, (gap, low, high) in gaps.items():
        rows += [("mine", "linear", 1.0, labels, "accuracy", ours[labels])]
        rows += [("theirs", "linear", 1.0, labels, "accuracy", ours[labels] - gap)]
        pairs.append(("mine", "theirs", "linear", "linear", labels, gap, low, high))
        pairs.append(("theirs", "mine", "linear", "linear", labels, -gap, -high, -low))
    frame = pd.DataFrame(rows, columns=["arm", "protocol", "share", "labels", "metric", "mean"])
    frame = frame.assign(sd=0.0, low=frame["mean"] - 0.02, high=frame["mean"] + 0.02, n=3)
    names = ["arm_a", "arm_b", "protocol_a", "protocol_b", "labels", "difference", "low", "high"]
    plan = [arm(n, k) for n, k in (("mine", kind), ("theirs", other))]
    return answer(Tables(frame, frame, pd.DataFrame(pairs, columns=names)), plan, FACTS).sentence


def test_who_is_behind_with_few_labels_is_not_told_to_be_taken() -> None:
    gaps = {13: (-0.15, -0.23, -0.06), 130: (0.30, 0.25, 0.35)}
    said = race(gaps, {13: 0.39, 130: 0.90})
    assert said == (
        "It depends on the number of labels: with 13 theirs with a linear probe is ahead, right on 54 % (52 to 56) of "
        "unseen items, +15 points (+6 to +23) against mine with a linear probe; with 130 labels mine with a linear "
        "probe is ahead, +30 points (+25 to +35) against theirs with a linear probe."
    )
    other = race(gaps, {13: 0.39, 130: 0.90}, "pca")
    assert other == said and "not worth it" not in other


def test_pretraining_is_not_worth_it_where_that_is_beyond_chance_alone() -> None:
    clear = race({10: (0.2, 0.1, 0.3)}, {10: 0.8}, "pca")
    assert clear.startswith(
        "Pretraining is not worth it on these data as tried: mine with a linear probe is best, 80 %"
    )
    unclear = race({10: (0.04, -0.02, 0.10)}, {10: 0.8}, "pca")
    assert unclear.startswith("Nothing is clearly ahead: with 10 labels mine") and "not beyond chance" in unclear


def test_where_the_order_turns_with_more_labels_it_is_said() -> None:
    said = race({10: (0.4, 0.3, 0.5), 100: (-0.05, -0.08, -0.02)}, {10: 0.8, 100: 0.9})
    assert said.startswith("Take mine with a linear probe: with 10 labels it is right on 80 %")
    assert "with 100 labels theirs with a linear probe is ahead, +5 points (+2 to +8)" in said
    late = race({10: (0.01, -0.1, 0.1), 100: (0.05, 0.02, 0.08)}, {10: 0.8, 100: 0.9})
    assert late.startswith("Nothing is clearly ahead") and "with 100 labels mine with a linear probe is ahead" in late


def test_too_few_items_for_an_interval_are_no_reason_to_take_anything() -> None:
    nan = float("nan")
    said = race({10: (1.0, nan, nan)}, {10: 1.0})
    assert said.startswith("Nothing is clearly ahead") and "too few items" in said and "nan" not in said


def test_of_many_methods_each_has_to_show_more() -> None:
    names = [f"m{i}" for i in range(20)]
    rows = [(n, "linear", 1.0, 10, "accuracy", 0.6) for n in (*names, "random")]
    frame = pd.DataFrame(rows, columns=["arm", "protocol", "share", "labels", "metric", "mean"])
    frame = frame.assign(sd=0.0, low=0.5, high=0.7, n=3)
    gaps = [(n, "random", "linear", "linear", 10, 0.05, 0.04 if n == "m1" else 0.005, 0.095) for n in names]
    columns = ["arm_a", "arm_b", "protocol_a", "protocol_b", "labels", "difference", "low", "high"]
    plan = [arm(n, "method") for n in names]
    plan.append(arm("random", "random"))
    found = answer(Tables(frame, frame, pd.DataFrame(gaps, columns=columns)), plan, FACTS)
    assert any(d.startswith("m1 learned something") for d in found.details)
    assert any(d.startswith("m2 may have learned something") and "20 methods" in d for d in found.details)


def test_labels_saved_are_told_with_the_digits_that_tell_them_apart() -> None:
    results, plan = study_of(fitted=0.99)
    summed = results.summary.copy()
    summed.loc[(summed["arm"] == "supervised") & (summed["metric"] == "accuracy"), "mean"] = [0.88, 0.96]
    said = answer(Tables(results.table, summed, results.differences), plan, FACTS).sentence
    assert said.endswith("supervised training needs about 18 labels for that, 1.8 times as many.")


def test_what_a_method_learned_is_not_judged_without_an_interval() -> None:
    results, plan = study_of(fitted=0.99)
    nan = float("nan")
    row = ("simclr", "random", "linear", "linear", 10, 0.3, nan, nan)
    pairs = pd.DataFrame([row], columns=list(results.differences.columns))
    found = answer(Tables(results.table, results.summary, pairs), plan, FACTS)
    assert "Whether simclr learned something cannot be told: there are too few test items." in found.details
    assert not any("nan" in d for d in found.details)


def test_an_evaluation_on_one_item_has_no_interval() -> None:
    rows = [("simclr", 1.0, 10, "linear", m, 1.0, float("nan"), float("nan")) for m in ("accuracy", "macro_f1")]
    columns = ["arm", "share", "labels", "protocol", "metric", "mean", "low", "high"]
    frame = pd.DataFrame(rows, columns=columns)
    shown = Evaluation(Path("e"), frame, frame, frame).lines()
    assert "1.000 (too few items)" in shown[1] and not any("nan" in line for line in shown)


def test_only_what_is_always_right_is_called_100_percent() -> None:
    said = race({10: (0.2, 0.1, 0.3)}, {10: 0.9967})
    assert said.startswith("Take mine with a linear probe: with 10 labels it is right on 99.7 % (98 to 102)")
    assert "right on 100 % (98 to 102)" in race({10: (0.2, 0.1, 0.3)}, {10: 1.0})


def test_protocols_with_settings_are_named_in_words_and_fit_the_table(tmp_path: Path) -> None:
    long = "finetune(steps=20, trials=1)"
    rows = [(a, p, 1.0, 20, "accuracy", 0.5) for a, p in (("supervised", long), ("pca", "knn(k=3)"))]
    frame = pd.DataFrame(rows, columns=["arm", "protocol", "share", "labels", "metric", "mean"])
    frame = frame.assign(sd=0.0, low=0.4, high=0.6, n=3)
    pairs = pd.DataFrame(columns=["arm_a", "arm_b", "protocol_a", "protocol_b", "labels", "difference", "low", "high"])
    plan = [arm(n, k) for n, k in (("supervised", "method"), ("pca", "pca"))]
    found = answer(Tables(frame, frame, pairs), plan, FACTS)
    assert "fine-tuning (steps=20, trials=1)" in found.sentence
    assert "nearest neighbours (k=3)" in found.sentence and "finetune" not in found.sentence
    lines = Comparison(tmp_path, found, frame, pairs, tmp_path / "report.html").lines()
    start = next(i for i, line in enumerate(lines) if line.startswith("accuracy with"))
    assert len({len(line) for line in lines[start : start + 3]}) == 1


def test_what_a_method_learned_is_told_by_random_weights_of_its_own_network() -> None:
    """A transformer ahead of its random start has learnt, though another network's random start is ahead of it."""
    results, _ = study_of(fitted=0.99)
    rows = [
        ("mae", f"random[{net}]", "linear", "linear", 10, *gap)
        for net, gap in (("vit", (0.05, 0.03, 0.07)), ("cnn", (-0.10, -0.14, -0.06)))
    ]
    frame = results.summary.replace({"arm": {"simclr": "mae", "random": "random[vit]", "supervised": "random[cnn]"}})
    pairs = pd.DataFrame(rows, columns=list(results.differences.columns))
    plan = [arm("mae", "method", "vit"), arm("random[vit]", "random", "vit"), arm("random[cnn]", "random")]
    told = [d for d in answer(Tables(frame, frame, pairs), plan, FACTS).details if d.startswith("mae")]
    assert told == [
        "mae learned something: its frozen features beat random weights at 10 labels by +5.0 points, +3.0 to +7.0."
    ]
