"""`unlabeled shift` on a small real study of digits from two scanners: dark on light, and light on dark."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unlabeled import UserError, cli
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.shift import bench
from unlabeled.shift.subjects import find
from unlabeled.verbs.compare import compare
from unlabeled.verbs.embed import embed
from unlabeled.verbs.evaluate import evaluate
from unlabeled.verbs.shift import Shifted, shift

ENCODER = "vit(width=32, depth=1, heads=2, patch_size=4)"
TRAINING = Training(threads=1, precision="fp32", device="cpu")
KINDS = ("gaussian_noise", "contrast", "occlusion", "jpeg")


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def scanners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 700 digits; every second comes from a scanner that inverts. A third of them are test items."""
    from PIL import Image
    from sklearn.datasets import load_digits

    root = tmp_path_factory.mktemp("scanners")
    bunch = load_digits()
    rows = []
    for i in range(700):
        picture = (bunch.images[i] * 15.9).astype("uint8")
        domain = "inverts" if i % 2 else "plain"
        name = f"{i:04d}.png"
        Image.fromarray(255 - picture if i % 2 else picture, "L").save(root / name)
        split = "test" if i // 2 % 3 == 0 else "train"
        rows.append({"path": name, "label": str(bunch.target[i]), "domain": domain, "split": split})
    with (root / "items.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "domain", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="module")
def study(scanners: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("work") / "study"
    compare(
        str(scanners),
        methods=("simclr", "mae"),
        labels=(1.0,),
        seeds=2,
        draws=1,
        protocols=("linear",),
        setup=Setup(encoder=ENCODER, size=16, out=str(out)),
        budget=Budget(steps=20),
        training=TRAINING,
        augmentation=Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0),
    )
    return out


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise: pictures that are no digits."""
    from PIL import Image

    root, random = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(random.integers(0, 256, (8, 8)).astype("uint8"), "L").save(root / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def found(study: Path, scanners: Path, strangers: Path, tmp_path_factory: pytest.TempPathFactory) -> Shifted:
    return call(study, scanners, tmp_path_factory.mktemp("work") / "shift", strangers)


def call(study: Path, data: Path, out: Path, strangers: Path, kinds: tuple[str, ...] = KINDS) -> Shifted:
    return shift(
        str(study),
        str(data),
        kinds=kinds,
        ood=(f"noise={strangers}",),
        against=("finetune(steps=20, trials=1)",),
        out=str(out),
        training=TRAINING,
    )


def test_all_arms_and_seeds_of_the_study_stand_beside_random_weights(found: Shifted) -> None:
    assert set(found.robustness["arm"]) == {"simclr", "mae", "random", "supervised"}
    cells = pd.read_csv(found.folder / "cells.csv")
    assert cells.groupby("arm")["seed"].nunique().eq(2).all()
    assert len(cells) == 4 * 2 * len(KINDS) * 5
    whole = found.robustness[found.robustness["scope"] == "all kinds"].set_index("arm")
    assert whole.loc["supervised", "mce"] == 1.0 and (whole["reference"] == "supervised").all()
    assert ((whole["low"] <= whole["accuracy"]) & (whole["accuracy"] <= whole["high"])).all()


def test_clean_accuracy_is_what_evaluate_measures(found: Shifted, study: Path, scanners: Path, tmp_path: Path) -> None:
    run = study / "runs" / "simclr-s1"
    other = evaluate(str(run), str(scanners), protocols=("linear",), draws=1, out=str(tmp_path), training=TRAINING)
    table = other.summary[other.summary["metric"] == "accuracy"].set_index("arm")["mean"]
    cells = pd.read_csv(found.folder / "cells.csv")
    for arm in ("simclr", "random"):
        mine = cells[(cells["arm"] == arm) & (cells["seed"] == 1)]["clean"].unique()
        assert mine == pytest.approx([table[arm]], abs=1e-5)


def test_figures_follow_from_the_cells(found: Shifted) -> None:
    """Accuracy, degradation, worst kind and mCE by slow loops over the written cells."""
    cells = pd.read_csv(found.folder / "cells.csv")
    arm = cells[cells["arm"] == "simclr"]
    row = found.robustness[(found.robustness["arm"] == "simclr") & (found.robustness["scope"] == "all kinds")].iloc[0]
    assert row["accuracy"] == pytest.approx(arm["accuracy"].mean(), abs=1e-4)
    assert row["degradation"] == pytest.approx(1 - arm["accuracy"].mean() / arm["clean"].mean(), abs=1e-4)
    by_kind = {kind: arm[arm["kind"] == kind]["accuracy"].mean() for kind in KINDS}
    assert row["worst_kind"] == min(by_kind, key=lambda k: by_kind[k])
    ratios = []
    for kind in KINDS:
        errors = {
            a: sum(1 - v for v in cells[(cells["arm"] == a) & (cells["kind"] == kind)]["accuracy"])
            for a in ("simclr", "supervised")
        }
        ratios.append(errors["simclr"] / errors["supervised"])
    assert row["mce"] == pytest.approx(np.mean(ratios), abs=1e-3)
    d = found.differences
    gap = d[(d["arm_a"] == "simclr") & (d["arm_b"] == "random") & (d["what"] == "drop") & (d["scope"] == "all kinds")]
    drops = {
        a: (cells[cells["arm"] == a]["clean"] - cells[cells["arm"] == a]["accuracy"]).mean()
        for a in ("simclr", "random")
    }
    assert gap["difference"].item() == pytest.approx(drops["simclr"] - drops["random"], abs=1e-4)
    assert gap["low"].item() <= gap["difference"].item() <= gap["high"].item()


def test_heavier_corruption_costs_more(found: Shifted) -> None:
    curves = pd.read_csv(found.folder / "curves.csv")
    mean = curves[(curves["kind"] == "all kinds") & (curves["arm"] == "supervised")].set_index("severity")["accuracy"]
    assert mean[0] > mean[3] > mean[5]


def test_relatives_are_named_and_kept_apart(found: Shifted) -> None:
    told = json.loads((found.folder / "shift.json").read_text("utf-8"))
    assert told["related"]["simclr"] == {"gaussian_noise": [], "contrast": ["jitter"], "occlusion": [], "jpeg": []}
    assert told["related"]["mae"]["occlusion"] == ["masking"] and told["related"]["mae"]["contrast"] == []
    assert told["unrelated"] == ["gaussian_noise", "jpeg"]
    assert any("simclr saw relatives of 1 of the 4" in x and "contrast (jitter)" in x for x in found.limits)
    cells = pd.read_csv(found.folder / "cells.csv")
    new = cells[(cells["arm"] == "mae") & cells["kind"].isin(told["unrelated"])]["accuracy"].mean()
    mine = found.robustness[found.robustness["scope"] == "kinds without a relative"].set_index("arm")["accuracy"]
    assert mine["mae"] == pytest.approx(new, abs=1e-4)


def test_domains_are_scored_and_left_out(found: Shifted, study: Path, scanners: Path) -> None:
    table = pd.read_csv(found.folder / "domains.csv").set_index(["arm", "setting", "domain"]).sort_index()
    frame = embed(str(study / "runs" / "simclr-s0"), str(scanners), device="cpu").frame
    other = frame[[c for c in frame if c[0] == "f" and c[1:].isdigit()]].to_numpy()
    train, plain = (frame["split"] == "train").to_numpy(), (frame["domain"] == "plain").to_numpy()
    y, x = frame["label"].astype(int).to_numpy(), np.empty_like(other)
    with np.load(found.folder / "features" / "simclr-s0.npz") as arrays:
        x[train], x[~train] = arrays["learn"], arrays["test"]
    assert np.allclose(x, other, atol=0.02)  # the verb may compute in bf16
    probe = Linear().fit(x[train & ~plain], y[train & ~plain])
    by_hand = float((probe.predict(x[~train & plain]).argmax(1) == y[~train & plain]).mean())
    cells = []
    for seed in (0, 1):
        with np.load(found.folder / "cells" / f"simclr-s{seed}" / "without-1-d0.npz") as arrays:
            cells.append(float((arrays["probabilities"].argmax(1) == y[~train & plain]).mean()))
    assert cells[0] == pytest.approx(by_hand)
    assert table.loc[("simclr", "domain left out", "plain"), "accuracy"] == pytest.approx(np.mean(cells), abs=1e-5)
    seen, unseen = (table.loc[("random", s)]["accuracy"].mean() for s in ("all domains", "domain left out"))
    assert unseen < seen - 0.1  # inverted digits are another world to a probe that never saw one
    summary = pd.read_csv(found.folder / "domains_summary.csv")
    assert (summary["worst"] <= summary["mean"]).all()


def test_strangers_are_noticed_by_thresholds_of_held_out_items(found: Shifted) -> None:
    table = pd.read_csv(found.folder / "strangers.csv")
    assert set(table["detector"]) == {"energy", "knn", "mahalanobis", "msp", "vim", "texture"}
    assert set(table["arm"]) == {"simclr", "mae", "random"}
    assert (table["strange"] == 40).all() and table["kept"].mean() > 0.85
    assert table[table["detector"] == "mahalanobis"]["auroc"].min() > 0.7
    assert ((table["base_in"] + table["base_out"]).round(5) == 1).all()


def test_the_domain_can_be_told_from_the_features(found: Shifted) -> None:
    table = pd.read_csv(found.folder / "representation.csv").groupby(["arm", "told"])["accuracy"].mean()
    assert table["random", "domain"] > 0.9 and table["random", "class"] > 0.4
    with np.load(found.folder / "maps.npz") as maps:
        assert maps["simclr/plane"].shape == (len(maps["labels"]), 2) == (234, 2)
        assert maps["names"].tolist() == ["inverts", "plain"]


def test_the_page_needs_nothing_else(found: Shifted) -> None:
    text = found.report.read_text("utf-8")
    body = text.partition("<body>")[2].partition("<script")[0]
    assert found.sentence.split(":")[0] in body and "Not shown" not in body
    assert all(word in body for word in ("Equal trouble", "domain left out", "FPR95", "coloured by domain"))
    assert "http://" not in body and "https://" not in body


def test_a_second_call_computes_nothing(
    found: Shifted, study: Path, scanners: Path, strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a stopped one: what is missing is made again, the rest is read."""
    whole = tmp_path / "shift"
    shutil.copytree(found.folder, whole)
    (whole / "cells" / "mae-s0" / "jpeg-5.npz").unlink()
    made = []
    real = bench.write_arrays
    monkeypatch.setattr(bench, "write_arrays", lambda path, arrays: (made.append(path.name), real(path, arrays)))
    again = call(study, scanners, whole, strangers)
    assert made == ["jpeg-5.npz"]
    assert again.sentence == found.sentence and again.details == found.details
    with pytest.raises(UserError, match="differ in labels"):
        shift(str(study), str(scanners), labels=100, against=("finetune(steps=20, trials=1)",), out=str(whole))


def test_test_labels_change_nothing_but_the_scores(
    found: Shifted, study: Path, scanners: Path, strangers: Path, tmp_path: Path
) -> None:
    """With other labels on the test items every probe is the same."""
    other = tmp_path / "scanners"
    shutil.copytree(scanners, other)
    frame = pd.read_csv(other / "items.csv", dtype=str)
    test = frame["split"] == "test"
    frame.loc[test, "label"] = frame.loc[test, "label"].to_numpy()[::-1]
    frame.to_csv(other / "items.csv", index=False)
    twisted = call(study, other, tmp_path / "shift", strangers)
    assert twisted.robustness["clean"].max() < 0.3
    for name in ("simclr-s0-d0.npz", "random-s1-d0.npz"):
        with np.load(found.folder / "probes" / name) as a, np.load(twisted.folder / "probes" / name) as b:
            assert all(np.array_equal(a[k], b[k]) for k in a.files)


def test_mistakes_are_said_in_words(study: Path, scanners: Path, strangers: Path, tmp_path: Path) -> None:
    where = tmp_path / "refused"
    with pytest.raises(UserError, match="there is no"):
        call(study, scanners, where, tmp_path / "nowhere")
    with pytest.raises(UserError, match="too few to hold some out"):
        shift(str(study), str(scanners), labels=3, draws=1, ood=(str(strangers),), out=str(where), training=TRAINING)
    assert not where.exists(), "before any work"
    with pytest.raises(UserError, match="neither a run nor a study"):
        shift(str(tmp_path), str(scanners))
    with pytest.raises(UserError, match='no corruption "fog"'):
        shift(str(study), str(scanners), kinds=("fog",), out=str(tmp_path))
    with pytest.raises(UserError, match="twice"):
        shift(str(study / "runs" / "mae-s0"), str(scanners), against=(str(study / "runs" / "mae-s0"),) * 2)


def test_a_run_alone_from_the_command_line(
    study: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data without domains; the run learnt from other items, which is said."""
    command = ["shift", str(study / "runs" / "simclr-s0"), str(digits), "--kinds", "jpeg,rain", "--labels", "50"]
    assert cli.run([*command, "--draws", "2", "--threads", "1", "--out", str(tmp_path / "s")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Under corruption") and "learnt from other items" in printed
    told = pd.read_csv(tmp_path / "s" / "representation.csv")
    assert set(told["told"]) == {"class", "corruption"}
    cells = pd.read_csv(tmp_path / "s" / "cells.csv")
    assert set(cells["draw"]) == {0, 1} and set(cells["arm"]) == {"simclr", "random"}


def test_a_run_can_be_read_by_another_probe_too(scanners: Path, study: Path, tmp_path: Path) -> None:
    found = shift(
        str(study), str(scanners / "items.csv"), against=["styled(copies=1)"], kinds=["contrast"],
        out=str(tmp_path / "shift"), training=TRAINING,
    )  # fmt: skip
    names = set(found.robustness["arm"])
    assert {"simclr", "simclr, styled(copies=1)", "mae, styled(copies=1)"} <= names
    domains = pd.read_csv(tmp_path / "shift" / "domains.csv")
    wide = domains[domains["setting"] == "domain left out"].pivot_table(
        index="domain", columns="arm", values="accuracy"
    )
    assert not np.allclose(wide["simclr"], wide["simclr, styled(copies=1)"])
    related = json.loads((tmp_path / "shift" / "shift.json").read_text("utf-8"))["related"]
    assert related["random"]["contrast"] == [] and related["mae, styled(copies=1)"]["contrast"] == ["contrast"]
    assert len(list((tmp_path / "shift" / "features").glob("*.npz"))) == 6  # probes share their encoder's features


def test_runs_that_share_no_seed_stand_beside_each_other_without_a_paired_difference(
    study: Path, scanners: Path, strangers: Path, tmp_path: Path
) -> None:
    runs = study / "runs"
    found = shift(
        str(runs / "mae-s0"),
        str(scanners),
        against=(str(runs / "simclr-s1"),),
        kinds=("jpeg",),
        ood=(str(strangers),),
        out=str(tmp_path / "shift"),
        training=TRAINING,
    )
    pairs = set(zip(found.differences["arm_a"], found.differences["arm_b"], strict=True))
    assert pairs == {("mae", "random"), ("random", "mae"), ("simclr", "random"), ("random", "simclr")}
    assert set(found.robustness["arm"]) == {"mae", "simclr", "random"}


def test_an_arm_can_be_added_later(scanners: Path, study: Path, tmp_path: Path) -> None:
    """The random arm stands beside whichever run comes first, and is the same."""
    place, data = tmp_path / "shift", str(scanners / "items.csv")
    shift(str(study / "runs" / "simclr-s0"), data, kinds=["contrast"], out=str(place), training=TRAINING)
    kept = (place / "cells" / "random-s0" / "contrast-3.npz").read_bytes()
    run = str(study / "runs" / "mae-s0")
    found = shift(
        run, data, against=[str(study / "runs" / "simclr-s0")], kinds=["contrast"], out=str(place), training=TRAINING
    )
    assert set(found.robustness["arm"]) == {"mae", "simclr", "random"}
    assert (place / "cells" / "random-s0" / "contrast-3.npz").read_bytes() == kept


def test_trainings_that_differ_in_their_seed_alone_are_one_arm(study: Path, tmp_path: Path) -> None:
    first, again, other = (str(study / "runs" / name) for name in ("mae-s0", "mae-s1", "simclr-s0"))
    found = {(s.arm, s.seed) for s in find([first, again, other])}
    assert found == {("mae", 0), ("mae", 1), ("simclr", 0), ("random", 0), ("random", 1)}
    longer = tmp_path / "longer"
    shutil.copytree(again, longer)
    config = json.loads((longer / "config.json").read_text("utf-8"))
    config["recipe"]["training"]["lr"] = 0.5
    (longer / "config.json").write_text(json.dumps(config), "utf-8")
    assert [s.arm for s in find([first, str(longer)])] == ["mae", "mae (longer)", "random", "random"]
