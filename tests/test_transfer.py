"""`unlabeled transfer` on digits from three cameras: plain, inverted, and dim under an uneven light."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from unlabeled import UserError, cli
from unlabeled.alone import alone
from unlabeled.data.prepare import prepare
from unlabeled.data.table import frame
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.shift import crossing
from unlabeled.shift.crossing import crossings
from unlabeled.shift.outcome import MEAN, Outcome, gather, rarest
from unlabeled.training.run import Run, fingerprint
from unlabeled.verbs.transfer import Transferred, _limits, _read, _story, transfer

TRAINING = Training(threads=1, precision="fp32", device="cpu")
CAMERAS = ("dim", "inverted", "plain")


pytestmark = pytest.mark.usefixtures("own_cache")


def write(path: Path, key: str = "domains") -> Path:
    """900 digits, every third of one camera, a third of them to test on."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = bunch.images[:900] * 15.9, bunch.target[:900]
    x[1::3] = 0.4 * x[1::3] + 60 + 50 * np.linspace(-1, 1, 8)
    x[2::3] = 255 - x[2::3]
    x = x.clip(0, 255).astype("uint8")
    d = np.array(["plain", "dim", "inverted"] * 300)
    test = np.arange(900) // 3 % 3 == 0
    arrays = {
        f"{k}_{s}": v[t] for k, v in (("x", x), ("y", y), (key, d)) for s, t in (("train", ~test), ("test", test))
    }
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cameras") / "cameras.npz")


def call(data: Path, out: Path, **more: Any) -> Transferred:
    settings: dict[str, Any] = {"methods": ("simclr",), "adapt": ("coral(views=plain)",)}
    settings |= {"without_target": ("dann",), "seeds": 2} | more
    return transfer(
        str(data),
        **settings,
        setup=Setup(encoder="vit(width=32, depth=1, heads=2, patch_size=4)", size=16, out=str(out)),
        budget=Budget(steps=15),
        training=TRAINING,
        augmentation=Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0),
    )


@pytest.fixture(scope="module")
def found(cameras: Path, tmp_path_factory: pytest.TempPathFactory) -> Transferred:
    return call(cameras, tmp_path_factory.mktemp("work") / "transfer")


def test_every_arm_stands_in_every_target(found: Transferred) -> None:
    table = pd.read_csv(found.folder / "table.csv")
    assert set(table["arm"]) == {"simclr", "random", "supervised", "coral(views='plain')", "dann without target"}
    assert set(table["target"]) == set(CAMERAS) and len(table) == 3 * 5 * 2
    assert table.groupby("target")["items"].first().eq(100).all() and table["source_items"].eq(200).all()
    frozen = table["arm"].isin(["simclr", "random"])
    assert table[frozen]["detected"].notna().all() and table[~frozen]["detected"].isna().all()
    assert table[frozen]["kept"].mean() > 0.85


def test_figures_follow_from_the_cells(found: Transferred, cameras: Path) -> None:
    """Means of targets, worst target and differences by slow loops over the stored predictions."""
    with np.load(cameras) as arrays:
        y, d = arrays["y_test"], arrays["domains_test"]
    right: dict[tuple[str, str, int], float] = {}
    for camera in CAMERAS:
        for arm in ("simclr", "random"):
            for seed in (0, 1):
                with np.load(found.folder / "cells" / camera / f"{arm}-s{seed}.npz") as cell:
                    said = [int(p.argmax()) for p in cell["target"]]
                right[camera, arm, seed] = float(np.mean([a == b for a, b in zip(said, y[d == camera], strict=True)]))
    by_target = {(c, a): (right[c, a, 0] + right[c, a, 1]) / 2 for c in CAMERAS for a in ("simclr", "random")}
    overall = found.overall.set_index("arm")
    mean = {a: sum(by_target[c, a] for c in CAMERAS) / 3 for a in ("simclr", "random")}
    assert overall.loc["simclr", "mean"] == pytest.approx(mean["simclr"], abs=1e-6)
    assert overall.loc["simclr", "worst"] == pytest.approx(min(by_target[c, "simclr"] for c in CAMERAS), abs=1e-6)
    rows = found.differences[(found.differences["arm_a"] == "simclr") & (found.differences["arm_b"] == "random")]
    rows = rows.set_index("target")
    assert rows.loc["mean of the targets", "difference"] == pytest.approx(mean["simclr"] - mean["random"], abs=1e-6)
    gap = by_target["dim", "simclr"] - by_target["dim", "random"]
    assert rows.loc["dim", "difference"] == pytest.approx(gap, abs=1e-6)
    assert (rows["low"] <= rows["difference"]).all() and (rows["difference"] <= rows["high"]).all()


def test_a_domain_that_nobody_saw_is_harder_and_stranger(found: Transferred) -> None:
    overall = found.overall.set_index("arm")
    assert overall.loc["random", "mean"] < overall.loc["random", "source"] - 0.1
    assert overall.loc["random", "detected"] > 1.5 * (1 - overall.loc["random", "kept"])


def test_no_picture_of_the_target_and_no_test_item_was_learnt_from(found: Transferred, cameras: Path) -> None:
    ready = prepare(cameras, size=16)
    domain = ready.table.items["domain"].to_numpy()
    paths = ready.table.items["path"].astype(str).tolist()
    for one in crossings(ready, ["all"]):
        learnt = one.source.learning
        assert not (domain[learnt] == one.target).any() and not np.isin(learnt, ready.test).any()
        assert set(domain[one.test]) == set(domain[one.unseen]) == {one.target}
        assert not np.isin(one.unseen, ready.test).any() and np.isin(one.test, ready.test).all()
        run = Run.open(found.folder / "targets" / one.target / "runs" / "simclr-s0")
        assert run.config["items"] == fingerprint(paths, learnt) and run.recipe.items == len(learnt) == 400
        x = ready.store.array[learnt].astype(float) / 255
        assert run.recipe.mean[0] == pytest.approx(x.mean(), abs=1e-4)  # not that of all cameras
    inverted = Run.open(found.folder / "targets" / "inverted" / "runs" / "simclr-s0").recipe.mean[0]
    assert abs(inverted - ready.mean[0]) > 0.05


def test_labels_of_target_and_test_items_change_no_prediction(
    cameras: Path, found: Transferred, tmp_path: Path
) -> None:
    """With all labels of one camera and of all test items twisted, its cells are the same bit by bit."""
    with np.load(cameras) as arrays:
        twisted = dict(arrays)
    twisted["y_test"] = twisted["y_test"][::-1].copy()
    mine = twisted["domains_train"] == "dim"
    twisted["y_train"][mine] = twisted["y_train"][mine][::-1]
    np.savez(tmp_path / "cameras.npz", **twisted)
    other = call(tmp_path / "cameras.npz", tmp_path / "transfer", targets=("dim",), seeds=1)
    for arm in ("simclr", "random", "supervised", "coral_views__plain__", "dann_without_target"):
        name = Path("cells") / "dim" / f"{arm}-s0.npz"
        with np.load(found.folder / name) as a, np.load(other.folder / name) as b:
            assert np.array_equal(a["target"], b["target"]) and np.array_equal(a["source"], b["source"]), arm


def test_a_second_call_computes_only_what_is_missing(
    found: Transferred, cameras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "transfer"
    shutil.copytree(found.folder, whole)
    (whole / "cells" / "dim" / "random-s1.npz").unlink()
    made = []
    real = crossing.write_arrays
    monkeypatch.setattr(crossing, "write_arrays", lambda path, arrays: (made.append(path.name), real(path, arrays)))
    again = call(cameras, whole)
    assert made == ["random-s1.npz"] and again.sentence == found.sentence
    was = (whole / "config.yaml").read_text()
    with pytest.raises(UserError, match="differ in"):
        call(cameras, whole, detector="knn")
    assert (whole / "config.yaml").read_text() == was, "the file still repeats what lies there"
    with alone(whole), pytest.raises(UserError, match="another process is writing"):
        call(cameras, whole, methods=("byol",))
    assert (whole / "config.yaml").read_text() == was and "byol" not in (whole / "cells.json").read_text()


def test_the_answer_and_the_page(found: Transferred) -> None:
    assert found.sentence.startswith("In a domain that it has never seen simclr is right on")
    assert any("made 15 steps of 64 items" in x for x in found.limits)
    body = found.report.read_text("utf-8").partition("<body>")[2].partition("<script")[0]
    assert "Not shown" not in body and all(f"→ {camera}" in body for camera in CAMERAS)
    assert "http://" not in body and "https://" not in body


def test_the_detector_of_bundles_notices_another_camera(cameras: Path, tmp_path: Path) -> None:
    more = {"methods": ("simclr",), "adapt": (), "without_target": (), "seeds": 1, "targets": ("inverted",)}
    by = {d: call(cameras, tmp_path / d, detector=d, **more) for d in ("texture", "mahalanobis")}
    table = {d: pd.read_csv(t.folder / "table.csv").set_index("arm") for d, t in by.items()}
    assert table["texture"].loc["simclr", "detected"] > 0.9
    assert table["texture"].loc[["simclr", "random"], "kept"].min() > 0.85
    assert any("texture flags" in line for line in by["texture"].details)
    assert (table["texture"]["accuracy"] == table["mahalanobis"]["accuracy"]).all()


def test_from_the_command_line_by_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The array file names groups and no domains: each group is one, and the target has test items all the same."""
    data = write(tmp_path / "groups.npz", key="groups")
    with pytest.raises(UserError, match="--by group"):
        call(data, tmp_path / "none")
    words = ["transfer", str(data), "--by", "group", "--methods", "simclr", "--adapt", "dann", "--targets", "plain"]
    words += ["--seeds", "1", "--steps", "3", "--encoder", "vit(width=32,depth=1,heads=2,patch_size=4)", "--size", "16"]
    assert (
        cli.run([*words, "--threads", "1", "--device", "cpu", "--out", str(tmp_path / "t"), "--detector", "knn"]) == 0
    )
    printed = capsys.readouterr().out
    assert "dann" in printed and "knn flags" in printed and "too few for a claim" in printed
    with pytest.raises(UserError, match='no labelled test item is of the domain "moon"'):
        call(data, tmp_path / "none", by="group", targets=("moon",))
    with pytest.raises(UserError, match="no known domain"):
        transfer(str(data), setup=Setup(unlabeled="more/"))
    with pytest.raises(UserError, match=r"start/ may have learnt .* --start out"):
        transfer(str(data), by="group", setup=Setup(start="start/"))
    with pytest.raises(UserError, match='"hospital"'):
        call(data, tmp_path / "none", by="hospital")


@pytest.mark.parametrize("by", ["domain", "group"])
def test_texts_are_read_as_they_were_asked_to_be(tmp_path: Path, by: str) -> None:
    """No flag of the set-up is passed over in silence."""
    words = ["Great value, would buy again", "broke after one day", "works as it should", "never again"]
    rows = [f'"{words[i % 4]} {i}",{"good" if i % 2 == 0 else "bad"},{"ab"[i // 4 % 2]}' for i in range(80)]
    (tmp_path / "reviews.csv").write_text(f"text,label,{by}\n" + "\n".join(rows) + "\n", "utf-8")
    cased, plain = (
        _read(str(tmp_path / "reviews.csv"), by, Setup(tokenizer=how)).prep for how in ("cased(vocabulary=300)", None)
    )
    assert "Lowercase" in plain.tokenizer and "Lowercase" not in cased.tokenizer


@pytest.mark.parametrize(("modality", "told"), [("text", True), ("image", False)])
def test_that_the_words_of_the_target_shaped_the_vocabulary_is_said(modality: str, told: bool) -> None:
    source = SimpleNamespace(table=SimpleNamespace(modality=modality, labels=np.arange(50) % 2))
    one: Any = SimpleNamespace(source=source, lacking=(), test=range(50), target="a")
    limits = _limits([], [one], 10, TRAINING, 3)
    assert any("vocabulary is that of the training texts of all domains" in x for x in limits) == told


@pytest.mark.parametrize(("sick", "told"), [((0, 25), "west"), ((10, 25), ""), ((0, 0), "west, north")])
def test_that_a_site_of_one_class_has_no_ranking_is_said(sick: tuple[int, int], told: str) -> None:
    labels = np.concatenate([np.arange(50) < many for many in sick]).astype(int)
    source = SimpleNamespace(table=SimpleNamespace(modality="series", labels=labels))
    todo: list[Any] = [
        SimpleNamespace(source=source, lacking=(), test=range(50 * i, 50 * i + 50), target=name)
        for i, name in enumerate(("west", "north"))
    ]
    said = [x for x in _limits([], todo, 10, TRAINING, 3) if "AUROC" in x]
    assert len(said) == bool(told) and all(f"items of {told} are" in x for x in said)
    assert ["their means are of the other targets" in x for x in said] == ([told == "west"] if told else [])


def test_a_ranking_hangs_on_the_rarer_class_of_each_target() -> None:
    labels = np.concatenate([np.arange(50) < many for many in (3, 48, 0)]).astype(int)
    source = SimpleNamespace(table=SimpleNamespace(labels=labels, classes=["well", "ill"]))
    todo: list[Any] = [
        SimpleNamespace(source=source, test=np.arange(50 * i, 50 * i + 50), target=name) for i, name in enumerate("abc")
    ]
    units = {"a": None, "b": np.arange(50) // 2, "c": None}
    assert rarest(todo, units) == {"a": 3, "b": 1, "c": 0, MEAN: 3}
    source.table.classes.append("dead")
    assert rarest(todo, units) == {}


def test_what_diverged_is_told_and_ranks_nothing(tmp_path: Path) -> None:
    """One of two trainings gave no numbers: it was passed over in the mean of the AUROC, which its arm then led."""
    random, labels = np.random.default_rng(0), np.tile(np.arange(40) < 8, 2).astype(int)
    items = frame([str(i) for i in range(80)], ["test"] * 80)
    source = SimpleNamespace(table=SimpleNamespace(labels=labels, classes=["ill", "well"], items=items))
    source.test = np.arange(40)
    todo: list[Any] = [
        SimpleNamespace(target=t, test=np.arange(40) + 40 * i, source=source) for i, t in enumerate("ab")
    ]
    arms: list[Any] = [SimpleNamespace(name="sound", kind="method"), SimpleNamespace(name="torn", kind="supervised")]
    place: Any = SimpleNamespace(cell=lambda c, arm, seed: tmp_path / f"{c.target}-{arm.name}-{seed}.npz")
    for c, arm, seed in itertools.product(todo, arms, (0, 1)):
        risk = 1 / (1 + np.exp(-2 * labels[c.test] - random.normal(size=40)))
        p = np.stack([1 - risk, risk], 1) * (np.nan if arm.name == "torn" and seed else 1)
        np.savez(place.cell(c, arm, seed), target=p, source=p)
    found = gather(place, todo, arms, [0, 1], uneven=True)
    assert found.diverged == ("torn with seed 1 for a", "torn with seed 1 for b")
    by_arm = found.overall.set_index("arm")["auroc"]
    first = found.table[(found.table["arm"] == "torn") & (found.table["seed"] == 0)]["auroc"].mean()
    assert by_arm["torn"] == pytest.approx((first + 0.5) / 2) and by_arm["sound"] > by_arm["torn"]
    assert found.ranks is not None
    gap = found.ranks.set_index(["arm_a", "target"]).loc[("sound", MEAN), "difference"]
    assert gap == pytest.approx(by_arm["sound"] - by_arm["torn"])


def test_another_probe_reads_the_same_encoders(cameras: Path, tmp_path: Path) -> None:
    found = call(cameras, tmp_path / "t", adapt=(), without_target=("styled(copies=1)",), seeds=1, targets=("dim",))
    table = pd.read_csv(found.folder / "table.csv")
    assert set(table["arm"]) == {
        "simclr",
        "random",
        "supervised",
        "simclr, styled(copies=1)",
        "random, styled(copies=1)",
    }
    assert len(list((found.folder / "targets" / "dim" / "runs").glob("*"))) == 1  # simclr is pretrained once
    with np.load(found.folder / "cells" / "dim" / "simclr-s0.npz") as one:
        plain = one["target"]
    with np.load(found.folder / "cells" / "dim" / "simclr__styled_copies_1_-s0.npz") as other:
        assert not np.allclose(plain, other["target"]) and other["kept"].mean() > 0.7


def test_where_one_class_holds_most_labels_arms_are_ranked_by_auroc() -> None:
    rows = []
    for arm, kind, mean, auroc in (("simclr", "method", 0.88, 0.70), ("moco", "method", 0.80, 0.81),
                                   ("random", "random", 0.89, 0.75), ("dann", "adaptation", 0.70, 0.85)):  # fmt: skip
        row = {"arm": arm, "kind": kind, "mean": mean, "low": mean - 0.02, "high": mean + 0.02, "worst": mean}
        row |= {"worst_target": "b", "source": mean, "detected": float("nan"), "kept": float("nan")}
        rows.append(row | {"auroc": auroc, "auroc_sd": 0.01, "auprc": 0.4})
    pairs = [
        {"arm_a": a["arm"], "arm_b": b["arm"], "target": MEAN, "difference": 0.1, "low": 0.05, "high": 0.2}
        for a in rows for b in rows if a is not b
    ]  # fmt: skip
    found = Outcome(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(rows), pd.DataFrame(pairs))
    even, _ = _story(found, "knn", ("lived", 0.6))
    found = replace(found, ranks=pd.DataFrame(pairs).assign(difference=0.06, low=-0.01, high=0.13))
    assert "never seen simclr is right on 88 %" in even
    uneven, details = _story(found, "knn", ("lived", 0.86))
    assert "moco ranks the test items with an AUROC of 0.810 ± 0.010 over seeds" in uneven
    assert "random has 0.750 ± 0.010 over seeds: +0.060 (-0.010 to +0.130), which is not beyond chance." in uneven
    assert details[0].startswith('86 % of the training labels are "lived"')
    assert [d.partition(":")[0] for d in details[1:]] == ["dann", "moco", "random", "simclr"]


def test_differences_of_the_auroc_are_those_of_the_cells(cameras: Path, tmp_path: Path) -> None:
    with np.load(cameras) as arrays:
        whole = dict(arrays)
    for part in ("train", "test"):
        whole[f"y_{part}"] = (whole[f"y_{part}"] == 3).astype(int)  # nine in ten are no 3
    np.savez(tmp_path / "rare.npz", **whole)
    found = call(tmp_path / "rare.npz", tmp_path / "out", adapt=(), without_target=())
    ranks = pd.read_csv(found.folder / "differences_auroc.csv").set_index(["arm_a", "arm_b", "target"])
    each = {}
    for camera in CAMERAS:
        truth = whole["y_test"][whole["domains_test"] == camera]
        for arm in ("simclr", "random"):
            cells = [np.load(found.folder / "cells" / camera / f"{arm}-s{seed}.npz")["target"] for seed in (0, 1)]
            each[camera, arm] = np.mean([roc_auc_score(truth, np.log(c[:, 1] / c[:, 0])) for c in cells])
        row = ranks.loc["simclr", "random", camera]
        assert row["difference"] == pytest.approx(each[camera, "simclr"] - each[camera, "random"], abs=1e-6)
        assert row["low"] <= row["difference"] <= row["high"]
    row = ranks.loc["simclr", "random", MEAN]
    gaps = [each[camera, "simclr"] - each[camera, "random"] for camera in CAMERAS]
    assert row["difference"] == pytest.approx(np.mean(gaps), abs=1e-6) and row["low"] < row["high"]
    assert f"{row['low']:+.3f} to {row['high']:+.3f}" in " ".join(found.lines())
    assert "Difference of the AUROC" in found.report.read_text()


def test_what_an_arm_would_refuse_is_refused_before_any_training(cameras: Path, tmp_path: Path) -> None:
    with np.load(cameras) as arrays:
        whole = dict(arrays)
    for name, stay in (("two", ("plain", "dim")), ("untrained", CAMERAS)):
        kept = {}
        for part in ("train", "test"):
            there = np.isin(whole[f"domains_{part}"], stay)
            if name == "untrained" and part == "train":
                there &= whole["domains_train"] != "dim"
            kept |= {f"{k}_{part}": whole[f"{k}_{part}"][there] for k in ("x", "y", "domains")}
        np.savez(tmp_path / f"{name}.npz", **kept)
    with pytest.raises(UserError, match="no other domain is left"):
        call(tmp_path / "two.npz", tmp_path / "a", seeds=1)
    with pytest.raises(UserError, match="dim has no training items to adapt to"):
        call(tmp_path / "untrained.npz", tmp_path / "b", seeds=1)
    assert not list(tmp_path.glob("*/targets")), "nothing was trained"


def test_domains_that_would_share_their_files_are_refused(cameras: Path, tmp_path: Path) -> None:
    with np.load(cameras) as arrays:
        whole = dict(arrays)
    for part in ("train", "test"):
        names = {"dim": "lamp +", "inverted": "lamp ?", "plain": "plain"}
        whole[f"domains_{part}"] = np.array([names[d] for d in whole[f"domains_{part}"]])
    np.savez(tmp_path / "cameras.npz", **whole)
    ready = prepare(tmp_path / "cameras.npz", size=16)
    assert [c.target for c in crossings(ready, ["lamp +", "plain", "plain"])] == ["lamp +", "plain"]
    with pytest.raises(UserError, match=r'"lamp \+" and "lamp \?" are too alike'):
        crossings(ready, ["all"])


@pytest.mark.parametrize(
    "text", ['{"simclr": 4, "budget": {"steps": 4, "epochs": null, "minutes": null}}', '{"steps": ']
)
def test_the_pace_of_another_verb_or_a_torn_one_is_one_line(cameras: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pace.json").write_text(text)
    with pytest.raises(UserError, match=r"of another verb; take another --out|cannot read .*pace\.json"):
        transfer(str(cameras), setup=Setup(size=16, out=str(tmp_path / "out")), budget=Budget(steps=4))
