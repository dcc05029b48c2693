"""What a change of the world shows where there is little to show it by: one group, one item of a domain, fewer arms."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from unlabeled.report.shift import arms
from unlabeled.report.shift.page import Shift
from unlabeled.report.transfer.page import Transfer
from unlabeled.settings import Budget, Setup, Training
from unlabeled.shift import outcome, severity, story
from unlabeled.shift.representation import tell
from unlabeled.shift.severity import Curve
from unlabeled.study.fits import write_arrays
from unlabeled.verbs.pretrain import pretrain
from unlabeled.verbs.shift import Shifted, shift
from unlabeled.verbs.transfer import _lone

CPU = Training(device="cpu", threads=1, precision="fp32")
VIT = "vit(width=16, depth=1, heads=2, patch_size=4)"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Digits in `items.csv`, of which all to test on are of one patient, noise, and runs of two methods."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    bunch, rows, random = load_digits(n_class=3), [], np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    for i in range(120):
        Image.fromarray((bunch.images[i] * 15.9).astype("uint8"), "L").save(tmp_path / f"{i}.png")
        split = "test" if i % 3 == 0 else "train"
        rows.append((f"{i}.png", f"digit {bunch.target[i]}", "x" if split == "test" else f"p{i}", split))
    for i in range(6):
        noise = random.integers(0, 256, (8, 8)).astype("uint8")
        Image.fromarray(noise, "L").save(tmp_path / "noise" / f"{i}.png")
    names = ["path", "label", "group", "split"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "items.csv", index=False)
    for method in ("simclr", "vicreg"):
        pretrain(
            str(tmp_path / "items.csv"), method=method, training=CPU, budget=Budget(steps=1),
            setup=Setup(size=16, encoder=VIT, out=str(tmp_path / method)),
        )  # fmt: skip
    return tmp_path


def call(place: Path, **more: Any) -> Shifted:
    data, out = str(place / "items.csv"), str(place / "out")
    return shift(str(place / "simclr"), data, kinds=("contrast",), out=out, training=CPU, **more)


def test_one_group_has_no_interval_and_fewer_arms_no_strangers_of_others(place: Path) -> None:
    """A later call in the same folder answers by what it was asked, and not by what stands there of other arms."""
    more = call(place, against=(str(place / "vicreg"),), ood=(f"noise={place / 'noise'}",))
    assert 'id="strangers"' in more.report.read_text("utf-8")
    found = call(place)
    page = found.report.read_text("utf-8")
    assert 'id="strangers"' not in page and not list(found.folder.glob("strangers*.csv"))
    told = "\n".join(found.lines())
    assert "nan" not in told and "no interval" in found.sentence and "beyond chance" not in found.sentence
    assert any("one group" in limit for limit in found.limits)


def test_a_domain_of_one_item_tells_nothing_of_how_well_it_is_told() -> None:
    """It is always learnt from, and what is left to check is of the other domain alone: right, whatever is said."""
    side = np.array([0] + [1] * 39)
    assert np.isnan(tell(np.random.default_rng(0).normal(size=(40, 3)), side, np.arange(40)))


def answers(folder: Path, todo: list[Any], hit: np.ndarray) -> Any:
    """Cells of one arm that is right where `hit` says so."""
    place = SimpleNamespace(cell=lambda c, arm, seed: folder / f"{c.target}.npz")
    for c in todo:
        rows = {"target": c.test, "source": c.source.test}
        write_arrays(folder / f"{c.target}.npz", {w: np.eye(2)[1 - hit[r].astype(int)] for w, r in rows.items()})
    return place


def test_a_patient_of_two_targets_is_one_patient(tmp_path: Path) -> None:
    """Ten patients under two scanners are ten for the mean of the targets, and twenty where each has but one."""
    patient, wide = np.repeat(np.arange(20), 5), []
    for people in (10, 20):
        items = pd.DataFrame({"group": pd.array([f"p{p % people}" for p in patient], dtype="str")})
        table = SimpleNamespace(items=items, labels=np.zeros(100, int), classes=["a", "b"])
        source = SimpleNamespace(table=table, test=np.arange(100))
        todo: list[Any] = [SimpleNamespace(target=name, source=source, test=np.arange(50) + at)
                           for name, at in (("u", 0), ("v", 50))]  # fmt: skip
        arm: Any = SimpleNamespace(name="simclr", kind="method")
        hit = patient % 10 < 6  # of a patient all items or none, under either scanner
        found = outcome.gather(answers(tmp_path / str(people), todo, hit), todo, [arm], [0]).summary
        row = found[found["target"] == outcome.MEAN].iloc[0]
        assert row["accuracy"] == pytest.approx(0.6)
        wide.append(row["high"] - row["low"])
    assert wide[0] == pytest.approx(wide[1] * (19 / 9) ** 0.5, rel=0.2)


def test_a_target_of_one_group_is_told() -> None:
    rows = [("u", 0.1), ("v", float("nan")), (outcome.MEAN, float("nan"))]
    summary = pd.DataFrame(rows, columns=["target", "low"]).assign(where=outcome.TARGET)
    [told] = _lone(summary)
    assert told.startswith("All test items of v are of one group")


def test_a_domain_that_looks_like_a_number_keeps_its_name_on_the_page(tmp_path: Path) -> None:
    """Scanner 007 is not scanner 7."""
    pd.DataFrame({"arm": ["simclr"], "worst_target": ["007"]}).to_csv(tmp_path / "overall.csv", index=False)
    assert Transfer(tmp_path).frame("overall")["worst_target"].tolist() == ["007"]


def test_a_reference_without_an_error_has_no_ratio_in_words_either(tmp_path: Path) -> None:
    """Where the reference is right on every item nothing is so many times its error."""
    right = np.ones((1, 2, 6, 40), bool)
    wrong = right & (np.arange(40) % 4 > 0)
    curves = {"simclr": Curve(((0, 0),), wrong), "random": Curve(((0, 0),), right)}
    table = severity.robustness(curves, ["fog", "rain"], [], "random")
    [line, _] = story.details(table, severity.differences(curves, ["fog", "rain"], []), None, None, None)
    assert "nan" not in line and "random makes no error" in line
    table.to_csv(tmp_path / "robustness.csv", index=False)
    severity.differences(curves, ["fog", "rain"], []).to_csv(tmp_path / "differences.csv", index=False)
    (tmp_path / "shift.json").write_text(json.dumps({"arms": {"simclr": "trained", "random": "random"}}), "utf-8")
    [block, _] = arms.section(Shift(tmp_path)).facts["blocks"]
    assert [row.cells[4].value for row in block.rows] == ["–", "–"]
