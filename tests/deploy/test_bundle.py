"""Bundles: what is written is what is read, and promises are kept on the test items."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import unlabeled as ul
from unlabeled.data.prepare import prepare
from unlabeled.data.splits import nested_draws
from unlabeled.data.store import Prep
from unlabeled.deploy import strange
from unlabeled.deploy.card import Card, Part
from unlabeled.deploy.model import load_model
from unlabeled.deploy.parts import part
from unlabeled.deploy.views.image import View
from unlabeled.modalities.image import Image as Pictures
from unlabeled.ood.energy import Energy
from unlabeled.ood.knn import Knn
from unlabeled.ood.mahalanobis import Mahalanobis
from unlabeled.ood.msp import MSP
from unlabeled.ood.vim import ViM
from unlabeled.protocols.finetune import Finetune
from unlabeled.settings import Handover, Training
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items
from unlabeled.training.run import Run


def test_the_round_trip_gives_the_head_that_was_fitted(model: Path, run: Path, digits: Path) -> None:
    loaded = ul.load(str(model))
    facts = loaded.facts
    trained = Run.open(run)
    prepared = prepare(digits, size=16, prep=Prep(**trained.recipe.prep))
    raw = prepared.store.batch(prepared.test[:64])
    with torch.no_grad():
        features = trained.encoder()(trained.modality().plain(raw)).numpy()
    weights = loaded.bundle.weights() if loaded.bundle else {}
    logits = (features @ weights["head/weight"].T + weights["head/bias"]) / facts["temperature"]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(loaded.answer(raw.numpy()).probabilities - expected).max() < 1e-5
    truth = prepared.table.labels[prepared.test]
    told = loaded.answer(prepared.store.batch(prepared.test).numpy()).probabilities.argmax(1)
    assert facts["test"]["accuracy"]["value"] == pytest.approx((told == truth).mean())
    assert (told == truth).mean() > 0.6


def test_labels_are_parted_and_the_card_says_so(model: Path) -> None:
    facts = json.loads((model / "bundle.json").read_text())
    counts = {k: sum(v.values()) for k, v in facts["data"]["counts"].items()}
    assert counts["learnt"] + counts["calibration"] == 1437 and counts["test"] == 360
    assert 0.2 < counts["calibration"] / 1437 < 0.3
    card = (model / "card.md").read_text()
    assert "1,437 labels were used, those for calibration counted" in card
    assert "Small pictures of training items are in this bundle" in card
    assert "<h2>What it promises</h2>" in (model / "card.html").read_text()
    assert str(model.parent) not in (model / "card.md").read_text().split("## How it was made")[0], "no path"
    assert 0.8 < facts["test"]["coverage"]["value"] <= 1


def test_whole_groups_are_kept_back(run: Path, digits: Path, tmp_path: Path) -> None:
    rows = [
        (str(p), p.parent.name, p.parent.parent.name, f"g{i // 7}") for i, p in enumerate(sorted(digits.rglob("*.png")))
    ]
    frame = pd.DataFrame(rows, columns=["path", "label", "split", "group"])
    frame.to_csv(tmp_path / "digits.csv", index=False)
    made = ul.finetune(
        str(run), str(tmp_path / "digits.csv"), out=str(tmp_path / "m.ul"), labels=300,
        handover=Handover(sets_by="class", onnx=False), training=Training(threads=1),
    )  # fmt: skip
    facts = made.bundle.facts
    counts = {k: sum(v.values()) for k, v in facts["data"]["counts"].items()}
    assert 300 <= counts["learnt"] + counts["calibration"] < 307
    assert facts["data"]["groups"] > 100
    assert 8 <= facts["conformal"]["units"] < facts["conformal"]["items"] / 4, "a group counts once"
    assert facts["test"]["units"] < facts["test"]["n"] / 4
    assert len(set(facts["conformal"]["quantile"])) > 1, "each class has its own"
    assert any("learnt from other items" in note for note in facts["notes"])


def test_the_promise_is_kept_in_each_domain(run: Path, digits: Path, tmp_path: Path) -> None:
    rows, random = [], np.random.default_rng(0)
    for i, file in enumerate(sorted(digits.rglob("*.png"))):
        old, path = i % 4 == 0, tmp_path / f"{i}.png"
        pixels = np.asarray(Image.open(file), np.float64)
        pixels = pixels + random.normal(0, 90, pixels.shape) if old else pixels  # an old camera is noisy
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        rows.append((str(path), file.parent.name, file.parent.parent.name, "old" if old else "new"))
    pd.DataFrame(rows, columns=["path", "label", "split", "domain"]).to_csv(tmp_path / "d.csv", index=False)
    covered = {}
    for by in ("all", "domain"):
        made = ul.finetune(
            str(run), str(tmp_path / "d.csv"), out=str(tmp_path / f"{by}.ul"),
            handover=Handover(sets_by=by, onnx=False), training=Training(threads=1),
        )  # fmt: skip
        told = ul.audit(str(made.bundle.folder), str(tmp_path / "d.csv"), by=["domain"], out=str(tmp_path / by))
        parts = told.table[told.table["metric"] == "coverage"].set_index("part")["value"]
        covered[by] = parts.to_dict()
    assert covered["domain"]["old"] > covered["all"]["old"] + 0.02, covered
    assert min(covered["domain"].values()) > 0.84, covered
    kept = made.bundle.reference()
    assert len(kept["domains"]) == len(kept["labels"]) and set(kept["domains"]) == {0, 1}
    assert "in each of the domains that were seen" in (made.bundle.folder / "card.md").read_text()
    less = load_model(made.bundle.folder, coverage=0.8).limits.quantile
    assert (less < made.bundle.facts["conformal"]["quantile"]).all()
    assert "; new: " in (made.bundle.folder / "card.md").read_text(), "how many items stand behind each"
    with pytest.raises(ul.UserError, match=r"359 of 359 calibration items name no domain"):
        ul.finetune(
            str(run), str(digits), out=str(tmp_path / "n.ul"), handover=Handover(sets_by="domain"),
            training=Training(threads=1),
        )  # fmt: skip


def test_fine_tuning_writes_a_bundle_that_answers_as_the_fitted_net(run: Path, digits: Path, tmp_path: Path) -> None:
    how = "finetune(steps=20, trials=1)"
    made = ul.finetune(
        str(run),
        str(digits),
        protocol=how,
        labels=200,
        out=str(tmp_path / "m.ul"),
        handover=Handover(groups_from="data"),
        training=Training(threads=1, precision="fp32"),
    )
    trained, device = Run.open(run), open_device(Training(threads=1, precision="fp32"))
    prepared = prepare(digits, size=16, prep=Prep(**trained.recipe.prep))
    drawn = nested_draws(prepared.table.labels, prepared.labelled, [200.0], 1, 0)[0][200.0]
    learn, _ = part(prepared, drawn, 0.25, 0, None)
    fit = Finetune(steps=20, trials=1).fit(
        trained.encoder(), Items(prepared.store, learn), prepared.table.labels[learn], trained.modality(), device
    )
    expected = fit.predict(Items(prepared.store, prepared.test), trained.modality(), device)
    told = ul.load(str(tmp_path / "m.ul")).answer(prepared.store.batch(prepared.test).numpy()).probabilities
    sharpened = expected ** (1 / made.bundle.facts["temperature"])
    assert np.abs(told - sharpened / sharpened.sum(1, keepdims=True)).max() < 2e-3
    before = trained.encoder().state_dict()
    after = made.bundle.weights()
    assert any(not np.allclose(v.numpy(), after[f"encoder/{k}"]) for k, v in before.items() if v.is_floating_point())


def test_few_labels_promise_little_and_say_so(run: Path, digits: Path, tmp_path: Path) -> None:
    made = ul.finetune(
        str(run), str(digits), labels=12, out=str(tmp_path / "m.ul"), handover=Handover(detector="knn", onnx=False)
    )
    assert any("fewer than the 9 calibration items" in note for note in made.lines())
    assert ul.load(str(tmp_path / "m.ul")).limits.quantile.tolist() == [float("inf")] * 10


def test_two_labels_a_class_are_enough(run: Path, digits: Path, tmp_path: Path) -> None:
    """Of which one is kept back, so that no class is seen twice."""
    made = ul.finetune(str(run), str(digits), labels=20, out=str(tmp_path / "m.ul"), handover=Handover(onnx=False))
    counts = made.bundle.facts["data"]["counts"]
    assert set(counts["learnt"].values()) == set(counts["calibration"].values()) == {1}
    found = ul.load(str(tmp_path / "m.ul")).predict(digits / "test" / "3")
    assert np.isfinite(found["strangeness"]).all() and found["confidence"].max() < 1


def test_predict_takes_whatever_is_in_hand(model: Path, digits: Path, tmp_path: Path) -> None:
    loaded = ul.load(str(model))
    files = sorted((digits / "test").rglob("*.png"))[:12]
    from_paths = loaded.predict(files)
    pictures = [Image.open(f) for f in files]
    arrays = np.stack([np.asarray(p) for p in pictures])
    for other in (pictures, arrays, pd.DataFrame({"path": [str(f) for f in files]}), [str(f) for f in files]):
        found = loaded.predict(other)
        assert found["label"].tolist() == from_paths["label"].tolist()
        assert np.allclose(found["confidence"], from_paths["confidence"], atol=1e-6)
    colour = np.stack([arrays[0]] * 3, -1)
    for one in (arrays[0], colour, colour[None], torch.from_numpy(arrays[:1]), [torch.from_numpy(colour)]):
        assert loaded.predict(one)["confidence"].tolist() == pytest.approx(
            from_paths["confidence"].tolist()[:1], abs=1e-5
        )
    with pytest.raises(ul.UserError, match="-1 threads were asked for"):
        ul.load(str(model), threads=-1)
    assert len(loaded.predict(digits / "test" / "3")) == len(list((digits / "test" / "3").iterdir()))
    assert loaded.predict(pictures[0])["label"].tolist() == from_paths["label"].tolist()[:1]
    probabilities = from_paths[[f"p({c})" for c in loaded.classes]].to_numpy()
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert loaded.embed(files).shape == (12, 96)
    near = loaded.similar(files[:2], 3)
    assert near["similarity"].between(-1, 1.0001).all() and len(near) == 6
    for wrong, words in ((pd.DataFrame({"file": []}), 'no column "path"'), ([], "nothing was given"), (3, "kind int")):
        with pytest.raises(ul.UserError, match=words):
            loaded.predict(wrong)


def test_labels_are_carried_along_into_arrays(run: Path, digits: Path, tmp_path: Path) -> None:
    for folder, known in ((digits, {"labels", "splits"}), (digits / "test" / "3", {"splits"})):
        found = ul.embed(str(run), str(folder), out=str(tmp_path / "f.npz"), device="cpu")
        with np.load(tmp_path / "f.npz") as arrays:
            assert set(arrays) == {"features", "paths", *known}
            frame = pd.DataFrame({name.removesuffix("s"): arrays[name] for name in ("paths", *sorted(known))})
            assert (frame == found.frame[frame.columns].astype(str)).all(axis=None)
            assert (arrays["features"] == found.frame.filter(regex=r"^f\d+$").to_numpy()).all()


def test_what_cannot_be_read_has_no_neighbours(model: Path, digits: Path, tmp_path: Path) -> None:
    loaded, good = ul.load(str(model)), next((digits / "test").rglob("*.png"))
    broken = [tmp_path / f"{i}.png" for i in range(2)]
    for file in broken:
        file.write_bytes(b"no picture")
    assert loaded.embed(broken).shape == (2, 96) and np.isnan(loaded.embed(broken)).all()
    assert loaded.similar(broken).empty and "item" in loaded.similar(broken)
    near = loaded.similar([broken[0], good], 3)
    assert near["item"].tolist() == [1, 1, 1] and near["similarity"].notna().all()
    with pytest.raises(ul.UserError, match="0 neighbours were asked for; ask for one or more"):
        loaded.similar(good, 0)


def test_no_name_of_a_class_is_html_in_the_card() -> None:
    rows = [("<img src=x onerror=alert(1)>", "a|b"), ("two\nlines", "1")]
    card = Card("<b>x</b>", (Part("By class", ("Classes: <i>.",), ("class", "n"), rows),))
    text = card.markdown()
    assert re.search(r"(?<!\\)<", text) is None and r"| \<img src=x onerror=alert(1)> | a\|b |" in text
    assert "| two lines | 1 |" in text
    assert "<img" not in card.html() and "&lt;img" in card.html()


def test_items_of_one_group_stand_for_one_in_what_the_card_says_of_the_promise(model: Path) -> None:
    facts = json.loads((model / "bundle.json").read_text())

    def told(items: int, units: int | None) -> str:
        known = {k: v for k, v in facts["conformal"].items() if k != "units"} | {"items": items}
        known |= {} if units is None else {"units": units}
        return next(line for line in Card.of(facts | {"conformal": known}).parts[-4].text if "stand behind" in line)

    alone = told(240, None)
    assert "240 calibration items stand behind that, with which" in alone and "86.0 and 93.5 %" in alone
    assert told(240, 240) == alone
    assert "behind that of 24 groups, with which" in told(240, 24) and "86.0" not in told(240, 24)
    assert "of 5 groups, too few groups to tell how far" in told(240, 5)


def test_predictions_stream_into_a_table(model: Path, digits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    shutil.copytree(digits / "test", folder)
    (folder / "3" / "broken.png").write_bytes(b"no picture")
    (folder / "3" / "empty.png").touch()
    found = ul.predict(str(model), str(folder), out=str(tmp_path / "out.parquet"))
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert len(table) == found.items == 362 and found.unread == 2
    bad = table[table["label"].isna()]
    assert sorted(bad["path"].str.split("/").str[-1]) == ["broken.png", "empty.png"]
    assert bad["why"].str.startswith("cannot be read: ").all() and bad["abstain"].all()
    truth = table["path"].str.split("/").str[-2]
    answered = ~table["abstain"]
    assert (table["label"] == truth)[answered].mean() > (table["label"] == truth)[table["label"].notna()].mean()
    alone = table["set"].map(len) == 1
    assert (table.loc[answered, "set"].str[0] == table.loc[answered, "label"]).all() and (alone | ~answered).all()
    for name in ("out.csv", "out.jsonl"):
        ul.predict(str(model), str(folder), out=str(tmp_path / name))
    assert pd.read_csv(tmp_path / "out.csv")["confidence"].notna().sum() == 360
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["why"] is not None
    assert not list(tmp_path.glob(".part*"))
    with pytest.raises(ul.UserError, match="cannot write"):
        ul.predict(str(model), str(folder), out="out.xlsx")


def test_another_coverage_is_read_off_the_calibration_items(model: Path, digits: Path) -> None:
    files = sorted((digits / "test").rglob("*.png"))[:100]
    usual, wide = (ul.load(str(model), coverage=c).predict(files)["set"].map(len).mean() for c in (None, 0.99))
    assert wide > usual


def test_the_view_is_the_modality_s_own() -> None:
    random = torch.Generator().manual_seed(0)
    for side, plain, dtype in ((32, 32, torch.uint8), (48, 32, torch.uint8), (48, 20, torch.uint16)):
        look = Pictures(size=plain, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
        top = 255 if dtype == torch.uint8 else 65535
        raw = torch.randint(0, top + 1, (4, 3, side, side), generator=random).to(dtype)
        kind = np.dtype("uint8" if dtype == torch.uint8 else "uint16")
        off = (View(look, (3, side, side), kind)(raw) - look.plain(raw)).abs().max()
        rounding = 0.0 if side == plain or dtype == torch.uint16 else 1.6 / 255 / 0.1  # 8-bit weights and values
        assert off <= rounding + 1e-4


@pytest.mark.parametrize("kind", ["energy", "knn", "mahalanobis", "msp", "vim", "knn(k=3)"])
def test_detectors_score_as_the_catalog_s_own(kind: str) -> None:
    random = np.random.default_rng(0)
    y = np.arange(200) % 4
    x = random.normal(size=(200, 12)) + 3 * np.eye(12)[y]
    z = x[:, :4] * 2 + 0.3
    module = strange.Strange(kind.partition("(")[0], strange.fit(kind, x, y, z))
    new, logits = random.normal(size=(50, 12)) * 3, random.normal(size=(50, 4))
    score = module(torch.from_numpy(new).float(), torch.from_numpy(logits).float()).numpy()
    known = {
        "energy": Energy(),
        "knn": Knn(),
        "mahalanobis": Mahalanobis(),
        "msp": MSP(),
        "vim": ViM(),
        "knn(k=3)": Knn(k=3),
    }
    if kind == "mahalanobis":  # shrinks its covariance, so that scale matters: it is given features of spread 1
        new, x = (new - x.mean(0)) / x.std(0), (x - x.mean(0)) / x.std(0)
    assert np.allclose(score, known[kind].fit(x, y, z).score(new, logits), rtol=2e-4, atol=2e-4)


def test_steel_is_the_same_after_the_round_trip(steel: Path, tmp_path: Path, place: Path) -> None:
    """On real pictures: a random encoder is enough to see that nothing is lost on the way."""
    from unlabeled.settings import Budget, Setup

    some = tmp_path / "steel"
    for split, count in (("train", 30), ("test", 10)):
        for folder in sorted((steel / split).iterdir()):
            (some / split / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir())[:count]:
                shutil.copy(file, some / split / folder.name)
    setup = Setup(encoder="test_resnet", size=32, out=str(tmp_path / "run"))
    ul.pretrain(str(some), setup=setup, budget=Budget(steps=1), training=Training(threads=1))
    made = ul.finetune(
        str(tmp_path / "run"),
        str(some),
        out=str(tmp_path / "m.ul"),
        handover=Handover(onnx=False),
        training=Training(threads=1),
    )
    table = ul.load(str(tmp_path / "m.ul")).predict(some / "test")
    right = table["label"] == table["path"].str.split("/").str[0]
    assert right.mean() == pytest.approx(made.bundle.facts["test"]["accuracy"]["value"])
