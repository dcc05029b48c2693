"""The small parts of the page: words, colours, thumbnails, the crossing and the marks in the table."""

import base64
import doctest
import html
import importlib
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unlabeled.deploy import card
from unlabeled.deploy.model import worth
from unlabeled.report import crossing, plots
from unlabeled.report.ahead import curves
from unlabeled.report.ahead import page as ahead
from unlabeled.report.blocks import Cell, colours, legend, percent
from unlabeled.report.explained import story
from unlabeled.report.folder import Absent, Study
from unlabeled.report.page import write
from unlabeled.report.pictures import sheet
from unlabeled.report.sections import answer, budget, classes, maps, ranking, samples, table
from unlabeled.report.words import METRICS


@pytest.mark.parametrize("name", ["words", "pictures", "plots"])
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"unlabeled.report.{name}"))
    assert tried > 0 and failed == 0


Row = tuple[str, str, int, float]
Gap = tuple[str, str, int, float, float]


def tables(folder: Path, rows: list[Row], gaps: list[Gap]) -> Study:
    """A study of accuracies (arm, protocol, labels, mean) and differences (a, b, labels, low, high)."""
    summary = [
        {"arm": a, "share": n / 100, "labels": n, "protocol": p, "metric": "accuracy", "mean": m, "sd": 0.01,
         "low": m - 0.02, "high": m + 0.02, "n": 9}
        for a, p, n, m in rows
    ]  # fmt: skip
    pd.DataFrame(summary).to_csv(folder / "summary.csv", index=False)
    differences = [
        {"arm_a": a, "arm_b": b, "share": n / 100, "labels": n, "protocol": "linear", "metric": "accuracy",
         "difference": (low + high) / 2, "low": low, "high": high, "n": 9}
        for a, b, n, low, high in gaps
    ]  # fmt: skip
    if differences:
        pd.DataFrame(differences).to_csv(folder / "differences.csv", index=False)
    return Study(folder)


def marks(study: Study, labels: int) -> dict[str, str]:
    (found,) = table.section(study).facts["tables"]
    column = study.budgets.index(labels)
    return {r["contender"].arm: r["cells"][column]["mark"] for r in found["rows"] if r["cells"][column]}


def test_best_needs_every_paired_interval_above_zero(tmp_path: Path) -> None:
    rows = [("simclr", "linear", 10, 0.9), ("mae", "linear", 10, 0.8), ("random", "linear", 10, 0.5)]
    ahead = [("simclr", "mae", 10, 0.05, 0.15), ("random", "simclr", 10, -0.5, -0.3)]  # either order on disk
    assert marks(tables(tmp_path, rows, ahead), 10) == {"simclr": "best", "mae": "", "random": ""}
    level = [("simclr", "mae", 10, -0.01, 0.15), ahead[1]]
    assert marks(tables(tmp_path, rows, level), 10) == {"simclr": "tied", "mae": "tied", "random": ""}


def test_a_contender_that_was_not_compared_is_not_called_beaten(tmp_path: Path) -> None:
    rows = [("simclr", "linear", 10, 0.9), ("mae", "linear", 10, 0.8), ("random", "linear", 10, 0.5)]
    study = tables(tmp_path, rows, [("simclr", "mae", 10, 0.05, 0.15)])
    assert marks(study, 10) == {"simclr": "tied", "mae": "", "random": "tied"}


def test_nobody_is_called_beaten_where_there_are_too_few_items_for_an_interval(tmp_path: Path) -> None:
    nan, names = float("nan"), ("simclr", "mae", "vae", "random")
    rows: list[Row] = [(name, "linear", 10, 0.9 - i / 10) for i, name in enumerate(names)]
    study = tables(tmp_path, rows, [("simclr", name, 10, nan, nan) for name in names[1:]])
    assert set(marks(study, 10).values()) == {"tied"}
    found = ranking.section(study)
    assert found is not None
    behind = found.facts["lists"][0]["rows"][1:]
    assert all(row["level"] and row["interval"] == "" for row in behind)


def test_nothing_is_marked_without_differences(tmp_path: Path) -> None:
    study = tables(tmp_path, [("simclr", "linear", 10, 0.9), ("mae", "linear", 10, 0.8)], [])
    assert set(marks(study, 10).values()) == {""}


def test_crossing_lies_on_the_logarithmic_line_between_two_points(tmp_path: Path) -> None:
    rows = [("simclr", "linear", 10, 0.8), ("simclr", "linear", 1000, 0.95)]
    rows += [("supervised", "finetune", 10, 0.4), ("supervised", "finetune", 1000, 0.9)]
    found = crossing.find(tables(tmp_path, rows, []))
    assert found is not None and found.labels is not None
    assert found.labels == pytest.approx(10 ** (1 + 2 * (0.8 - 0.4) / (0.9 - 0.4)))  # 398
    assert "about 398 labels" in found.sentence() and "40 times as many" in found.sentence()


def test_crossing_that_never_comes(tmp_path: Path) -> None:
    rows = [("simclr", "linear", 10, 0.97), ("supervised", "finetune", 10, 0.4), ("supervised", "finetune", 1000, 0.9)]
    found = crossing.find(tables(tmp_path, rows, []))
    assert found is not None and found.labels is None
    assert "does not get there with all 1,000 labels" in found.sentence()


def test_curve_shows_the_interval_as_distances_from_the_mean(tmp_path: Path) -> None:
    rows = [("simclr", "linear", 10, 0.8), ("simclr", "linear", 1000, 0.95)]
    (trace,) = budget.section(tables(tmp_path, rows, [])).figures["budget-0-0"]["data"]
    assert trace["y"] == pytest.approx([80, 95])
    assert trace["error_y"]["array"] == pytest.approx([2, 2]) and trace["error_y"]["arrayminus"] == pytest.approx(
        [2, 2]
    )
    assert trace["x"] == pytest.approx([10, 1000], rel=0.05)


def test_no_mistake_is_rounded_away() -> None:
    shown = {"value": 0.9996, "low": 0.9991, "high": 1.0}
    assert METRICS["accuracy"].show(0.9996) == "99.96" and METRICS["accuracy"].show(1.0) == "100.0"
    assert percent(*shown.values()) == Cell("99.96", "99.9 to 100.0") and percent(-0.0004, sign=True).value == "−0.0"
    assert card.show(shown, True) == ("99.96 %", "99.9 to 100.0")
    test = dict.fromkeys(("accuracy", "ece", "coverage", "abstained"), shown) | {"n": 2500, "size": {"value": 1.0}}
    assert "right on 99.96 % (99.9 to 100.0)" in worth(test)


def test_names_in_a_sentence_keep_their_capitals(tmp_path: Path) -> None:
    rows = [("simclr", "linear", n, 0.9) for n in (10, 100)] + [
        ("supervised[R50]", "finetune", n, 0.5) for n in (10, 100)
    ]
    found = crossing.find(tables(tmp_path, rows, []))
    assert found is not None and "Supervised[R50] with fine-tuning does not get there" in found.sentence()


def test_one_number_of_labels_makes_no_curve(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="one number of labels"):
        budget.section(tables(tmp_path, [("simclr", "linear", 10, 0.8)], []))


def test_sheet_holds_each_thumbnail_at_its_place() -> None:
    thumbs = np.zeros((9, 48, 48, 3), np.uint8)
    thumbs[:] = (np.arange(9) * 28)[:, None, None, None]
    made = sheet(thumbs, [8, 1, 5, 1])
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))))
    assert picture.shape == (48 * made.rows, 48 * made.columns, 3)
    for item in (1, 5, 8):
        column, row = (int(part.split(":")[1]) for part in made.style(item).split(";"))
        assert picture[row * 48 + 24, column * 48 + 24, 0] == pytest.approx(28 * item, abs=3)


def test_confident_mistakes_come_first_and_nothing_stands_twice() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), 60)
    labels = random.integers(0, 3, 60)
    wrong, sure, unsure = samples._choose(p, labels)
    right = {i for i in range(60) if p[i].argmax() == labels[i]}
    mistakes = sorted((i for i in range(60) if i not in right), key=lambda i: -p[i].max())
    assert wrong.tolist() == mistakes[: samples.WRONG]
    assert sure.tolist() == sorted(right, key=lambda i: -p[i].max())[: samples.SURE]
    assert unsure.tolist() == sorted(right, key=lambda i: p[i].max())[: samples.UNSURE]
    few = samples._choose(p[:4], p[:4].argmax(1))
    assert len(set(np.concatenate(few).tolist())) == sum(map(len, few)) == 4


def test_nearest_neighbour_share_against_a_slow_loop() -> None:
    random = np.random.default_rng(0)
    points, labels = random.normal(size=(600, 2)), random.integers(0, 4, 600)
    hits = 0
    for i in range(600):
        gaps = np.linalg.norm(points - points[i], axis=1)
        gaps[i] = np.inf
        hits += labels[int(np.argmin(gaps))] == labels[i]
    assert maps._same(points, labels) == f"{100 * hits / 600:.0f}"


def test_largest_mistakes_in_words() -> None:
    counts = np.array([[8, 2, 0], [0, 9, 1], [0, 0, 10]])
    assert classes._pairs(counts, ["a", "b", "c"]) == ["20 % of a are taken for b", "10 % of b are taken for c"]


def test_thinned_curve_keeps_both_ends_and_short_ones_whole() -> None:
    assert plots.thin(5).tolist() == [0, 1, 2, 3, 4]
    kept = plots.thin(100_000)
    assert len(kept) == plots.MOST_POINTS and kept[0] == 0 and kept[-1] == 99_999


def test_arms_beyond_the_colours_are_told_apart_by_their_symbols(tmp_path: Path) -> None:
    arms = [*(f"m{i}" for i in range(15)), "random"]
    rows = [(arm, "linear", n, 0.5 + i / 99) for i, arm in enumerate(arms) for n in (10, 100)]
    found = budget.section(tables(tmp_path, rows, []))
    traces = [t for t in found.figures["budget-0-0"]["data"] if "marker" in t]
    looks = {(t["marker"]["color"], t["marker"]["symbol"]) for t in traces}
    assert len(traces) == len(looks) == len(arms)
    assert len({(e["colour"], e["path"]) for e in found.facts["panels"][0]["legend"]}) == len(arms)
    keys = legend("severity", colours({arm: "random" if arm == "random" else "trained" for arm in arms}))
    assert len({(k["colour"], k["symbol"]) for k in keys}) == len(arms)


def test_close_budgets_do_not_write_over_one_another() -> None:
    axis = plots.counts_axis([10, 11, 1000], "labels")
    assert axis["ticktext"] == ["10", "1,000"]


def test_tiles_speak_of_labels_saved_only_where_a_method_wins(tmp_path: Path) -> None:
    rows = [("simclr", "linear", 10, 0.97), ("supervised", "finetune", 10, 0.4), ("supervised", "finetune", 1000, 0.9)]
    (tile,) = answer._saved(tables(tmp_path, rows, []))
    assert tile["value"] == "> 100 ×" and tile["note"] == "1,000 labels are not enough for it"
    rows = [("simclr", "linear", 10, 0.5), ("pca", "linear", 10, 0.9), ("supervised", "finetune", 10, 0.4)]
    assert answer._saved(tables(tmp_path, rows, [])) == []


def test_names_with_hyphens_stay_as_they_are() -> None:
    item = {"name": "site-2/img-001.png", "label": "hot-rolled"}
    one = {"kind": "class", "class": "hot-rolled", "probability": 0.9, "model": "my-run", "items": [item]}
    whole = story._sentence(one | {"explainers": []})
    assert whole.startswith("hot-rolled, probability 0.90: that is what my-run says of img-001.png, and it is labelled")
    two = {"kind": "nearness", "cosine": -0.5, "nearer_than": 0.1, "items": [item, item], "explainers": []}
    assert story._sentence(two).startswith("Not near, cosine −0.50: img-001.png and img-001.png are nearer")


@pytest.mark.parametrize(
    ("by", "value", "words"),
    [("horizon", 1, "1 step"), ("horizon", 1000, "1,000 steps"), ("share", 0.125, "12.5 % hidden")],
)
def test_columns_of_what_comes_next_and_what_is_missing_are_headed_aright(by: str, value: float, words: str) -> None:
    assert ahead.Told({}, pd.DataFrame(), by, np.empty(0), {}, None, "", ()).head(value) == words


def test_the_first_screen_says_what_to_do_next(study: Path) -> None:
    spaced = study.rename(study.with_name("my study"))
    told = answer.section(Study(spaced)).facts["then"]
    assert shlex.split(told) == ["unlabeled", "bundle", str(spaced)]
    assert f">{told}<" in html.unescape(write(spaced).read_text("utf-8"))


def test_answers_that_are_no_numbers_are_wrong_on_the_page_as_in_the_table(tmp_path: Path) -> None:
    """They would else be answers of the first class, and right on its items."""
    study = tables(tmp_path, [("simclr", "linear", 10, 0.5)], [])
    p = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [np.nan, np.nan]], np.float32)
    true = np.array([0, 0, 1, 1])
    np.savez(tmp_path / "test.npz", labels=true, paths=list("abcd"), thumbs=np.zeros((4, 2, 2, 3), np.uint8))
    (tmp_path / "data.json").write_text('{"classes": ["good", "bad"]}', "utf-8")
    (tmp_path / "predictions").mkdir()
    np.savez(tmp_path / "predictions" / "simclr-0.1-s0-d0-linear.npz", probabilities=p)
    cell = {"arm": "simclr", "share": 0.1, "labels": 10, "seed": 0, "draw": 0, "protocol": "linear"}
    pd.DataFrame([cell | {"metric": "accuracy", "value": 0.5}]).to_csv(tmp_path / "table.csv", index=False)
    [shown] = samples.section(study).facts["panels"]
    assert (shown["mistakes"], shown["lost"], shown["wrong"]) == ("2 mistakes", 2, [])
    assert len(shown["sure"]) + len(shown["unsure"]) == 2
    assert classes.section(study).figures["classes-0-0"]["data"][0]["customdata"] == [
        ["1 prediction", "0 predictions"],
        ["0 predictions", "1 prediction"],
    ]
    assert "2 answers are no numbers" in html.unescape(write(tmp_path).read_text("utf-8"))


def test_a_rare_mistake_is_not_none_in_a_hundred() -> None:
    assert classes._pairs(np.array([[999, 1], [0, 10]]), ["good", "bad"]) == ["0.1 % of good are taken for bad"]


def test_curves_of_a_window_are_all_named_and_told_apart() -> None:
    arms = ["linear", "a", "linear + a", "b", "linear + b", "last value", "last season"]
    frame = pd.DataFrame([{"arm": arm, "horizon": 6, "metric": "mse", "mean": 1.0} for arm in arms])
    drawn = {arm: np.zeros((1, 1, 6)) for arm in ("a", "linear", "last season")}
    told = ahead.Told({}, frame, "horizon", np.zeros((1, 1, 6)), drawn, np.zeros((1, 1, 9)), "", ("load",))
    [block] = curves.section(told).facts["blocks"]
    assert [entry["name"] for entry in block.legend] == ["before", "what happened", *drawn]
    assert len({entry["colour"] for entry in block.legend}) == 5


def test_every_column_of_the_matrix_has_its_name_or_the_order_of_the_rows() -> None:
    few = ["crazing", "pitted_surface", "scratches"]
    layout = classes._matrix(np.eye(3), few)["layout"]
    assert layout["xaxis"]["ticktext"] == few and layout["xaxis"]["ticklabeloverflow"] == "allow"
    assert layout["xaxis"]["tickangle"] < 0, "a name ends at its column, and stays in the figure"
    many = [f"traffic sign number {i} of the town" for i in range(43)]
    layout = classes._matrix(np.eye(43), many)["layout"]
    assert layout["yaxis"]["ticktext"][42] == "…42…" and len(set(layout["yaxis"]["ticktext"])) == 43
    assert layout["xaxis"]["title"]["text"] == "taken for, in the same order" and not layout["xaxis"]["showticklabels"]
    rows = (layout["height"] - 150) / 43
    assert rows > layout["yaxis"]["tickfont"]["size"], "names do not lie on each other"


def test_the_legend_of_the_map_shows_the_points_as_they_are_drawn(tmp_path: Path) -> None:
    study = tables(tmp_path, [("simclr", "linear", 10, 0.5)], [])
    paths, thumbs = [str(i) for i in range(12)], np.zeros((12, 2, 2, 3), np.uint8)
    np.savez(tmp_path / "test.npz", labels=np.arange(12), paths=paths, thumbs=thumbs)
    (tmp_path / "data.json").write_text(json.dumps({"classes": [f"class {i}" for i in range(12)]}), "utf-8")
    plane = np.random.default_rng(0).normal(size=(12, 2))
    np.savez(tmp_path / "tsne.npz", **{"simclr/before": plane, "simclr/after": plane})
    found = maps.section(study)
    assert found is not None
    drawn = [t["marker"]["symbol"] for t in found.figures["map-0-after"]["data"]]
    assert [c["symbol"] for c in found.facts["classes"]] == drawn and drawn[9:] == ["circle", "square", "square"]
    assert '<i class="square" style="background:var(--h1)">' in write(tmp_path).read_text("utf-8")
