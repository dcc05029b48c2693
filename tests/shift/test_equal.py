"""Equal losses by hand and against a slow loop; relatives by watching what methods draw."""

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from unlabeled import UserError, catalog, stats
from unlabeled.data.series import SeriesPrep
from unlabeled.modalities import audio, series
from unlabeled.settings import Augmentation, Training
from unlabeled.shift import overlap
from unlabeled.shift.equal import equal_loss
from unlabeled.shift.overlap import COLOURS, RELATIVES, relatives, unrelated
from unlabeled.shift.severity import Curve, differences, robustness
from unlabeled.training.recipe import Recipe
from unlabeled.views import acoustics, corruption, slips, style, wear


def drawn(seed: int, seeds: tuple[int, ...], steepness: tuple[float, ...], items: int = 200) -> Curve:
    """Hits that fall with severity, a kind a steepness."""
    random = np.random.default_rng(seed)
    hardness = random.uniform(size=(len(seeds), len(steepness), 1, items))
    level = 0.9 - np.array(steepness)[:, None] * np.arange(6)  # (K, 6)
    return Curve(tuple((s, 0) for s in seeds), hardness < level[None, :, :, None])


def slow(curves: dict[str, Curve], reference: str, points: float) -> tuple[list[float], dict[str, float]]:
    """Strengths and mean losses by walking along each curve in small steps."""
    lines = {arm: c.hits.astype(float).mean((0, 3)) for arm, c in curves.items()}
    strengths, losses = [], {arm: [] for arm in curves}
    for k in range(lines[reference].shape[0]):
        at = np.linspace(0, 5, 500_001)
        lost = lines[reference][k, 0] - np.interp(at, range(6), lines[reference][k])
        hit = np.flatnonzero(lost >= points)
        strengths.append(float(at[hit[0]]) if len(hit) else float("nan"))
        if len(hit):
            for arm in curves:
                losses[arm].append(lines[arm][k, 0] - float(np.interp(strengths[-1], range(6), lines[arm][k])))
    return strengths, {arm: float(np.mean(v)) for arm, v in losses.items()}


def test_equal_loss_is_the_slow_walk() -> None:
    curves = {"a": drawn(0, (0, 1), (0.03, 0.07, 0.002)), "b": drawn(1, (0, 1), (0.01, 0.05, 0.05))}
    found = equal_loss(curves, ["x", "y", "z"], "a")
    strengths, losses = slow(curves, "a", 0.08)
    table = found.strengths[found.strengths["arm"] == "b"]
    assert np.allclose(table["strength"], strengths, atol=1e-4, equal_nan=True)
    assert np.isnan(strengths[2]) and (found.arms["kinds"] == 2).all()  # z never hurts a, and counts for nobody
    mine = found.arms.set_index("arm")
    assert mine.loc["a", "loss"] == pytest.approx(0.08) and mine.loc["b", "loss"] == pytest.approx(
        losses["b"], abs=1e-4
    )
    assert mine.loc["b", "low"] < mine.loc["b", "loss"] < mine.loc["b", "high"]
    assert "b has lost" in found.lines()[0] and "2 of 3 kinds" in found.lines()[0]


def test_the_interval_covers_the_truth() -> None:
    """Over many small worlds the true loss of b lies in the interval about as often as it says."""
    inside = 0
    for world in range(60):
        curves = {"a": drawn(2 * world, (0, 1, 2), (0.04, 0.08)), "b": drawn(2 * world + 1, (0, 1, 2), (0.02, 0.04))}
        row = equal_loss(curves, ["x", "y"], "a", resamples=300).arms.iloc[1]
        inside += row["low"] <= 0.04 <= row["high"]
    assert inside >= 51


def test_three_seeds_that_differ_give_students_interval() -> None:
    """With many items nearly all that is not known is the seeds': as wide as Student's over one figure a seed."""
    pair = {}
    random = np.random.default_rng(0)
    for arm, loss in (("a", 0.08), ("b", 0.05)):
        level = 0.9 - (loss + random.normal(0, 0.01, (3, 1))) * np.arange(6)  # (S, 6)
        hits = random.uniform(size=(3, 1, 1, 20_000)) < level[:, None, :, None]
        pair[arm] = Curve(((0, 0), (1, 0), (2, 0)), hits)
    row = equal_loss(pair, ["x"], "a", resamples=500).arms.iloc[1]
    alone = [{arm: Curve(((s, 0),), c.hits[[s]]) for arm, c in pair.items()} for s in range(3)]
    low, high = stats.interval(np.array([equal_loss(c, ["x"], "a", resamples=10).arms["loss"][1] for c in alone]))
    assert row["high"] - row["low"] == pytest.approx(high - low, rel=0.25)  # half of that by quantiles alone


def test_no_kind_that_hurts_gives_no_figure() -> None:
    curves = {"a": drawn(0, (0,), (0.0,)), "b": drawn(1, (0,), (0.05,))}
    found = equal_loss(curves, ["x"], "a")
    assert found.arms["loss"].isna().all() and "never loses" in found.lines()[0]
    for wrong in ({"reference": "c"}, {"reference": "a", "points": 0.0}):
        with pytest.raises(UserError):
            equal_loss(curves, ["x"], **wrong)


def test_one_group_alone_has_no_interval() -> None:
    """One patient resampled is the same patient: the ends would meet at the figure itself."""
    curves = {"a": drawn(0, (0,), (0.03, 0.07)), "b": drawn(1, (0,), (0.01, 0.05))}
    found = equal_loss(curves, ["x", "y"], "a", groups=np.zeros(200, int))
    assert found.arms["loss"].notna().all() and found.arms[["low", "high"]].isna().to_numpy().all()
    assert "(no interval)" in found.lines()[0]


def test_differences_are_paired_ones_of_the_mean_over_kinds() -> None:
    curves = {"a": drawn(0, (0, 1), (0.03, 0.07)), "b": drawn(1, (0, 1), (0.01, 0.05))}
    table = differences(curves, ["x", "y"], ["x"])
    row = table[(table["arm_a"] == "b") & (table["what"] == "accuracy") & (table["scope"] == "all kinds")].iloc[0]
    pair = [[(s, 0, c.hits[s][:, 1:].mean((0, 1))) for s in (0, 1)] for c in (curves["b"], curves["a"])]
    by_hand = stats.paired_difference(*pair)
    assert row["difference"] == pytest.approx(by_hand.difference) and row["low"] == pytest.approx(by_hand.low, abs=0.02)
    assert set(table["scope"]) == {
        "all kinds",
        "kinds without a relative",
        "x",
        "y",
        *(f"severity {s}" for s in range(1, 6)),
    }
    whole = robustness(curves, ["x", "y"], ["x"], "a").set_index(["arm", "scope"])
    assert whole.loc[("a", "all kinds"), "mce"] == 1.0 > whole.loc[("b", "all kinds"), "mce"]
    assert whole.loc[("b", "kinds without a relative"), "kinds"] == 1


def test_every_corruption_stands_in_the_table_of_relatives() -> None:
    assert set(RELATIVES) == set(corruption.KINDS) | set(wear.KINDS) | set(acoustics.KINDS) | set(slips.KINDS)
    styles = set(getattr(style, "KINDS", ()) or style.names(3)) | set(series.KINDS) | set(audio.KINDS)
    assert styles - COLOURS <= {word for words in RELATIVES.values() for word in words}
    found = relatives(["rain", "new_thing"], {"blur"})
    assert found == {"rain": (), "new_thing": ("not in the table",)}
    assert unrelated({"a": {"x": (), "y": ("blur",)}, "b": {"x": (), "y": ()}}) == ["x"]


@pytest.mark.parametrize("turn", [0, 1])
def test_what_is_drawn_in_every_second_step_is_seen_too(turn: int) -> None:
    """Whichever turn a run stopped at: a method that alternates imitates what it does in either."""
    method = catalog.Spec("c2ssl", {"mode": "alternate", "factors": 4})
    augmentation = Augmentation(interventions=("gain", "grain"), blur=0.0)
    form = {"size": 16, "plain_size": 16, "channels": 1, "mean": (0.5,), "std": (0.25,), "prep": {}}
    recipe = Recipe(
        method, catalog.Spec("cnn", {"width": 4, "stages": 2}), "image", **form,
        augmentation=augmentation, training=Training(), steps=2, seed=0,
    )  # fmt: skip
    raw = torch.randint(0, 256, (32, 1, 16, 16), dtype=torch.uint8)
    run = recipe.build()
    run.turn = run.turn + turn
    assert overlap.drawn(recipe, raw, run) == {"jitter", "gain", "grain"}
    assert run.turn == turn and run.done == 0


def test_the_docs_show_the_table_of_relatives() -> None:
    text = (Path(__file__).parents[2] / "docs" / "shift.md").read_text("utf-8")
    shown = {}
    for kinds, words in re.findall(r"^\| ([a-z_, ]+) \| ([a-z_, ]+) \|$", text, re.MULTILINE):
        known = words.replace("and masking by the method", "masking").split(", ") if words != "none" else []
        shown |= {kind: set(known) for kind in kinds.split(", ")}
    shown.pop("corruption")
    assert shown == {kind: set(words) for kind, words in RELATIVES.items()}


@pytest.mark.parametrize(
    ("method", "seen"), [("tst", {"masking"}), ("ts2vec", {"masking"}), ("autoencoder", {"noise"})]
)
def test_what_a_method_hides_or_spoils_itself_is_seen_as_well(method: str, seen: set[str]) -> None:
    still = Augmentation(jitter=0.0, noise=0.0, cutout=0.0, warp=0.0, drop=0.0)
    net = catalog.Spec("transformer", {"width": 16, "depth": 1, "heads": 2})
    prep = asdict(SeriesPrep(32, 3, 1.0, ("a", "b"), (), False))
    form = {"size": 32, "plain_size": 32, "channels": 3, "mean": (0.0,), "std": (1.0,), "prep": prep}
    recipe = Recipe(
        catalog.Spec(method, {}), net, "series", **form, augmentation=still, training=Training(), steps=2, seed=0
    )
    raw = torch.cat([torch.ones(4, 1, 32), torch.randn(4, 2, 32)], 1)
    assert seen <= overlap.drawn(recipe, raw)
