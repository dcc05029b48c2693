"""The verb: the answer first, files that hold together, and one line for whatever cannot be."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
import torch
from planted import CPU

import unlabeled as ul
from unlabeled.data.prepare import prepare
from unlabeled.errors import UserError
from unlabeled.protocols.linear import Linear
from unlabeled.report.explained import page, story
from unlabeled.settings import Budget, Handover, Setup
from unlabeled.training.devices import open_device
from unlabeled.training.loop import embed
from unlabeled.training.run import Run
from unlabeled.verbs import _model
from unlabeled.verbs.explain import Explained, explain
from unlabeled.verbs.pretrain import pretrain

ALL = ["grad_cam", "integrated_gradients", "occlusion", "rollout"]


def test_the_class_is_that_of_the_linear_probe(of_class: Explained, place: Path, digits: Path, cache: Path) -> None:
    run, ready = Run.open(place / "c2ssl"), prepare(digits, size=16)
    device = open_device(CPU)
    row = ready.table.items["path"].tolist().index("test/0/0000.png")
    x, own = (
        embed(run.encoder(), run.modality(), ready.store, r, device).numpy() for r in (ready.labelled, np.array([row]))
    )
    p = Linear().fit(x, ready.table.labels[ready.labelled], unlabelled=x).predict(own)[0]
    figures = of_class.figures
    assert figures["class"] == ready.table.classes[int(p.argmax())]
    assert figures["probability"] == pytest.approx(p.max(), abs=0.01)
    assert figures["items"] == [{"name": "test/0/0000.png", "label": "0", "learnt": False, "known": False}]
    assert figures["labels"] == len(ready.labelled)
    assert of_class.lines()[0].startswith(f"{figures['class']}, probability {p.max():.2f}: that is what c2ssl says of")


def test_the_files_agree(of_class: Explained) -> None:
    figures = json.loads((of_class.folder / "explained.json").read_text())
    maps = np.load(of_class.folder / "maps.npz")
    curves = pd.read_csv(of_class.folder / "curves.csv")
    assert sorted(maps.files) == ALL == sorted(of_class.maps)
    for row in figures["explainers"]:
        assert maps[row["explainer"]].shape == (1, 16, 16)
        for what in ("deletion", "insertion"):
            mine = curves[(curves["explainer"] == row["explainer"]) & (curves["curve"] == what)]
            assert row[what] == pytest.approx(np.trapezoid(mine["value"], mine["share"]), rel=1e-3)
            sign = -1 if what == "deletion" else 1
            gain = sign * (row[what] - np.trapezoid(mine["moved"], mine["share"]))
            assert row[f"{what}_gain"] == pytest.approx(gain, abs=1e-3)
            ends = mine["value"].iloc[0 if what == "deletion" else -1]
            assert ends == pytest.approx(figures["probability"], abs=0.02)
        assert 0 <= row["beats"] <= row["of"] == 19
        assert -1 <= row["likeness"] <= 1
        assert (row["missing"] is not None) == (row["explainer"] == "integrated_gradients")
    near = figures["neighbours"][0]
    assert len(near) == 8 and [n["cosine"] for n in near] == sorted((n["cosine"] for n in near), reverse=True)
    assert all(n["path"].startswith("train/") and n["label"] == n["path"].split("/")[1] for n in near)
    assert not list(of_class.folder.rglob("*.part"))


def test_a_run_with_a_causal_model_shows_its_graph(of_class: Explained, of_two: Explained) -> None:
    assert (of_class.folder / "causal-c2ssl.json").is_file()
    text = of_class.report.read_text("utf-8")
    for part in ("answer", "places", "near", "faith", "sanity", "causal"):
        assert f'<section id="{part}"' in text
    assert 'class="causes"' in text and "Not shown" not in text
    assert '<section id="causal"' not in of_two.report.read_text("utf-8")


def test_two_items_are_explained_by_the_places_of_both(of_two: Explained) -> None:
    figures = of_two.figures
    assert figures["kind"] == "nearness" and -1 <= figures["cosine"] <= 1
    assert of_two.lines()[0].startswith(("Near, cosine", "Not near, cosine"))
    assert [i["learnt"] for i in figures["items"]] == [False, True]
    assert all(m.shape == (2, 16, 16) for m in of_two.maps.values())
    assert [len(n) for n in figures["neighbours"]] == [5, 5]
    assert "train/1/0001.png" not in {n["path"] for n in figures["neighbours"][1]}, "an item is no neighbour of itself"
    assert of_two.report.read_text("utf-8").count("<h3>Nearest to") == 2


def test_without_labels_the_embedding_is_explained(place: Path, digits: Path, cache: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for picture in sorted((digits / "train").rglob("*.png"))[:60]:
        shutil.copy(picture, flat)
    seen = explain(
        str(place / "simclr"), str(digits / "test" / "3" / "0045.png"), data=str(flat), how=["occlusion(window=0.25)"],
        out=str(tmp_path / "out"), neighbours=3, training=CPU,
    )  # fmt: skip
    assert seen.figures["kind"] == "embedding" and seen.figures["labels"] == 0
    assert seen.lines()[0].startswith("What sets 0045.png apart: ")
    assert list(seen.maps) == ["occlusion(window=0.25)"]
    assert any("learnt from other items" in text for text in seen.figures["limits"])
    assert all(n["label"] == "" for n in seen.figures["neighbours"][0])


def test_an_item_from_elsewhere_is_read_as_the_run_reads_its_own(
    place: Path, cache: Path, tmp_path: Path, digits: Path
) -> None:
    model = _model.of_run(str(place / "simclr"), None, 0, open_device(CPU))
    own = model.item("test/0/0000.png")
    shutil.copy(digits / "test" / "0" / "0000.png", tmp_path / "alien.png")
    other = model.item(str(tmp_path / "alien.png"))
    assert other.row == -1 and other.label == "" and not other.learnt
    assert np.array_equal(own.view.numpy(), other.view.numpy())
    assert own.row >= 0 and model.item(str(digits / "test" / "0" / "0000.png")).row == own.row
    assert model.bank.mean(0).abs().max() < 1e-3 and model.bank.std(0).median() == pytest.approx(1, abs=0.01)


def test_a_model_that_was_handed_over_explains_its_own_head(
    place: Path, digits: Path, cache: Path, tmp_path: Path
) -> None:
    made = tmp_path / "digits.ul"
    ul.finetune(str(place / "simclr"), str(digits), labels=0.3, out=str(made), training=CPU)
    model = _model.of_bundle(str(made), str(digits), open_device(CPU))
    assert model.weights is not None and model.bias is not None
    names = [f"test/{c}/{sorted(p.name for p in (digits / 'test' / c).iterdir())[0]}" for c in "37"]
    view = torch.cat([model.item(name).view for name in names])
    with torch.no_grad():
        logits = model.lens(view) @ model.weights.T + model.bias
    told = ul.load(str(made)).predict([str(digits / name) for name in names])
    assert [model.classes[int(c)] for c in logits.argmax(1)] == told["label"].tolist()
    p = (logits / json.loads((made / "bundle.json").read_text())["temperature"]).softmax(1).amax(1)
    assert p.tolist() == pytest.approx(told["confidence"].tolist(), abs=1e-3)
    with pytest.raises(UserError, match="does not hold the items that it learnt from; say where they are: --data"):
        explain(str(made), names[0], training=CPU)
    how, out = ["occlusion(window=0.5)"], str(tmp_path / "why")
    found = explain(str(made), names[0], data=str(digits), how=how, out=out, training=CPU).figures
    assert found["probability"] == pytest.approx(told["confidence"][0], abs=1e-3), "what predict says"
    assert found["labels"] == sum(ul.load(str(made)).facts["data"]["counts"]["learnt"].values()) < 400


def test_a_model_knows_by_which_split_it_was_made(place: Path, digits: Path, cache: Path, tmp_path: Path) -> None:
    data, run, made = str(digits / "train"), str(tmp_path / "run"), tmp_path / "third.ul"
    setup = Setup(size=16, out=run, encoder="vit(width=32,depth=1,heads=2,patch_size=4)", seed=3)
    pretrain(data, method="simclr", setup=setup, budget=Budget(steps=2), training=CPU)
    ul.finetune(run, data, labels=0.3, out=str(made), handover=Handover(onnx=False), training=CPU)
    model, drawn = _model.of_bundle(str(made), data, open_device(CPU)), prepare(data, size=16, seed=3)
    assert set(drawn.test) != set(prepare(data, size=16).test)
    names = drawn.table.items["path"].iloc[drawn.test]
    assert not any(model.item(name).learnt for name in names[:5]) and not set(model.rows) & set(drawn.test)


def test_an_ensemble_is_explained_as_it_answers(place: Path, digits: Path, cache: Path, tmp_path: Path) -> None:
    made, name = tmp_path / "two.ul", "test/3/0045.png"
    runs = f"{place / 'simclr'},{place / 'c2ssl'}"
    ul.finetune(runs, str(digits), labels=0.2, out=str(made), handover=Handover(onnx=False), training=CPU)
    told = ul.load(str(made)).predict([str(digits / name)])
    how = ["grad_cam", "occlusion(window=0.5)", "rollout"]
    found = explain(str(made), name, data=str(digits), how=how, out=str(tmp_path / "why"), training=CPU)
    assert found.figures["class"] == told["label"][0]
    assert found.figures["probability"] == pytest.approx(told["confidence"][0], abs=1e-3)
    assert found.maps["occlusion(window=0.5)"].std() > 0


def test_fewer_labels_make_another_probe(place: Path, cache: Path) -> None:
    few = _model.of_run(str(place / "simclr"), None, 20, open_device(CPU))
    assert few.labels == 20 and len(few.classes) == 10 and few.weights is not None
    assert few.weights.shape == (10, 32)


def test_the_probe_chooses_its_penalty_on_other_groups(
    place: Path, digits: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(digits.rglob("*.png"))
    items = pd.DataFrame({"path": [str(f) for f in files], "group": [f"writer-{i // 4}" for i in range(len(files))]})
    items["label"], items["split"] = [f.parts[-2] for f in files], [f.parts[-3] for f in files]
    items.to_csv(tmp_path / "items.csv", index=False)
    held: list[np.ndarray] = []

    class Probe(Linear):
        def fit(self, x: np.ndarray, y: np.ndarray, *, groups: np.ndarray | None = None, **more: Any) -> Self:
            held.append(np.zeros(0) if groups is None else groups)
            return super().fit(x, y, groups=groups, **more)

    monkeypatch.setattr(_model, "Linear", Probe)
    found = _model.of_run(str(place / "simclr"), str(tmp_path / "items.csv"), 1.0, open_device(CPU))
    assert found.known is not None and len(held[0]) == len(found.known) > len(np.unique(held[0]))


def test_an_item_whose_label_the_probe_learnt_is_not_said_to_be_without(place: Path, cache: Path) -> None:
    few = _model.of_run(str(place / "simclr"), None, 20, open_device(CPU))
    paths = few.prepared.table.items["path"]
    assert few.known is not None and len(few.known) == 20
    one, other = paths[few.known[0]], paths[np.setdiff1d(few.rows, few.known)[0]]
    assert [few.item(name).known for name in (one, other, "test/0/0000.png")] == [True, False, False]
    assert replace(few, known=None).item(one).known is None  # a bundle does not tell
    figures = {"kind": "nearness", "neighbours": [[]], "explainers": [], "left": []}
    for known, told in ((True, "and the probe learnt its label"), (False, "without its label"), (None, "perhaps with")):
        item = {"name": "7.png", "learnt": True, "known": known}
        assert f"7.png was itself learnt from, {told}" in story._details({**figures, "items": [item]})[0]


@pytest.mark.parametrize(
    ("item", "more", "words"),
    [
        ("nothing.png", {}, "there is no item nothing.png, neither as a file nor in"),
        ("test/0/0000.png", {"how": ["gradcam"]}, 'did you mean "grad_cam"'),
        ("test/0/0000.png", {"how": ["occlusion(window=3)"]}, "a window of 3"),
        (
            "test/0/0000.png",
            {"data": "nowhere"},
            "learnt from nowhere, which is not there; say where its items are: --data",
        ),
        ("test/0/0000.png", {"labels": -1.0}, "give 0 labels or more"),
        ("test/0/0000.png", {"labels": 1e6}, "cannot draw 1e\\+06"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(item: str, more: dict, words: str, place: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=words):
        explain(str(place / "simclr"), item, training=CPU, **more)


def test_a_run_that_has_stopped_is_refused(place: Path, cache: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(place / "simclr", tmp_path / "run"))
    config = json.loads((copy / "config.json").read_text())
    config["recipe"]["steps"] = 900
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="stopped at step 20 of 900"):
        explain(str(copy), "test/0/0000.png", training=CPU)


def test_the_page_stands_when_files_are_missing(of_two: Explained, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(of_two.folder, tmp_path / "copy"))
    (copy / "curves.csv").unlink()
    (copy / "shown.npz").write_bytes(b"no array")
    text = page.write(copy).read_text("utf-8")
    assert text.count("Not shown:") == 3
    assert '<section id="sanity"' in text


def test_a_name_from_the_data_cannot_break_the_page(of_two: Explained, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(of_two.folder, tmp_path / "copy"))
    figures = json.loads((copy / "explained.json").read_text())
    evil = '"><script>alert(1)<&script>.png'
    figures["items"][0]["name"] = figures["neighbours"][0][0]["path"] = evil
    (copy / "explained.json").write_text(json.dumps(figures))
    text = page.write(copy).read_text("utf-8")
    assert "<script>alert(1)" not in text


def test_the_verb_is_there() -> None:
    assert ul.explain is explain
